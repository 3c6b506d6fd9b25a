"""llama-server's own routes, the extras of llama-cpp-python's server, and how the documentation describes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from fastapi import APIRouter, Request, Response

from llamakit.server.errors import Refused
from llamakit.server.generation.chat_fields import CHAT_FIELDS
from llamakit.server.generation.field import Anything, Field
from llamakit.server.generation.fields import ADAPTER_SCHEMA, ALL_FIELDS
from llamakit.server.models.models import Models
from llamakit.server.native import extras
from llamakit.server.native.completion import completion
from llamakit.server.native.embeddings import embedding
from llamakit.server.native.infill import INFILL_FIELDS, can_infill, infill
from llamakit.server.native.lora import get_adapters, set_adapters
from llamakit.server.native.predict import FORMAT, FORMATS, predict
from llamakit.server.native.props import get_props, post_props
from llamakit.server.native.rerank import RERANK_FIELDS, rerank
from llamakit.server.native.slots import FILENAME, get_slots, post_slots
from llamakit.server.native.streams import CONVERSATIONS, delete_stream, get_stream, lookup_streams
from llamakit.server.native.tokens import TOKENS, apply_template, detokenize
from llamakit.server.openai.embeddings import EMBEDDING_FIELDS, NORM
from llamakit.server.openai.fields import MODEL
from llamakit.server.openapi import described_by, document
from llamakit.server.settings import ServerSettings

PROMPT = Anything(
    "prompt",
    "A text, token ids, both mixed, or a list of several such prompts.",
    types=("string", "array", "object"),
)
COMPLETION_FIELDS = (PROMPT, MODEL, *ALL_FIELDS)
Handler = Callable[[Request], Awaitable[Response]]


def native_routes(models: Models, settings: ServerSettings) -> APIRouter:
    """What no served model can is answered with 501, and left out of the documentation."""
    router, served = APIRouter(tags=["llama-server"]), models.served

    def post(
        handler: Handler, fields: Iterable[Field], *paths: str, required: Sequence[str] = (), can: bool = True
    ) -> None:
        for i, path in enumerate(paths):
            extra = described_by(fields, *required)
            router.post(path, openapi_extra=extra, include_in_schema=can and not i)(handler)

    post(completion, COMPLETION_FIELDS, "/completion", "/completions", required=["prompt"])
    fields, required = (*INFILL_FIELDS, MODEL, *ALL_FIELDS), ["input_prefix", "input_suffix"]
    post(infill, fields, "/infill", required=required, can=any(can_infill(one.vocab) for one in served))
    post(detokenize, (TOKENS, MODEL), "/detokenize")
    post(apply_template, (*CHAT_FIELDS, MODEL), "/apply-template", required=["messages"])
    can = any(one.settings.embeddings for one in served)
    post(embedding, (*EMBEDDING_FIELDS, NORM), "/embedding", "/embeddings", can=can)
    can, paths = any(one.settings.reranking for one in served), ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking")
    post(rerank, (*RERANK_FIELDS, MODEL), *paths, required=["query"], can=can)
    can = any(one.settings.slot_save_path is not None for one in served)
    extra = {**described_by((FILENAME, MODEL)), "parameters": SLOT_PARAMETERS}
    router.post("/slots/{slot}", openapi_extra=extra, include_in_schema=can)(post_slots)
    post(extras.tokenize, (extras.INPUT, MODEL), "/extras/tokenize", required=["input"])
    post(extras.count, (extras.INPUT, MODEL), "/extras/tokenize/count", required=["input"])
    post(extras.detokenize, (TOKENS, MODEL), "/extras/detokenize", required=["tokens"])
    router.post("/predict", openapi_extra=document(PREDICT))(predict)
    router.get("/props")(get_props)
    router.post("/props", include_in_schema=settings.has_props)(post_props)
    router.get("/slots", include_in_schema=settings.has_slots)(get_slots)
    for path in ("/cors-proxy", "/tools"):  # of llama-server's own page
        router.add_api_route(path, disabled, methods=["GET", "POST"], include_in_schema=False)
    router.get("/v1/stream", include_in_schema=False)(get_stream)
    router.delete("/v1/stream", include_in_schema=False)(delete_stream)
    post(lookup_streams, (CONVERSATIONS,), "/v1/streams/lookup")
    router.get("/lora-adapters")(get_adapters)
    router.post("/lora-adapters", openapi_extra=document(ADAPTERS))(set_adapters)
    return router


async def disabled() -> Response:
    """Where a model's tools would run and other servers be asked, which is not done here."""
    raise Refused(403, "this feature is disabled", kind="feature_disabled")


INSTANCE = {"type": "object", "properties": {FORMAT: {"enum": list(FORMATS)}}, "required": [FORMAT]}
PREDICT = {
    "type": "object",
    "properties": {"instances": {"type": "array", "items": INSTANCE}},
    "required": ["instances"],
}
SLOT_PARAMETERS = [
    {"name": "slot", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}},
    {"name": "action", "in": "query", "required": True, "schema": {"enum": ["save", "restore", "erase"]}},
]
ADAPTERS = {"type": "array", "items": ADAPTER_SCHEMA}
