"""Weights of 8 bits, FP8 or whole numbers, and a tensor of scales: one for all, or for each row, group or block.

Sources: transformers' fine-grained FP8 and FBGEMM, compressed-tensors, Mistral's own checkpoints.
"""

from __future__ import annotations

import numpy as np

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.quantized.parts import Floats, Replaced, computed, values_of

SUFFIXES = ("_scale_inv", "_scale")  # behind the weight's own name
SLAB = 1 << 20  # values
MISTRAL_SUFFIX = ".qscale_weight"  # in place of .weight
UNUSED = (
    "activation_scale", ".input_scale", ".act_scale", ".qscale_act", ".output_scale", ".k_scale", ".v_scale",
    ".q_scale", ".input_global_scale", ".input_zero_point",
)  # fmt: skip


def scaled(checkpoint: Checkpoint, block: list[int]) -> Replaced:
    """All weights that have scales; `block` is the shape that one of them is for, where they are for blocks."""
    for name in checkpoint.tensors:
        if name.endswith(UNUSED):
            yield name, None
            continue
        weight = weight_of(checkpoint, name)
        if weight is None:
            continue
        zeros = f"{weight}_zero_point"
        has_zeros = zeros in checkpoint.tensors
        yield name, None
        if has_zeros:
            yield zeros, None
        shape = checkpoint.tensors[weight].shape

        def load(weight: str = weight, scale: str = name, zeros: str | None = zeros if has_zeros else None) -> Floats:
            values = values_of(checkpoint, weight)
            if not values.flags.writeable:  # floats already, in the mapped file
                values = values.copy()
            if zeros is not None:
                by_slabs(np.subtract, values, values_of(checkpoint, zeros), block)
            by_slabs(np.multiply, values, values_of(checkpoint, scale), block)
            return values

        yield weight, computed(checkpoint, shape, load, weight, name)


def weight_of(checkpoint: Checkpoint, scale: str) -> str | None:
    """The tensor that a tensor of scales is for, by their names."""
    if scale.endswith(MISTRAL_SUFFIX):
        names = [scale.removesuffix(MISTRAL_SUFFIX) + ".weight"]
    else:
        names = [scale.removesuffix(suffix) for suffix in SUFFIXES if scale.endswith(suffix)]
    return next((name for name in names if name in checkpoint.tensors), None)


def by_slabs(ufunc: np.ufunc, values: Floats, scales: Floats, block: list[int]) -> None:
    """values = ufunc(values, scales), some rows at a time: spread out, the scales are as large as the values.

    Raises ValueError for scales that do not fit.
    """
    n_row = block[0] if len(block) == values.ndim else 1  # rows that share scales
    if scales.ndim < 1 or len(scales) != -(-len(values) // n_row):
        ufunc(values, spread(scales, values.shape, block), out=values)
        return
    step = n_row * max(1, SLAB * len(values) // max(1, values.size * n_row))
    for start in range(0, len(values), step):
        slab = values[start : start + step]
        ufunc(slab, spread(scales[start // n_row : -(-(start + step) // n_row)], slab.shape, block), out=slab)


def spread(scales: Floats, shape: tuple[int, ...], block: list[int]) -> Floats:
    """Scales as they multiply values of `shape`: those of blocks and groups repeated, the last ones cut.

    Raises ValueError for scales that do not fit.
    """
    if scales.size == 1:
        return scales.reshape(())
    if scales.ndim == len(shape) and any(n not in (1, of) for n, of in zip(scales.shape, shape, strict=True)):
        if not block:
            block = [1] * (len(shape) - 1) + [-(-shape[-1] // scales.shape[-1])]  # groups of a row
        for axis, n in enumerate(block, start=scales.ndim - len(block)):
            scales = np.repeat(scales, n, axis)
        scales = scales[tuple(slice(0, n) for n in shape)]
        if scales.shape != shape:
            raise ValueError(f"scales of {scales.shape} for values of {shape}")
        return scales
    return scales.reshape(*scales.shape, *[1] * (len(shape) - scales.ndim))
