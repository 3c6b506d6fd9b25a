"""Completing a prompt: what `llamakit run` does, by llama.cpp's rules for length, context and stopping."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamakit.core.engine.generate import Finish, SelfExtend, Session, draw, prefill
from llamakit.core.engine.rope_overrides import RopeParams
from llamakit.core.engine.timings import Clock, Timings
from llamakit.core.vocab.stream import TextStream
from llamakit.errors import LlamakitError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import Model
    from llamakit.core.sampling.chain import Constraint, Sampler
    from llamakit.core.sampling.params import SamplingParams
    from llamakit.core.vocab.base import Vocab
    from llamakit.tools.prompt_cache import PromptCache

CONTEXT_MARGIN = 4  # cells a prompt must leave free, as in llama.cpp
DEFAULT_CONTEXT = 4096  # unless asked for more: the trained length of a new model can take more memory than there is
ENDLESS, UNTIL_CONTEXT_IS_FULL = -1, -2

Report = Callable[[str, int, int], None]  # stage, done, total


class PromptError(LlamakitError):
    """A prompt that cannot be run as it is."""


@dataclass(frozen=True, slots=True)
class ContextParams:
    """How to load a model and how much of it to compute at once; None leaves the choice to the engine."""

    n_ctx: int | None = None  # 0: the trained length
    n_batch: int = 2048
    n_ubatch: int = 512
    n_threads: int | None = None
    n_threads_batch: int | None = None
    type_k: str = "f16"
    type_v: str = "f16"
    use_mmap: bool = True
    overrides: Mapping[str, int | float | bool | str] = field(default_factory=dict)
    rope: RopeParams = field(default_factory=RopeParams)
    adapters: tuple[tuple[str, float], ...] = ()  # files of LoRA adapters, and their scales
    control_vectors: tuple[tuple[str, float], ...] = ()  # files of control vectors, and theirs
    control_layers: tuple[int, int | None] = (1, None)  # first and last, for all of them

    def load(self, path: str | Path) -> Model:
        """The model at `path`, its metadata and rotations as asked for."""
        from llamakit.core.engine.load import load_model

        return load_model(path, overrides={**self.overrides, **self.rope.overrides(path)}, use_mmap=self.use_mmap)

    def adapt(self, context: Context) -> None:
        """Let a context compute with the adapters and control vectors. Raises GGUFError or ModelError."""
        if self.adapters:
            from llamakit.core.engine.adapters import load_adapter

            context.set_adapters([(load_adapter(adapter), scale) for adapter, scale in self.adapters])
        if self.control_vectors:
            from llamakit.core.engine.steering import load_control_vector, sum_of

            vectors = [(load_control_vector(vector), scale) for vector, scale in self.control_vectors]
            context.set_directions(sum_of(vectors, context.model.hparams.n_embd, *self.control_layers))


@dataclass(frozen=True, slots=True)
class CompletionParams:
    n_predict: int = ENDLESS
    n_keep: int = 0  # prompt tokens kept on a context shift; negative: all
    context_shift: bool = False
    stop: tuple[str, ...] = ()
    show_special: bool = False
    extend: SelfExtend | None = None  # then a full context ends the text: nothing is shifted


class Completion:
    """The continuation of one prompt in one context; `timings` and `finish` tell what happened.

    With a prompt cache, `save` must follow when the text has ended, or was interrupted. Raises StateError for a cache
    of something else.
    """

    def __init__(
        self,
        context: Context,
        vocab: Vocab,
        sampler: Sampler,
        params: CompletionParams,
        cache: PromptCache | None = None,
    ) -> None:
        self.context, self.vocab, self.sampler, self.params, self.cache = context, vocab, sampler, params, cache
        self.session = Session(context, vocab, sampler, self.text_stream(), extend=params.extend)
        if cache is not None:
            cache.load(self.session)

    @property
    def timings(self) -> Timings:
        return self.session.timings

    @property
    def finish(self) -> Finish | None:
        return self.session.finish

    @property
    def n_ctx_train(self) -> int:
        return self.context.model.n_ctx_train

    @property
    def why_full(self) -> str:
        """Why a full context has ended the text."""
        if self.params.extend is not None:
            return "self-extend shifts nothing"
        return f"n_predict == {self.params.n_predict}" if self.params.context_shift else "context shift is disabled"

    def encode(self, text: str | bytes) -> list[int]:
        """The prompt's tokens. Raises PromptError where there are none, or more than the context holds."""
        if self.cache is not None:
            tokens = self.cache.encode(self.vocab, text)
        else:
            tokens = self.vocab.encode(text, add_special=True, parse_special=True)
        if not tokens:
            raise PromptError("input is empty: give a prompt with -p, -f or on standard input")
        most = self.context.n_ctx - CONTEXT_MARGIN
        if len(tokens) > most:
            raise PromptError(f"prompt is too long ({len(tokens)} tokens, max {most}); -c sets the context length")
        return tokens

    def run(self, prompt: Sequence[int]) -> Iterator[str]:
        """Yield the text that follows `prompt`, piece by piece; closing the iterator cancels."""
        params, session, cache, seen = self.params, self.session, self.cache, ""
        if params.context_shift and params.n_predict != UNTIL_CONTEXT_IS_FULL and params.extend is None:
            session.n_keep = self.n_keep(len(prompt))
        logits = prefill(session, prompt if cache is None else cache.begin(session, prompt))
        if cache is not None:
            cache.save_prompt(session)
        for piece in draw(session, logits, params.n_predict):
            yield piece.text
            if params.stop:
                seen = (seen + piece.text)[-2 * max(map(len, params.stop)) - len(piece.text) :]
                if any(stop in seen for stop in params.stop):
                    session.finish = Finish.STOP_TEXT
                    return
        yield session.text.flush()

    def save(self) -> None:
        """Keep what the prompt cache wants. Raises what has gone wrong with it, now or after the prompt."""
        if self.cache is not None:
            self.cache.save(self.session)

    def text_stream(self) -> TextStream:
        return TextStream(self.vocab, special=self.params.show_special)

    def text_of(self, tokens: Sequence[int]) -> str:
        stream = self.text_stream()
        return "".join([*map(stream.push, tokens), stream.flush()])

    def n_keep(self, n_prompt: int) -> int:
        wanted = self.params.n_keep
        if wanted < 0 or wanted > n_prompt:
            return n_prompt
        return wanted + (1 if self.vocab.add_bos else 0)


def timing_lines(timings: Timings) -> list[str]:
    """What llama.cpp prints after a run, in its shape; the total runs until now."""

    def rate(label: str, clock: Clock, unit: str) -> str:
        per_token = 1e3 * clock.seconds / max(clock.n_tokens, 1)
        speed = clock.n_tokens / clock.seconds if clock.seconds else 0.0
        return (
            f"{label:>16} = {1e3 * clock.seconds:10.2f} ms / {clock.n_tokens:5d} {unit:<6} "
            f"({per_token:8.2f} ms per token, {speed:8.2f} tokens per second)"
        )

    total = 1e3 * (time.perf_counter() - timings.started)
    lines = [
        f"{'sampling time':>16} = {1e3 * timings.sample.seconds:10.2f} ms / {timings.sample.n_tokens:5d} tokens",
        f"{'load time':>16} = {1e3 * timings.load:10.2f} ms",
        rate("prompt eval time", timings.prefill, "tokens"),
        rate("eval time", timings.step, "runs"),
        f"{'total time':>16} = {total:10.2f} ms / {timings.prefill.n_tokens + timings.step.n_tokens:5d} tokens",
    ]
    return [f"common_perf_print: {line}" for line in lines]


@contextmanager
def open_completion(
    path: str | Path,
    context_params: ContextParams,
    sampling: SamplingParams | Callable[[Mapping[str, Any]], SamplingParams],
    params: CompletionParams,
    report: Report | None = None,
    cache: PromptCache | None = None,
    constrain: Callable[[Vocab], Constraint] | None = None,
) -> Iterator[Completion]:
    """Load the model at `path` and make it ready to complete one prompt; all is released at the end.

    `sampling` may follow from the model's metadata. `constrain` makes of its vocabulary what says which tokens may
    come: a grammar.
    """
    from llamakit.core.engine.context import Context
    from llamakit.core.sampling.chain import Sampler

    started = time.perf_counter()
    with ExitStack() as opened:
        p = context_params
        model = p.load(path)
        opened.callback(model.close)
        context = Context(
            model,
            n_ctx=context_length(p.n_ctx, model.n_ctx_train),
            n_batch=p.n_batch,
            n_ubatch=p.n_ubatch,
            n_threads=p.n_threads,
            n_threads_batch=p.n_threads_batch,
            type_k=p.type_k,
            type_v=p.type_v,
            report=report,
        )
        opened.callback(context.close)
        p.adapt(context)
        constraint = constrain(model.vocab) if constrain else None
        drawing = sampling(model.metadata) if callable(sampling) else sampling
        sampler = Sampler(drawing, model.n_vocab, model.vocab.eog_ids, constraint=constraint, vocab=model.vocab)
        completion = Completion(context, model.vocab, sampler, params, cache)
        completion.timings.started, completion.timings.load = started, time.perf_counter() - started
        yield completion


def context_length(wanted: int | None, trained: int) -> int:
    if wanted is None:
        return min(DEFAULT_CONTEXT, trained)
    return wanted or trained
