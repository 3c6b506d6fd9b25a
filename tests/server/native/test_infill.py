"""/infill: the prompt made of what is around a gap."""

from __future__ import annotations

import pytest

from llamakit.core.vocab.base import read_vocab
from llamakit.server.native.infill import Extra, Gap

from ...core.vocab.vocabs import spm_metadata
from ..serving import serving

PRE, SUF, MID, REP, SEP = 7, 8, 9, 10, 11
FIM = {f"tokenizer.ggml.fim_{role}_token_id": token for role, token in (("pre", PRE), ("suf", SUF), ("mid", MID))}
FILES = {"tokenizer.ggml.fim_rep_token_id": REP, "tokenizer.ggml.fim_sep_token_id": SEP}
VOCAB = read_vocab({**spm_metadata(), **FIM})
MANY = 1000


def plain(text, vocab=VOCAB):
    return vocab.encode(text, add_special=False)


def test_prefix_suffix_and_middle_stand_in_the_models_order():
    gap = Gap(VOCAB, "Hello", "you", "b", [])
    tokens, dropped = gap.tokens(MANY, MANY, suffix_first=False)
    assert tokens == [1, PRE, *plain("Hello"), *plain("b"), SUF, *plain("you"), MID]
    assert dropped == {"prefix": 0, "suffix": 0, "extra": 0}
    other, _ = gap.tokens(MANY, MANY, suffix_first=True)
    assert other == [1, SUF, *plain("you"), PRE, *plain("Hello"), *plain("b"), MID]


def test_files_come_first_with_their_names_where_the_model_knows_files():
    extra = [Extra("a", "x.c"), Extra("b", "y.c")]
    tokens, _ = Gap(VOCAB, "", "", "", extra).tokens(MANY, MANY, False)
    between = plain("\n\n--- snippet ---\n\n")
    assert tokens == [*between, *plain("a"), *between, *plain("b"), 1, PRE, SUF, MID]
    vocab = read_vocab({**spm_metadata(), **FIM, **FILES})
    tokens, _ = Gap(vocab, "", "", "", extra).tokens(MANY, MANY, False)
    files = [SEP, *plain("x.c\n"), *plain("a"), SEP, *plain("y.c\n"), *plain("b"), SEP, *plain("filename\n")]
    assert tokens == [REP, *plain("myproject\n"), *files, 1, PRE, SUF, MID]


def test_what_is_near_the_gap_is_kept_and_the_rest_counted():
    prefix, suffix, extra = "a" * 40, "b" * 40, [Extra("c" * 40, "")]
    n_prefix, n_suffix = len(plain(prefix)), len(plain(suffix))
    tokens, dropped = Gap(VOCAB, prefix, suffix, "", extra).tokens(16, 3, False)
    before, behind = tokens.index(PRE), tokens.index(SUF)
    assert tokens[:before] == [*plain("c" * 40)[-3:], 1]
    assert tokens[before + 1 : behind] == plain(prefix)[-12:]
    assert tokens[behind + 1 : -1] == plain(suffix)[:2]
    n_extra = len(plain("\n\n--- snippet ---\n\n")) + len(plain("c" * 40))
    assert dropped == {"prefix": n_prefix - 12, "suffix": n_suffix - 2, "extra": n_extra - 3}


@pytest.fixture(scope="module")
def coding(scheduler):
    """A server whose vocabulary has the tokens."""
    with serving(scheduler) as running:
        object.__setattr__(running.served, "vocab", VOCAB)
        yield running


def test_an_answer_is_a_completion_that_says_what_did_not_fit(coding):
    body = {"input_prefix": "Hello", "input_suffix": "you", "prompt": "b", "n_predict": 6, "seed": 1}
    reply = coding.ask("/infill", body)
    assert (reply.status, reply.json["tokens_predicted"] <= 6) == (200, True)
    assert reply.json["infill"] == {"n_prefix_dropped": 0, "n_suffix_dropped": 0, "n_extra_dropped": 0}
    assert "x-truncated-tokens" not in reply.headers
    tokens, _ = Gap(VOCAB, "Hello", "you", "b", []).tokens(MANY, MANY, False)
    same = coding.ask("/completion", {"prompt": tokens, "n_predict": 6, "seed": 1}).json
    assert reply.json["content"] == same["content"]
    n_batch = coding.engine.info.n_batch
    reply = coding.ask("/infill", {**body, "input_suffix": "b " * n_batch})
    assert int(reply.headers["x-truncated-tokens"]) == reply.json["infill"]["n_suffix_dropped"] > 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"input_prefix": None}, '"input_prefix" is required'),
        ({"input_suffix": None}, '"input_suffix" is required'),
        ({"prompt": 5}, "Field 'prompt'"),
        ({"input_extra": {}}, '"input_extra" must be an array'),
        ({"input_extra": [{}]}, 'must contain a "text" field'),
        ({"input_extra": [{"text": 5}]}, 'must contain a "text" field'),
        ({"input_extra": [{"text": "a", "filename": 5}]}, '"filename" field must be a string'),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(coding, change, message):
    reply = coding.ask("/infill", {"input_prefix": "a", "input_suffix": "b", **change})
    assert reply.status == 400
    assert message in reply.json["error"]["message"]


def test_a_model_without_the_tokens_cannot(server):
    reply = server.ask("/infill", {"input_prefix": "a", "input_suffix": "b"})
    assert (reply.status, reply.json["error"]["type"]) == (501, "not_supported_error")
    assert (
        "prefix token is missing. suffix token is missing. middle token is missing." in reply.json["error"]["message"]
    )
