"""What clients of OpenAI's API may send. Unknown fields are refused: nothing that was asked for is silently lost."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(Body):
    include_usage: bool = False


class GenerationBody(Body):
    """Fields of completions and chats alike; null stands for the default."""

    model: str | None = None
    n: Literal[1] | None = None
    max_tokens: int | None = Field(None, ge=0)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = None
    min_p: float | None = Field(None, ge=0, le=1)
    repeat_penalty: float | None = Field(None, gt=0)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None  # who asks makes no difference

    @property
    def n_predict(self) -> int:
        return -1 if self.max_tokens is None else self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in stops if stop)

    @property
    def has_usage(self) -> bool:
        """Whether a stream ends with a chunk that counts tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self) -> SamplingParams:
        """Raises UsageError for a value that makes no sense."""
        names = (
            "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "seed",
        )  # fmt: skip
        given: dict[str, Any] = {name: value for name in names if (value := getattr(self, name)) is not None}
        return SamplingParams(**given, logit_bias=token_biases(self.logit_bias or {}))


class CompletionBody(GenerationBody):
    prompt: str | list[int]


class ChatBody(GenerationBody):
    messages: list[dict[str, Any]] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=0)

    @property
    def n_predict(self) -> int:
        return super().n_predict if self.max_completion_tokens is None else self.max_completion_tokens


def token_biases(biases: dict[str, float]) -> dict[int, float]:
    """Biases by token id, which JSON can only have as texts."""
    if wrong := [token for token in biases if not token.isdecimal()]:
        raise UsageError(f"logit_bias: {wrong[0]!r} is no token id")
    return {int(token): bias for token, bias in biases.items()}
