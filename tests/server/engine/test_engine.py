"""What the event loop makes of an engine that is loaded, lost, silent or closed, without a process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import Ended, Failed, SchedulerClosed, Usage
from llamakit.server.engine import engine as module
from llamakit.server.engine.engine import Engine, EngineState
from llamakit.server.engine.errors import EngineLoading, EngineLost, PromptTooLong
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.messages import Call, Cancel, GiveUp, ModelInfo, Ready, Reply, Submit, Told

INFO = ModelInfo("tiny.gguf", "llama", "tiny", "F32", 100, 8, 64, 5, 6, 64, 64, 64, 4, False)


class Silent:
    """A channel that remembers what it was sent."""

    def __init__(self):
        self.sent, self.n_killed, self.is_asleep = [], 0, False

    def start(self, receive, lost):
        self.receive, self.lost = receive, lost

    def send(self, message):
        self.sent.append(message)

    def kill(self):
        self.n_killed += 1
        self.lost("it was ended", False)

    def sleep(self):
        self.is_asleep = True

    def wake(self):
        self.is_asleep = False

    async def close(self):
        pass


def run(task, info=INFO, sleep_after=None):
    async def main():
        engine = Engine(Silent(), n_queue_max=2, sleep_after=sleep_after)
        engine.start()
        if info is not None:
            engine.channel.receive(Ready(info))
        try:
            await task(engine, engine.channel)
        finally:
            await engine.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_until_it_is_loaded_it_says_so():
    async def task(engine, channel):
        for ask in (lambda: engine.submit(Generation((1,))), lambda: engine.info):
            with pytest.raises(EngineLoading, match="Loading model"):
                ask()
        waiting = asyncio.create_task(engine.ready())
        await asyncio.sleep(0)
        channel.receive(Ready(INFO))
        await waiting
        assert engine.info is INFO

    run(task, info=None)


def test_a_model_that_cannot_be_loaded_is_final():
    async def task(engine, channel):
        waiting = asyncio.create_task(engine.ready())
        await asyncio.sleep(0)
        channel.lost("the file is damaged", True)
        with pytest.raises(EngineLost, match="the file is damaged"):
            await waiting
        assert engine.state is EngineState.FAILED

    run(task, info=None)


def test_what_was_asked_of_an_engine_that_is_lost_fails():
    async def task(engine, channel):
        (stream,) = engine.submit(Generation((1,)))
        calling = asyncio.create_task(engine.slots())
        await asyncio.sleep(0)
        channel.lost("it was ended", False)
        (event,) = [event async for event in stream.events()]
        assert isinstance(event, Failed)
        assert isinstance(event.error, EngineLost)
        with pytest.raises(EngineLost, match="it was ended"):
            await calling
        with pytest.raises(EngineLoading, match="it was ended"):
            engine.submit(Generation((1,)))
        channel.receive(Ready(INFO))
        engine.submit(Generation((1,)))
        assert engine.n_restarts == 1

    run(task)


def test_events_go_to_their_streams_and_an_end_frees_them():
    async def task(engine, channel):
        a, b = engine.submit(Generation((1,)), 2)
        assert channel.sent == [Submit((a.id, b.id), a.generation)]
        usage = Usage(1, n_drawn=1)
        told = Told([(b.id, Piece(5, "x")), (b.id, Ended(Finish.LENGTH)), (999, Piece(6, "y"))], [(b.id, usage)])
        channel.receive(told)
        assert [event async for event in b.events()] == [Piece(5, "x"), Ended(Finish.LENGTH)]
        assert (b.usage, [*engine.streams]) == (usage, [a.id])
        a.cancel()
        assert channel.sent[-1] == Cancel((a.id,))

    run(task)


def test_a_call_that_is_given_up_is_told_of():
    async def task(engine, channel):
        calling = asyncio.create_task(engine.erase_slot(3))
        await asyncio.sleep(0)
        assert channel.sent == [Call(1, "erase_slot", (3,))]
        calling.cancel()
        await asyncio.wait([calling])
        assert channel.sent[-1] == GiveUp(1)
        calling = asyncio.create_task(engine.erase_slot(3))
        await asyncio.sleep(0)
        channel.receive(Reply(2, 7))
        assert await calling == 7

    run(task)


def test_a_silent_engine_is_ended_only_while_it_has_work(monkeypatch):
    monkeypatch.setattr(module, "TICK", 0.01)
    monkeypatch.setattr(module, "LONGEST_SILENCE", 0.1)

    async def task(engine, channel):
        await asyncio.sleep(0.3)
        assert (channel.n_killed, engine.heartbeat_age) == (0, 0.0)
        (stream,) = engine.submit(Generation((1,)))
        for _ in range(30):
            channel.receive(Told([], []))
            await asyncio.sleep(0.01)
        assert channel.n_killed == 0
        (event,) = [event async for event in stream.events()]
        assert channel.n_killed == 1
        assert isinstance(event, Failed)

    run(task)


def test_told_to_end_it_refuses_and_what_runs_goes_on_until_it_is_ended():
    async def task(engine, channel):
        (stream,) = engine.submit(Generation((1,)))
        engine.refuse()
        with pytest.raises(SchedulerClosed):
            engine.submit(Generation((1,)))
        channel.receive(Told([(stream.id, Piece(5, "x"))], []))
        engine.end_all()
        piece, end = [event async for event in stream.events()]
        assert piece == Piece(5, "x")
        assert isinstance(end.error, SchedulerClosed)
        assert channel.sent[-1] == Cancel((stream.id,))

    run(task)


@pytest.mark.parametrize(
    "more, n_prompt, n_keep, wanted",
    [
        ({}, 60, None, (None,)),
        ({"is_divided": True}, 60, None, (64,)),
        ({"is_divided": True}, 65, None, None),
        ({"is_divided": True, "can_shift": True}, 65, 4, (64,)),
        ({"n_prompt_max": 10}, 10, None, (None,)),
        ({"n_prompt_max": 10}, 11, 4, None),
    ],
)
def test_limits_of_one_request(more, n_prompt, n_keep, wanted):
    async def task(engine, channel):
        generation = Generation((1,) * n_prompt, n_keep=n_keep)
        if wanted is None:
            with pytest.raises(PromptTooLong):
                engine.submit(generation)
        else:
            engine.submit(generation)
            assert (channel.sent[-1].generation.n_ctx,) == wanted

    run(task, replace(INFO, **more))


def test_fault_91_a_machine_that_was_suspended_has_no_engine_that_hangs(monkeypatch):
    monkeypatch.setattr(module, "TICK", 0.01)
    jump = SimpleNamespace(seconds=0.0)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + jump.seconds)

    async def task(engine, channel):
        engine.submit(Generation((1,)))
        await asyncio.sleep(0.05)
        jump.seconds = 10 * module.LONGEST_SILENCE
        await asyncio.sleep(0.05)
        assert channel.n_killed == 0 and engine.heartbeat_age < 1

    monkeypatch.setattr(module, "time", clock)
    run(task)


def test_it_sleeps_when_it_has_nothing_to_do_and_wakes_for_work():
    async def task(engine, channel):
        (stream,) = engine.submit(Generation((1,)))
        await asyncio.sleep(0.2)
        assert not engine.is_asleep  # there is work
        channel.receive(Told([(stream.id, Ended(Finish.LENGTH, ""))], [(stream.id, Usage(1, ended=1.0))], None))
        while not engine.is_asleep:
            await asyncio.sleep(0.01)
        assert channel.is_asleep and engine.state is EngineState.READY
        engine.submit(Generation((1,)))
        assert not engine.is_asleep and not channel.is_asleep
        assert isinstance(channel.sent[-1], Submit)

    run(task, sleep_after=0.1)


def test_without_an_order_it_does_not_sleep():
    async def task(engine, channel):
        engine._doze(1e9)
        assert not engine.is_asleep

    run(task)
