"""Every block of a tensor looked at: scales and plain values that are no numbers, odd signs, lost precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import BLOCK_SIZES
from llamakit.tools.gguf_verify.finding import Finding, Level
from llamakit.tools.gguf_verify.scales import Bits, Scale, layout_of, scales_of

PIECE = 1 << 22  # bytes looked at at once: what a core keeps near it
MOST_LISTED = 16  # blocks that a finding lists


@dataclass(slots=True)
class Count:
    """Blocks with one fault, while a tensor is gone through."""

    n_blocks: int = 0
    blocks: list[int] = field(default_factory=list)
    place: int = 0  # of the first in its block: which of several numbers

    def add(self, is_bad: NDArray[np.bool_], first_block: int) -> None:
        """`is_bad`: (n_blocks,) or (n_blocks, n) of one piece."""
        if not is_bad.any():
            return
        in_block = is_bad.reshape(len(is_bad), -1)
        bad = np.flatnonzero(in_block.any(axis=1))
        if not self.n_blocks:
            self.place = int(np.argmax(in_block[bad[0]]))
        self.n_blocks += len(bad)
        self.blocks += (bad[: MOST_LISTED - len(self.blocks)] + first_block).tolist()


def check_blocks(tensor: Tensor, report: Callable[[int], None]) -> Iterator[Finding]:
    """What is wrong with a tensor's blocks, one finding for each kind of fault; `report` is told bytes done.

    Reads the tensor once, in pieces that leave the memory again.
    """
    scales = scales_of(tensor.type)
    if not scales:
        report(tensor.n_bytes)
        return
    layout = layout_of(tensor.type).newbyteorder("<" if tensor.byte_order == "little" else ">")
    unsound = {scale.name: Count() for scale in scales}
    negative = {scale.name: Count() for scale in scales}
    subnormal = {scale.name: Count() for scale in scales}
    for start, raw in tensor.pieces(PIECE // layout.itemsize * layout.itemsize):
        blocks, first_block = raw.view(layout), start // layout.itemsize
        for scale in scales:
            bits = scale.bits(blocks)
            magnitude = bits & bits.dtype.type(scale.number.magnitude)
            unsound[scale.name].add(magnitude >= scale.number.infinity, first_block)
            if scale.is_weight:
                continue
            sign, infinity = scale.number.sign, scale.number.infinity
            if sign and not scale.may_be_negative:
                negative[scale.name].add(between(bits, sign + 1, sign + infinity), first_block)
            if scale.number.smallest_normal:
                subnormal[scale.name].add(between(magnitude, 1, scale.number.smallest_normal), first_block)
        report(len(raw))
    for scale in scales:
        what = "value" if scale.is_weight else f"scale {scale.name}"
        kinds = (
            (unsound, Level.ERROR, f"{what} is {scale.number.unsound}"),
            (negative, Level.WARNING, f"{what} is negative, as no quantizer writes it"),
            (subnormal, Level.NOTE, f"{what} is subnormal: it has lost bits"),
        )
        for counts, level, message in kinds:
            if counts[scale.name].n_blocks:
                yield finding_of(tensor, scale, counts[scale.name], level, message)


def between(bits: Bits, low: int, high: int) -> NDArray[np.bool_]:
    """low <= bits < high, in one comparison: what is below `low` wraps round to the largest of all."""
    number = bits.dtype.type
    is_between: NDArray[np.bool_] = bits - number(low) < number(high - low)
    return is_between


def finding_of(tensor: Tensor, scale: Scale, count: Count, level: Level, message: str) -> Finding:
    offset = (
        tensor.offset + count.blocks[0] * BLOCK_SIZES[tensor.type].n_bytes + scale.offset + count.place * scale.width
    )
    return Finding(
        level,
        tensor.source.path,
        message,
        offset=offset,
        tensor=tensor.name,
        type=tensor.type.name,
        block=count.blocks[0],
        n_blocks=count.n_blocks,
        blocks=tuple(count.blocks),
    )
