"""`Llama` in an event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from llamakit.api.async_llama import AsyncLlama
from llamakit.api.cache import LlamaRAMCache
from llamakit.api.llama import Llama
from llamakit.errors import UsageError
from tests.api.model import PROMPT, take

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


def test_a_stream_of_a_chat_handler_is_an_async_iterator_too(path):
    async def main():
        def handler(*, llama, messages, stream, **_):
            return map(str.upper, (c["choices"][0]["text"] for c in llama("the cat", stream=True, **OPTIONS)))

        async with AsyncLlama(path, n_ctx=256, verbose=False, chat_handler=handler) as llm:
            said = [text async for text in await llm.create_chat_completion([], stream=True)]
            assert "".join(said) == (await llm("the cat", **OPTIONS))["choices"][0]["text"].upper()

    asyncio.run(main())


def test_a_stream_that_is_unfinished_when_the_model_is_closed_ends_quietly(path, caplog):
    async def main():
        llm = AsyncLlama(path, n_ctx=256, verbose=False)
        streams = [await llm("the cat", stream=True, max_tokens=200), llm.generate(PROMPT)]
        for stream in streams:
            await anext(stream)
        await llm.close()
        with pytest.raises(UsageError, match="closed"):
            await anext(streams[0])
        for call in (llm("the cat"), llm.eval(PROMPT), llm.save_state(), anext(llm.generate(PROMPT))):
            with pytest.raises(UsageError, match="closed"):
                await call
        await llm.close()

    asyncio.run(main())
    assert not caplog.records


def test_the_sequence_is_one_tasks_at_a_time_whatever_thread_works_for_it(path):
    async def generated(llm, prompt, n):
        tokens = []
        async for token in llm.generate(prompt, temp=0):
            tokens.append(token)
            if len(tokens) == n:
                return tokens

    async def main():
        async with await AsyncLlama.open(path, n_ctx=256, verbose=False) as llm:
            with Llama(path, n_ctx=256, verbose=False) as alone:
                expected = take(alone.generate(PROMPT, temp=0), 6)
            assert await generated(llm, PROMPT, 6) == expected
            state = await llm.save_state()
            await llm.reset()
            await llm.eval(PROMPT)
            assert await llm.sample(temp=0) == expected[0] and llm.n_tokens == len(PROMPT)
            await llm.load_state(state)
            assert llm.n_tokens == len(PROMPT) + 5
            results = await asyncio.gather(
                *(generated(llm, [*PROMPT, i], 6) for i in range(70, 74)), return_exceptions=True
            )
            refused = [result for result in results if isinstance(result, UsageError)]
            assert len(refused) == 3 and all("another thread or task" in str(error) for error in refused)
            for _ in range(20):
                assert await asyncio.create_task(generated(llm, PROMPT, 6)) == expected  # what is left is over at once

    asyncio.run(main())


def test_what_a_llama_tells_of_itself(path):
    async def main():
        async with AsyncLlama(path, n_ctx=256, verbose=False, profile=True) as llm:
            llm.set_cache(LlamaRAMCache())
            await llm("the cat", **OPTIONS)
            assert llm.llama.cache.cache_size > 0 and llm.profile.seconds > 0
            same = llm.llama
            for name in ("n_ctx", "n_vocab", "n_embd", "token_bos", "token_eos"):
                assert getattr(llm, name)() == getattr(same, name)()
            assert llm.metadata == same.metadata and llm.metadata["general.name"] == "tiny"

    asyncio.run(main())


def test_a_repositorys_file_is_opened_as_llama_does(path, monkeypatch):
    files = {("a/b", "*.gguf"): path}
    monkeypatch.setattr("llamakit.api.pretrained.model_file", lambda repo_id, name, *_: files[repo_id, name])

    async def main():
        async with await AsyncLlama.from_pretrained("a/b", "*.gguf", n_ctx=64, verbose=False) as llm:
            assert llm.n_ctx() == 64

    asyncio.run(main())
