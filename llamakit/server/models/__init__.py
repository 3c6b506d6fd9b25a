"""Which models are served: one, several by their names, or a folder of them."""
