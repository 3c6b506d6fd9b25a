"""Completions in OpenAI's shape, whole or as a stream of chunks."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamakit.api.arguments import a_function, biases, functions, shown, texts, token_ids, whole_number
from llamakit.api.drawing import CallingSampler, Criterion, Processor
from llamakit.api.said import Said, Sayer
from llamakit.api.scores import Scores
from llamakit.core.engine.scheduler import Request
from llamakit.core.sampling.params import RANDOM_SEED, SamplingParams
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.core.grammar.grammar import Grammar
    from llamakit.core.sampling.chain import Constraint


def create_completion(
    llama: Llama,
    prompt: str | Sequence[int],
    suffix: str | None = None,
    max_tokens: int | None = 16,
    temperature: float = 0.8,
    top_p: float = 0.95,
    min_p: float = 0.05,
    typical_p: float = 1.0,
    logprobs: int | None = None,
    echo: bool = False,
    stop: str | Sequence[str] | None = None,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    repeat_penalty: float = 1.0,
    top_k: int = 40,
    stream: bool = False,
    seed: int | None = None,
    tfs_z: float = 1.0,
    mirostat_mode: int = 0,
    mirostat_tau: float = 5.0,
    mirostat_eta: float = 0.1,
    model: str | None = None,
    stopping_criteria: Criterion | None = None,
    logits_processor: Iterable[Processor] | None = None,
    grammar: Grammar | Constraint | None = None,
    logit_bias: Mapping[int, float] | None = None,
) -> dict[str, Any] | Iterator[dict[str, Any]]:
    """Up to max_tokens (None or 0: as many as fit n_ctx) that follow the prompt, a text or token ids.

    With a suffix, what stands between the prompt and it, for models with fill-in-the-middle tokens. The text ends
    before the first of the `stop` texts; `echo` puts the prompt in front; `logprobs` gives each token's, and so many of
    the likeliest; `model` is the name to answer with. A stream gives chunks, the last of which says why it ended.
    Raises UsageError when the prompt is empty or leaves no room, and for arguments of the wrong kind, by their names.
    """
    tokens = prompt_tokens(llama, prompt, suffix)
    room = llama.n_ctx() - len(tokens)
    if not tokens:
        raise UsageError("the prompt is empty, and this model begins texts with no token of its own")
    if room <= 0:
        raise UsageError(f"Requested tokens ({len(tokens)}) exceed context window of {llama.n_ctx()}")
    n_predict = 0 if max_tokens is None else whole_number("max_tokens", max_tokens)
    n_logprobs = None if logprobs is None else whole_number("logprobs", logprobs, least=0)
    a_function("stopping_criteria", stopping_criteria)
    params = llama.sampling_params(SamplingParams(
        top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p, temperature=temperature,
        repeat_penalty=repeat_penalty, frequency_penalty=frequency_penalty, presence_penalty=presence_penalty,
        tfs_z=tfs_z, mirostat=mirostat_mode, mirostat_tau=mirostat_tau, mirostat_eta=mirostat_eta,
        logit_bias=biases(logit_bias),
        seed=llama.next_seed() if seed is None else seed,
    ))  # fmt: skip
    wanted = Wanted(
        tuple(tokens), params, texts("stop", stop), min(n_predict, room) if n_predict > 0 else room,
        functions("logits_processor", logits_processor), stopping_criteria, llama.constraint(grammar), n_logprobs,
        n_prompt_logprobs=n_logprobs if echo else None, is_whole=not stream,
    )  # fmt: skip
    shown = (prompt if isinstance(prompt, str) else llama.detokenize(tokens).decode("utf-8", "replace")) if echo else ""
    offset = 0 if echo or not isinstance(prompt, str) else len(prompt)
    answer = Answer(f"cmpl-{uuid.uuid4()}", int(time.time()), model or llama.model_path, shown, offset)
    sayer = llama.say(wanted)
    return chunks(llama, answer, sayer, n_logprobs) if stream else whole(llama, answer, sayer, n_logprobs)


@dataclass(frozen=True)
class Wanted:
    """A prompt, and how it is continued."""

    tokens: tuple[int, ...]
    params: SamplingParams
    stop: tuple[str, ...] = ()
    n_predict: int = -1
    processors: tuple[Processor, ...] = ()
    criterion: Criterion | None = None
    constraint: Constraint | None = None
    n_logprobs: int | None = None
    n_prompt_logprobs: int | None = None
    show_special: bool = False
    constraint_sleeps: bool = field(default=False)
    is_whole: bool = False  # nothing of it is wanted before the end

    def request(self, llama: Llama) -> Request:
        """For the scheduler. Raises UsageError for what the sampler cannot."""
        vocab = llama.vocab
        sampler = CallingSampler(
            self.params, llama.n_vocab(), vocab.eog_ids, constraint=self.constraint, vocab=vocab,
            processors=self.processors, criterion=self.criterion, constraint_is_lazy=self.constraint_sleeps,
        )  # fmt: skip
        return Request(
            self.tokens, sampler, n_predict=self.n_predict, stop=self.stop, n_logprobs=self.n_logprobs,
            n_prompt_logprobs=self.n_prompt_logprobs, show_special=self.show_special, tells_at_end=self.is_whole,
        )  # fmt: skip


def prompt_tokens(llama: Llama, prompt: str | Sequence[int], suffix: str | None) -> list[int]:
    """The prompt's ids; around a gap where a suffix follows it. Raises UsageError for models that know no gaps."""
    vocab = llama.vocab
    if suffix is None:
        if isinstance(prompt, str):
            return llama.tokenize(prompt.encode("utf-8", "ignore"), special=True)
        return token_ids("prompt", prompt)
    if not isinstance(suffix, str):
        raise UsageError(f"suffix is {shown(suffix)}; it must be a text")
    special = vocab.special
    pre, suf, mid = special.fim_pre, special.fim_suf, special.fim_mid
    if pre is None or suf is None or mid is None:
        raise UsageError("suffix: this model has no tokens for filling in the middle")
    bos = [vocab.bos_id] if vocab.add_bos and vocab.bos_id is not None else []
    before = vocab.encode(prompt, add_special=False) if isinstance(prompt, str) else token_ids("prompt", prompt)
    behind = vocab.encode(suffix, add_special=False)
    if llama.spm_infill:
        return [*bos, suf, *behind, pre, *before, mid]
    return [*bos, pre, *before, suf, *behind, mid]


def following_seed(seed: int) -> int:
    """The seed of the next completion: random if none was chosen, else one that follows from it."""
    if seed in (-1, RANDOM_SEED):
        return RANDOM_SEED
    return random.Random(seed).randint(0, 2**32) % RANDOM_SEED


@dataclass(frozen=True)
class Answer:
    """What all chunks of a completion share. `shown` is the prompt where it is echoed; `offset` where the text of the
    tokens begins, for `text_offset`."""

    id: str
    created: int  # Unix time
    model: str
    shown: str = ""
    offset: int = 0

    def choice(self, text: str, finish_reason: str | None, logprobs: dict[str, Any] | None = None) -> dict[str, Any]:
        choice = {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish_reason}
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
        }


def whole(llama: Llama, answer: Answer, sayer: Sayer, n_logprobs: int | None) -> dict[str, Any]:
    """The completion, when all is said."""
    parts = list(sayer.parts())
    text = answer.shown + "".join(part.text for part in parts)
    logprobs = None
    if n_logprobs is not None:
        scores = Scores(llama.vocab, n_logprobs, answer.offset)
        pieces = [piece for part in parts for piece in part.pieces]
        logprobs = scores.of([*scores.prompt(sayer), *pieces])
    n_prompt, n = len(sayer.request.tokens), sayer.n_tokens
    usage = {"prompt_tokens": n_prompt, "completion_tokens": n, "total_tokens": n_prompt + n}
    return {**answer.choice(text, sayer.finish_reason, logprobs), "usage": usage}


def chunks(llama: Llama, answer: Answer, sayer: Sayer, n_logprobs: int | None) -> Iterator[dict[str, Any]]:
    """Pieces of text as they come; closing the iterator ends the completion."""
    scores = None if n_logprobs is None else Scores(llama.vocab, n_logprobs, answer.offset)

    def logprobs(part: Said) -> dict[str, Any] | None:
        return None if scores is None else scores.of(part.pieces)

    if answer.shown:
        yield answer.choice(answer.shown, None)
    for part in sayer.parts():
        if scores is not None and sayer.prompt_scores is not None:
            scores.of(scores.prompt(sayer))  # the text that was echoed: it counts for the places of what follows
            sayer.prompt_scores = None
        if part.text or (part.pieces and scores is not None):
            yield answer.choice(part.text, None, logprobs(part))
    yield answer.choice("", sayer.finish_reason)
