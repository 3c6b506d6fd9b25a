"""Texts as vectors, under llama-cpp-python's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llamakit.api.arguments import listed, token_ids
from llamakit.core.engine.pooling import EUCLID, NONE, Pooling, pooling_of
from llamakit.core.engine.scheduler import EmbeddingRequest
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama

Vector = list[float] | list[list[float]]  # a text's, or each of its tokens'
UNSPECIFIED = -1


def parse_pooling(value: int) -> Pooling | None:
    """llama.cpp's number of a pooling; None for -1, what the file says. Raises UsageError for any other."""
    if value == UNSPECIFIED:
        return None
    try:
        return Pooling(value)
    except ValueError:
        kinds = ", ".join(f"{kind.value} {kind.name.lower()}" for kind in Pooling)
        raise UsageError(f"pooling_type is {value}; it can be -1 (the model's own), {kinds}") from None


def embed(
    llama: Llama, texts: Sequence[str | Sequence[int]], normalize: bool | int, truncate: bool
) -> tuple[list[Vector], int]:
    """A vector for each text, or for each of its tokens without pooling, and the number of tokens.

    All texts are computed in one batch, as far as they fit. Raises UsageError where the model was not opened with
    embedding=True, for an empty text, and for one that is too long, unless it may be cut.
    """
    if not llama.embedding:
        raise UsageError("Llama model must be created with embedding=True to call this method")
    norm = (EUCLID if normalize else NONE) if isinstance(normalize, bool) else normalize
    requests = []
    for i, text in enumerate(listed("input", texts, "texts")):
        tokens = llama.vocab.encode(text) if isinstance(text, str) else token_ids(f"input[{i}]", text)
        if len(tokens) > llama.n_batch and not truncate:
            raise UsageError(f"Requested tokens ({len(tokens)}) exceed batch size of {llama.n_batch}")
        requests.append(EmbeddingRequest(tuple(tokens[: llama.n_batch]), llama.pooling, norm))
    jobs = llama.shared.submit_embeddings(requests)
    try:
        vectors: list[Vector] = [job.vector().tolist() for job in jobs]
    finally:
        for job in jobs:
            job.cancel()
    return vectors, sum(len(request.tokens) for request in requests)


def create_embedding(llama: Llama, texts: Sequence[str | Sequence[int]], model: str | None) -> dict[str, Any]:
    """The same in OpenAI's shape."""
    vectors, n_tokens = embed(llama, texts, normalize=False, truncate=True)
    data = [{"object": "embedding", "embedding": vector, "index": i} for i, vector in enumerate(vectors)]
    usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    return {"object": "list", "data": data, "model": model or llama.model_path, "usage": usage}


def pooling_name(llama: Llama) -> str:
    kind = llama.pooling or pooling_of(llama.model)
    return kind.name.lower()
