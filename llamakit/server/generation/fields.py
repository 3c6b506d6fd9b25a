"""llama-server's fields of a generation: what to sample by, when to stop, what to tell.

Most are a line of a table that says their name, type and limits, from which the documentation is made as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.output.constraint import Constraint
from llamakit.core.sampling.params import SamplingParams
from llamakit.server.generation.field import (
    Anything,
    Body,
    FieldError,
    Flag,
    Number,
    Texts,
    Whole,
    names_of,
    object_schema,
)
from llamakit.server.generation.grammar_fields import GRAMMAR_FIELDS, GrammarSource, read_grammar
from llamakit.server.generation.sampling_fields import SAMPLING_FIELDS, read_sampling
from llamakit.server.generation.speculative import SPECULATIVE_FIELDS, Speculative, read_speculative

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

MOST_STOPS = 1024
FIELDS: tuple[Whole | Number | Flag, ...] = (
    Flag("stream", "Send the text piece by piece."),
    Whole("n_predict", "Most tokens to write; -1: as many as there is room for, 0: only read the prompt.",
          ("max_completion_tokens", "max_tokens"), least=-1),
    Flag("cache_prompt", "Use what an earlier request has left in the cache."),
    Flag("return_tokens", "Give the ids of the tokens too."),
    Flag("return_progress", "In a stream, tell how far the prompt has been read."),
    Flag("timings_per_token", "Give timings with every piece of a stream."),
    Whole("sse_ping_interval", "Seconds of silence after which a stream sends a comment; -1: none.", least=-1),
    Whole("n_indent", "End when a line is indented less.", least=0),
    Whole("n_keep", "Tokens of the prompt that a context shift leaves; -1: all.", least=-1),
    Whole("n_discard", "Tokens that a context shift drops; 0: half of them.", least=0),
    Whole("n_cache_reuse", "Without effect: the cache is used wherever it can be.", least=0),
    Number("t_max_predict_ms", "End after so many milliseconds, once there is a new line; 0: not.", least=-1),
    Whole("n_probs", "Tell the probabilities of so many of the likeliest tokens.", ("logprobs",), least=0),
    Flag("post_sampling_probs", "These are those after all samplers."),
    Whole("id_slot", "The slot to use; -1: any.", ("slot_id",), least=-1),
)  # fmt: skip
STOP = Texts("stop", "Texts that end the generation; they are not part of it.", most=MOST_STOPS, is_single=True)
RESPONSE_FIELDS = Texts("response_fields", "The only fields to answer with; a/b stands for b within a.", most=256)
ADAPTER_SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "integer", "minimum": 0}, "scale": {"type": "number"}},
    "required": ["id"],
}
LORA = Anything("lora", "LoRA adapters, each with id and scale; those not listed have scale 0.",
                types=("array",), items=ADAPTER_SCHEMA)  # fmt: skip
IDLE_FIELDS = (  # known, and without effect here
    Flag("backend_sampling", "Without effect: there is one way to sample."),
    Flag("verbose", "Without effect."),
)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a request says nothing: the server's options, over the model's recommendations."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    n_predict: int = -1
    n_keep: int = 0
    cache_prompt: bool = True
    stop: tuple[str, ...] = ()
    n_cmpl_max: int = 1  # most texts for a prompt: the number of slots
    n_adapters: int = 0
    sse_ping_interval: int = 30
    speculative: str = "none"  # how the server guesses tokens


@dataclass(frozen=True, slots=True)
class CompletionFields:
    """What a request asks for, every value in its limits. Named as llama-server's fields."""

    sampling: SamplingParams
    grammar: GrammarSource
    constraint: Constraint | None
    stop: tuple[str, ...]
    lora: tuple[tuple[int, float], ...] | None  # None: the server's scales
    response_fields: tuple[str, ...]
    n_predict: int
    n_keep: int
    cache_prompt: bool
    sse_ping_interval: int
    n_cmpl: int = 1
    speculative: Speculative = field(default_factory=Speculative)
    stream: bool = False
    return_tokens: bool = False
    return_progress: bool = False
    timings_per_token: bool = False
    n_indent: int = 0
    n_discard: int = 0
    n_cache_reuse: int = 0
    t_max_predict_ms: float = 0
    n_probs: int = 0
    post_sampling_probs: bool = False
    id_slot: int = -1


ALL_FIELDS = (*FIELDS, *SAMPLING_FIELDS, STOP, *GRAMMAR_FIELDS, RESPONSE_FIELDS, LORA, *SPECULATIVE_FIELDS,
              *IDLE_FIELDS)  # fmt: skip
NAMES = names_of(ALL_FIELDS) | {"n_cmpl", "n"}  # that `read_fields` understands


def n_cmpl_field(defaults: Defaults) -> Whole:
    return Whole("n_cmpl", "How many texts to write for each prompt.", ("n",), least=1, most=defaults.n_cmpl_max)


def completion_schema(defaults: Defaults, **others: Any) -> dict[str, Any]:
    """The JSON schema of a body with all of these fields, and others."""
    return object_schema((*ALL_FIELDS, n_cmpl_field(defaults)), **others)


def read_fields(body: Body, defaults: Defaults, vocab: Vocab, *, is_strict: bool = False) -> CompletionFields:
    """The fields of a body, for which `defaults` stand in. It may have others, which are left to the caller.

    Parses grammars and tokenizes texts, so a large body takes its time. Raises FieldError, which names the field;
    GrammarError's reason is within it.
    """
    grammar = GrammarSource.read(body, vocab)
    own: dict[str, Any] = {f.name: value for f in FIELDS if (value := f.read(body, is_strict)) is not None}
    if (n_probs := own.get("n_probs", 0)) > vocab.n_tokens:
        raise FieldError("n_probs", f"Value must be between 0 <= value <= {vocab.n_tokens}, but got {n_probs}")
    for name in ("n_predict", "n_keep", "cache_prompt", "sse_ping_interval"):
        own.setdefault(name, getattr(defaults, name))
    return CompletionFields(
        sampling=read_sampling(body, defaults.sampling, vocab, is_strict=is_strict),
        grammar=grammar,
        constraint=read_grammar(grammar),
        stop=tuple(text for text in STOP.read(body) or () if text) or defaults.stop,
        lora=read_lora(body, defaults.n_adapters),
        response_fields=RESPONSE_FIELDS.read(body) or (),
        n_cmpl=n_cmpl_field(defaults).read(body) or 1,
        speculative=read_speculative(body, defaults.speculative),
        **own,
    )


def read_lora(body: Body, n_adapters: int) -> tuple[tuple[int, float], ...] | None:
    if (found := LORA.find(body)) is None:
        return None
    name, value = found
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise FieldError(name, "must be an array of objects with 'id' and 'scale' fields")
    return tuple(read_adapters(value, n_adapters, name).items())


def read_adapters(entries: list[Mapping[str, Any]], n_adapters: int, param: str) -> dict[int, float]:
    """The scales of adapters by their ids. An id that no adapter has is refused."""
    scales: dict[int, float] = {}
    for i, entry in enumerate(entries):
        try:
            adapter = Whole("id", "").read(entry)
            scale = Number("scale", "").read(entry)
        except FieldError as error:
            raise FieldError(f"{param}.{i}.{error.param}", error.reason) from None
        if adapter is None or not 0 <= adapter < n_adapters:
            have = f"the server has {n_adapters} adapters" + (f", 0 to {n_adapters - 1}" if n_adapters else "")
            raise FieldError(f"{param}.{i}.id", f"there is no adapter {adapter}: {have}")
        scales[adapter] = 0.0 if scale is None else scale
    return scales
