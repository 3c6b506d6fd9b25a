"""Measured quantization: the mix of tensor types that does the least damage in a given number of bytes.

`candidates` lists what each tensor may become and how far its weights move; `ruler` measures what a change does to the
logits; `estimate` turns few measurements into a damage for every candidate; `knapsack` picks the mix; `search` does it
all in turn, `standard` holds the mix against llama.cpp's, `report` draws it.
"""
