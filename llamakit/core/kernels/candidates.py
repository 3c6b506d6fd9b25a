"""The tokens a sampler still chooses from, and what every sampling kernel needs of them."""

from __future__ import annotations

from llamakit.core.kernels.activation import exp
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import max_lanes, sum_lanes, view, vmax
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

INFINITY = float("inf")
LOWEST = -3.4028234663852886e38  # the least finite float32
BLOCK = 64  # candidates looked at together: four vectors


class Candidates(Record):
    """First the whole vocabulary, then what the stages leave of it: candidate i is token ids[i] with logits[i].

    Each array has room for n_vocab + BLOCK elements; BLOCK times -inf follow the logits: whole blocks may be read.
    """

    constant = False
    logits: Ptr[f32]
    ids: Ptr[i32]  # `all_ids` as long as nothing was dropped, then `kept_ids`
    n: i64
    is_whole: i64  # 1: candidate i is token i
    is_sorted: i64  # 1: by logit, descending
    chosen: i64  # the token, or -1 when there is none to choose
    n_vocab: i64
    all_ids: Ptr[i32]  # 0, 1, ... n_vocab - 1
    kept_ids: Ptr[i32]
    weights: Ptr[f32]  # room for e^(logit - largest) and other passing notes
    keys: Ptr[i64]  # room to sort
    spare_keys: Ptr[i64]


class Noise(Record):
    """The next outputs of a random generator. A kernel that uses them says so, and is given others the next time."""

    constant = False
    first: i64  # 32 random bits
    second: i64
    is_used: i64


class Recent(Record):
    """The tokens accepted so far, or the last of them, oldest first."""

    constant = False
    tokens: Ptr[i32]
    n: i64
    notes: Ptr[i32]  # room for a number of each


@helper
def count_blocks(n):
    return (n + 63) // 64


@helper
def end_at(c, n):
    """Keep the first n candidates."""
    c.n = n
    rest = view(c.logits + n, f32x16)
    for i in range(4):
        rest[i] = f32x16(-INFINITY)


@helper
def largest(c):
    """The largest logit; -inf when there are no candidates."""
    x = view(c.logits, f32x16)
    if c.is_sorted == 1:
        return c.logits[0]
    top = x[0]
    for i in range(4 * count_blocks(c.n)):
        top = vmax(top, x[i])
    return max_lanes(top)


@helper
def safe_shift(top, t):
    """What to take from all logits before they are divided by t: nothing, or the largest where it would overflow."""
    return top if abs(top) >= t * f32(1e38) else f32(0)


@helper
def block_sum(values, block):
    """The sum of one block of floats, in a fixed order."""
    x = view(values, f32x16) + 4 * block
    return float(sum_lanes((x[0] + x[1]) + (x[2] + x[3])))


@helper
def weigh(c):
    """weights[i] = e^(logits[i] - largest); returns their sum in double precision: p = weight / sum is the softmax."""
    x, weights = view(c.logits, f32x16), view(c.weights, f32x16)
    top = f32x16(largest(c))
    total = 0.0
    for block in range(count_blocks(c.n)):
        for i in range(4 * block, 4 * block + 4):
            weights[i] = exp(x[i] - top)
        total += block_sum(c.weights, block)
    return total


@helper
def uniform(noise):
    """A number in [0, 1), as std::uniform_real_distribution<double> makes it."""
    noise.is_used = 1
    return (float(noise.first) + float(noise.second) * 4294967296.0) / 18446744073709551616.0


@helper
def choose(c, goal):
    """The index of the first candidate of weight > 0 with weight_0 + ... + weight_i >= goal, else of the last such.

    -1 when there is none. `weights` are those of `weigh`.
    """
    n_blocks = count_blocks(c.n)
    passed, block = 0.0, 0
    while block < n_blocks and passed + block_sum(c.weights, block) < goal:
        passed += block_sum(c.weights, block)
        block += 1
    chosen = -1
    for i in range(64 * block, c.n):
        weight = c.weights[i]
        if weight > 0:
            chosen = i
            passed += weight
            if passed >= goal:
                return chosen
    return chosen
