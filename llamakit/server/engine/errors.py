"""What can go wrong between a request and the engine, besides the scheduler's QueueFull and SchedulerClosed."""

from __future__ import annotations

from llamakit.errors import LlamakitError, UsageError


class EngineLoading(LlamakitError):
    """The model is being loaded; a later try can succeed."""


class EngineLost(LlamakitError):
    """The engine ended while it served the request; the same request may succeed when it is back."""


class PromptTooLong(UsageError):
    """A prompt has more tokens than the context."""

    def __init__(self, n_prompt: int, n_ctx: int) -> None:
        super().__init__(n_prompt, n_ctx)
        self.n_prompt, self.n_ctx = n_prompt, n_ctx

    def __str__(self) -> str:
        return (
            f"request ({self.n_prompt} tokens) exceeds the available context size ({self.n_ctx} tokens), "
            "try increasing it"
        )
