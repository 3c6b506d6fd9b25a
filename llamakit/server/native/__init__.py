"""llama-server's own API, and the extras of llama-cpp-python's server."""
