"""Weights of some bits in words of 32: GPTQ, AWQ, and what compressed-tensors calls pack-quantized.

Each is scale * (value - zero), with scale and zero by the group that a column is of. Sources of the layouts: AutoGPTQ,
AutoAWQ, compressed-tensors.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.quantized.parts import Floats, Replaced, computed, required, split, values_of, words_of
from llamakit.errors import ModelError

_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where the values of a word lie in it, in steps of 4 bits
_GPTQ_FORMATS = ("gptq", "gptq_v2", "")


def words(checkpoint: Checkpoint, settings: Config, method: str) -> Replaced:
    """GPTQ or AWQ: `qweight`, `qzeros`, `scales`, and with GPTQ the group of each column."""
    bits = settings.int("bits", "w_bit", default=4)
    if bits not in (2, 4, 8) or (method == "awq" and bits != 4):
        raise ModelError(f"{settings.path}: {method} with {bits} bits a weight is not known")
    layout = settings.str("checkpoint_format", default="") if method == "gptq" else settings.str("version", default="")
    if layout.lower() not in (_GPTQ_FORMATS if method == "gptq" else ("gemm", "")):
        raise ModelError(f"{settings.path}: the layout {layout!r:.40} of {method} is not known")
    for name in checkpoint.tensors:
        stem = name.removesuffix(".qweight")
        if stem == name:
            continue
        parts = [f"{stem}.{part}" for part in ("qweight", "qzeros", "scales")]
        required(checkpoint, *parts)
        for part in (*parts, f"{stem}.g_idx"):
            yield part, None
        n_out = checkpoint.tensors[parts[2]].shape[-1]
        n_rows = checkpoint.tensors[parts[0]].shape[0]

        if method == "gptq":
            shape, load = (
                (n_out, n_rows * 32 // bits),
                partial(unpack_gptq, checkpoint, stem, bits, layout != "gptq_v2"),
            )
        else:
            shape, load = (n_out, n_rows), partial(unpack_awq, checkpoint, stem)
        yield f"{stem}.weight", computed(checkpoint, shape, load, *parts)


def unpack_gptq(checkpoint: Checkpoint, stem: str, bits: int, stores_less: bool) -> Floats:
    """-> (n_out, n_in); `stores_less`: zeros are stored less one, as the first version of the layout has it."""
    values_in, zeros_in = (words_of(checkpoint, f"{stem}.{part}") for part in ("qweight", "qzeros"))
    scales = values_of(checkpoint, f"{stem}.scales")
    values = split(values_in[:, None, :], bits, axis=1).reshape(-1, values_in.shape[1])
    zeros = split(zeros_in[:, :, None], bits, axis=2).reshape(scales.shape) + int(stores_less)
    group = _groups(checkpoint, f"{stem}.g_idx", len(values), len(scales))
    return np.ascontiguousarray((scales[group] * (values - zeros[group])).T, np.float32)


def unpack_awq(checkpoint: Checkpoint, stem: str) -> Floats:
    """-> (n_out, n_in)"""
    scales = values_of(checkpoint, f"{stem}.scales")

    def values(part: str) -> NDArray[np.int32]:
        packed = words_of(checkpoint, f"{stem}.{part}")
        return split(packed[:, :, None], 4, axis=2)[:, :, _AWQ_ORDER].reshape(len(packed), -1)

    weights, zeros = values("qweight"), values("qzeros")
    group = np.arange(len(weights)) * len(scales) // len(weights)
    return np.ascontiguousarray((scales[group] * (weights - zeros[group])).T, np.float32)


def _groups(checkpoint: Checkpoint, name: str, n_column: int, n_group: int) -> NDArray[np.integer]:
    """The group of each column: as the file says, else as many columns each. Raises ModelError for one out of range."""
    given = checkpoint.array(name) if name in checkpoint.tensors else None
    if given is None or (given < 0).all():
        return np.arange(n_column) * n_group // n_column
    if given.shape != (n_column,) or given.min() < 0 or given.max() >= n_group:
        raise ModelError(f"tensor {name} does not tell a group of {n_group} for each of {n_column} columns")
    return given


def packed(checkpoint: Checkpoint, bits: int) -> Replaced:
    """compressed-tensors: `weight_packed` by rows, `weight_shape`, `weight_scale` (n_out, n_group), perhaps zeros."""
    for name in checkpoint.tensors:
        weight = name.removesuffix("_packed")
        if weight == name:
            continue
        parts = [name, f"{weight}_scale", f"{weight}_shape"]
        required(checkpoint, *parts)
        for part in (*parts, f"{weight}_zero_point", f"{weight}_g_idx"):
            yield part, None
        shape = tuple(checkpoint.array(parts[2]).tolist())
        if len(shape) != 2 or min(shape) < 1:
            raise ModelError(f"tensor {parts[2]} says the shape {shape}")
        yield weight, computed(checkpoint, shape, partial(unpack_packed, checkpoint, weight, shape, bits), *parts)


def unpack_packed(checkpoint: Checkpoint, weight: str, shape: tuple[int, int], bits: int) -> Floats:
    """Values count from half their range, or from zeros, which are packed along the rows.   -> shape"""
    n_out, n_in = shape
    scales, packed = values_of(checkpoint, f"{weight}_scale"), words_of(checkpoint, f"{weight}_packed")
    values = split(packed[:, :, None], bits, axis=2).reshape(n_out, -1)[:, :n_in]
    zeros: NDArray[np.int32] = np.full((1, scales.shape[1]), 1 << (bits - 1), np.int32)
    if f"{weight}_zero_point" in checkpoint.tensors:
        stored = words_of(checkpoint, f"{weight}_zero_point")
        zeros = split(stored[:, None, :], bits, axis=1).reshape(-1, stored.shape[1])[:n_out]
    group = _groups(checkpoint, f"{weight}_g_idx", n_in, scales.shape[1])
    return (values - zeros[:, group]) * scales[:, group]
