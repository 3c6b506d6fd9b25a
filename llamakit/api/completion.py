"""Completions in OpenAI's shape, whole or as a stream of chunks."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llamakit.core.sampling.params import RANDOM_SEED
from llamakit.core.vocab.stream import TextStream
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.core.grammar.grammar import Grammar
    from llamakit.core.sampling.chain import Constraint


def create_completion(
    llama: Llama,
    prompt: str | Sequence[int],
    *,
    max_tokens: int | None = 16,
    temperature: float = 0.8,
    top_p: float = 0.95,
    min_p: float = 0.05,
    typical_p: float = 1.0,
    top_k: int = 40,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    repeat_penalty: float = 1.0,
    logit_bias: Mapping[int, float] | None = None,
    seed: int | None = None,
    echo: bool = False,
    stop: str | Sequence[str] | None = None,
    stream: bool = False,
    tfs_z: float = 1.0,
    mirostat_mode: int = 0,
    mirostat_tau: float = 5.0,
    mirostat_eta: float = 0.1,
    model: str | None = None,
    logits_processor: Iterable[Callable[..., Any]] | None = None,
    stopping_criteria: Callable[..., bool] | None = None,
    grammar: Grammar | Constraint | None = None,
) -> dict[str, Any] | Iterator[dict[str, Any]]:
    """Up to max_tokens (None or 0: as many as fit n_ctx) that follow the prompt, a text or token ids.

    The text ends before the first of the `stop` texts; `echo` puts the prompt in front; `model` is the name to answer
    with. A stream gives chunks, the last of which says why it ended. Raises UsageError when the prompt is empty or
    leaves no room.
    """
    vocab = llama.vocab
    tokens = vocab.encode(prompt, parse_special=True) if isinstance(prompt, str) else list(prompt)
    room = llama.n_ctx() - len(tokens)
    if not tokens or room <= 0:
        raise UsageError(
            f"the prompt has {len(tokens)} tokens; it needs 1 to {llama.n_ctx() - 1} for n_ctx={llama.n_ctx()}"
        )
    llama.set_seed(next_seed(llama.seed) if seed is None else seed)
    params = llama.sampling_params(
        top_k, top_p, min_p, typical_p, temperature, repeat_penalty, frequency_penalty, presence_penalty, tfs_z,
        mirostat_mode, mirostat_tau, mirostat_eta,
        logit_bias={int(token): float(bias) for token, bias in (logit_bias or {}).items()},
    )  # fmt: skip
    writer = Writer(
        llama.generate_with(params, tokens, True, logits_processor, stopping_criteria, grammar),
        llama,
        limit=min(max_tokens, room) if max_tokens and max_tokens > 0 else room,
        stop=StopText([stop] if isinstance(stop, str) else stop or []),
    )
    shown = (prompt if isinstance(prompt, str) else llama.detokenize(tokens).decode("utf-8", "replace")) if echo else ""
    answer = Answer(f"cmpl-{uuid.uuid4()}", int(time.time()), model or llama.model_path)
    if stream:
        return stream_of(writer, answer, shown)
    text = shown + "".join(writer.run())
    usage = {
        "prompt_tokens": len(tokens),
        "completion_tokens": writer.n_tokens,
        "total_tokens": len(tokens) + writer.n_tokens,
    }
    return {**answer.choice(text, writer.finish_reason), "usage": usage}


def next_seed(seed: int) -> int:
    """The seed of the next completion: random if none was chosen, else one that follows from it."""
    if seed in (-1, RANDOM_SEED):
        return RANDOM_SEED
    return random.Random(seed).randint(0, 2**32) % RANDOM_SEED


def stream_of(writer: Writer, answer: Answer, shown: str) -> Iterator[dict[str, Any]]:
    if shown:
        yield answer.choice(shown, None)
    for text in writer.run():
        if text:
            yield answer.choice(text, None)
    yield answer.choice("", writer.finish_reason)


@dataclass(frozen=True)
class Answer:
    """What all chunks of a completion share."""

    id: str
    created: int  # Unix time
    model: str

    def choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
        }


@dataclass
class Writer:
    """Tokens to text, up to a stop text, an end-of-generation token or a number of tokens."""

    tokens: Iterator[int]
    llama: Llama
    limit: int
    stop: StopText
    n_tokens: int = 0
    finish_reason: str = "length"

    def run(self) -> Iterator[str]:
        vocab = self.llama.vocab
        text = TextStream(vocab)
        for token in self.tokens:
            if vocab.is_eog(token):
                self.finish_reason = "stop"
                break
            self.n_tokens += 1
            yield self.stop.push(text.push(token))
            if self.stop.is_found:
                self.finish_reason = "stop"
                return
            if self.n_tokens == self.limit:
                break
        else:  # the stopping criteria said so
            self.finish_reason = "stop"
        yield self.stop.flush()


class StopText:
    """Text up to the first of some stop texts; what may be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = [stop for stop in stops if stop]
        self.is_found = False
        self._held = ""

    def push(self, text: str) -> str:
        """What can be shown now."""
        held = self._held + text
        found = [at for stop in self.stops if (at := held.find(stop)) >= 0]
        if found:
            self.is_found, self._held = True, ""
            return held[: min(found)]
        n = max((n for stop in self.stops for n in range(1, len(stop)) if held.endswith(stop[:n])), default=0)
        self._held = held[len(held) - n :]
        return held[: len(held) - n]

    def flush(self) -> str:
        """What was held back in vain."""
        held, self._held = self._held, ""
        return held
