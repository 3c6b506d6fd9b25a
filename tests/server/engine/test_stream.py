"""Generations read by an event loop, from an engine in the same process."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from llamakit.core.chat.output.constraint import Constraint
from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Cancelled, Ended, Failed, QueueFull, Request, SchedulerClosed
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import LlamakitError, UsageError
from llamakit.server.engine import requests
from llamakit.server.engine.engine import Engine, EngineState
from llamakit.server.engine.errors import PromptTooLong
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.local import LocalChannel
from llamakit.server.engine.stream import WINDOW

SAMPLING = SamplingParams(seed=1, ignore_eos=True)


def run(scheduler, task, **options):
    """What `task(engine)` gives, in a loop of its own."""

    @asynccontextmanager
    async def started():
        engine = Engine(LocalChannel(scheduler), **options)
        engine.start()
        await engine.ready()
        try:
            yield engine
        finally:
            await engine.close()

    async def main():
        async with started() as engine:
            return await task(engine)

    return asyncio.run(asyncio.wait_for(main(), 60))


def generation(tokens=(1, 40), **options):
    return Generation(tokens, **{"sampling": SAMPLING, **options})


async def read(engine, wanted, n=1):
    """Events of n continuations."""

    async def events(stream):
        async with stream:
            return [event async for event in stream.events()]

    return await asyncio.gather(*(events(stream) for stream in engine.submit(wanted, n)))


def said(scheduler, tokens=(1, 40), seed=1, **options):
    """Events as the scheduler tells them to a thread."""
    vocab = scheduler.vocab
    sampler = Sampler(SamplingParams(seed=seed, ignore_eos=True), vocab.n_tokens, vocab.eog_ids)
    job = scheduler.submit(Request(tokens, sampler, **options))
    return [*job.pieces(), job.end]


def test_tasks_read_what_a_thread_reads(scheduler):
    async def task(engine):
        parts = await asyncio.gather(*(read(engine, generation(n_predict=40)) for _ in range(8)))
        return [events for (events,) in parts]

    assert run(scheduler, task) == [said(scheduler, n_predict=40)] * 8


def test_continuations_of_one_prompt_have_seeds_that_count_up(scheduler):
    wanted = [said(scheduler, seed=seed, n_predict=12) for seed in (1, 2, 3)]
    assert run(scheduler, lambda engine: read(engine, generation(n_predict=12), 3)) == wanted


def test_usage_counts_what_was_read_and_in_the_end_all(scheduler):
    async def task(engine):
        counts = []
        (stream,) = engine.submit(generation(n_predict=7))
        async for event in stream.events():
            counts.append(isinstance(event, Piece))
            assert stream.usage.n_drawn >= sum(counts)
        assert (stream.usage.n_prompt, stream.usage.n_drawn, sum(counts)) == (2, 7, 7)
        assert stream.usage.submitted <= stream.usage.started <= stream.usage.first_drawn <= stream.usage.ended
        assert isinstance(stream.end, Ended)
        assert not engine.streams

    run(scheduler, task)


@pytest.mark.parametrize("way", ["break", "task"])
def test_a_reader_that_goes_cancels_its_generation(scheduler, way):
    async def task(engine):
        (stream,) = engine.submit(generation(n_keep=1))

        async def reading():
            async with stream:
                async for _ in stream.events():
                    if way == "break":
                        break

        reader = asyncio.create_task(reading())
        if way == "task":
            while not stream.usage.n_drawn:
                await asyncio.sleep(0.001)
            reader.cancel()
        await asyncio.wait([reader])
        while stream.end is None:
            await asyncio.sleep(0.001)
        assert stream.end == Cancelled()

    run(scheduler, task)


def test_closing_ends_every_stream(scheduler):
    async def task(engine):
        (stream,) = engine.submit(generation(n_keep=1))
        await engine.close()
        *_, end = [event async for event in stream.events()]
        assert isinstance(end, Failed)
        assert isinstance(end.error, SchedulerClosed)
        assert engine.state is EngineState.CLOSED
        with pytest.raises(SchedulerClosed):
            engine.submit(generation())

    run(scheduler, task)
    end = time.monotonic() + 60
    while scheduler.n_running:
        assert time.monotonic() < end, "the job runs on"


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"tokens": ()}, UsageError, "the prompt is empty"),
        ({"tokens": (1, -1)}, UsageError, "token -1 is not in the vocabulary"),
        ({"tokens": (1,) * 300}, PromptTooLong, r"request \(300 tokens\) exceeds .* \(256 tokens\)"),
    ],
)
def test_prompts_that_cannot_be_computed_are_refused_at_once(scheduler, options, kind, message):
    async def task(engine):
        with pytest.raises(kind, match=message):
            engine.submit(generation(**options))

    run(scheduler, task)


def test_what_goes_wrong_later_is_the_last_event(scheduler):
    nothing = Constraint(parse_gbnf('root ::= "\\u0001"'), None)

    async def task(engine):
        ((*_, end),) = await read(engine, generation(constraint=nothing))
        assert isinstance(end, Failed)
        assert isinstance(end.error, LlamakitError)
        assert "no token may come next" in str(end.error)

    run(scheduler, task)


def test_a_grammar_holds(scheduler):
    async def task(engine):
        grammar = Constraint(parse_gbnf('root ::= "abc"'), None)
        ((*pieces, end),) = await read(engine, generation(constraint=grammar, sampling=SamplingParams(seed=1)))
        assert "".join(event.text for event in pieces) + end.text == "abc"

    run(scheduler, task)


def test_fault_63_a_grammar_that_takes_too_long_to_compile_is_given_up(scheduler, monkeypatch):
    monkeypatch.setattr(requests, "MOST_STEPS", 20)

    async def task(engine):
        grammars = [Constraint(parse_gbnf(f'root ::= "{text}"'), None) for text in ("a" * 30, "abc")]
        wanted = [generation(constraint=grammar, sampling=SamplingParams(seed=1)) for grammar in grammars]
        ((*_, slow),) = await read(engine, wanted[0])
        ((*_, quick),) = await read(engine, wanted[1])
        assert isinstance(slow.error, GrammarError) and "takes too long" in str(slow.error)
        assert isinstance(quick, Ended)

    run(scheduler, task)


def test_no_more_than_the_slots_and_the_queue_hold_are_open(scheduler):
    async def task(engine):
        streams = engine.submit(generation(n_keep=1), 5)
        with pytest.raises(QueueFull, match="5 requests are running or waiting"):
            engine.submit(generation())
        streams[0].cancel()
        while streams[0].end is None:
            await asyncio.sleep(0.001)
        engine.submit(generation(n_predict=1))

    run(scheduler, task, n_queue_max=2)


def test_fault_68_a_reader_that_does_not_read_holds_up_nobody_and_its_stream_is_bounded(scheduler):
    async def task(engine):
        (slow,) = engine.submit(generation(n_keep=1))
        while slow.n_unread < WINDOW:
            await asyncio.sleep(0.01)
        ((*_, end),) = await read(engine, generation(n_predict=20))
        assert isinstance(end, Ended)
        assert slow.n_unread == WINDOW
        n_read = 0
        async for _ in slow.events():  # who reads again gets all that was left out
            n_read += 1
            if n_read == 2 * WINDOW:
                break

    run(scheduler, task)
