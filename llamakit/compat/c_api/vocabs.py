"""Functions of a vocabulary: text to tokens and back, and which token is what."""

from __future__ import annotations

import ctypes
from typing import Any

from llamakit.api.tokens import or_minus_one
from llamakit.compat.batches import llama_token
from llamakit.compat.c_api.buffers import copy_all, number
from llamakit.compat.internals import LlamaModel, token_attr, vocab_type
from llamakit.compat.pointers import at
from llamakit.core.engine.load import Model
from llamakit.core.vocab.vocabulary import Vocab


def vocab_of(pointer: Any) -> Vocab:
    """A vocabulary; that of a model too, as older programs give it in its place."""
    thing = at(pointer, object)
    return thing.vocab if isinstance(thing, Model | LlamaModel) else at(pointer, Vocab)


def llama_tokenize(
    vocab: Any, text: Any, text_len: int, tokens: Any, n_tokens_max: int, add_special: bool, parse_special: bool
) -> int:
    """Put the ids of text_len bytes into an array; minus their number where they do not fit."""
    given = ctypes.string_at(text, text_len)
    ids = vocab_of(vocab).encode(given, add_special=bool(add_special), parse_special=bool(parse_special))
    if len(ids) > n_tokens_max:
        return -len(ids)
    for i, token in enumerate(ids):
        tokens[i] = token
    return len(ids)


# as C code calls it, with vocabularies of ours
tokenize_for_c = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.POINTER(llama_token), ctypes.c_int32,
    ctypes.c_bool, ctypes.c_bool,
)(llama_tokenize)  # fmt: skip


def llama_token_to_piece(vocab: Any, token: Any, buf: Any, length: int, lstrip: int, special: bool) -> int:
    """Put a token's bytes into a buffer, without up to lstrip spaces; minus their number where they do not fit."""
    piece = vocab_of(vocab).piece(number(token), special=bool(special))
    n_spaces = len(piece) - len(piece.lstrip(b" "))
    return copy_all(piece[min(lstrip, n_spaces) :], buf, number(length))


def llama_detokenize(
    vocab: Any, tokens: Any, n_tokens: int, text: Any, text_len_max: int, remove_special: bool, unparse_special: bool
) -> int:
    """Put the bytes of tokens into a buffer; minus their number where they do not fit."""
    made = vocab_of(vocab).detokenize(
        tokens[:n_tokens], special=bool(unparse_special), remove_special=bool(remove_special)
    )
    return copy_all(made, text, text_len_max)


def llama_vocab_type(vocab: Any) -> int:
    return vocab_type(vocab_of(vocab))


def llama_vocab_n_tokens(vocab: Any) -> int:
    return vocab_of(vocab).n_tokens


def llama_vocab_get_text(vocab: Any, token: Any) -> bytes:
    return vocab_of(vocab).texts[number(token)].encode()


def llama_vocab_get_score(vocab: Any, token: Any) -> float:
    return float(vocab_of(vocab).scores[number(token)])


def llama_vocab_get_attr(vocab: Any, token: Any) -> int:
    return token_attr(vocab_of(vocab), number(token))


def llama_vocab_is_eog(vocab: Any, token: Any) -> bool:
    return vocab_of(vocab).is_eog(number(token))


def llama_vocab_is_control(vocab: Any, token: Any) -> bool:
    return vocab_of(vocab).is_control(number(token))


def llama_vocab_bos(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).bos_id)


llama_vocab_cls = llama_vocab_bos


def llama_vocab_eos(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).eos_id)


def llama_vocab_eot(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).eot_id)


def llama_vocab_sep(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).sep_id)


def llama_vocab_nl(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).newline_id)


def llama_vocab_pad(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).pad_id)


def llama_vocab_mask(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).mask_id)


def llama_vocab_fim_pre(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).special.fim_pre)


def llama_vocab_fim_suf(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).special.fim_suf)


def llama_vocab_fim_mid(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).special.fim_mid)


def llama_vocab_fim_pad(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).special.fim_pad)


def llama_vocab_fim_rep(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).special.fim_rep)


def llama_vocab_fim_sep(vocab: Any) -> int:
    return or_minus_one(vocab_of(vocab).special.fim_sep)


def llama_vocab_get_add_bos(vocab: Any) -> bool:
    return vocab_of(vocab).add_bos


def llama_vocab_get_add_eos(vocab: Any) -> bool:
    return vocab_of(vocab).add_eos


# older names
llama_n_vocab = llama_vocab_n_tokens
llama_token_fim_pre, llama_token_fim_suf, llama_token_fim_mid = (
    llama_vocab_fim_pre, llama_vocab_fim_suf, llama_vocab_fim_mid,
)  # fmt: skip
llama_token_fim_pad, llama_token_fim_rep, llama_token_fim_sep = (
    llama_vocab_fim_pad, llama_vocab_fim_rep, llama_vocab_fim_sep,
)  # fmt: skip
llama_token_get_text, llama_token_get_score = llama_vocab_get_text, llama_vocab_get_score
llama_token_get_attr, llama_token_is_eog = llama_vocab_get_attr, llama_vocab_is_eog
llama_token_is_control, llama_token_bos, llama_token_eos = llama_vocab_is_control, llama_vocab_bos, llama_vocab_eos
llama_token_eot, llama_token_sep, llama_token_nl = llama_vocab_eot, llama_vocab_sep, llama_vocab_nl
llama_token_cls, llama_token_pad = llama_vocab_cls, llama_vocab_pad
llama_add_bos_token, llama_add_eos_token = llama_vocab_get_add_bos, llama_vocab_get_add_eos
