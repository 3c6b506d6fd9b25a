"""Checkpoints of quantized weights: the same tensors as floats, computed when they are asked for.

FP8 with scales (of the tensor, of rows, of blocks), GPTQ and AWQ (4 bits in words, scale and zero by group), and the
MXFP4 of gpt-oss. Sources of the layouts: transformers' quantizers, AutoGPTQ, AutoAWQ, the microscaling specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from llamakit.convert.checkpoint import Checkpoint, floats
from llamakit.convert.config import Config
from llamakit.convert.weight import Array, Weight, as_float32
from llamakit.errors import ModelError

Floats = NDArray[np.float32]
Unpacked = Iterator[tuple[str, Weight | None]]  # None: a part of another tensor

_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where the values of a word lie in it, in steps of 4 bits
_FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
_SCALES = (".weight_scale_inv", ".weight_scale", ".qscale_weight")
_UNUSED = (".activation_scale", ".input_scale", ".act_scale", ".qscale_act")


def dequantized(checkpoint: Checkpoint, config: Config) -> Checkpoint:
    """The checkpoint as floats; itself where nothing is quantized.

    Raises ModelError for a way of quantizing that is not known, or tensors that do not fit together.
    """
    settings = config.section("quantization_config")
    method = settings.str("quant_method", default="")
    if method in ("gptq", "awq"):
        found = dict(_packed(checkpoint, settings, method))
    elif any(name.endswith("_blocks") for name in checkpoint):
        found = dict(_mxfp4(checkpoint))
    elif any(name.endswith(_SCALES) for name in checkpoint):
        found = dict(_scaled(checkpoint, settings))
    elif method in ("", "bitnet", "mxfp4"):
        return checkpoint
    else:
        raise ModelError(f"{config.path}: quantized by {method!r:.40}; known are fp8, gptq, awq and mxfp4")
    return replace(checkpoint, replaced=found)


def _computed(checkpoint: Checkpoint, shape: tuple[int, ...], load: Callable[[], Array], *sources: str) -> Weight:
    def release() -> None:
        for name in sources:
            checkpoint.tensors[name].release()

    return Weight(shape, np.dtype(np.float32), load, sources, ("dequantize",), release)


def _scaled(checkpoint: Checkpoint, settings: Config) -> Unpacked:
    """Weights in FP8, each with a tensor of scales: one for all, one a row, or one a block."""
    block = settings.ints("weight_block_size", default=[])
    for name in checkpoint.tensors:
        if name.endswith(_UNUSED):
            yield name, None
        suffix = next((suffix for suffix in _SCALES if name.endswith(suffix)), None)
        weight = name.removesuffix(suffix) + ".weight" if suffix else ""
        if suffix is None or weight not in checkpoint.tensors:
            continue
        yield name, None
        shape = checkpoint.tensors[weight].shape

        def load(weight: str = weight, scale: str = name) -> Array:
            values = as_float32(floats(checkpoint.tensors[weight]))
            return values * spread(as_float32(floats(checkpoint.tensors[scale])), values.shape, block)

        yield weight, _computed(checkpoint, shape, load, weight, name)


def spread(scales: Floats, shape: tuple[int, ...], block: list[int]) -> Floats:
    """Scales as they multiply values of `shape`: those of blocks repeated, the last ones cut."""
    if scales.size == 1:
        return scales.reshape(())
    if block and scales.ndim == len(shape):
        for axis, n in enumerate(block, start=scales.ndim - len(block)):
            scales = np.repeat(scales, n, axis)
        return scales[tuple(slice(0, n) for n in shape)]
    return scales.reshape(*scales.shape, *[1] * (len(shape) - scales.ndim))


def _packed(checkpoint: Checkpoint, settings: Config, method: str) -> Unpacked:
    """Weights of some bits in words of 32: `qweight`, `qzeros`, `scales`, and with GPTQ the group of each column."""
    bits = settings.int("bits", "w_bit", default=4)
    if bits not in (2, 4, 8) or (method == "awq" and bits != 4):
        raise ModelError(f"{settings.path}: {method} with {bits} bits a weight is not known")
    is_old = settings.str("checkpoint_format", default="gptq") == "gptq"  # which stores zeros less one
    for name in checkpoint.tensors:
        stem = name.removesuffix(".qweight")
        if stem == name:
            continue
        parts = [f"{stem}.{part}" for part in ("qweight", "qzeros", "scales")]
        missing = [part for part in parts if part not in checkpoint.tensors]
        if missing:
            raise ModelError(f"{settings.path.parent}: tensor {missing[0]} is missing")
        for part in (*parts, f"{stem}.g_idx"):
            yield part, None
        n_out = checkpoint.tensors[parts[2]].shape[1]
        n_rows = checkpoint.tensors[parts[0]].shape[0]
        n_in = n_rows * 32 // bits if method == "gptq" else n_rows

        def load(stem: str = stem) -> Array:
            return unpack_gptq(checkpoint, stem, bits, is_old) if method == "gptq" else unpack_awq(checkpoint, stem)

        yield f"{stem}.weight", _computed(checkpoint, (n_out, n_in), load, *parts)


def unpack_gptq(checkpoint: Checkpoint, stem: str, bits: int, is_old: bool) -> Floats:
    """scale * (value - zero), by the group of each column.   -> (n_out, n_in)"""
    words, zero_words = (checkpoint.array(f"{stem}.{part}").view(np.uint32) for part in ("qweight", "qzeros"))
    scales = as_float32(floats(checkpoint.tensors[f"{stem}.scales"]))
    values = _split(words[:, None, :], bits, axis=1).reshape(-1, words.shape[1])
    zeros = _split(zero_words[:, :, None], bits, axis=2).reshape(scales.shape) + int(is_old)
    n_in = len(values)
    name = f"{stem}.g_idx"
    group = checkpoint.array(name) if name in checkpoint.tensors else np.arange(n_in) * len(scales) // n_in
    return np.ascontiguousarray((scales[group] * (values - zeros[group])).T, np.float32)


def unpack_awq(checkpoint: Checkpoint, stem: str) -> Floats:
    """scale * (value - zero), by groups of as many columns each.   -> (n_out, n_in)"""
    scales = as_float32(floats(checkpoint.tensors[f"{stem}.scales"]))

    def values(part: str) -> NDArray[np.int32]:
        words = checkpoint.array(f"{stem}.{part}").view(np.uint32)
        return _split(words[:, :, None], 4, axis=2)[:, :, _AWQ_ORDER].reshape(len(words), -1)

    weights, zeros = values("qweight"), values("qzeros")
    group = np.arange(len(weights)) * len(scales) // len(weights)
    return np.ascontiguousarray((scales[group] * (weights - zeros[group])).T, np.float32)


def _split(words: NDArray[np.uint32], bits: int, axis: int) -> NDArray[np.int32]:
    """The values of words, lowest bits first, along an axis of length 1."""
    shape = [1, 1, 1]
    shape[axis] = 32 // bits
    shifts = np.arange(0, 32, bits, dtype=np.uint32).reshape(shape)
    return ((words >> shifts) & np.uint32((1 << bits) - 1)).astype(np.int32)


def _mxfp4(checkpoint: Checkpoint) -> Unpacked:
    """Experts of gpt-oss: 16 bytes of 32 values and a power of two; stored with the rows that transformers has last."""
    for name in checkpoint.tensors:
        stem = name.removesuffix("_blocks")
        if stem == name:
            continue
        scales = f"{stem}_scales"
        if scales not in checkpoint.tensors:
            raise ModelError(f"tensor {scales} is missing")
        yield name, None
        yield scales, None
        *shape, n_block, _ = checkpoint.tensors[name].shape

        def load(blocks: str = name, scales: str = scales) -> Array:
            return unpack_mxfp4(checkpoint.array(blocks), checkpoint.array(scales)).swapaxes(-1, -2)

        yield stem, _computed(checkpoint, (*shape[:-1], 32 * n_block, shape[-1]), load, name, scales)


def unpack_mxfp4(blocks: NDArray[np.uint8], scales: NDArray[np.uint8]) -> Floats:
    """(..., n_block, 16) bytes of two values, low bits first, and (..., n_block) exponents.   -> (..., 32 n_block)"""
    values = np.stack([_FP4[blocks & 15], _FP4[blocks >> 4]], -1).reshape(*blocks.shape[:-1], 32)
    powers = np.ldexp(np.float32(1), scales.astype(np.int32) - 127)
    return np.ascontiguousarray((values * powers[..., None]).reshape(*blocks.shape[:-2], -1), np.float32)
