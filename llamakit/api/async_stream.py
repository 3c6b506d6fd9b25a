"""Iterators that block, for an event loop: each item is awaited while a thread waits for it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, TypeVar, cast

T = TypeVar("T")
END = object()


class Stream(AsyncIterator[T]):
    """Items of an iterator that blocks, each awaited. Who leaves it, or lets go of it, ends the iterator."""

    def __init__(self, run: Callable[[Callable[[], Any]], Awaitable[Any]], items: Iterator[T]) -> None:
        self._run, self._steps = run, Steps(items)

    async def __anext__(self) -> T:
        try:
            item = await self._run(self._steps.next)
        except BaseException:
            self._steps.close()
            raise
        if item is END:
            raise StopAsyncIteration
        return cast("T", item)

    async def aclose(self) -> None:
        """End the iterator."""
        self._steps.close()

    def __del__(self) -> None:
        self._steps.close()


class Steps:
    """An iterator that threads call on, one after the other, and any thread may close at any time."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items, self._lock, self._is_left = items, threading.Lock(), False

    def next(self) -> Any:
        """The next item, or END."""
        with self._lock:
            item = next(self._items, END)
        if self._is_left:
            self.close()
        return item

    def close(self) -> None:
        """Returns at once: where a thread is at work, it closes the iterator when it has its item."""
        self._is_left = True
        if self._lock.acquire(blocking=False):
            try:
                if isinstance(self._items, Generator):
                    self._items.close()
            finally:
                self._lock.release()
