"""The parameters of /generate, checked with text-generation-inference's own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llamakit.core.chat.output.constraint import Constraint
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.regex_rules import regex_rules
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.core.grammar.schema_document import load
from llamakit.core.sampling.params import RANDOM_SEED, SamplingParams
from llamakit.core.sampling.seed import choose_seed
from llamakit.server.generation.field import Anything, Body, FieldError, Flag, Number, Text, Texts, Whole
from llamakit.server.models.served import Served
from llamakit.server.tgi.errors import Invalid
from llamakit.server.tgi.limits import GenerateLimits

BEST_OF = Whole("best_of", "Texts to write, of which the likeliest is the answer.")
TEMPERATURE = Number("temperature", "How random the text is.")
REPETITION = Number("repetition_penalty", "Penalty of tokens that were there before; 1: none.")
FREQUENCY = Number("frequency_penalty", "Penalty of a token by its share of the tokens so far; 0: none.")
TOP_K = Whole("top_k", "Keep the k likeliest tokens.")
TOP_P = Number("top_p", "Keep the smallest set of tokens with this probability.")
TYPICAL_P = Number("typical_p", "Keep the most typical tokens up to this probability.")
DO_SAMPLE = Flag("do_sample", "Draw tokens; so it is too where one of temperature, top_k, top_p, typical_p is given.")
MAX_NEW_TOKENS = Whole("max_new_tokens", "Most tokens to write; without it, as many as there is room for.")
FULL_TEXT = Flag("return_full_text", "Put the prompt before the text.")
STOP = Texts("stop", "Texts at which the answer ends; they are part of it.")
TRUNCATE = Whole("truncate", "Keep only so many tokens of the prompt, the last ones.")
WATERMARK = Flag("watermark", "Make the text one that can be told from others.")
DETAILS = Flag("details", "Tell the tokens and why the text ended.")
INPUT_DETAILS = Flag("decoder_input_details", "Tell the prompt's tokens too.")
SEED = Whole("seed", "Seed of the random numbers.", least=0, most=2**64 - 1)
TOP_N = Whole("top_n_tokens", "Tell so many of the likeliest tokens in each place.")
GRAMMAR = Anything("grammar", "What the text must be: type json, regex or json_schema, and its value.",
                   types=("object",))  # fmt: skip
ADAPTER = Text("adapter_id", "A LoRA adapter of the server, by its name or number.")
PARAMETERS = (
    BEST_OF, TEMPERATURE, REPETITION, FREQUENCY, TOP_K, TOP_P, TYPICAL_P, DO_SAMPLE, MAX_NEW_TOKENS, FULL_TEXT, STOP,
    TRUNCATE, WATERMARK, DETAILS, INPUT_DETAILS, SEED, TOP_N, GRAMMAR, ADAPTER,
)  # fmt: skip
NAMES = {field.name for field in PARAMETERS}
ORDER = ("penalties", "temperature", "top_k", "top_p", "typ_p")
ALL = -1


@dataclass(frozen=True)
class Parameters:
    sampling: SamplingParams
    seed: int | None  # in force; None where tokens are not drawn
    constraint: Constraint | None
    adapters: tuple[tuple[int, float], ...] | None
    stop: tuple[str, ...]
    best_of: int
    max_new_tokens: int | None  # None: as many as there is room for
    truncate: int | None
    top_n_tokens: int
    has_details: bool
    has_input_details: bool
    returns_full_text: bool

    @property
    def is_plain(self) -> bool:
        """Whether tokens come from the model's own probabilities."""
        p = self.sampling
        own = p.temperature in (0, 1) and p.top_k == 0 and p.top_p >= 1 and p.typical_p >= 1
        return own and not p.has_penalties and not p.has_watermark and self.constraint is None


def read_parameters(body: Body, served: Served, limits: GenerateLimits, is_stream: bool) -> Parameters:
    """Raises Invalid, or FieldError for a value of another type."""
    best_of = BEST_OF.read(body)
    given = [field.read(body) for field in (TEMPERATURE, TOP_K, TOP_P, TYPICAL_P)]
    is_sampled = DO_SAMPLE.read(body) or any(value is not None for value in given)
    seed = SEED.read(body)
    stop, top_n = STOP.read(body) or (), TOP_N.read(body)
    has_input_details = INPUT_DETAILS.read(body) or False
    check_best_of(best_of, seed, is_sampled, is_stream, limits)
    if has_input_details and is_stream:
        raise Invalid("`decoder_input_details` == true is not supported when streaming tokens")
    if len(stop) > limits.max_stop_sequences:
        raise Invalid(f"`stop` supports up to {limits.max_stop_sequences} stop sequences. Given: {len(stop)}")
    if top_n is not None and not 0 <= top_n <= limits.max_top_n_tokens:
        raise Invalid(f"`top_n_tokens` must be >= 0 and <= {limits.max_top_n_tokens}. Given: {top_n}")
    max_new_tokens, truncate = MAX_NEW_TOKENS.read(body), TRUNCATE.read(body)
    if max_new_tokens is not None and max_new_tokens <= 0:
        raise Invalid("`max_new_tokens` must be strictly positive")
    most = limits.input_tokens(served)
    if truncate is not None and not 0 < truncate <= most:
        raise Invalid(f"`truncate` must be strictly positive and less than {most}. Given: {truncate}")
    chosen = choose_seed(None if seed is None else seed % RANDOM_SEED) if is_sampled else None
    return Parameters(
        read_sampling(body, served, limits, chosen),
        chosen if seed is None else seed,
        read_grammar(body, limits),
        read_adapter(body, served),
        tuple(text for text in stop if text),
        best_of or 1,
        max_new_tokens,
        truncate,
        top_n or 0,
        (DETAILS.read(body) or False) or has_input_details,
        has_input_details,
        FULL_TEXT.read(body) or False,
    )


def check_best_of(
    best_of: int | None, seed: int | None, is_sampled: bool, is_stream: bool, limits: GenerateLimits
) -> None:
    if best_of is None:
        return
    if not 0 < best_of <= limits.max_best_of:
        raise Invalid(f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}")
    if best_of == 1:
        return
    if not is_sampled:
        raise Invalid("you must use sampling when `best_of` is > 1")
    if seed is not None:
        raise Invalid("`seed` must not be set when `best_of` > 1")
    if is_stream:
        raise Invalid("`best_of` != 1 is not supported when streaming tokens")


def read_sampling(body: Body, served: Served, limits: GenerateLimits, seed: int | None) -> SamplingParams:
    """The chain; without a seed, that of the likeliest tokens."""
    temperature, top_k = positive(TEMPERATURE, body), positive(TOP_K, body)
    frequency = FREQUENCY.read(body) or 0.0
    if not -2 <= frequency <= 2:
        raise Invalid("`frequency_penalty` must be >= -2.0 and <= 2.0")
    return SamplingParams(
        samplers=ORDER,
        seed=seed,
        temperature=0.0 if seed is None else temperature or 1.0,
        top_k=int(top_k or 0),
        top_p=share(TOP_P, body),
        min_p=0.0,
        typical_p=share(TYPICAL_P, body),
        repeat_penalty=positive(REPETITION, body) or 1.0,
        repeat_last_n=ALL,
        frequency_penalty=frequency,
        frequency_is_share=True,
        watermark_gamma=limits.watermark_gamma,
        watermark_delta=limits.watermark_delta if WATERMARK.read(body) else 0.0,
        logit_bias=served.sampling.logit_bias,
    )


def positive(field: Number | Whole, body: Body) -> float | None:
    value = field.read(body)
    if value is not None and value <= 0:
        raise Invalid(f"`{field.name}` must be strictly positive")
    return value


def share(field: Number, body: Body) -> float:
    value = field.read(body)
    if value is None:
        return 1.0
    if not 0 < value < 1:
        raise Invalid(f"`{field.name}` must be > 0.0 and < 1.0")
    return value


def read_grammar(body: Body, limits: GenerateLimits) -> Constraint | None:
    if (found := GRAMMAR.find(body)) is None:
        return None
    if not limits.has_grammar:
        raise Invalid("grammar is not supported")
    _, grammar = found
    if not isinstance(grammar, dict) or "value" not in grammar:
        raise FieldError(GRAMMAR.name, "must be an object with type and value")
    kind, value = grammar.get("type"), grammar["value"]
    try:
        if kind == "regex":
            if not isinstance(value, str):
                raise FieldError("grammar.value", "must be a text")
            return Constraint(regex_rules(value), None)
        if kind == "json_schema" and isinstance(value, dict):
            value = value.get("schema")
        elif kind not in ("json", "json_object"):
            raise FieldError("grammar.type", "must be json, regex or json_schema")
        return Constraint(closed_rules(checked_schema(value)), None)
    except GrammarError as error:
        raise Invalid(f"grammar is not valid: {error}") from None


def checked_schema(value: Any) -> Any:
    schema = load(value) if isinstance(value, str) else value
    if not isinstance(schema, dict) or "properties" not in schema:
        raise Invalid("grammar is not valid: Grammar must have a 'properties' field")
    return schema


def read_adapter(body: Body, served: Served) -> tuple[tuple[int, float], ...] | None:
    """An adapter by its number, or the name of its file with or without the suffix."""
    wanted = ADAPTER.read(body)
    if not wanted:
        return None
    for i, (path, _) in enumerate(served.info.adapters):
        name = path.rsplit("/", 1)[-1]
        if wanted in (str(i), path, name, name.removesuffix(".gguf")):
            return ((i, 1.0),)
    raise Invalid(f"adapter_id: there is no adapter {wanted[:80]!r}")
