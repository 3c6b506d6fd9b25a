"""One file a format: mostly data for the kinds of calls beside this folder. See registry.py."""
