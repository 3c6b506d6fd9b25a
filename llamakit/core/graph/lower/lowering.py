"""A planned graph as op records: the kernel's name and its filled fields, for one token or for many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.fused import AddNorm, Matmul, RopeAttention
from llamakit.core.graph.lower.attention import lower_attention, lower_source
from llamakit.core.graph.lower.compressed import lower_compressed, lower_pooled
from llamakit.core.graph.lower.experts import lower_experts
from llamakit.core.graph.lower.indexer import lower_chosen
from llamakit.core.graph.lower.recurrent import lower_recurrent
from llamakit.core.graph.lower.rows import lower_rows
from llamakit.core.graph.lower.streams import lower_streams
from llamakit.core.graph.memory import aligned
from llamakit.core.graph.ops import Embed, Experts, Node, Positions, RmsNorm, SelectRows, Tempered, Weight
from llamakit.core.graph.ops.attention import KeepSource, SourceAttention
from llamakit.core.graph.ops.compressed import CompressedAttention, Pooled
from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.graph.ops.recurrent import Recurrent
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.graph.plan import Capacity, Plan, pitch, plan_buffers
from llamakit.core.graph.program import Step
from llamakit.core.graph.tap import Observer, Rows, Tap
from llamakit.core.graph.weights import Packed, Weights, padded
from llamakit.core.kernels import bf16, few_rows, float_gemm, gemm
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.elementwise import Elementwise
from llamakit.core.kernels.elementwise import SelectRows as SelectRowsRecord
from llamakit.core.kernels.embed import Embed as EmbedRecord
from llamakit.core.kernels.epilogue import ADD, GATED, GELU, SILU, STORE
from llamakit.core.kernels.float_gemm import FloatGemm
from llamakit.core.kernels.float_gemv import FloatGemv
from llamakit.core.kernels.gemm import Gemm
from llamakit.core.kernels.gemv import Gemv
from llamakit.core.kernels.kv_cells import CellType
from llamakit.core.kernels.norm import RmsNorm as RmsNormRecord
from llamakit.core.kernels.quantize import Quantize, activation_block
from llamakit.core.simd.records import Record
from llamakit.errors import ModelError

ACTIVATIONS = {"silu": SILU, "gelu": GELU}


class Cache(Protocol):
    """Where keys and values are kept: bytes of each layer, laid out as `kernels/kv_cells.py` says."""

    @property
    def type_k(self) -> CellType: ...
    @property
    def type_v(self) -> CellType: ...
    @property
    def keys(self) -> list[npt.NDArray[np.uint8]]: ...
    @property
    def values(self) -> list[npt.NDArray[np.uint8]]: ...
    @property
    def states(self) -> dict[int, npt.NDArray[np.float32]]: ...


@dataclass
class Memory:
    """Everything that programs of one context share: weights, cache, the batch, tables and scratch."""

    weights: Weights
    cache: Cache
    batch: Batch
    n_ctx: int
    n_threads: int
    observer: Observer | None = None
    tables: dict[Rotation, npt.NDArray[np.float32]] = field(default_factory=dict)
    temperatures: dict[tuple[float, int, int], npt.NDArray[np.float32]] = field(default_factory=dict)
    scratch_memory: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def angles(self, rotation: Rotation) -> npt.NDArray[np.float32]:
        """(n_ctx, n_rot / 2, 2) cosines and sines, made once."""
        if rotation not in self.tables:
            self.tables[rotation] = rotation.angles(self.n_ctx)
        return self.tables[rotation]

    def scratch(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        """At least so many bytes for every thread; programs that have less keep what they have."""
        if self.scratch_memory.nbytes < n_bytes * self.n_threads:
            self.scratch_memory = aligned(n_bytes * self.n_threads)
        return self.scratch_memory

    def factors(self, node: Tempered) -> npt.NDArray[np.float32]:
        """(n_ctx,) factors of a temperature, made once."""
        key = node.scale, node.length, node.offset
        if key not in self.temperatures:
            self.temperatures[key] = node.factors(self.n_ctx)
        return self.temperatures[key]

    def row_count(self, is_output: bool) -> int:
        """The address of the batch's number of rows."""
        name = "n_outputs" if is_output else "n_tokens"
        return int(self.batch.data.ctypes.data) + Batch.FIELDS[name].offset


@dataclass
class Lowered:
    """Steps of a program, cut where the rows of the outputs are picked, and where its result lies."""

    body: list[Step]
    head: list[Step]
    logits: npt.NDArray[np.float32]  # (n_outputs, pitch)
    arena: npt.NDArray[np.uint8]


def lower(root: Node, memory: Memory, capacity: Capacity) -> Lowered:
    """Records for runs of up to `capacity` rows. Raises ModelError for an op or a type without a kernel."""
    n = gemm.register_tile()[1]
    n_tokens, n_outputs = (c if c == 1 else padded(c, n) for c in (capacity.n_tokens, capacity.n_outputs))
    rows = Capacity(n_tokens, n_outputs, capacity.is_few)
    plan = plan_buffers(root, rows)
    lowering = Lowering(memory, plan, rows, aligned(plan.n_bytes))
    body, head = lowering.all_steps()
    start = plan.offsets[id(root)]
    logits = lowering.arena[start:][: 4 * pitch(root) * rows.n_outputs].view(np.float32)
    return Lowered(body, head, logits.reshape(rows.n_outputs, -1), lowering.arena)


@dataclass
class Lowering:
    """Writes the records of one program."""

    memory: Memory
    plan: Plan
    capacity: Capacity
    arena: npt.NDArray[np.uint8]
    # record, its pitch field, bytes of a unit
    scratch_users: list[tuple[Record, str, int]] = field(default_factory=list)
    n_scratch: int = 0
    shared: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def all_steps(self) -> tuple[list[Step], list[Step]]:
        body: list[Step] = []
        head: list[Step] = []
        for node in self.plan.order:
            (head if self.plan.is_output[id(node)] else body).extend(self.lower(node))
        self.give_scratch()
        return body, head

    def lower(self, node: Node) -> list[Step]:
        match node:
            case Embed():
                return [self.embed(node)]
            case Matmul():
                return self.matmul(node)
            case Pooled():
                return lower_pooled(self, node)
            case ChosenKeys():
                return lower_chosen(self, node)
            case CompressedAttention():
                return lower_compressed(self, node)
            case Recurrent():
                return lower_recurrent(self, node)
            case RopeAttention():
                return lower_attention(self, node)
            case KeepSource() | SourceAttention():
                return lower_source(self, node)
            case RmsNorm(x, Weight() as weight, eps, None) if weight.shape == (x.width,):
                return [self.norm(x, weight, eps, self.at(node), None, node)]
            case AddNorm():
                residual = self.at(node.residual)
                return [self.norm(node.x, node.weight, node.eps, self.at(node), residual, node)]
            case SelectRows():
                return [Step("elementwise.select_rows", SelectRowsRecord(
                    x=self.at(node.x), out=self.at(node), pitch=pitch(node), batch=self.memory.batch,
                ))]  # fmt: skip
            case Experts():
                return lower_experts(self, node)
            case Tap():
                return self.tap(node)
        if steps := lower_rows(self, node) or lower_streams(self, node):
            return steps
        raise ModelError(f"no kernel for {type(node).__name__}: run this model with the reference interpreter")

    # addresses and counts
    def at(self, node: Node) -> int:
        """The address of a node's first row."""
        return int(self.arena.ctypes.data) + self.plan.offsets[id(node)]

    def rows_of(self, node: Node) -> int:
        """The most rows that a node may have."""
        return self.capacity.n_outputs if self.plan.is_output[id(node)] else self.capacity.n_tokens

    def row_count(self, node: Node) -> int:
        return self.memory.row_count(self.plan.is_output[id(node)])

    def buffer(self, name: str, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Memory that steps take turns in, made for the largest; touched by those that need it only."""
        if name not in self.shared or self.shared[name].nbytes < n_bytes:
            self.shared[name] = aligned(n_bytes)
        return self.shared[name]

    def with_scratch(
        self, name: str, record: Record, n_bytes: int, unit: str = "n_scratch", unit_bytes: int = 4
    ) -> Step:
        """A step that needs n_bytes of scratch for each thread; its address is filled in when all needs are known."""
        self.scratch_users.append((record, unit, unit_bytes))
        self.n_scratch = max(self.n_scratch, padded(n_bytes, 64))
        return Step(name, record)

    def give_scratch(self) -> None:
        memory = self.memory.scratch(self.n_scratch)
        for record, unit, unit_bytes in self.scratch_users:
            record.values["scratch"] = memory  # keeps it alive
            record.data["scratch"] = memory.ctypes.data
            record.data[unit] = self.n_scratch // unit_bytes

    # one method for each kind of kernel
    def embed(self, node: Embed) -> Step:
        ids = self.memory.batch.values["positions" if isinstance(node.tokens, Positions) else "tokens"]
        return self.embed_rows(node, node.table, ids, node.scale)

    def embed_rows(self, node: Node, table: Weight, ids: Any, scale: float) -> Step:
        """Rows of a table by number."""
        packed = self.memory.weights.pack((table,))
        record = EmbedRecord(
            table=packed.data, out=self.at(node), out_pitch=pitch(node), batch=self.memory.batch, ids=ids, n=node.width,
            scale=scale, scratch=None, n_scratch=0,
        )  # fmt: skip
        kind = "rows" if packed.tile else "float_rows"
        name = "embed.pair_rows" if packed.has_pairs else f"embed.{kind}[{packed.word}]"
        return self.with_scratch(name, record, 16 * 1024)

    def norm(self, x: Node, weight: Weight, eps: float, out: int, residual: int | None, like: Node) -> Step:
        return Step("norm.rms_norm", RmsNormRecord(
            x=self.at(x), weight=self.memory.weights.vector(weight), residual=residual, out=out,
            n_rows=self.row_count(like), n=x.width, pitch=pitch(x), eps=eps,
        ))  # fmt: skip

    def copy(self, node: Node, source: Node) -> Step:
        """The rows of another node, which are still needed, to the node's own place."""
        return Step("elementwise.copy", Elementwise(
            a=self.at(source), b=None, out=self.at(node), pitch=pitch(node), n_rows=self.row_count(node), activation=0,
            limit=0.0,
        ))  # fmt: skip

    def matmul(self, node: Matmul) -> list[Step]:
        """One product for each run of parts of one type; a norm and the quantizing of x once for all."""
        steps: list[Step] = []
        if id(node) in self.plan.copies:
            assert node.residual is not None
            steps.append(self.copy(node, node.residual))
        is_one = self.rows_of(node) == 1
        prepared: set[bool | None] = set()
        for segment in segments(node):
            parts = tuple(node.weight.parts[i] for i in segment)
            packed = self.memory.weights.pack(parts, node.weight.is_interleaved)
            offset = node.first + sum(p.n_rows for p in node.weight.parts[: segment[0]])
            fields = self.product(node, parts, segment, packed, self.at(node) + 4 * offset)
            if is_one:
                x = (self.at(node.x), pitch(node.x), node.x.width)
                steps.append(self.gemv(packed, *x, self.norm_of(node), node.eps, fields))
            else:
                form = None if packed.tile else packed.has_pairs  # of x: quantized, bf16 or float32
                steps += self.gemm(node, packed, fields, is_first=form not in prepared)
                prepared.add(form)
        return steps

    def product(
        self, node: Matmul, parts: tuple[Weight, ...], segment: list[int], packed: Packed, out: int
    ) -> dict[str, Any]:
        """The fields of `epilogue.Product`."""
        scales = tuple(node.scales[i] for i in segment)
        biases = tuple(node.biases[i] for i in segment)
        none: tuple[Weight | None, ...] = (None,) * len(parts)
        times = scales if node.is_bias_scaled else none
        per_row, is_interleaved = self.memory.weights.per_row, node.weight.is_interleaved
        return {
            "out": out,
            "out_pitch": pitch(node),
            "scale": per_row(parts, scales, 1.0, none, is_interleaved, packed.n_groups),
            "bias": per_row(parts, biases, 0.0, times, is_interleaved, packed.n_groups),
            "n_groups": packed.n_groups,
            "mode": GATED if node.activation else ADD if node.residual is not None else STORE,
            "activation": ACTIVATIONS[node.activation or "silu"],
            "n_rows": self.row_count(node),
            "grouping": None,
            "scratch": None,
            "n_scratch": 0,
        }

    def gemv(
        self,
        packed: Packed,
        x: int,
        x_pitch: int,
        n: int,
        norm: npt.NDArray[np.float32] | None,
        eps: float,
        fields: dict[str, Any],
        choice: npt.NDArray[np.int32] | None = None,
        x_share: int = 1,
    ) -> Step:
        """Row by row. With a choice, each row takes its own expert's matrix."""
        fields = fields | {
            "weight": packed.data, "x": x, "x_pitch": x_pitch, "norm": norm, "n": n, "eps": eps,
            "choice": choice, "choice_bytes": packed.expert_bytes, "x_share": x_share,
        }  # fmt: skip
        if packed.tile is None:
            name = "bf16_gemv.rows" if packed.has_pairs else f"float_gemv.rows[{packed.word}]"
            return self.with_scratch(name, FloatGemv(**fields), 128 + 4 * padded(n))
        record = Gemv(**fields, n_blocks=packed.n_blocks)
        return self.with_scratch(f"gemv.rows[{packed.word}]", record, 128 + n // 32 * activation_block(1).size)

    def gemm(self, node: Matmul, packed: Packed, fields: dict[str, Any], is_first: bool) -> list[Step]:
        """All rows together. The first product of a node prepares x for those that follow."""
        n_groups, n = gemm.register_tile()
        if packed.tile is None:
            return self.float_gemm(node, packed, fields, is_first)
        if self.capacity.is_few:
            n = few_rows.TILE_ROWS
        n_rows, width = padded(self.rows_of(node), n), node.x.width
        q = self.buffer("quantized", n_rows * width // 32 * activation_block(1).size)
        quantize = Step(f"quantize.tiles[{n}]", Quantize(
            x=self.at(node.x), norm=self.norm_of(node), out=q, n_rows=self.row_count(node), n=width, eps=node.eps,
            grouping=None, x_pitch=pitch(node.x), x_share=1,
        ))  # fmt: skip
        record = Gemm(weight=packed.data, x=q, n_blocks=packed.n_blocks, **fields)
        if self.capacity.is_few:
            product = self.with_scratch(f"few_rows.rows[{packed.word},{n}]", record, 4 * few_rows.scratch_floats(n))
        else:
            n_bytes = 4 * gemm.scratch_floats(n_rows, width, packed.tile)
            product = self.with_scratch(f"gemm.rows[{packed.word},{n_groups},{n}]", record, n_bytes)
        return [quantize, product] if is_first else [product]

    def float_gemm(self, node: Matmul, packed: Packed, fields: dict[str, Any], is_first: bool) -> list[Step]:
        """Float weights: x stays float32, normed if need be, or becomes bf16 where the weights are."""
        n_groups, n = gemm.register_tile()
        n_rows, x_pitch = self.rows_of(node), pitch(node.x)
        prepared: list[Step] = []
        if packed.has_pairs:
            x: Any = self.buffer("bf16", 2 * x_pitch * n_rows)
            prepared = [Step("bf16.rows", bf16.Round(
                x=self.at(node.x), norm=self.norm_of(node), out=x, n_rows=self.row_count(node), n=node.x.width,
                pitch=x_pitch, eps=node.eps,
            ))]  # fmt: skip
            record = FloatGemm(weight=packed.data, x=x, x_pitch=x_pitch // 2, n=node.x.width, **fields)
            product = self.with_scratch(f"bf16_gemm.rows[{n_groups},{n}]", record, 4 * n * gemm.GROUPS * 16)
        else:
            x = self.at(node.x)
            if node.norm:
                x = self.buffer("normed", 4 * x_pitch * n_rows)
                prepared = [self.norm(node.x, node.norm, node.eps, int(x.ctypes.data), None, node)]
            record = FloatGemm(weight=packed.data, x=x, x_pitch=x_pitch, n=node.x.width, **fields)
            name = f"float_gemm.rows[{packed.word},{n_groups},{n}]"
            product = self.with_scratch(name, record, 4 * float_gemm.scratch_floats(n_rows))
        return [*prepared, product] if is_first else [product]

    def norm_of(self, node: Matmul) -> npt.NDArray[np.float32] | None:
        return self.memory.weights.vector(node.norm) if node.norm else None

    def tap(self, node: Tap) -> list[Step]:
        """The observer's steps, after a copy where the rows cannot be taken over."""
        steps = [self.copy(node, node.x)] if id(node) in self.plan.copies else []
        rows = Rows(self.at(node), node.width, pitch(node), self.row_count(node), self.memory.batch)
        return steps + (self.memory.observer.steps(node.names, rows) if self.memory.observer else [])


def segments(node: Matmul) -> list[list[int]]:
    """Indices of the parts that one kernel multiplies: neighbours of one type that fill whole groups of rows."""
    parts = node.weight.parts
    if node.weight.is_interleaved:
        return [list(range(len(parts)))]
    found: list[list[int]] = []
    for i, part in enumerate(parts):
        before = parts[i - 1]
        if found and before.type == part.type and before.n_rows % 16 == 0:
            found[-1].append(i)
        else:
            found.append([i])
    return found
