"""Many samplers at once: each thread takes some of them, one after the other, from their first stage to their last."""

from __future__ import annotations

from llamakit.core.kernels.candidates import Candidates
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.ops import call_kernel
from llamakit.core.simd.records import Ptr, Record, i8, i64


class Link(Record):
    """One stage: where the address of its kernel lies, and its record behind it."""

    stage: Ptr[i8]


class Chain(Record):
    """The stages of one sampler; the first one says whether the logits are sound, by the choice it leaves."""

    candidates: Ptr[Candidates]
    links: Ptr[Link]
    n: i64


class Chains(Record):
    chains: Ptr[Chain]
    n: Ptr[i64]


@kernel(Chains)
def run(op, thread, n_threads):
    """A token for each sampler, in `chosen` of its candidates; -1 where there is none."""
    for i in range(thread, op.n[0], n_threads):
        chain = op.chains + i
        for s in range(chain.n):
            if s == 0 or chain.candidates.chosen >= 0:
                call_kernel(chain.links[s].stage, 0, 1)
