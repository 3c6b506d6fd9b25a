"""Texts to vectors with a model file, and how alike they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamakit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from llamakit.core.engine.load import Model
    from llamakit.core.engine.pooling import Pooling
    from llamakit.core.vocab.base import Vocab

    Floats = npt.NDArray[np.float32]
    Report = Callable[[str, int, int], None]

USUAL_CONTEXT = 512  # positions, where no text needs more
RERANK_KEY = "tokenizer.chat_template.rerank"


@dataclass(frozen=True)
class EmbedParams:
    """How `embed` opens a model and what it makes; None stands for what the file says."""

    model: str
    n_ctx: int = 0  # 0: enough for the longest text
    n_threads: int | None = None
    pooling: str | None = None  # none, mean, cls, last or rank
    norm: int = 2  # see `core.engine.pooling`
    is_causal: bool | None = None
    pair_separator: str = "\t"  # between query and document, for pooling rank
    overrides: Mapping[str, Any] = field(default_factory=dict)
    use_mmap: bool = True


@dataclass(frozen=True)
class Embedded:
    """One vector a text or, without pooling, a token; with pooling rank, scores, named by `labels` or by none."""

    vectors: Floats
    n_tokens: list[int]
    pooling: Pooling
    labels: list[str]


def embed(params: EmbedParams, texts: list[str], report: Report | None = None) -> Embedded:
    """Vectors of all texts. Raises UsageError for a text without tokens or beyond the context, and `Model`'s errors."""
    import numpy as np

    from llamakit.core.engine.embed import Embedder
    from llamakit.core.engine.load import load_model
    from llamakit.core.engine.pooling import Pooling, pooling_of

    with load_model(params.model, params.overrides, params.use_mmap) as model:
        pooling = pooling_of(model) if params.pooling is None else find_pooling(params.pooling)
        separator = params.pair_separator if pooling is Pooling.RANK else None
        tokens = [tokens_of(model, text, separator) for text in texts]
        longest = max(map(len, tokens), default=1)
        n_ctx = params.n_ctx or max(longest, min(USUAL_CONTEXT, model.n_ctx_train))
        with Embedder(
            model,
            pooling=pooling,
            n_ctx=n_ctx,
            n_threads=params.n_threads,
            is_causal=params.is_causal,
            report=report,
        ) as embedder:
            parts = []
            for vector in embedder.vectors(tokens, params.norm):
                parts.append(np.atleast_2d(vector))
                if report:
                    report("embed", len(parts), len(tokens))
            vectors = np.concatenate(parts) if parts else np.zeros((0, embedder.width), np.float32)
            return Embedded(vectors, [len(ids) for ids in tokens], embedder.pool.kind, embedder.pool.labels)


def find_pooling(name: str) -> Pooling:
    """By its name in any case. Raises UsageError for another."""
    from llamakit.core.engine.pooling import Pooling

    if name.upper() not in Pooling.__members__:
        raise UsageError(f"pooling {name!r}: it can be {', '.join(Pooling.__members__).lower()}")
    return Pooling[name.upper()]


def tokens_of(model: Model, text: str, separator: str | None = None) -> list[int]:
    """A text's tokens with what the model wants around it; a query and a document (separated) joined as it wants."""
    if separator and separator in text:
        text = joined(text.split(separator), model.metadata.get(RERANK_KEY), model.vocab)
    return model.vocab.encode(text, add_special=True, parse_special=True)


def joined(parts: list[str], template: object, vocab: Vocab) -> str:
    """By the file's template for rerankers, or with the tokens that end a text and separate texts between them."""
    if isinstance(template, str):
        return template.replace("{query}", parts[0]).replace("{document}", parts[1])
    ends = [vocab.eos_id if vocab.add_eos else None, vocab.sep_id if vocab.frame.add_sep else None]
    pieces = [vocab.piece(token, special=True) for token in ends if token is not None]
    return b"".join(pieces).decode("utf-8", errors="replace").join(parts)


def cosines(vectors: Floats) -> npt.NDArray[np.float64]:
    """How alike vectors are, 1 for the same direction; zeros are alike among themselves.   (n, width) -> (n, n)"""
    import numpy as np

    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
    units = vectors / np.where(lengths > 0, lengths, 1)[:, None]
    alike: npt.NDArray[np.float64] = units @ units.T
    is_zero = lengths == 0
    return np.where(np.outer(is_zero, is_zero), 1.0, alike)
