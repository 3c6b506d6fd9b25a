"""The list of models."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from llamakit.server.engine.errors import EngineLoading
from llamakit.server.models.models import Models, UnknownModel
from llamakit.server.models.served import Served

# llama.cpp's numbers of the kinds of vocabularies
VOCAB_TYPES = {"none": 0, "no_vocab": 0, "llama": 1, "bert": 3, "t5": 4, "rwkv": 5, "plamo2": 6, "test": 7}
BPE = 2
OWNER = "llamacpp"  # by which clients know the API


async def models(request: Request) -> dict[str, Any]:
    all_models: Models = request.app.state.models
    found = all_models.served
    return {
        "models": [ollama_object(served) for served in found],
        "object": "list",
        "data": [model_object(served) for served in found],
    }


async def model(request: Request, name: str) -> dict[str, Any]:
    """One of them by its name."""
    all_models: Models = request.app.state.models
    for served in all_models.served:
        if name in served.names:
            return model_object(served)
    raise UnknownModel(f"there is no model {name[:80]!r}")


def model_object(served: Served) -> dict[str, Any]:
    return {
        "id": served.name,
        "aliases": list(served.names),
        "tags": list(served.settings.tags),
        "object": "model",
        "created": served.created,
        "owned_by": OWNER,
        "meta": meta(served),
    }


def ollama_object(served: Served) -> dict[str, Any]:
    """As Ollama lists models, with llama-server's members: those that it leaves empty are so here."""
    told = meta(served)
    family = "" if told is None else served.info.arch
    return {
        "name": served.name,
        "model": served.name,
        "modified_at": "",
        "size": "" if told is None else told["size"],
        "digest": "",
        "type": "model",
        "description": "" if told is None else served.info.description,
        "tags": list(served.settings.tags),
        "capabilities": ["completion"],
        "parameters": "",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": family,
            "families": [family],
            "parameter_size": "",
            "quantization_level": "" if told is None else told["ftype"],
        },
    }


def meta(served: Served) -> dict[str, Any] | None:
    """What llama-server tells of a model; None until it is loaded."""
    try:
        info = served.info
    except EngineLoading:
        return None
    return {
        "vocab_type": VOCAB_TYPES.get(served.vocab.kind, BPE),
        "n_vocab": info.n_vocab,
        "n_ctx": info.n_ctx,
        "n_ctx_train": info.n_ctx_train,
        "n_embd": info.n_embd,
        "n_params": info.n_params,
        "size": info.n_bytes,
        "ftype": info.file_type,
    }
