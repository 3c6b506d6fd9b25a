"""Hugging Face folders to GGUF files: no torch, no transformers, one tensor in memory at a time."""
