"""The library: `Llama` under llama-cpp-python's names, and what goes with it."""
