"""Rotation settings: those of config.json as GGUF keys, and the factors that Llama 3.1 derives from them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from llamakit.convert.config import Config
from llamakit.errors import ModelError

log = logging.getLogger(__name__)

_YARN = {
    "extrapolation_factor": "yarn_ext_factor",
    "attention_factor": "yarn_attn_factor",
    "attn_factor": "yarn_attn_factor",
    "beta_fast": "yarn_beta_fast",
    "beta_slow": "yarn_beta_slow",
}
STRETCHED = ("linear", "yarn")
_UNSCALED = ("default", "llama3", "dynamic", "proportional", "mrope")  # nothing, or what other keys and tensors say


def scaling_keys(config: Config) -> Iterator[tuple[str, Any]]:
    """Keys below `rope.` of a config of either spelling."""
    rope, local = config.rope, config.local_rope
    kind = rope.str("rope_type", default="default")
    if kind in ("su", "longrope"):
        yield "rope.scaling.type", "longrope"
        yield from _longrope_keys(config, rope)
    elif kind in STRETCHED and rope.has("factor"):
        yield from stretched_keys(config, rope)
    elif kind == "dynamic" and not rope.has("alpha"):
        log.warning(
            "%s: texts of more than %d tokens, for which the rotation changes with the length (dynamic), are computed "
            "with that of shorter ones", config.path, config.n_ctx,
        )  # fmt: skip
    elif kind not in _UNSCALED:
        log.warning("%s: the rotation %r is not known and is left as it would be without", config.path, kind)
    if rope.has("mrope_section"):
        sections = rope.ints("mrope_section")
        yield "rope.dimension_sections", [*sections, 0, 0, 0, 0][:4]
    if rope.has("rope_theta"):
        yield "rope.freq_base", rope.float("rope_theta")
    if local.has("rope_theta"):
        yield "rope.freq_base_swa", local.float("rope_theta")


def window_keys(config: Config, n_rot: int, shares_scaling: bool) -> Iterator[tuple[str, Any]]:
    """Keys of ours for a scaling that the layers with a window have for themselves.

    `shares_scaling` says that without any they are scaled like the others.
    """
    local = config.local_rope
    kind = local.str("rope_type", default="default")
    keys: list[tuple[str, Any]] = []
    if kind in STRETCHED and local.has("factor"):
        keys = list(stretched_keys(config, local))
    elif kind in ("su", "longrope"):
        lists = longrope_factors(config, local, n_rot // 2)
        factors = [(f"rope.scaling.{length}_factors", list) for length, list in lists.items()]
        keys = [("rope.scaling.type", "longrope"), *_longrope_keys(config, local), *factors]
    elif kind == "llama3":
        factors = [("rope.scaling.factors", llama3_factors(config, local, n_rot))]
        keys = [("rope.scaling.type", "none"), *factors]
    elif shares_scaling and config.rope.str("rope_type", default="default") not in ("default", "dynamic"):
        keys = [("rope.scaling.type", "none")]
    yield from ((f"llamakit.swa.{key}", value) for key, value in keys)


def stretched_keys(config: Config, rope: Config) -> Iterator[tuple[str, Any]]:
    """Linear scaling, or YaRN."""
    kind = rope.str("rope_type")
    yield "rope.scaling.type", kind
    yield "rope.scaling.factor", rope.float("factor")
    if kind == "yarn":
        original = rope.int("original_max_position_embeddings", default=config.n_ctx)
        yield "rope.scaling.original_context_length", original
        for theirs, ours in _YARN.items():
            if rope.has(theirs):
                yield f"rope.scaling.{ours}", rope.float(theirs)
        factor = rope.float("factor")
        magnitude = rope.float("attention_factor", default=0.0)
        if not magnitude and rope.float("mscale", default=0.0) and rope.float("mscale_all_dim", default=0.0):
            magnitude = log_scale(factor, rope.float("mscale")) / log_scale(factor, rope.float("mscale_all_dim"))
        if magnitude:  # in place of YaRN's own, which GGUF's readers multiply with it
            yield "rope.scaling.attn_factor", magnitude / log_scale(factor, 1.0)


def log_scale(factor: float, multiplier: float) -> float:
    """YaRN's magnitude for contexts `factor` times as long."""
    return 0.1 * multiplier * math.log(factor) + 1 if factor > 1 else 1.0


def _longrope_keys(config: Config, rope: Config) -> Iterator[tuple[str, Any]]:
    original = rope.int("original_max_position_embeddings", default=config.n_ctx)
    yield "rope.scaling.original_context_length", original
    factor = rope.float("factor", default=config.n_ctx / original)
    own = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    yield "rope.scaling.attn_factor", rope.float("attention_factor", default=own)


def longrope_factors(config: Config, rope: Config, n_pair: int) -> dict[str, list[float]]:
    """What divides the frequencies in "long" and in "short" contexts, as far as the config says it.

    Raises ModelError for lists of a wrong length.
    """
    lists = {length: rope.floats(f"{length}_factor", default=[]) for length in ("long", "short")}
    for length, factors in lists.items():
        if factors and len(factors) != n_pair:
            raise ModelError(f"{config.path}: {length}_factor has {len(factors)} numbers, not {n_pair}")
    return {length: factors for length, factors in lists.items() if factors}


def n_rotated(config: Config, default: float = 1.0) -> int:
    """How many dimensions of a head turn. Raises ModelError for an odd number."""
    return rotated_part(config, config.rope, default)


def rotated_part(config: Config, rope: Config, default: float = 1.0) -> int:
    """The same, as one of several rotations says."""
    part = rope.float("partial_rotary_factor", default=default)
    n = int(config.head_dim * part)
    if n % 2:
        raise ModelError(
            f"{config.path}: a partial_rotary_factor of {part:g} turns {n} of a head's {config.head_dim} dimensions; "
            "dimensions turn in pairs, so odd numbers cannot be converted"
        )
    return n


def llama3_factors(config: Config, rope: Config, dim: int, default: float = 8.0) -> list[float]:
    """What divides the frequency of each pair of `dim` dimensions of Llama 3.1.

    Slow turns (waves longer than the old context / low_freq_factor) become `factor` times slower, fast ones stay, those
    between are mixed. Source: transformers, `_compute_llama3_parameters`.
    """
    base = rope.float("rope_theta", default=10000.0)
    factor = rope.float("factor", default=default)
    low, high = rope.float("low_freq_factor", default=1.0), rope.float("high_freq_factor", default=4.0)
    n_ctx = rope.float("original_max_position_embeddings", default=8192.0)
    # torch's powers are nearly always the nearest float32, which NumPy's in float32 are less often.
    exponents = np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)
    one = np.float32(1.0)
    frequencies = one / (np.float64(base) ** exponents.astype(np.float64)).astype(np.float32)
    factors = []
    for frequency in frequencies:
        wave = one / frequency * np.float32(2 * math.pi)  # torch divides numbers by tensors so
        if wave < n_ctx / high:
            factors.append(1.0)
        elif wave > n_ctx / low:
            factors.append(factor)
        else:
            smooth = (one / wave * np.float32(n_ctx) - np.float32(low)) / np.float32(high - low)
            factors.append(float(one / ((one - smooth) / np.float32(factor) + smooth)))
    return factors
