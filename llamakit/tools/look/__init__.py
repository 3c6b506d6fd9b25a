"""Look into models: values of a prompt by name, and where two files begin to differ."""
