"""Ways of quantizing by the names that `quantization_config` in config.json gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from llamakit.convert.checkpoint import FLOAT8, Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.quantized.bitnet import bitnet
from llamakit.convert.quantized.bits_and_bytes import bits_and_bytes
from llamakit.convert.quantized.float4 import mxfp4_experts, mxfp4_packed, nvfp4_modelopt, nvfp4_packed
from llamakit.convert.quantized.parts import Replaced
from llamakit.convert.quantized.scaled import scaled
from llamakit.convert.quantized.words import packed, words
from llamakit.errors import ModelError

METHODS = (
    "fp8", "fbgemm_fp8", "gptq", "awq", "mxfp4", "compressed-tensors", "modelopt", "bitsandbytes", "bitnet",
)  # fmt: skip
_WHOLE_FORMATS = ("float-quantized", "int-quantized", "naive-quantized")
_WORD_BITS = (2, 4, 8)


def dequantized(checkpoint: Checkpoint, config: Config) -> Checkpoint:
    """The checkpoint as floats; itself where nothing is quantized.

    Raises ModelError for a way of quantizing that is not known, or tensors that do not fit together.
    """
    settings = config.section("quantization_config")
    method = settings.str("quant_method", default="").lower()
    found = dict(_replaced(checkpoint, settings, method))
    return replace(checkpoint, replaced=found) if found else checkpoint


def _replaced(checkpoint: Checkpoint, settings: Config, method: str) -> Replaced:
    if method in ("gptq", "awq"):
        return words(checkpoint, settings, method)
    if method == "mxfp4" or (not method and any(name.endswith("_blocks") for name in checkpoint)):
        return mxfp4_experts(checkpoint)
    if method in ("fp8", "fbgemm_fp8") or (not method and any(t.dtype in FLOAT8 for t in checkpoint.tensors.values())):
        return scaled(checkpoint, settings.ints("weight_block_size", default=[]))
    if method == "compressed-tensors":
        return chain.from_iterable(_of_formats(checkpoint, settings))
    if method == "modelopt":
        return _modelopt(checkpoint)
    if method == "bitsandbytes":
        return bits_and_bytes(checkpoint)
    if method == "bitnet":
        return bitnet(checkpoint)
    if not method:
        return iter(())
    raise ModelError(f"{settings.path}: quantized by {method!r:.40}; known are {', '.join(METHODS)}")


def _modelopt(checkpoint: Checkpoint) -> Replaced:
    """NVFP4 where a weight has two scales, else FP8 with one."""
    found = dict(nvfp4_modelopt(checkpoint))
    others = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in found}
    return chain(found.items(), scaled(Checkpoint(others), []))


def _of_formats(checkpoint: Checkpoint, settings: Config) -> Iterator[Replaced]:
    """compressed-tensors: a format for all, or one for each group of weights."""
    if settings.section("sparsity_config").str("format", default="dense") != "dense":
        raise ModelError(f"{settings.path}: sparse weights of compressed-tensors are not known")
    default = settings.str("format", default="")
    groups = settings.section("config_groups").values
    seen: set[tuple[str, int, tuple[int, ...]]] = set()
    for group in groups.values():
        scheme = Config(settings.path, group if isinstance(group, Mapping) else {})
        weights = scheme.section("weights")
        if not weights.values:
            continue
        key = (scheme.str("format", default=default), weights.int("num_bits"), tuple(_block(weights)))
        if key not in seen:
            seen.add(key)
            yield _of_format(checkpoint, settings, *key)
    bits = {n for name, n, _ in seen if name == "pack-quantized"}
    blocks = {block for name, _, block in seen if name in _WHOLE_FORMATS}
    if len(bits) > 1 or len(blocks) > 1:
        raise ModelError(f"{settings.path}: groups of weights with different bits or blocks are not told apart")


def _of_format(checkpoint: Checkpoint, settings: Config, name: str, bits: int, block: tuple[int, ...]) -> Replaced:
    if name in _WHOLE_FORMATS:
        return scaled(checkpoint, list(block))
    if name == "pack-quantized" and bits in _WORD_BITS:
        return packed(checkpoint, bits)
    if name == "nvfp4-pack-quantized":
        return nvfp4_packed(checkpoint)
    if name == "mxfp4-pack-quantized":
        return mxfp4_packed(checkpoint)
    raise ModelError(f"{settings.path}: the format {name!r:.40} of compressed-tensors with {bits} bits is not known")


def _block(weights: Config) -> list[int]:
    """What one scale is for: a block of rows and columns, or [] for a row, a group of it, or all."""
    value: Any = weights.values.get("block_structure")
    if isinstance(value, str) and "x" in value:
        value = [int(n) for n in value.split("x") if n.isdecimal()]
    return value if isinstance(value, list) and all(type(n) is int and n > 0 for n in value) else []
