"""Tokenizers of checkpoints, in their four kinds of files, as GGUF keys."""
