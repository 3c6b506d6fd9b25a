"""Functions of states: what a context has computed as bytes and files, to go on from later."""

from __future__ import annotations

import ctypes
import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llamakit.compat.c_api.buffers import copy_all, number
from llamakit.compat.contexts import LlamaContext
from llamakit.compat.pointers import at
from llamakit.core.engine.state import StateError
from llamakit.core.gguf.output import write_file
from llamakit.errors import LlamakitError

PIECE = struct.Struct("<iQ")  # before each sequence's bytes in a whole state: its id, their number


def whole_state(context: LlamaContext, tokens: Sequence[int] = ()) -> bytes:
    """All sequences that have something; `tokens` are kept with the first."""
    parts: list[bytes] = []
    for seq in range(context.params.n_seq_max):
        if context.n_past(seq):
            data = context.state(seq, () if parts else tokens)
            parts += [PIECE.pack(seq, len(data)), data]
    return b"".join(parts)


def set_whole_state(context: LlamaContext, data: bytes) -> list[int]:
    """Go on from a whole state; returns its tokens. Raises StateError."""
    pieces, place = [], 0
    while place < len(data):
        if len(data) - place < PIECE.size:
            raise StateError("the state is cut short")
        seq, size = PIECE.unpack_from(data, place)
        place += PIECE.size + size
        if place > len(data) or not 0 <= seq < context.params.n_seq_max:
            raise StateError(f"the state has sequence {seq} of {size} bytes: it is cut short, or of another context")
        pieces.append((seq, data[place - size : place]))
    context.kv_cache_clear()
    return [token for seq, piece in pieces for token in context.set_state(piece, seq)]


def warned(error: Exception) -> int:
    warnings.warn(str(error), stacklevel=3)
    return 0


# of the whole context
def llama_state_get_size(ctx: Any) -> int:
    return len(whole_state(at(ctx, LlamaContext)))


def llama_state_get_data(ctx: Any, dst: Any, size: int) -> int:
    """Put the state into a buffer; 0, and nothing is put, where it does not fit."""
    return max(0, copy_all(whole_state(at(ctx, LlamaContext)), dst, number(size)))


def llama_state_set_data(ctx: Any, src: Any, size: int) -> int:
    """Go on from a state; 0, with a warning that says why, where it is damaged or of another model."""
    try:
        set_whole_state(at(ctx, LlamaContext), ctypes.string_at(src, number(size)))
    except LlamakitError as error:
        return warned(error)
    return number(size)


def llama_state_save_file(ctx: Any, path_session: bytes, tokens: Any, n_token_count: int) -> bool:
    """False, with a warning that says why, where the file cannot be written."""
    try:
        write_file(os.fsdecode(path_session), whole_state(at(ctx, LlamaContext), tokens[: number(n_token_count)]))
    except LlamakitError as error:
        return bool(warned(error))
    return True


def llama_state_load_file(
    ctx: Any, path_session: bytes, tokens_out: Any, n_token_capacity: int, n_token_count_out: Any
) -> bool:
    """False, with a warning that says why, for a file that cannot be gone on from, or has more tokens than fit."""
    try:
        found = set_whole_state(at(ctx, LlamaContext), Path(os.fsdecode(path_session)).read_bytes())
        put(found, tokens_out, number(n_token_capacity), n_token_count_out)
    except (LlamakitError, OSError) as error:
        return bool(warned(error))
    return True


# of one sequence
def llama_state_seq_get_size(ctx: Any, seq_id: int) -> int:
    return len(at(ctx, LlamaContext).state(seq_id))


def llama_state_seq_get_data(ctx: Any, dst: Any, size: int, seq_id: int) -> int:
    """Put a sequence's state into a buffer; 0, and nothing is put, where it does not fit."""
    return max(0, copy_all(at(ctx, LlamaContext).state(seq_id), dst, number(size)))


def llama_state_seq_set_data(ctx: Any, src: Any, size: int, dest_seq_id: int) -> int:
    """Go on from a state; 0, with a warning that says why, where it is damaged or of another model."""
    try:
        at(ctx, LlamaContext).set_state(ctypes.string_at(src, number(size)), dest_seq_id)
    except LlamakitError as error:
        return warned(error)
    return number(size)


def llama_state_seq_save_file(ctx: Any, filepath: bytes, seq_id: int, tokens: Any, n_token_count: int) -> int:
    """Bytes written; 0, with a warning that says why, where the file cannot be written."""
    data = at(ctx, LlamaContext).state(seq_id, tokens[: number(n_token_count)])
    try:
        write_file(os.fsdecode(filepath), data)
    except LlamakitError as error:
        return warned(error)
    return len(data)


def llama_state_seq_load_file(
    ctx: Any, filepath: bytes, dest_seq_id: int, tokens_out: Any, n_token_capacity: int, n_token_count_out: Any
) -> int:
    """Bytes read; 0, with a warning that says why, for a file that cannot be gone on from."""
    try:
        data = Path(os.fsdecode(filepath)).read_bytes()
        found = at(ctx, LlamaContext).set_state(data, dest_seq_id)
        put(found, tokens_out, number(n_token_capacity), n_token_count_out)
    except (LlamakitError, OSError) as error:
        return warned(error)
    return len(data)


def put(tokens: Sequence[int], array: Any, capacity: int, count: Any) -> None:
    """Fill an array, and a size_t that is given by pointer or reference. Raises StateError where they do not fit."""
    if len(tokens) > capacity:
        raise StateError(f"there is room for {capacity} tokens, not for {len(tokens)}")
    for i, token in enumerate(tokens):
        array[i] = token
    ctypes.cast(count, ctypes.POINTER(ctypes.c_size_t))[0] = len(tokens)


# older names
llama_get_state_size, llama_copy_state_data = llama_state_get_size, llama_state_get_data
llama_set_state_data = llama_state_set_data
llama_load_session_file, llama_save_session_file = llama_state_load_file, llama_state_save_file
