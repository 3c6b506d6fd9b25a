"""Values of a model while it computes a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamakit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from llamakit.core.engine.context import Context

    Floats = npt.NDArray[np.float32]
    Report = Callable[[str, int, int], None]

LAYERS = "blk.*.out"


@dataclass(frozen=True)
class LookParams:
    """How a model is opened to look into it."""

    model: str
    n_ctx: int = 0  # 0: as many positions as the prompt has
    n_threads: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    use_mmap: bool = True
    is_exact: bool = True  # keys and values in float32


@dataclass(frozen=True)
class Seen:
    """Values by name: float32 (n_tokens, width); of attention weights (n_head, n_tokens, n_tokens)."""

    tokens: list[int]
    pieces: list[str]
    values: dict[str, Floats]


@dataclass(frozen=True)
class Guess:
    """The likeliest next token after some layer, and its probability."""

    token: int
    text: str
    probability: float


@dataclass(frozen=True)
class Size:
    """How large the numbers of a value are."""

    rms: float
    mean: float
    least: float
    largest: float


def size_of(value: Floats) -> Size:
    import numpy as np

    wide = value.astype(np.float64)
    return Size(float(np.sqrt(np.mean(wide * wide))), float(wide.mean()), float(wide.min()), float(wide.max()))


def value_names(params: LookParams) -> list[str]:
    """The names that a model's values have, in the order they are computed."""
    from llamakit.core.engine.load import load_model
    from llamakit.core.engine.trace import attention_names
    from llamakit.core.graph.names import name_nodes

    with load_model(params.model, params.overrides, params.use_mmap) as model:
        nodes = name_nodes(model.decoder.logits(params.n_ctx or model.n_ctx_train), model.decoder.layer_outputs)
        return sorted([*nodes, *attention_names(nodes)], key=place)


def write(seen: Seen, path: str) -> None:
    """Values by name, and `tokens`, as a NumPy archive: whole or not at all.

    Raises GGUFError for what the system refuses.
    """
    import io

    import numpy as np

    from llamakit.core.gguf.output import write_file

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"tokens": np.array(seen.tokens, np.int32), **seen.values}
    np.savez(buffer, **arrays)
    write_file(path, buffer.getbuffer())


ORDER = (
    "attn_norm", "attn_q", "attn_k", "attn_v", "q", "k", "v", "attn_weights", "attn_heads", "attn_output", "ffn_inp",
    "ffn_norm", "ffn_gate", "ffn_up", "ffn_down", "ffn_moe_out", "out",
)  # fmt: skip


def place(name: str) -> tuple[int, int, str]:
    """About where in a model a value is computed."""
    parts = name.split(".")
    if parts[0] != "blk":
        return (-1 if name == "token_embd" else 1 << 30, 0, name if name != "output" else "~")
    return int(parts[1]), ORDER.index(parts[-1]) if parts[-1] in ORDER else len(ORDER) // 2, name


def open_to_look(params: LookParams, n_tokens: int, report: Report | None = None) -> Context:
    """A context whose one ubatch takes n_tokens; close its model, too. Raises `Model`'s and `Context`'s errors."""
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import load_model

    kind = "f32" if params.is_exact else "f16"
    n_ctx = max(params.n_ctx, n_tokens)
    return Context(
        load_model(params.model, params.overrides, params.use_mmap), n_ctx=n_ctx, n_ubatch=min(512, n_ctx),
        n_threads=params.n_threads, type_k=kind, type_v=kind, report=report,
    )  # fmt: skip


def look(context: Context, tokens: Sequence[int], patterns: Sequence[str]) -> dict[str, Floats]:
    """What the patterns name (see `core/graph/names.py`), of all tokens. The sequence is forgotten afterwards.

    Raises UsageError for a pattern that names nothing.
    """
    from llamakit.core.engine.context import Chunk, Outputs
    from llamakit.core.engine.trace import Trace

    try:
        with Trace(context, *patterns) as trace:
            context.decode([Chunk(tokens, 0, Outputs.ALL)])
    finally:
        context.truncate(0)
    return {name: trace[name] for name in trace.names}


def trace_prompt(
    params: LookParams, prompt: str | Sequence[int], patterns: Sequence[str], report: Report | None = None
) -> Seen:
    """Values of a prompt, given as a text or as token ids."""
    tokens = encode(params, prompt)
    with open_to_look(params, len(tokens), report) as context, context.model as model:
        values = look(context, tokens, patterns)
        return Seen(tokens, pieces(model.vocab, tokens), values)


def lens(
    params: LookParams, prompt: str | Sequence[int], n_best: int = 1, report: Report | None = None
) -> tuple[list[str], dict[str, list[list[Guess]]]]:
    """The logit lens: what each layer, taken for the last, would say after each token.

    -> the prompt's pieces; by layer, for each token the n_best likeliest
    """
    from llamakit.core.engine.lens import logit_lens

    tokens = encode(params, prompt)
    with open_to_look(params, len(tokens), report) as context, context.model as model:
        guesses = {}
        for name, states in look(context, tokens, [LAYERS]).items():
            guesses[name] = [best(row, n_best, model.vocab) for row in logit_lens(context, states)]
        return pieces(model.vocab, tokens), guesses


def best(logits: Floats, n: int, vocab: Any) -> list[Guess]:
    import numpy as np

    from llamakit.core.sampling.logprobs import top_logprobs

    ids, scores = top_logprobs(logits, n)
    return [Guess(int(i), shown(vocab, int(i)), float(p)) for i, p in zip(ids, np.exp(scores), strict=True)]


def encode(params: LookParams, prompt: str | Sequence[int]) -> list[int]:
    """A prompt's tokens. Raises UsageError where there are none."""
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.core.vocab.base import load_vocab

    tokens = [] if isinstance(prompt, str) else list(prompt)
    if isinstance(prompt, str) and prompt:
        with GGUFReader(params.model) as reader:
            tokens = load_vocab({**reader.metadata, **params.overrides}).encode(prompt, parse_special=True)
    if not tokens:
        raise UsageError("the prompt is empty: there is nothing to look at")
    return tokens


def pieces(vocab: Any, tokens: Sequence[int]) -> list[str]:
    return [shown(vocab, token) for token in tokens]


def shown(vocab: Any, token: int) -> str:
    """A token's text, control tokens too; a part of a character as U+FFFD."""
    return str(vocab.piece(token, special=True).decode("utf-8", "replace"))
