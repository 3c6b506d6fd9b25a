"""One file a family of checkpoints; a variant of another is a few lines."""
