"""Weights in floats of 4 bits, two a byte: MXFP4 (a power of two for 32 values), NVFP4 (an FP8 scale for 16).

Sources of the layouts: the microscaling specification, gpt-oss, compressed-tensors, ModelOpt.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.quantized.parts import Floats, Replaced, computed, required, values_of

_FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def mxfp4_experts(checkpoint: Checkpoint) -> Replaced:
    """gpt-oss: `_blocks` of 16 bytes and `_scales`; stored with the rows that transformers has last."""
    for name in checkpoint.tensors:
        stem = name.removesuffix("_blocks")
        if stem == name:
            continue
        scales = f"{stem}_scales"
        required(checkpoint, scales)
        yield name, None
        yield scales, None
        *shape, n_block, _ = checkpoint.tensors[name].shape

        def load(blocks: str = name, scales: str = scales) -> Floats:
            codes, exponents = checkpoint.array(blocks), checkpoint.array(scales)
            *outer, n_out, n_block, n_byte = codes.shape
            out = np.empty((*outer, 2 * n_byte * n_block, n_out), np.float32)
            for i in np.ndindex(*outer):  # an expert at a time: what is unpacked takes eight times the room
                out[i] = unpack_mxfp4(codes[i].reshape(n_out, -1), exponents[i]).T
            return out

        yield stem, computed(checkpoint, (*shape[:-1], 32 * n_block, shape[-1]), load, name, scales)


def mxfp4_packed(checkpoint: Checkpoint) -> Replaced:
    """compressed-tensors: `weight_packed` and exponents in `weight_scale`."""

    def load(weight: str) -> Floats:
        return unpack_mxfp4(checkpoint.array(f"{weight}_packed"), checkpoint.array(f"{weight}_scale"))

    return _of_bytes(checkpoint, "_packed", ("_scale",), load)


def nvfp4_packed(checkpoint: Checkpoint) -> Replaced:
    """compressed-tensors: `weight_packed`, scales in FP8, and one number that divides them."""

    def load(weight: str) -> Floats:
        return unpack_nvfp4(checkpoint, f"{weight}_packed", weight) / values_of(checkpoint, f"{weight}_global_scale")

    return _of_bytes(checkpoint, "_packed", ("_scale", "_global_scale"), load)


def nvfp4_modelopt(checkpoint: Checkpoint) -> Replaced:
    """ModelOpt: the bytes are `weight`, and one number, `weight_scale_2`, multiplies the scales in FP8."""

    def load(weight: str) -> Floats:
        return unpack_nvfp4(checkpoint, weight, weight) * values_of(checkpoint, f"{weight}_scale_2")

    return _of_bytes(checkpoint, "", ("_scale", "_scale_2"), load)


def _of_bytes(checkpoint: Checkpoint, suffix: str, others: tuple[str, ...], load: Callable[[str], Floats]) -> Replaced:
    """Weights of two values a byte that have all of some other tensors."""
    for last in checkpoint.tensors:
        weight = last.removesuffix(others[-1])
        packed = f"{weight}{suffix}"
        if weight == last or packed not in checkpoint.tensors:
            continue
        names = [packed, *(f"{weight}{other}" for other in others)]
        required(checkpoint, *names)
        for name in names:
            yield name, None
        *shape, n = checkpoint.tensors[packed].shape
        yield weight, computed(checkpoint, (*shape, 2 * n), partial(load, weight), *names)


def unpack_mxfp4(codes: NDArray[np.uint8], exponents: NDArray[np.uint8]) -> Floats:
    """(..., 16 n_block) bytes of two values, low bits first, and (..., n_block) exponents.   -> (..., 32 n_block)"""
    powers = np.ldexp(np.float32(1), exponents.astype(np.int32) - 127)
    return _scaled(codes, powers, 32)


def unpack_nvfp4(checkpoint: Checkpoint, codes: str, weight: str) -> Floats:
    """Before the number for the whole tensor.   (..., n) bytes, (..., n / 8) scales -> (..., 2 n)"""
    return _scaled(checkpoint.array(codes), values_of(checkpoint, f"{weight}_scale"), 16)


def _scaled(codes: NDArray[np.uint8], scales: Floats, n_group: int) -> Floats:
    if codes.dtype != np.uint8 or 2 * codes.shape[-1] != n_group * scales.shape[-1]:
        raise ValueError(f"scales of {scales.shape}, one for {n_group} values")
    values = np.stack([_FP4[codes & 15], _FP4[codes >> 4]], -1).reshape(*scales.shape, n_group)
    return np.asarray((values * scales[..., None]).reshape(*codes.shape[:-1], -1), np.float32)
