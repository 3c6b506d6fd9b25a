"""Every block of a tensor looked at: scales and plain values that are no numbers, odd signs, lost precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import BLOCK_SIZES
from llamakit.tools.gguf_verify.finding import Finding, Level
from llamakit.tools.gguf_verify.scales import Bits, Scale, layout_of, scales_of

PIECE = 1 << 20  # bytes looked at at once: what a core keeps near it
MOST_LISTED = 16  # blocks that a finding lists


@dataclass(slots=True)
class Fault:
    """A fault that a number can have: its bits lie in low..high - 1. And the blocks of a tensor that have it."""

    scale: Scale
    level: Level
    message: str
    low: int
    high: int
    has_sign: bool = False  # the bits are taken with the sign
    n_blocks: int = 0
    blocks: list[int] = field(default_factory=list)  # the first few
    place: int = 0  # of the number in the first block: which of several

    def look_for(self, bits: Bits, first_block: int) -> None:
        """`bits`: (n_blocks,) or (n_blocks, n), of the blocks from `first_block` on."""
        number = bits.dtype.type
        # low <= bits < high in one comparison: what is below `low` wraps round to the largest of all.
        is_bad = bits - number(self.low) < number(self.high - self.low)
        if not is_bad.any():
            return
        in_block = is_bad.reshape(len(is_bad), -1)
        bad = np.flatnonzero(in_block.any(axis=1))
        if not self.n_blocks:
            self.place = int(np.argmax(in_block[bad[0]]))
        self.n_blocks += len(bad)
        self.blocks += (bad[: MOST_LISTED - len(self.blocks)] + first_block).tolist()


def faults_of(scale: Scale) -> Iterator[Fault]:
    """What a number of that kind can have."""
    number, what = scale.number, "value" if scale.is_weight else f"scale {scale.name}"
    yield Fault(scale, Level.ERROR, f"{what} is {number.unsound}", number.infinity, number.magnitude + 1)
    if scale.is_weight:
        return
    if number.sign and not scale.may_be_negative:
        message = f"{what} is negative, as no quantizer writes it"
        yield Fault(scale, Level.WARNING, message, number.sign + 1, number.sign + number.infinity, has_sign=True)
    if number.smallest_normal:
        yield Fault(scale, Level.NOTE, f"{what} is subnormal: it has lost bits", 1, number.smallest_normal)


def check_blocks(tensor: Tensor, report: Callable[[int], None]) -> Iterator[Finding]:
    """What is wrong with a tensor's blocks, one finding for each kind of fault; `report` is told bytes done.

    Reads the tensor once, in pieces that leave the memory again.
    """
    faults = {scale: list(faults_of(scale)) for scale in scales_of(tensor.type)}
    if not faults:
        report(tensor.n_bytes)
        return
    layout = layout_of(tensor.type).newbyteorder("<" if tensor.byte_order == "little" else ">")
    for start, raw in tensor.pieces(PIECE // layout.itemsize * layout.itemsize):
        blocks, first_block = raw.view(layout), start // layout.itemsize
        for scale, its_faults in faults.items():
            bits = scale.bits(blocks)
            magnitude = bits & bits.dtype.type(scale.number.magnitude)
            for fault in its_faults:
                fault.look_for(bits if fault.has_sign else magnitude, first_block)
        report(len(raw))
    for its_faults in faults.values():
        yield from (finding_of(tensor, fault) for fault in its_faults if fault.n_blocks)


def finding_of(tensor: Tensor, fault: Fault) -> Finding:
    start = tensor.offset + fault.blocks[0] * BLOCK_SIZES[tensor.type].n_bytes
    return Finding(
        fault.level,
        tensor.source.path,
        fault.message,
        offset=start + fault.scale.offset + fault.place * fault.scale.width,
        tensor=tensor.name,
        type=tensor.type.name,
        block=fault.blocks[0],
        n_blocks=fault.n_blocks,
        blocks=tuple(fault.blocks),
    )
