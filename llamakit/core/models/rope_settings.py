"""The rotation that a model's metadata asks for.  Keys and defaults: llama.cpp of 2026."""

from __future__ import annotations

import math
from dataclasses import replace

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops.rotation import Rotation, Yarn
from llamakit.core.models.blocks.layer_lists import listed_layers
from llamakit.errors import ModelError


def read_rotation(
    meta: Metadata,
    n_rot: int,
    *,
    is_neox: bool,
    base_key: str = "rope.freq_base",
    default_base: float = 10000.0,
    factors: tuple[float, ...] | None = None,
    is_scaled: bool = True,
    own_scaling: Metadata | None = None,
) -> Rotation:
    """The rotation of all layers, or of those with another base.

    `is_scaled` says whether the context's scaling applies, `own_scaling` where its keys are, if these layers have one
    of their own; `factors` divide the frequencies, one for each pair. Raises ModelError for numbers out of range.
    """
    base = meta.float(base_key, default_base, above=0)
    scaling = own_scaling or meta
    kind = scaling.str("rope.scaling.type", "linear") if is_scaled else "none"
    if kind not in ("none", "linear", "yarn", "longrope"):
        raise ModelError(
            f"{meta.path}: {scaling.full_key('rope.scaling.type')} is {kind!r}; known are none, linear, yarn, longrope"
        )
    scale = 1.0 if kind == "none" else 1.0 / stretch(scaling)
    yarn = None
    if is_scaled:
        mix = scaling.float("rope.scaling.yarn_ext_factor", -1.0)
        yarn = Yarn(
            mix=mix if mix >= 0 else float(kind == "yarn"),
            n_ctx_orig=scaling.int("rope.scaling.original_context_length", 0, min=0) or original_context(meta),
            beta_fast=scaling.float("rope.scaling.yarn_beta_fast", 32.0, above=0),
            beta_slow=scaling.float("rope.scaling.yarn_beta_slow", 1.0, above=0),
            attn_factor=scaling.float("rope.scaling.attn_factor", 1.0, above=0),
            is_rounded=meta.section("llamakit").bool("rope.yarn_truncate", True),
        )
        if yarn.mix and (multiplier := scaling.float("rope.scaling.yarn_log_multiplier", 0.0)):
            yarn = replace(yarn, attn_factor=yarn.attn_factor / log_scale(stretch(scaling), multiplier))
    if factors is not None and len(factors) != n_rot // 2:
        raise ModelError(f"{meta.path}: {len(factors)} frequency factors for {n_rot // 2} pairs of dimensions")
    return Rotation(n_rot, base, scale, is_neox, factors, yarn)


def scaling_of_windows(meta: Metadata) -> Metadata | None:
    """Where the keys of the scaling are that only the layers with a window have, in files that have such."""
    own = meta.section("llamakit.swa")
    return own if own.has("rope.scaling.type") else None


def factors_of_windows(own: Metadata, n_ctx: int) -> tuple[float, ...] | None:
    """Divisors of their frequencies: one set for all contexts, or one for short and one for long ones."""
    n_short = own.int("rope.scaling.original_context_length", 0, min=0)
    for key in ("factors", "long_factors" if n_ctx > n_short else "short_factors"):
        if own.has(f"rope.scaling.{key}"):
            return tuple(own.floats(f"rope.scaling.{key}", above=0))
    return None


def stretch(meta: Metadata) -> float:
    """How many times longer the context is than that of the training before."""
    return meta.float("rope.scaling.factor", 0.0, min=0) or meta.float("rope.scale_linear", 0.0, min=0) or 1.0


def log_scale(factor: float, multiplier: float) -> float:
    """YaRN's magnitude for contexts `factor` times as long."""
    return 1.0 if factor <= 1 else 0.1 * multiplier * math.log(factor) + 1.0


def read_log_scale(meta: Metadata, rotation: Rotation, are_equal: bool) -> tuple[Rotation, float]:
    """The rotation of DeepSeek's models, and the factor that queries and keys lack in it.

    Their files hold a tenth of the multiplier M. The rotation's magnitude is g(1) / g(M), with g = `log_scale`; or 1,
    if `are_equal` and M is not 1.
    """
    yarn, factor = rotation.yarn, stretch(meta)
    if yarn is None or not yarn.mix or factor <= 1:
        return rotation, 1.0
    multiplier = meta.float("rope.scaling.yarn_log_multiplier", 0.0) / 0.1
    plain = meta.float("rope.scaling.attn_factor", 1.0, above=0)
    own, whole = log_scale(factor, 1.0), log_scale(factor, multiplier)
    ratio = (own if not multiplier else 1.0 if are_equal and multiplier != 1 else own / whole) * plain
    return replace(rotation, yarn=replace(yarn, attn_factor=ratio / own)), ratio * whole


def has_sections(meta: Metadata) -> bool:
    """Whether dimensions turn by several positions (time, height, width), which in text are one."""
    sections = meta.ints("rope.dimension_sections", default=[], min=0)
    return len(sections) > 1 and sections[0] > 0 and sections[1] > 0


def layers_that_turn(meta: Metadata, default: list[bool]) -> list[bool]:
    """Which layers turn their heads at all, in files that list them."""
    key = "attention.rope_pattern"
    return listed_layers(meta, key, len(default)) or default


def original_context(meta: Metadata) -> int:
    """The context length before it was stretched."""
    n_ctx_train = meta.int("context_length", min=1)
    return meta.int("rope.scaling.original_context_length", 0, min=0) or n_ctx_train
