"""The engine, seen from an event loop: requests in, streams of events out; see `engine.py`."""
