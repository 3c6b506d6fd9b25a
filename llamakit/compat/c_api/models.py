"""Functions of a model: opening a file, and what it says of itself."""

from __future__ import annotations

import os
import warnings
from typing import Any

from llamakit.api.options import metadata_as_text
from llamakit.api.tokens import or_minus_one
from llamakit.compat.c_api.buffers import copy_text
from llamakit.compat.internals import LlamaModel
from llamakit.compat.params import ModelParams
from llamakit.compat.pointers import at, free, keep, pointer_to
from llamakit.core.engine.load import Model


def llama_model_default_params() -> ModelParams:
    return ModelParams()


def llama_model_load_from_file(path_model: bytes | str, params: ModelParams) -> int | None:
    """A pointer to an open model; None, with a warning that says why, where it cannot be opened."""
    try:
        return keep(LlamaModel(path_model=os.fsdecode(path_model), params=params))
    except ValueError as error:
        warnings.warn(str(error), stacklevel=2)
        return None


def llama_model_free(model: Any) -> None:
    at(model, LlamaModel).close()
    free(model)


def opened(model: Any) -> Model:
    """The engine's, of a pointer, of `LlamaModel`, or itself."""
    return model if isinstance(model, Model) else at(model, LlamaModel).opened


def llama_model_get_vocab(model: Any) -> int:
    return pointer_to(model.vocab if isinstance(model, Model) else at(model, LlamaModel).vocab)


def llama_model_n_ctx_train(model: Any) -> int:
    return opened(model).n_ctx_train


def llama_model_n_embd(model: Any) -> int:
    return opened(model).hparams.n_embd


def llama_model_n_layer(model: Any) -> int:
    return opened(model).hparams.n_layer


def llama_model_n_head(model: Any) -> int:
    return opened(model).hparams.n_head


def llama_model_n_head_kv(model: Any) -> int:
    return opened(model).hparams.n_head_kv


def llama_model_n_params(model: Any) -> int:
    return opened(model).n_params


def llama_model_size(model: Any) -> int:
    return opened(model).n_bytes


def llama_model_desc(model: Any, buf: Any, buf_size: int) -> int:
    return copy_text(opened(model).description.encode(), buf, buf_size)


def llama_model_is_recurrent(model: Any) -> bool:
    decoder = opened(model).decoder
    return bool(decoder.states()) and not decoder.cache_layers()


def llama_model_is_hybrid(model: Any) -> bool:
    decoder = opened(model).decoder
    return bool(decoder.states()) and bool(decoder.cache_layers())


def llama_model_has_encoder(model: Any) -> bool:
    """Does it read a source before it answers?"""
    return opened(model).decoder.decoder_start is not None


def llama_model_has_decoder(model: Any) -> bool:
    """Are there logits, or states of tokens, to compute by `llama_decode`?"""
    return True


def llama_model_decoder_start_token(model: Any) -> int:
    return or_minus_one(opened(model).decoder.decoder_start)


def llama_model_n_swa(model: Any) -> int:
    """Positions of the sliding window; 0 where there is none."""
    found = opened(model)
    window = found.metadata.get(f"{found.arch}.attention.sliding_window", 0)
    return int(window) if isinstance(window, int) else 0


def llama_model_chat_template(model: Any, name: bytes | None = None) -> bytes | None:
    """The template's text; of one that has a name, by it."""
    key = "tokenizer.chat_template" + (f".{name.decode()}" if name else "")
    template = opened(model).metadata.get(key)
    return None if template is None else str(template).encode()


def texts(model: Any) -> list[tuple[bytes, bytes]]:
    return [(key.encode(), value.encode()) for key, value in metadata_as_text(opened(model).metadata).items()]


def llama_model_meta_count(model: Any) -> int:
    return len(texts(model))


def llama_model_meta_val_str(model: Any, key: bytes, buf: Any, buf_size: int) -> int:
    """Put the value of a key into a buffer; -1 where there is no such key."""
    value = dict(texts(model)).get(bytes(key))
    return -1 if value is None else copy_text(value, buf, buf_size)


def llama_model_meta_key_by_index(model: Any, i: int, buf: Any, buf_size: int) -> int:
    return copy_text(texts(model)[i][0], buf, buf_size)


def llama_model_meta_val_str_by_index(model: Any, i: int, buf: Any, buf_size: int) -> int:
    return copy_text(texts(model)[i][1], buf, buf_size)


# older names
llama_load_model_from_file, llama_free_model = llama_model_load_from_file, llama_model_free
llama_n_ctx_train, llama_n_embd, llama_n_layer = llama_model_n_ctx_train, llama_model_n_embd, llama_model_n_layer
llama_n_head = llama_model_n_head
