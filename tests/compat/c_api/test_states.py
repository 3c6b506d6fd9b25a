"""States of whole contexts, and files, by llama.cpp's functions."""

from __future__ import annotations

import ctypes

import pytest

from .low import batch_of, context_of, last_logits

import llama_cpp  # isort: skip

TOKENS = [1, 70, 71, 72, 73]


def begun(model, n_seq_max=1):
    """A context in which all but the last token was computed, by each sequence."""
    ctx = context_of(model, n_seq_max=n_seq_max)
    for seq in range(n_seq_max):
        assert llama_cpp.llama_decode(ctx, batch_of(TOKENS[:-1], seq=seq)) == 0
    return ctx


def test_a_whole_contexts_state_goes_on_in_another(model):
    one, other = begun(model, 2), context_of(model, n_seq_max=2)
    size = llama_cpp.llama_state_get_size(one)
    state = (ctypes.c_uint8 * size)()
    assert llama_cpp.llama_state_get_data(one, state, size - 1) == 0
    assert llama_cpp.llama_state_get_data(one, state, size) == size
    assert llama_cpp.llama_state_set_data(other, state, ctypes.c_size_t(size)) == size
    memory = llama_cpp.llama_get_memory(other)
    assert [llama_cpp.llama_memory_seq_pos_max(memory, seq) for seq in (0, 1)] == [len(TOKENS) - 2] * 2
    assert last_logits(other, TOKENS, len(TOKENS) - 1) == last_logits(one, TOKENS, len(TOKENS) - 1)
    with pytest.warns(UserWarning, match="cut short"):
        assert llama_cpp.llama_state_set_data(other, state, size - 1) == 0
    with pytest.warns(UserWarning, match="has sequence 1"):
        assert llama_cpp.llama_state_set_data(context_of(model), state, size) == 0


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_file_keeps_tokens_and_what_was_computed(model, tmp_path, is_whole):
    one, other = begun(model), context_of(model)
    path = str(tmp_path / "state.bin").encode()
    tokens, room = (llama_cpp.llama_token * len(TOKENS))(*TOKENS), (llama_cpp.llama_token * 64)()
    count = ctypes.c_size_t()
    if is_whole:
        assert llama_cpp.llama_state_save_file(one, path, tokens, len(TOKENS))
        assert llama_cpp.llama_state_load_file(other, path, room, 64, ctypes.byref(count))
    else:
        size = llama_cpp.llama_state_seq_save_file(one, path, 0, tokens, len(TOKENS))
        assert llama_cpp.llama_state_seq_load_file(other, path, 0, room, 64, ctypes.pointer(count)) == size > 0
    assert room[: count.value] == TOKENS
    assert last_logits(other, TOKENS, len(TOKENS) - 1) == last_logits(one, TOKENS, len(TOKENS) - 1)


def test_files_that_cannot_be_used_are_told_of(model, tmp_path):
    ctx, count = begun(model), ctypes.c_size_t()
    tokens = (llama_cpp.llama_token * len(TOKENS))(*TOKENS)
    path = str(tmp_path / "state.bin").encode()
    with pytest.warns(UserWarning, match="cannot write"):
        assert not llama_cpp.llama_state_save_file(ctx, str(tmp_path / "none/state").encode(), tokens, 1)
    with pytest.warns(UserWarning, match="No such file"):
        assert not llama_cpp.llama_state_load_file(ctx, path, tokens, 5, ctypes.byref(count))
    assert llama_cpp.llama_state_seq_save_file(ctx, path, 0, tokens, len(TOKENS)) > 0
    with pytest.warns(UserWarning, match="room for 3 tokens"):
        assert llama_cpp.llama_state_seq_load_file(ctx, path, 0, tokens, 3, ctypes.byref(count)) == 0
