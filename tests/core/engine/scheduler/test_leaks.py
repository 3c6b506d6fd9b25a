"""Many random jobs, with cancels, errors and readers that stop: nothing is left behind, and all counts add up."""

from __future__ import annotations

import random
import threading
import tracemalloc

import pytest

from llamakit.core.engine.pooling import Pooling
from llamakit.core.engine.scheduler import Cancelled, EmbeddingRequest, Ended, Failed, Request
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import LlamakitError

from .serving import Case, result, serving, wait_until


class Breaking:
    """A grammar that breaks after some tokens."""

    def __init__(self, n):
        self.n = n

    def fill_mask(self, mask):
        if self.n == 0:
            raise LlamakitError("broken")
        mask[:] = 0xFFFFFFFF

    def accept(self, token):
        self.n -= 1


def random_job(rng, scheduler, vocab):
    """Texts that begin alike or not, shift or not, fail, end by a stop text, or become vectors."""
    tokens = [1, *range(20, 20 + rng.choice([0, 10, 80])), *(rng.randrange(3, 99) for _ in range(rng.randrange(40)))]
    kind = rng.random()
    if kind < 0.1:
        return scheduler.submit_embedding(EmbeddingRequest(tokens, rng.choice([Pooling.MEAN, Pooling.LAST])))
    if kind < 0.2:
        sampler = Sampler(SamplingParams(), vocab.n_tokens, constraint=Breaking(rng.randrange(5)))
        return scheduler.submit(Request(tokens, sampler))
    case = Case(tuple(tokens), n_predict=rng.randrange(12), seed=rng.choice([None, 1]), n_keep=rng.choice([None, 2]))
    more = {"stop": ("e",)} if kind < 0.3 else {"n_prompt_logprobs": 1} if kind < 0.33 else {}
    if kind > 0.98:
        more = {"n_predict": 300}
    return scheduler.submit(case.request(vocab, salt=rng.choice(["", "x"]), use_cache=rng.random() < 0.9, **more))


def run_jobs(n_jobs, n_threads, scheduler, vocab):
    """Returns how many ended, failed and were cancelled, as those say who wait for them."""
    ends, lock = {Ended: 0, Failed: 0, Cancelled: 0}, threading.Lock()

    def client(seed):
        rng = random.Random(seed)
        for _ in range(n_jobs // n_threads):
            job = random_job(rng, scheduler, vocab)
            if rng.random() < 0.3:
                for _ in range(rng.randrange(4)):
                    if job.end is None:
                        job.next_event(60)
                job.cancel()
            wait_until(lambda job=job: job.end is not None)
            with lock:
                ends[type(job.end)] += 1

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


@pytest.mark.parametrize("n_jobs", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_jobs_of_all_kinds_leave_nothing_behind(path, vocab, n_jobs):
    with serving(path, vocab, 4) as (_, scheduler):
        run_jobs(n_jobs // 2, 5, scheduler, vocab)
        tracemalloc.start()
        ends = run_jobs(n_jobs // 2, 5, scheduler, vocab)
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        done = scheduler.stats().counters
        assert sum(ends.values()) == n_jobs // 2
        assert min(ends.values()) > 0
        assert done.n_ended + done.n_failed + done.n_cancelled == n_jobs
        assert grown < 2_000_000


def test_a_closed_scheduler_leaves_the_whole_cache_to_its_context(path, vocab):
    with serving(path, vocab, 2) as (context, scheduler):
        result(scheduler.submit(Case((1, *range(20, 100))).request(vocab)))
        assert scheduler.tree.nodes
        scheduler.close()
        assert context.cache.pool.n_free == context.cache.pool.n_blocks
