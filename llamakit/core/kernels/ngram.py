"""Numbers of table rows from each token and the few before it."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel
from llamakit.core.kernels.recurrent import Remembering
from llamakit.core.simd.records import Ptr, f32, i32, i64

TOP_BIT_OFF = (1 << 63) - 1


class Hash(Remembering):
    """ids[t] = (xor of each token times its multiplier) % size + offset, as `graph.recurrent.NgramEmbed` says."""

    ids: Ptr[i32]
    multipliers: Ptr[i64]  # (n,): of the token itself, of the one before, ...
    n: i64
    size: i64
    offset: i64
    eos: i64


@kernel(Hash)
def hash(op, thread, n_threads):
    """The state are the last n - 1 tokens plus 1; 0 is none."""
    batch, n = op.batch, op.n
    if thread == 0:
        for r in range(batch.n_runs):
            run = batch.runs + r
            state = op.states + run.seq * op.state_pitch
            for t in range(run.n_tokens):
                mixed = batch.tokens[run.first + t] * op.multipliers[0]
                has_ended = 0
                for s in range(1, n):
                    back = t - s
                    token = batch.tokens[run.first + back] + 0 if back >= 0 else i64(state[n - 1 + back]) - 1
                    if token == op.eos or token < 0:
                        has_ended = 1
                    mixed ^= (op.eos if has_ended != 0 else token) * op.multipliers[s]
                half = (mixed >> 1) & TOP_BIT_OFF  # the hash has no sign
                op.ids[run.first + t] = i32((half % op.size * 2 + (mixed & 1)) % op.size + op.offset)
            for j in range(n - 1):
                back = run.n_tokens - (n - 1) + j
                token = batch.tokens[run.first + back] + 1 if back >= 0 else i64(state[n - 1 + back])
                state[j] = f32(token)
