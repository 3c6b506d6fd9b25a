"""The library side of `llamakit gguf hash`: hashes of tensor data, made and checked as llama-gguf-hash does it."""
