"""The stage of the sampler against repeated sequences: DRY, "don't repeat yourself"."""

from __future__ import annotations

from llamakit.core.kernels.candidates import LOWEST, Candidates, Recent
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.records import Ptr, Record, f32, i32, i64


class Dry(Record):
    """A breaker is a head token and a tail of more tokens, which may be empty.

    Token t heads those with the tails first_tails[t] .. first_tails[t + 1] - 1, and the tokens of tail j are
    tail_tokens[tail_starts[j]] .. [tail_starts[j + 1] - 1].
    """

    candidates: Ptr[Candidates]
    recent: Ptr[Recent]
    window: i64  # how many of the last tokens count; below 0: all
    multiplier: f32
    base: f32
    allowed_length: i64
    largest_exponent: i64
    first_tails: Ptr[i32]  # (n_vocab + 1,)
    tail_starts: Ptr[i32]  # (n_tails + 1,)
    tail_tokens: Ptr[i32]
    lengths: Ptr[i32]  # (n_vocab,): all 0 between calls


@kernel(Dry)
def dry(op, thread, n_threads):
    """l -= multiplier base^(m - allowed) where a token would go on a repetition of m >= allowed tokens.

    m: the longest end of the history, without a breaker in it, that was there before with this token behind it.
    """
    c, recent = op.candidates, op.recent
    n = min(op.window, recent.n) if op.window >= 0 else recent.n
    if n <= op.allowed_length:
        return
    newest = recent.tokens + (recent.n - 1)  # the i-th last token is newest[-i]
    limit = tokens_since_breaker(op, newest, n)
    if limit < op.allowed_length:
        return
    matches = recent.notes
    match_lengths(newest, n, matches)
    for k in range(1, n):
        length = min(matches[k], limit)
        follower = newest[1 - k]
        if length >= op.allowed_length and length >= op.lengths[follower]:
            op.lengths[follower] = length + 1  # 0: none
    if c.is_whole == 1:
        for k in range(1, n):
            token = newest[1 - k]
            penalize(op, token, token)
            op.lengths[token] = 0
    else:
        for i in range(c.n):
            penalize(op, i, c.ids[i])
        for k in range(1, n):
            op.lengths[newest[1 - k]] = 0
    c.is_sorted = 0


@helper
def tokens_since_breaker(op, newest, n):
    """How many of the last tokens come after the last breaker, of those that begin at its head the longest."""
    for i in range(n):
        head, longest = newest[-i], -1
        for tail in range(op.first_tails[head], op.first_tails[head + 1]):
            first, length = op.tail_starts[tail], op.tail_starts[tail + 1] - op.tail_starts[tail]
            if longest < length <= i:
                same = 0
                while same < length and op.tail_tokens[first + same] == newest[same + 1 - i]:
                    same += 1
                if same == length:
                    longest = length
        if longest >= 0:
            return i - longest
    return n


@helper
def match_lengths(newest, n, matches):
    """matches[k]: how many tokens are the same backwards from the k-th last on as from the last.

    The Z-algorithm: linear in n.
    """
    first, end = 0, 0  # the match known to reach furthest back
    for k in range(1, n):
        length = min(end - k, matches[k - first]) if k < end else 0
        while k + length < n and newest[-length] == newest[-k - length]:
            length += 1
        if k + length > end:
            first, end = k, k + length
        matches[k] = length


@helper
def penalize(op, place, token):
    """The candidate at this place, unless it is a breaker by itself."""
    length = op.lengths[token]
    if length == 0:
        return
    for tail in range(op.first_tails[token], op.first_tails[token + 1]):
        if op.tail_starts[tail] == op.tail_starts[tail + 1]:
            return
    exponent = length - 1 - op.allowed_length
    if op.largest_exponent > 0:
        exponent = min(exponent, op.largest_exponent)
    factor, power = float(op.base), 1.0
    while exponent > 0:
        if exponent % 2 == 1:
            power *= factor
        factor *= factor
        exponent //= 2
    logits = op.candidates.logits
    logits[place] = min(logits[place] - f32(op.multiplier * power), f32(-LOWEST))  # never infinite
