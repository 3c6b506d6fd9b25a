"""Checkpoints of quantized weights: the same tensors as floats, computed when they are asked for.

`methods` knows the ways of quantizing by the names that config.json gives them; the other files are one layout each.
"""
