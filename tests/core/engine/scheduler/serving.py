"""A scheduler at work on a small model, and what its jobs give alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from llamakit.core.engine.generate import Session, generate
from llamakit.core.engine.scheduler import Ended, Request
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.vocab import TextStream

from ....running import open_context

N_CTX = 256


@dataclass(frozen=True)
class Case:
    """A request that can be made again and again, as a sampler serves one request alone."""

    tokens: tuple[int, ...]
    n_predict: int = 20
    seed: int | None = None  # None: greedy
    penalty: float = 1.0
    n_keep: int | None = None
    stop: tuple[str, ...] = ()

    def sampler(self, vocab):
        drawing = {"temperature": 0} if self.seed is None else {"seed": self.seed}
        params = SamplingParams(ignore_eos=True, repeat_penalty=self.penalty, **drawing)
        return Sampler(params, vocab.n_tokens, vocab.eog_ids)

    def request(self, vocab, **more):
        more = {"n_predict": self.n_predict, "n_keep": self.n_keep, "stop": self.stop, "show_special": True} | more
        return Request(self.tokens, self.sampler(vocab), **more)


def random_case(rng, vocab, most=180):
    """Some share a long beginning, as conversations do; those that shift may be longer than the context."""
    n_keep = rng.choice([None, None, 4])
    shared = [1, *range(20, 20 + rng.choice([0, 5, 70]))]
    own = [
        rng.randrange(3, vocab.n_tokens)
        for _ in range(rng.choice([0, 1, 9, rng.randrange(most if n_keep is None else 2 * N_CTX)]))
    ]
    return Case(
        tuple(shared + own),
        n_predict=rng.choice([0, 1, 7, rng.randrange(most)]),
        seed=rng.choice([None, 1, 2]),
        penalty=rng.choice([1.0, 1.3]),
        n_keep=n_keep,
    )


def alone(path, vocab, cases, adapters=(), **options):
    """What each case gives by itself: its pieces and its end."""
    with open_context(path, **{"n_ctx": N_CTX, "n_ubatch": 32} | options) as context:
        context.set_adapters(adapters)
        results = []
        for case in cases:
            context.truncate(0)
            session = Session(context, vocab, case.sampler(vocab), TextStream(vocab, special=True), n_keep=case.n_keep)
            pieces = list(generate(session, case.tokens, case.n_predict))
            results.append((pieces, Ended(session.finish, session.text.flush())))
        return results


def serving(path, vocab, n_seq=4, **options):
    """An open context and its scheduler; `with` closes both."""
    return Serving(path, vocab, n_seq, options)


class Serving:
    def __init__(self, path, vocab, n_seq, options):
        context_options = {"n_ctx": N_CTX, "n_ubatch": 32, "n_seq_max": n_seq} | {
            name: options.pop(name) for name in ("n_ctx", "n_ubatch", "n_threads") if name in options
        }
        self.context = open_context(path, **context_options)
        self.scheduler = Scheduler(self.context, vocab, **options)

    def __enter__(self):
        return self.context, self.scheduler

    def __exit__(self, *_):
        self.scheduler.close()
        check_no_leak(self.context, self.scheduler)
        self.context.close()


def check_no_leak(context, scheduler):
    """Every block is free, or kept for later prompts by nobody but the tree; the counters add up."""
    pool, slots, tree, stats = context.cache.pool, scheduler.slots, scheduler.tree, scheduler.stats()
    assert [slot.job for slot in slots] == [None] * len(slots)
    assert [context.n_past(slot.seq) for slot in slots] == [0] * len(slots)
    assert pool.n_free + len(tree.nodes) == pool.n_blocks == stats.n_blocks_free + stats.n_blocks_kept
    assert {pool.n_users[block] for block in tree.nodes} <= {1}
    tree.clear()
    assert sorted(pool.free) == list(range(pool.n_blocks))
    assert (tree.nodes, tree.roots, tree.branches, tree.n_states) == ({}, {}, {}, 0)
    done = stats.counters
    assert done.n_ended + done.n_failed + done.n_cancelled == stats.n_submitted


def result(job):
    return list(job.pieces()), job.end


def wait_until(is_true, seconds=60.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)
