"""Prompts in all their forms."""

from __future__ import annotations

import pytest

from llamakit.core.vocab import load_vocab
from llamakit.server.generation.field import FieldError
from llamakit.server.generation.prompts import read_prompts

from ...core.vocab.vocabs import spm_metadata

VOCAB = load_vocab(spm_metadata())
BOS, A, B = 1, 101, 102
SPACE = VOCAB.encode("a", add_special=False)[0]


@pytest.mark.parametrize(
    "value, tokens",
    [
        ("a", [(BOS, SPACE, A)]),
        ("", [(BOS,)]),
        ([A], [(A,)]),
        ([A, "b"], [(A, SPACE, B)]),
        (["a", A], [(BOS, SPACE, A, A)]),
        (["a", "b"], [(BOS, SPACE, A), (BOS, SPACE, B)]),
        ([[A], "b", {"prompt_string": "a"}], [(A,), (BOS, SPACE, B), (BOS, SPACE, A)]),
    ],
)
def test_bos_is_put_before_what_begins_with_a_text(value, tokens):
    assert read_prompts(value, VOCAB) == tokens


@pytest.mark.parametrize(
    "value, param",
    [
        (None, "prompt"),
        ([], "prompt"),
        ([[]], "prompt.0"),
        ([[], "a"], "prompt.0"),
        (1, "prompt"),
        ([10**9], "prompt"),
        ([-1], "prompt"),
        ([["a", None]], "prompt.0"),
        ({"prompt_string": 1}, "prompt.prompt_string"),
        ({"prompt_string": "a", "multimodal_data": ["x"]}, "prompt.multimodal_data"),
        ({}, "prompt"),
    ],
)
def test_other_things_are_refused_by_their_place(value, param):
    with pytest.raises(FieldError) as refused:
        read_prompts(value, VOCAB)
    assert refused.value.param == param
