"""The stage of the sampler that aims at tokens of a given probability: adaptive-p."""

from __future__ import annotations

from llamakit.core.kernels.candidates import LOWEST, Candidates, Noise, choose, count_blocks, uniform, weigh
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.ops import less, select, vabs, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16


class AdaptiveP(Record):
    constant = False
    candidates: Ptr[Candidates]
    noise: Ptr[Noise]
    target: f32  # below 0: plain draws
    weighted: f32  # what the accepted tokens' probabilities sum up to, older ones fading
    total: f32  # and their weights
    p: f32  # out: the probability of the chosen token before it was changed


@kernel(AdaptiveP)
def adaptive_p(op, thread, n_threads):
    """l = 5 - 10 d^2 / (1 + d) with d = |p - t| / 0.3, t = 2 target - weighted / total within 0..1;  then a draw"""
    c = op.candidates
    total = weigh(c)
    if op.target >= 0:
        x, weights, p = view(c.logits, f32x16), view(c.weights, f32x16), view(c.keys, f32x16)
        t = f32x16(min(max(f32(2.0) * op.target - op.weighted / op.total, f32(0)), f32(1)))
        for i in range(4 * count_blocks(c.n)):
            p[i] = weights[i] / f32x16(f32(total))
            d = vabs(p[i] - t) / 0.3
            x[i] = select(less(x[i], f32x16(LOWEST)), x[i], f32x16(5) - d * d * 10.0 / (d + 1.0))
        c.is_sorted = 0
        total = weigh(c)
    place = choose(c, uniform(op.noise) * total if c.n > 1 else 0.0)  # as std::discrete_distribution
    c.chosen = -1
    if place >= 0:
        c.chosen = c.ids[place]
        op.p = view(c.keys, f32)[place]
