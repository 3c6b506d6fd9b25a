"""Completions of plain prompts."""

from __future__ import annotations

import pytest

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.vocab import load_vocab

from ...core.vocab.vocabs import bpe_metadata


def ask(server, prompt="Hi", **fields):
    return server.ask("/v1/completions", {"prompt": prompt, **fields})


@pytest.mark.parametrize(
    "prompt, texts",
    [
        ("Hi", ["Hi"]),
        ([45, 46], ["&'"]),
        ([45, "x", 46], ["&x'"]),
        (["a", "bb"], ["a", "bb"]),
        ([[45], [46, 45]], ["&", "'&"]),
        (["a", [45]], ["a", "&"]),
        ({"prompt_string": "Hi"}, ["Hi"]),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_prompts_are_a_text_ids_or_lists_of_them(scripted, prompt, texts, stream):
    vocab = scripted.served.vocab
    reply = ask(scripted, prompt, stream=stream)
    assert reply.status == 200
    assert [vocab.detokenize(asked.tokens).decode() for asked in scripted.script.asked] == texts
    choices = [c for k in (reply.events[:-1] if stream else [reply.json]) for c in k["choices"]]
    said = ["".join(c["text"] for c in choices if c["index"] == i) for i in range(len(texts))]
    assert said == ["Hello"] * len(texts)
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == ["stop"] * len(texts)


@pytest.mark.parametrize("stream", [False, True])
def test_an_echo_has_the_prompts_logprobs_in_the_older_form(scripted, stream):
    """As lm-eval asks for it."""
    fields = {"echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0, "seed": 1234}
    reply = ask(scripted, "abc", stream=stream, **fields)
    choices = [c for k in (reply.events[:-1] if stream else [reply.json]) for c in k["choices"]]
    assert "".join(c["text"] for c in choices) == "abcH"
    parts = [c["logprobs"] for c in choices if c["logprobs"]]
    told = {name: [item for part in parts for item in part[name]] for name in parts[0]}
    assert told["tokens"] == ["a", "b", "c", "H"]
    assert told["token_logprobs"] == [None, -0.25, -0.25, -0.25]
    assert told["text_offset"] == [0, 1, 2, 3]
    tops = zip(told["top_logprobs"], told["tokens"], strict=True)
    assert [top and top[token] for top, token in tops] == told["token_logprobs"]


def test_an_echo_of_no_new_tokens_is_the_prompt_alone(scripted):
    choice = ask(scripted, [[45, 46]], echo=True, logprobs=0, max_tokens=0).json["choices"][0]
    assert (choice["text"], choice["logprobs"]["tokens"]) == ("&'", ["&", "'"])
    assert (choice["logprobs"]["top_logprobs"], choice["finish_reason"]) == ([None, None], "length")


def test_logprobs_have_two_forms(scripted):
    older = ask(scripted, logprobs=2).json["choices"][0]["logprobs"]
    assert older["tokens"] == list("Hello")
    assert older["top_logprobs"][0] == {"H": -0.25, "$": -2.5}
    newer = ask(scripted, n_probs=2).json["choices"][0]["logprobs"]
    assert [entry["token"] for entry in newer["content"]] == list("Hello")
    assert set(newer) == {"content"}
    assert ask(scripted).json["choices"][0]["logprobs"] is None


def test_tokens_that_are_halves_of_characters_are_spelled_as_bytes(scripted):
    scripted.says("ü!")
    told = ask(scripted, logprobs=0).json["choices"][0]["logprobs"]
    assert told["tokens"] == ["bytes:\\xc3", "bytes:\\xbc", "!"]
    assert told["text_offset"] == [0, 0, 1]


def test_the_best_answers_are_the_likeliest_ones(scripted):
    scripted.says("a", "bb", "ccc")
    reply = ask(scripted, n=2, best_of=3).json
    assert [asked.n_logprobs for asked in scripted.script.asked] == [0] * 3
    assert [(c["index"], c["text"]) for c in reply["choices"]] == [(0, "a"), (1, "bb")]
    assert reply["usage"]["completion_tokens"] == 3 * 3


def test_usage_counts_all_prompts(scripted):
    counts = ask(scripted, ["ab", "c"]).json["usage"]
    assert (counts["prompt_tokens"], counts["total_tokens"]) == (3, 9)


def test_the_answers_form_is_a_grammar(scripted):
    for fields in ({"grammar": 'root ::= "a"'}, {"response_format": {"type": "regex", "value": "a"}}):
        ask(scripted, **fields)
        grammar = Grammar(scripted.script.asked[-1].constraint.rules)
        assert (grammar.matches("a"), grammar.matches("b")) == (True, False)


def test_a_suffix_is_filled_in_where_the_model_can(scripted, monkeypatch):
    assert ask(scripted, suffix="end").status == 501
    specials = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    vocab = load_vocab(bpe_metadata(specials=specials))
    from llamakit.server.openai.infill import infill_tokens

    assert vocab.detokenize(infill_tokens(vocab, "a", "b", False), special=True) == (
        b"<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
    )
    assert vocab.detokenize(infill_tokens(vocab, "a", "b", True), special=True) == (
        b"<|fim_suffix|>b<|fim_prefix|>a<|fim_middle|>"
    )


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"prompt": None}, "required"),
        ({"prompt": ""}, "empty"),
        ({"prompt": []}, "empty"),
        ({"prompt": 3}, "'prompt'"),
        ({"prompt": [1e5, 2]}, "'prompt.0'"),
        ({"prompt": [99999]}, "99999 is no token"),
        ({"prompt": [True]}, "'prompt.0'"),
        ({"prompt": ["a"] * 300}, "at most 256"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"logprobs": 10**6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"echo": "yes"}, "echo"),
        ({"suffix": "x", "prompt": ["a"]}, "suffix"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(scripted, fields, message):
    reply = ask(scripted, **fields)
    assert reply.status == 400
    assert message in reply.json["error"]["message"]
