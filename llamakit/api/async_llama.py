"""`Llama` for asyncio: the same names, awaited; streams are async iterators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from llamakit.api.async_stream import Stream
from llamakit.api.llama import Llama
from llamakit.api.said import Sayer, begun
from llamakit.api.shared import CLOSED
from llamakit.api.turns import caller
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.cache import BaseLlamaCache
    from llamakit.api.looking import LlamaProfile
    from llamakit.api.state import LlamaState

T = TypeVar("T")
MOST_WAITING = 256  # calls that wait for the model at once; more wait for these


class AsyncLlama:
    """Tasks of an event loop share one model and one batch. Arguments are those of `Llama`, or one that is open.

        async with AsyncLlama("model.gguf") as llm:
            async for chunk in await llm.create_chat_completion(messages, stream=True):
                ...

    Nothing blocks the loop. A task that is cancelled, or leaves a stream, ends what it asked for within a step. Any
    number of tasks may ask for completions at once; the sequence of `eval` and `generate` is one task's at a time.
    `llama` is the object itself, with all the rest. After `close`, UsageError is raised.
    """

    def __init__(self, model: str | Path | Llama, **options: Any) -> None:
        self.llama = model if isinstance(model, Llama) else Llama(model, **options)
        self._is_open = True
        self._threads = ThreadPoolExecutor(MOST_WAITING, "llamakit")  # they only wait: the model has its own

    @classmethod
    async def open(cls, model: str | Path, **options: Any) -> AsyncLlama:
        """The model, opened without blocking the loop."""
        return cls(await asyncio.to_thread(Llama, model, **options))

    @classmethod
    async def from_pretrained(cls, repo_id: str, filename: str | None, *arguments: Any, **options: Any) -> AsyncLlama:
        """As `Llama.from_pretrained`: a model of a Hugging Face repository."""
        return cls(await asyncio.to_thread(Llama.from_pretrained, repo_id, filename, *arguments, **options))

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

    async def eval(self, tokens: Sequence[int]) -> None:
        """As `Llama.eval`."""
        await self._run(self.llama.eval, tokens)

    async def sample(self, *arguments: Any, **options: Any) -> int:
        """As `Llama.sample`."""
        return await self._run(self.llama.sample, *arguments, **options)

    def generate(self, tokens: Sequence[int], *arguments: Any, **options: Any) -> AsyncIterator[int]:
        """As `Llama.generate`: an async iterator of tokens, for ever."""
        return Stream(self._run, self.llama.generate(tokens, *arguments, **options))

    async def reset(self) -> None:
        """As `Llama.reset`."""
        await self._run(self.llama.reset)

    async def save_state(self) -> LlamaState:
        """As `Llama.save_state`."""
        return await self._run(self.llama.save_state)

    async def load_state(self, state: LlamaState) -> None:
        """As `Llama.load_state`."""
        await self._run(self.llama.load_state, state)

    async def add_lora(self, path: str | Path, scale: float = 1.0) -> None:
        """As `Llama.add_lora`."""
        await self._run(self.llama.add_lora, path, scale)

    # what takes no time
    def set_cache(self, cache: BaseLlamaCache | None) -> None:
        """As `Llama.set_cache`."""
        self.llama.set_cache(cache)

    @property
    def n_tokens(self) -> int:
        """Tokens of the sequence."""
        return self.llama.n_tokens

    @property
    def metadata(self) -> dict[str, str]:
        """The file's, as texts."""
        return self.llama.metadata

    @property
    def profile(self) -> LlamaProfile:
        """As `Llama.profile`."""
        return self.llama.profile

    def n_ctx(self) -> int:
        return self.llama.n_ctx()

    def n_vocab(self) -> int:
        return self.llama.n_vocab()

    def n_embd(self) -> int:
        return self.llama.n_embd()

    def token_bos(self) -> int:
        return self.llama.token_bos()

    def token_eos(self) -> int:
        return self.llama.token_eos()

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        return self.llama.tokenize(text, add_bos, special)

    def detokenize(self, tokens: Sequence[int], special: bool = False) -> bytes:
        return self.llama.detokenize(tokens, special=special)

    async def close(self) -> None:
        """End all that runs, and give back memory and threads."""
        self._is_open = False
        await asyncio.to_thread(self.llama.close)
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> AsyncLlama:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _made(self, make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a call of `Llama` gives, a stream as an async iterator."""
        made = await self._run(make, *arguments, **options)
        return Stream(self._run, made) if isinstance(made, Iterator) else made

    async def _run(self, make: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A call in a thread. Where the task is cancelled, so is what the call has begun to say."""
        if not self._is_open:
            raise UsageError(CLOSED)
        jobs: list[Sayer] = []
        context, task = copy_context(), asyncio.current_task()
        context.run(begun.set, jobs)
        context.run(caller.set, task and (id(task), task.get_name()))
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: context.run(make, *arguments, **options))
        except asyncio.CancelledError:
            for sayer in jobs:
                sayer.job.cancel()
            raise
