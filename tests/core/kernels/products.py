"""Matrix products by both families of kernels, over weights packed as a model's are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.memory import aligned
from llamakit.core.graph.ops import Weight
from llamakit.core.graph.weights import FLOAT_TYPES, Packed, Weights, fill_up, padded
from llamakit.core.kernels import float_gemm, gemm
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.embed import Embed
from llamakit.core.kernels.epilogue import GATED, SILU, STORE
from llamakit.core.kernels.float_gemm import FloatGemm
from llamakit.core.kernels.float_gemv import FloatGemv
from llamakit.core.kernels.gemm import Gemm
from llamakit.core.kernels.gemv import Gemv
from llamakit.core.kernels.norm import RmsNorm
from llamakit.core.kernels.quantize import Quantize, activation_block
from llamakit.core.kernels.store import KernelStore
from llamakit.core.quants import dequantize, find_type, parse_type, quantize

QUANTIZED = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k")
FLOATS = ("f32", "f16", "bf16")
TYPES = (*QUANTIZED, *FLOATS)
GUARD = 0xA5
EPS = 1e-5
RunKernel = Callable[..., None]


@dataclass(frozen=True)
class Stored:
    """A tensor as a file would give it."""

    data: np.ndarray
    type: GGMLType


class Arrays:
    """Stands in for a reader."""

    def __init__(self, tensors: dict[str, Stored]) -> None:
        self.tensors = tensors

    def tensor(self, name: str) -> Stored:
        return self.tensors[name]

    def release(self, tensor: Stored) -> None:
        """Nothing to give back."""


def rows_of_bytes(type: str, n_rows: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Random blocks with every bit pattern of quants and small scales, or random floats: (n_rows, row_bytes)."""
    rng = np.random.default_rng([seed, n_rows, n_columns])
    quant = find_type(parse_type(type))
    if type in FLOATS:
        return quantize(rng.standard_normal((n_rows, n_columns)).astype(np.float32), type)
    data = rng.integers(0, 256, (n_rows, quant.row_bytes(n_columns)), dtype=np.uint8)
    blocks = data.reshape(-1).view(quant.layout)
    for name in ("d", "dmin", "m"):
        if name in quant.layout.names:
            blocks[name] = (rng.standard_normal(blocks.shape) * 0.01).astype(np.float16)
    return data


def pack(run: RunKernel, type: str, *matrices: np.ndarray, n_columns: int, is_interleaved: bool = False) -> Packed:
    """Matrices of bytes (n_rows, row_bytes), or of experts (n_expert, n_rows, row_bytes), as tiles."""
    kind = parse_type(type)
    reader = Arrays({f"part {i}": Stored(m, kind) for i, m in enumerate(matrices)})
    parts = tuple(Weight(f"part {i}", (*m.shape[:-1], n_columns), kind) for i, m in enumerate(matrices))
    return Weights(reader, run).pack(parts, is_interleaved)


def guarded(n_bytes: int) -> np.ndarray:
    """Memory full of what no kernel may rely on, with a few bytes more that none may write."""
    memory = aligned(n_bytes + 64)
    memory[:] = GUARD
    return memory


def is_intact(memory: np.ndarray) -> bool:
    return bool((memory[-64:] == GUARD).all())


def in_rows(x: np.ndarray, n_rows: int) -> np.ndarray:
    """Rows on a pitch of whole vectors, zeros behind each; rows beyond those of x hold rubbish.   -> (n_rows, pitch)"""
    out = guarded(4 * n_rows * padded(x.shape[1])).view(np.float32)[:-16].reshape(n_rows, -1)
    out[: len(x)] = 0
    out[: len(x), : x.shape[1]] = x
    return out


def multiply(
    run: RunKernel,
    kind: str,
    packed: Packed,
    x: np.ndarray,
    *,
    mode: int = STORE,
    activation: int = SILU,
    scale: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    norm: np.ndarray | None = None,
    start: np.ndarray | None = None,
    choice: np.ndarray | None = None,
    x_share: int = 1,
    n_threads: int = 1,
) -> np.ndarray:
    """epilogue(norm(x) W^T) by "gemv" or "gemm", all columns of the groups: (n_rows, 16 * n_groups), or half of it.

    `start` is what `out` holds before: (n_rows, columns).
    """
    n_groups, n = gemm.register_tile()
    n_rows = len(x) if choice is None else len(choice)
    n_columns = 16 * packed.n_groups // (2 if mode == GATED else 1)
    out = np.full((n_rows, n_columns), np.nan, np.float32)
    if start is not None:
        out[:, : start.shape[1]], out[:, start.shape[1] :] = start, 0
    held = in_rows(x, padded(len(x), n))
    counter = np.array([n_rows])
    weight_norm = None if norm is None else fill_up(norm)
    if kind == "gemv":
        n_scratch = 32 + (x.shape[1] // 32 * activation_block(1).size // 4 if packed.tile else padded(x.shape[1]))
    elif packed.tile:
        n_scratch = n * gemm.GROUPS * 16 + gemm.panel_floats(x.shape[1], packed.tile)
    else:
        n_scratch = float_gemm.scratch_floats(padded(n_rows, n))
    n_scratch = padded(n_scratch)
    scratch = guarded(4 * n_scratch * n_threads)
    fields: dict[str, Any] = {
        "out": out, "out_pitch": n_columns, "scale": scale, "bias": bias, "n_groups": packed.n_groups, "mode": mode,
        "activation": activation, "n_rows": counter, "scratch": scratch, "n_scratch": n_scratch, "weight": packed.data,
    }  # fmt: skip
    if kind == "gemv":
        fields |= {
            "x": held, "x_pitch": held.shape[1], "norm": weight_norm, "n": x.shape[1], "eps": EPS, "choice": choice,
            "choice_bytes": packed.expert_bytes, "x_share": x_share,
        }  # fmt: skip
        if packed.tile:
            run(f"gemv.rows[{packed.word}]", Gemv(n_blocks=packed.n_blocks, **fields), n_threads)
        else:
            run(f"float_gemv.rows[{packed.word}]", FloatGemv(**fields), n_threads)
    elif packed.tile:
        q = guarded(len(held) * x.shape[1] // 32 * activation_block(1).size)
        run(f"quantize.tiles[{n}]",
            Quantize(x=held, norm=weight_norm, out=q, n_rows=counter, n=x.shape[1], eps=EPS), n_threads)  # fmt: skip
        assert is_intact(q)
        run(f"gemm.rows[{packed.word},{n_groups},{n}]", Gemm(n_blocks=packed.n_blocks, **fields | {"x": q}), n_threads)
    else:
        if weight_norm is not None:
            run("norm.rms_norm", RmsNorm(x=held, weight=weight_norm, residual=None, out=held, n_rows=counter,
                                         n=x.shape[1], pitch=held.shape[1], eps=EPS))  # fmt: skip
        fields |= {"x": held, "x_pitch": held.shape[1], "n": x.shape[1]}
        run(f"float_gemm.rows[{packed.word},{n_groups},{n}]", FloatGemm(**fields), n_threads)
    assert is_intact(scratch), "more scratch is written than was asked for"
    return out


def embed(run: RunKernel, packed: Packed, n_columns: int, tokens: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Rows of a packed table.   (n_tokens,) -> (n_tokens, pitch)"""
    out = np.full((len(tokens), padded(n_columns)), np.nan, np.float32)
    batch = Batch(n_tokens=len(tokens), n_outputs=0, n_runs=0, tokens=tokens.astype(np.int32), positions=None,
                  cells=None, outputs=None, runs=None, tables=None)  # fmt: skip
    scratch = guarded(3 * 16 * 1024)
    record = Embed(table=packed.data, out=out, out_pitch=out.shape[1], batch=batch, n=n_columns, scale=scale,
                   scratch=scratch, n_scratch=4 * 1024)  # fmt: skip
    run(f"embed.rows[{packed.word}]" if packed.tile else f"embed.float_rows[{packed.word}]", record, 3)
    assert is_intact(scratch)
    return out


def as_int8(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x in blocks of 32: quants, their scales, and the scales rounded to 11 bits; all (n_rows, n) float64."""
    blocks = x.reshape(len(x), -1, 32)
    peak = np.abs(blocks).max(-1, keepdims=True)
    inverse = np.divide(np.float32(127), peak, out=np.zeros_like(peak), where=peak > 0)
    scale = (peak / np.float32(127)).astype(np.float64)
    mantissa, exponent = np.frexp(scale)
    rounded = np.ldexp(np.rint(mantissa * 2**11) / 2**11, exponent)
    q = np.rint(blocks * inverse).astype(np.float64)
    return q.reshape(x.shape), *(np.repeat(s, 32, axis=2).reshape(x.shape) for s in (scale, rounded))


def exact(rows: np.ndarray, type: str, x: np.ndarray) -> np.ndarray:
    """x W^T in float64, with the int8 activations that quantized types are multiplied with."""
    weight = dequantize(rows, type).astype(np.float64)
    if type in FLOATS:
        return x.astype(np.float64) @ weight.T
    q, scale, rounded = as_int8(x)
    least = minimums(rows, type)
    return (q * rounded) @ (weight - least).T + (q * scale) @ least.T


def minimums(rows: np.ndarray, type: str) -> np.ndarray:
    """What weights are where their quants are 0, for types with a minimum for 32 columns; else 0."""
    layout = find_type(parse_type(type)).layout
    if type not in ("q4_1", "q5_1", "q4_k", "q5_k"):
        return np.zeros_like(dequantize(rows, type))
    rows = rows.copy()
    for name in {"qs", "qh"} & set(layout.names):
        rows.reshape(-1).view(layout)[name] = 0
    return dequantize(rows, type).astype(np.float64)


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(((got - wanted) ** 2).mean() / (wanted**2).mean()))


def columns_for(type: str) -> int:
    """Two or three blocks; for floats more than a panel of GEMM, and no whole vector."""
    return 600 if type in FLOATS else 2 * 256 if type.endswith("_k") else 3 * 32


@functools.cache
def kernel_names() -> tuple[str, ...]:
    """Everything that the tests of products run: compiled together, so in parallel."""
    n_groups, n = gemm.register_tile()
    words = [FLOAT_TYPES[parse_type(t)] for t in FLOATS] + [f":{t}" for t in QUANTIZED]
    return (
        "repack.repack", "norm.rms_norm", f"quantize.tiles[{n}]",
        *(f"{'gemv' if w[0] == ':' else 'float_gemv'}.rows[{w}]" for w in words),
        *(f"{'gemm' if w[0] == ':' else 'float_gemm'}.rows[{w},{n_groups},{n}]" for w in words),
        *(f"embed.rows[{w}]" if w[0] == ":" else f"embed.float_rows[{w}]" for w in words),
    )  # fmt: skip


def compile_all() -> None:
    KernelStore().load(list(kernel_names()))
