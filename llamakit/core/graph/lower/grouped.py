"""Records of products with experts: rows are sorted by expert, and those of one expert are multiplied together.

So an expert's weights are read once for all its rows, by the kernels that multiply rows with any other matrix. Rows
that are alone with their expert are multiplied one by one, as in a program for one token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.program import Step
from llamakit.core.graph.weights import Packed, padded
from llamakit.core.kernels import bf16, few_rows, float_gemm, gemm
from llamakit.core.kernels.float_gemm import FloatGemm
from llamakit.core.kernels.gemm import Gemm
from llamakit.core.kernels.grouping import ExpertRows, GatherRows, Grouping, SortRows
from llamakit.core.kernels.quantize import Quantize, activation_block

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering

# Rows of an expert that are multiplied together, at least: fewer take no longer one by one.
FEWEST = 2
FEWEST_OF_PANELS = 4  # where weights are unpacked first


@dataclass(frozen=True)
class Input:
    """Rows of x, each for `share` rows of the result."""

    address: int
    pitch: int
    width: int
    share: int = 1


@dataclass
class ExpertProducts:
    """Writes the records of one node's products."""

    low: Lowering
    chosen: npt.NDArray[np.int32]  # (n_rows,): each row's expert
    n_chosen: npt.NDArray[np.int64]  # (1,): rows of a run
    n_rows: int  # at most
    n_expert: int
    is_one: bool  # of tokens
    groupings: dict[int, Grouping] = field(default_factory=dict)  # by rows of a tile
    prepared: set[tuple[int, str]] = field(default_factory=set)  # rows of x that were sorted, and in which form

    def steps(self, packed: Packed, x: Input, fields: dict[str, Any]) -> list[Step]:
        """Each row times its expert's matrix; `fields` are those of `epilogue.Product` but for rows and scratch."""
        fields = fields | {"n_rows": self.n_chosen, "grouping": None, "scratch": None, "n_scratch": 0}
        if self.is_one:
            return [self.one_by_one(packed, x, fields)]
        is_few = packed.tile is not None and few_rows.pays()
        n, n_least = (few_rows.TILE_ROWS, FEWEST) if is_few else (gemm.register_tile()[1], FEWEST_OF_PANELS)
        steps = [] if n in self.groupings else [self.sort(n, n_least)]
        grouping = self.groupings[n]
        together, lone = (
            fields | {"grouping": grouping, "n_rows": address_of(grouping, name)} for name in ("n_together", "n_lone")
        )
        multiply = self.quantized if packed.tile else self.floats
        return [*steps, *multiply(packed, x, grouping, n, together), self.one_by_one(packed, x, lone)]

    def one_by_one(self, packed: Packed, x: Input, fields: dict[str, Any]) -> Step:
        return self.low.gemv(packed, x.address, x.pitch, x.width, None, 0.0, fields, self.chosen, x.share)

    def n_slots(self, n: int) -> int:
        """At most, with tiles of n rows."""
        return padded(self.n_rows + (n - 1) * min(self.n_expert, self.n_rows), n)

    def sort(self, n: int, n_least: int) -> Step:
        buffer, n_slots, n_expert = self.low.buffer, self.n_slots(n), self.n_expert
        self.groupings[n] = grouping = Grouping(
            n_experts=0, n_slots=0, n_together=0, n_lone=0, slots=buffer(f"slots of {n}", 4 * n_slots),
            experts=buffer(f"experts' rows of {n}", ExpertRows.size * (n_expert + 1)),
            lone=buffer(f"lone of {n}", 4 * self.n_rows),
        )  # fmt: skip
        return Step("grouping.sort", SortRows(
            chosen=self.chosen, n_rows=self.n_chosen, ends=buffer("ends", 8 * n_expert), out=grouping,
            n_expert=n_expert, n_tile=n, n_least=n_least,
        ))  # fmt: skip

    def quantized(self, packed: Packed, x: Input, grouping: Grouping, n: int, fields: dict[str, Any]) -> list[Step]:
        low, n_slots = self.low, self.n_slots(n)
        q = low.buffer("quantized", n_slots * x.width // 32 * activation_block(1).size)
        record = Gemm(weight=packed.data, x=q, n_blocks=packed.n_blocks, **fields)
        if few_rows.pays():
            product = low.with_scratch(f"few_rows.rows[{packed.word},{n}]", record, 4 * few_rows.scratch_floats(n))
        else:
            assert packed.tile
            name = f"gemm.rows[{packed.word},{gemm.register_tile()[0]},{n}]"
            product = low.with_scratch(name, record, 4 * gemm.scratch_floats(self.n_rows, x.width, packed.tile))
        if not self.is_new(x, "quantized"):
            return [product]
        return [Step(f"quantize.tiles[{n}]", Quantize(
            x=x.address, norm=None, out=q, n_rows=address_of(grouping, "n_slots"), n=x.width, eps=0.0,
            grouping=grouping, x_pitch=x.pitch, x_share=x.share,
        )), product]  # fmt: skip

    def floats(self, packed: Packed, x: Input, grouping: Grouping, n: int, fields: dict[str, Any]) -> list[Step]:
        """Rows are moved side by side as float32, and become bf16 where the weights are."""
        low, n_groups, n_slots, pitch = self.low, gemm.register_tile()[0], self.n_slots(n), padded(x.width)
        sorted_x = low.buffer("sorted", 4 * pitch * n_slots)
        steps = []
        if self.is_new(x, "sorted"):
            steps.append(Step("grouping.gather", GatherRows(
                x=x.address, out=sorted_x, grouping=grouping, pitch=pitch, x_pitch=x.pitch, x_share=x.share,
            )))  # fmt: skip
        if not packed.has_pairs:
            record = FloatGemm(weight=packed.data, x=sorted_x, x_pitch=pitch, n=x.width, **fields)
            name = f"float_gemm.rows[{packed.word},{n_groups},{n}]"
            return [*steps, low.with_scratch(name, record, 4 * float_gemm.scratch_floats(padded(self.n_rows, n)))]
        pairs = low.buffer("bf16", 2 * pitch * n_slots)
        if self.is_new(x, "bf16"):
            steps.append(Step("bf16.rows", bf16.Round(
                x=sorted_x, norm=None, out=pairs, n_rows=address_of(grouping, "n_slots"), n=x.width, pitch=pitch,
                eps=0.0,
            )))  # fmt: skip
        record = FloatGemm(weight=packed.data, x=pairs, x_pitch=pitch // 2, n=x.width, **fields)
        product = low.with_scratch(f"bf16_gemm.rows[{n_groups},{n}]", record, 4 * n * gemm.GROUPS * 16)
        return [*steps, product]

    def is_new(self, x: Input, form: str) -> bool:
        """Whether rows of x do not have this form yet: gate and up read the same."""
        is_new = (x.address, form) not in self.prepared
        self.prepared.add((x.address, form))
        return is_new


def address_of(record: Grouping, name: str) -> int:
    return int(record.data.ctypes.data) + record.FIELDS[name].offset
