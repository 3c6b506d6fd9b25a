"""llama.h's functions, as llama-cpp-python offers them: pointers are numbers, texts are bytes, arrays are ctypes'."""
