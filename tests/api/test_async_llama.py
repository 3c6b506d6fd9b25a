"""`Llama` in an event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from llamakit.api.async_llama import AsyncLlama
from llamakit.api.llama import Llama

PROMPTS = [f"the cat {i}" for i in range(12)]
OPTIONS = {"max_tokens": 10, "seed": 7, "temperature": 1.0}


def test_many_tasks_get_what_each_gets_alone(path):
    async def main():
        async with await AsyncLlama.open(path, n_ctx=256, verbose=False) as llm:
            alone = [(await llm(prompt, **OPTIONS))["choices"][0]["text"] for prompt in PROMPTS]
            together = await asyncio.gather(*(llm(prompt, **OPTIONS) for prompt in PROMPTS * 3))
            assert [answer["choices"][0]["text"] for answer in together] == alone * 3

    asyncio.run(main())


def test_streams_are_async_iterators_and_the_loop_stays_free(path):
    async def main():
        async with AsyncLlama(path, n_ctx=256, verbose=False) as llm:
            ticks = 0

            async def tick():
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0)

            ticking = asyncio.create_task(tick())
            texts = [c["choices"][0]["text"] async for c in await llm("the cat", stream=True, **OPTIONS)]
            ticking.cancel()
            assert "".join(texts) == (await llm("the cat", **OPTIONS))["choices"][0]["text"]
            assert ticks > 10

    asyncio.run(main())


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_task_that_is_cancelled_ends_what_it_asked_for(path, is_stream):
    async def main(llama):
        llm = AsyncLlama(llama)

        def slow(_, logits):
            time.sleep(0.02)
            return logits

        async def ask():
            options = {"max_tokens": 200, "logits_processor": [slow], "stream": is_stream}
            made = await llm("the cat", **options)
            if is_stream:
                async for _ in made:
                    pass

        task = asyncio.create_task(ask())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        begin = time.monotonic()
        while llama.shared.scheduler().n_running and time.monotonic() - begin < 10:
            await asyncio.sleep(0.01)
        assert llama.shared.scheduler().n_running == 0

    with Llama(path, n_ctx=256, verbose=False) as llama:
        asyncio.run(main(llama))
