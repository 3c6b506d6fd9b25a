"""Jobs read by an event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from llamakit.core.engine.scheduler import Cancelled, Ended, Request
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import LlamakitError, UsageError
from llamakit.server.stream import Stream


def request(scheduler, tokens=(1, 40), constraint=None, **options):
    vocab = scheduler.vocab
    params = SamplingParams(seed=1, ignore_eos=True)
    return Request(tokens, Sampler(params, vocab.n_tokens, vocab.eog_ids, constraint=constraint), **options)


def test_tasks_read_what_a_thread_reads(scheduler):
    wanted = list(scheduler.submit(request(scheduler, n_predict=40)).pieces())

    async def read():
        async with Stream(scheduler, request(scheduler, n_predict=40)) as stream:
            pieces = [piece async for piece in stream.pieces()]
            assert isinstance(stream.job.end, Ended)
            return pieces

    async def read_all():
        return await asyncio.gather(*(read() for _ in range(8)))

    assert asyncio.run(read_all()) == [wanted] * 8


@pytest.mark.parametrize("way", ["break", "task"])
def test_a_reader_that_goes_cancels_its_job(scheduler, way):
    jobs = []

    async def read():
        async with Stream(scheduler, request(scheduler, n_keep=1)) as stream:
            jobs.append(stream.job)
            async for _ in stream.pieces():
                if way == "break":
                    break

    async def main():
        task = asyncio.create_task(read())
        if way == "task":
            while not jobs or not jobs[0].usage.n_drawn:
                await asyncio.sleep(0.001)
            task.cancel()
        await asyncio.wait([task])
        while jobs[0].end is None:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 60))
    assert jobs[0].end == Cancelled()


def test_a_loop_that_has_ended_cancels_its_jobs(scheduler):
    async def forget():
        return Stream(scheduler, request(scheduler, n_keep=1)).job

    job = asyncio.run(forget())
    while job.end is None:
        time.sleep(0.001)
    assert job.end == Cancelled()


class Nothing:
    """A grammar that allows nothing."""

    def fill_mask(self, mask):
        mask[:] = 0

    def accept(self, token):
        pass


def test_errors_reach_the_reader(scheduler):
    async def read(request):
        async with Stream(scheduler, request) as stream:
            return [piece async for piece in stream.pieces()]

    with pytest.raises(LlamakitError, match="no token may come next"):
        asyncio.run(read(request(scheduler, constraint=Nothing())))
    with pytest.raises(UsageError, match="the prompt is empty"):
        asyncio.run(read(request(scheduler, tokens=())))
