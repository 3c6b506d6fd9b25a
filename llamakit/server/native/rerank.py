"""/rerank: how well documents fit a query, in the form of Jina's API or of text-embeddings-inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.server.errors import Refused
from llamakit.server.generation.field import Anything, Body, FieldError, Flag, Text, Whole
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.fields import IDLE, MODEL
from llamakit.server.respond import ignored, json_object, unless_gone

QUERY = Text("query", "What the documents should fit.")
DOCUMENTS = Anything("documents", "Texts.", types=("array",), items={"type": "string"})
TEXTS = Anything("texts", "The same; the answer is then of text-embeddings-inference's form.",
                 types=("array",), items={"type": "string"})  # fmt: skip
TOP_N = Whole("top_n", "How many to tell, the best ones; without it, all.", least=0)
RETURN_TEXT = Flag("return_text", "Tell the texts too, where they were called texts.")
RERANK_FIELDS = (QUERY, DOCUMENTS, TEXTS, TOP_N, RETURN_TEXT)
NAMES = {field.name for field in RERANK_FIELDS} | {MODEL.name, "return_documents", "raw_scores", "truncate"} | IDLE
MOST_DOCUMENTS = 4096
UNSCALED = -1  # a score is no vector


@dataclass(frozen=True)
class Ask:
    texts: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]  # query and document
    top_n: int
    is_tei: bool
    returns_text: bool
    model: str


async def rerank(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    if not served.settings.reranking:
        raise Refused(501, "This server does not support reranking. Start it with `--reranking`")
    ask = await run_in_threadpool(read, body, served)
    vectors = await unless_gone(request, served.engine.embed(ask.tokens, UNSCALED))
    scores = [float(vector.ravel()[0]) for vector in vectors]
    return JSONResponse(told(ask, scores), headers=ignored(sorted(body.keys() - NAMES)))


def read(body: Body, served: Served) -> Ask:
    query = QUERY.read(body)
    if query is None:
        raise FieldError(QUERY.name, '"query" must be provided')
    found = DOCUMENTS.find(body) or TEXTS.find(body)
    texts = None if found is None else found[1]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise FieldError("documents" if found is None else found[0], '"documents" must be a non-empty string array')
    if len(texts) > MOST_DOCUMENTS:
        raise FieldError(DOCUMENTS.name, f"has {len(texts)} texts, at most {MOST_DOCUMENTS} are possible")
    top_n = TOP_N.read(body)
    return Ask(
        tuple(texts),
        tuple(rank_tokens(served, query, text) for text in texts),
        len(texts) if top_n is None else top_n,
        "texts" in body,
        RETURN_TEXT.read(body) or False,
        MODEL.read(body) or served.name,
    )


def rank_tokens(served: Served, query: str, document: str) -> tuple[int, ...]:
    """[BOS] query [EOS] [SEP] document [EOS], each as the vocabulary wants it; or as a template of the file says."""
    vocab = served.vocab
    template = served.metadata.get("tokenizer.chat_template.rerank")
    if isinstance(template, str):
        text = template.replace("{query}", query).replace("{document}", document)
        return tuple(vocab.encode(text, add_special=False, parse_special=True))
    bos = [vocab.bos_id] if vocab.add_bos else []
    eos = [vocab.sep_id if vocab.eos_id is None else vocab.eos_id] if vocab.add_eos else []
    sep = [vocab.sep_id] if vocab.add_sep else []
    texts = (vocab.encode(text, add_special=False) for text in (query, document))
    first, second = texts
    return tuple(token for token in (*bos, *first, *eos, *sep, *second, *eos) if token is not None)


def told(ask: Ask, scores: Sequence[float]) -> Any:
    """The best first."""
    label = "score" if ask.is_tei else "relevance_score"
    order = sorted(range(len(scores)), key=lambda i: -scores[i])[: ask.top_n]
    results: list[dict[str, Any]] = [{"index": i, label: scores[i]} for i in order]
    if ask.is_tei:
        return [{**result, "text": ask.texts[result["index"]]} for result in results] if ask.returns_text else results
    n_tokens = sum(map(len, ask.tokens))
    usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    return {"model": ask.model, "object": "list", "usage": usage, "results": results}
