"""`Llama` for asyncio: the same names, awaited; streams are async iterators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

from llamakit.api.llama import Llama
from llamakit.api.said import Sayer, begun

T = TypeVar("T")
END = object()
MOST_WAITING = 256  # calls that wait for the model at once; more wait for these


class AsyncLlama:
    """Tasks of an event loop share one model and one batch. Arguments are those of `Llama`, or one that is open.

        async with AsyncLlama("model.gguf") as llm:
            async for chunk in await llm.create_chat_completion(messages, stream=True):
                ...

    Nothing blocks the loop. A task that is cancelled, or leaves a stream, ends what it asked for within a step.
    """

    def __init__(self, model: str | Path | Llama, **options: Any) -> None:
        self.llama = model if isinstance(model, Llama) else Llama(model, **options)
        self._threads = ThreadPoolExecutor(MOST_WAITING, "llamakit")  # they only wait: the model has its own

    @classmethod
    async def open(cls, model: str | Path, **options: Any) -> AsyncLlama:
        """The model, opened without blocking the loop."""
        return cls(await asyncio.to_thread(Llama, model, **options))

    async def create_completion(self, prompt: str | Sequence[int], *arguments: Any, **options: Any) -> Any:
        """As `Llama.create_completion`; with stream=True an async iterator of chunks."""
        return await self._made(self.llama.create_completion, prompt, *arguments, **options)

    __call__ = create_completion

    async def create_chat_completion(
        self, messages: Sequence[Mapping[str, Any]], *arguments: Any, **options: Any
    ) -> Any:
        """As `Llama.create_chat_completion`; with stream=True an async iterator of chunks."""
        return await self._made(self.llama.create_chat_completion, messages, *arguments, **options)

    async def create_chat_completion_openai_v1(
        self, messages: Sequence[Mapping[str, Any]], *arguments: Any, **options: Any
    ) -> Any:
        """The same as objects of the package `openai`."""
        return await self._made(self.llama.create_chat_completion_openai_v1, messages, *arguments, **options)

    async def create_embedding(self, input: str | Sequence[str], model: str | None = None) -> dict[str, Any]:
        """As `Llama.create_embedding`."""
        return await self._run(self.llama.create_embedding, input, model)

    async def embed(self, input: str | Sequence[str], *arguments: Any, **options: Any) -> Any:
        """As `Llama.embed`."""
        return await self._run(self.llama.embed, input, *arguments, **options)

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        return self.llama.tokenize(text, add_bos, special)

    def detokenize(self, tokens: Sequence[int], special: bool = False) -> bytes:
        return self.llama.detokenize(tokens, special=special)

    async def close(self) -> None:
        """End all that runs, and give back memory and threads."""
        await asyncio.to_thread(self.llama.close)
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> AsyncLlama:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _made(self, make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a call of `Llama` gives, a stream as an async iterator."""
        made = await self._run(make, *arguments, **options)
        return self._iterated(made) if isinstance(made, Generator) else made

    async def _run(self, make: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A call in a thread. Where the task is cancelled, so is what the call has begun to say."""
        jobs: list[Sayer] = []
        context = copy_context()
        context.run(begun.set, jobs)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: context.run(make, *arguments, **options))
        except asyncio.CancelledError:
            for sayer in jobs:
                sayer.job.cancel()
            raise

    async def _iterated(self, stream: Generator[T]) -> AsyncIterator[T]:
        """Items of a generator that blocks, each awaited; leaving it closes the generator."""
        try:
            while (item := await self._run(next, stream, END)) is not END:
                yield item
        finally:
            self._threads.submit(stream.close)
