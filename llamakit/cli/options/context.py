"""How a model is opened, for every command that generates text: two groups (see `parsing/groups.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from llamakit.cli.console import Report, log
from llamakit.cli.options import shared as o
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.tools.completion import ContextParams

ROTATION = "Rotation of positions (RoPE)"
SCALING = ("none", "linear", "yarn")


def rope(name: str, env: str, help: str) -> Any:
    return option(name, panel=ROTATION, env=env, help=help, show_default="the model's own")


@dataclass(frozen=True)
class ContextOptions:
    """What the command line says of the model's file, memory and threads."""

    ctx_size: o.CtxSize = None
    batch_size: o.BatchSize = 2048
    ubatch_size: o.UbatchSize = 512
    threads: o.Threads = -1
    threads_batch: o.ThreadsBatch = None
    cache_type_k: o.CacheTypeK = "f16"
    cache_type_v: o.CacheTypeV = "f16"
    override_kv: o.OverrideKv = field(default_factory=list)
    mmap: o.UseMmap = True
    check_tensors: Annotated[bool, option("--check-tensors", help="Look for damage in all weights first.")] = False


@dataclass(frozen=True)
class WindowOptions(ContextOptions):
    """The same for commands that cut a text into windows."""

    ctx_size: Annotated[int, option("-c", "--ctx-size", env="CTX_SIZE", help="Tokens of a window.")] = 512


@dataclass(frozen=True)
class RopeOptions:
    """What it says of rotations; None where it says nothing."""

    rope_scaling: Annotated[str | None, rope("--rope-scaling", "ROPE_SCALING_TYPE", "none, linear or yarn.")] = None
    rope_scale: Annotated[float | None, rope("--rope-scale", "ROPE_SCALE", "Stretch the context N times.")] = None
    rope_freq_base: Annotated[float | None, rope("--rope-freq-base", "ROPE_FREQ_BASE", "Base of frequencies.")] = None
    rope_freq_scale: Annotated[
        float | None, rope("--rope-freq-scale", "ROPE_FREQ_SCALE", "Factor of frequencies: 1 / --rope-scale.")
    ] = None
    yarn_orig_ctx: Annotated[
        int | None, rope("--yarn-orig-ctx", "YARN_ORIG_CTX", "YaRN: context length before it was stretched.")
    ] = None
    yarn_ext_factor: Annotated[
        float | None, rope("--yarn-ext-factor", "YARN_EXT_FACTOR", "YaRN: mix of extrapolation; 0: interpolate all.")
    ] = None
    yarn_attn_factor: Annotated[
        float | None, rope("--yarn-attn-factor", "YARN_ATTN_FACTOR", "YaRN: factor of attention's magnitude.")
    ] = None
    yarn_beta_slow: Annotated[
        float | None, rope("--yarn-beta-slow", "YARN_BETA_SLOW", "YaRN: turns below which all is interpolated.")
    ] = None
    yarn_beta_fast: Annotated[
        float | None, rope("--yarn-beta-fast", "YARN_BETA_FAST", "YaRN: turns above which nothing is.")
    ] = None


def context_params(context: ContextOptions, rotation: RopeOptions, adapting: AdapterOptions) -> ContextParams:
    """The options as the engine takes them. Raises InvalidArgument, or UsageError, for what makes no sense."""
    from llamakit.core.engine.rope_overrides import RopeParams
    from llamakit.tools.completion import ContextParams

    r = rotation
    if r.rope_scaling not in (None, *SCALING):
        raise InvalidArgument(f"--rope-scaling: {r.rope_scaling!r} is not {', '.join(SCALING[:-1])} or {SCALING[-1]}")
    if r.rope_scale is not None and r.rope_scale <= 0:
        raise InvalidArgument(f"--rope-scale: {r.rope_scale} is not above 0")
    return ContextParams(
        n_ctx=context.ctx_size,
        n_batch=context.batch_size,
        n_ubatch=context.ubatch_size,
        n_threads=context.threads if context.threads > 0 else None,
        n_threads_batch=context.threads_batch if (context.threads_batch or 0) > 0 else None,
        type_k=context.cache_type_k,
        type_v=context.cache_type_v,
        use_mmap=context.mmap,
        overrides=o.parse_overrides(context.override_kv),
        rope=RopeParams(
            scaling_type=r.rope_scaling,
            freq_base=r.rope_freq_base or None,
            freq_scale=1 / r.rope_scale if r.rope_scale else r.rope_freq_scale or None,
            yarn_orig_ctx=r.yarn_orig_ctx or None,
            yarn_ext_factor=said(r.yarn_ext_factor),
            yarn_attn_factor=said(r.yarn_attn_factor),
            yarn_beta_fast=said(r.yarn_beta_fast),
            yarn_beta_slow=said(r.yarn_beta_slow),
        ),
        adapters=adapting.adapters,
        control_vectors=adapting.control_vectors,
        control_layers=adapting.control_layers,
    )


def said(value: float | None) -> float | None:
    """Below 0 (llama.cpp's -1) stands for the model's own."""
    return value if value is not None and value >= 0 else None


def check_tensors(path: str, report: Report | None) -> None:
    """Name on stderr the weights that are damaged: not numbers, infinite. Raises GGUFError when there are some."""
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.errors import GGUFError
    from llamakit.tools.gguf_verify.finding import Level
    from llamakit.tools.gguf_verify.run import check_tensors as find_damage

    def advance(done: int, total: int) -> None:
        if report:
            report("check", done, total)

    with GGUFReader(path, use_mmap=False) as reader:
        errors = [finding for finding in find_damage(reader.files, advance) if finding.level is Level.ERROR]
    for finding in errors:
        log(str(finding))
    if errors:
        raise GGUFError(path, None, f"--check-tensors: {len(errors)} of its tensors are damaged; fetch the file anew")
