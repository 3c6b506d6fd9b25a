"""/tokenize, /detokenize, /apply-template, and the same as llama-cpp-python's server has them."""

from __future__ import annotations

import pytest

from llamakit.core.chat.prompt import chat_prompt

TEXT = "Hello you"


def test_a_text_becomes_tokens_and_comes_back(server):
    vocab = server.served.vocab
    tokens = server.ask("/tokenize", {"content": TEXT}).json["tokens"]
    assert tokens == vocab.encode(TEXT, add_special=False)
    assert server.ask("/tokenize", {"content": TEXT, "add_special": True}).json["tokens"] == [1, *tokens]
    assert server.ask("/detokenize", {"tokens": [1, *tokens]}).json == {"content": "<s> " + TEXT}


@pytest.mark.parametrize("body", [{}, {"content": None}, {"content": ""}])
def test_no_text_has_no_tokens(server, body):
    assert server.ask("/tokenize", body).json == {"tokens": []}
    assert server.ask("/detokenize", {}).json == {"content": ""}


def test_texts_of_special_tokens_are_tokens_unless_they_shall_not_be(server):
    assert server.ask("/tokenize", {"content": "</s>"}).json == {"tokens": [2]}
    assert 2 not in server.ask("/tokenize", {"content": "</s>", "parse_special": False}).json["tokens"]


def test_ids_and_texts_may_be_mixed(server):
    vocab = server.served.vocab
    wanted = [*vocab.encode("a"), 40, *vocab.encode("b", add_special=False)]
    assert server.ask("/tokenize", {"content": ["a", 40, "b"], "add_special": True}).json["tokens"] == wanted


def test_pieces_are_texts_or_where_they_are_none_bytes(server):
    told = server.ask("/tokenize", {"content": "a媽", "with_pieces": True}).json["tokens"]
    pieces = [bytes(part["piece"]) if isinstance(part["piece"], list) else part["piece"].encode() for part in told]
    assert b"".join(pieces).decode() == " a媽"
    assert any(isinstance(part["piece"], list) for part in told)
    assert all(part["id"] > 0 for part in told)


def test_a_chat_is_rendered(server):
    messages = [{"role": "user", "content": TEXT}]
    wanted = chat_prompt(server.served.template, messages).text
    assert server.ask("/apply-template", {"messages": messages}).json == {"prompt": wanted}


@pytest.mark.parametrize(
    "route, body, param",
    [
        ("/tokenize", {"content": [10**6]}, "content"),
        ("/tokenize", {"content": {"a": 1}}, "content"),
        ("/tokenize", {"content": "a", "add_special": 1}, "add_special"),
        ("/detokenize", {"tokens": [-1]}, "tokens"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
        ("/apply-template", {}, "messages"),
        ("/extras/tokenize", {}, "input"),
        ("/extras/detokenize", {"tokens": [True]}, "tokens"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(server, route, body, param):
    reply = server.ask(route, body)
    assert (reply.status, reply.json["error"]["param"]) == (400, param)


def test_llama_cpp_python_counts_with_what_stands_around_a_text(server):
    tokens = server.ask("/extras/tokenize", {"input": TEXT, "model": "tiny"}).json["tokens"]
    assert tokens == server.served.vocab.encode(TEXT)
    assert server.ask("/extras/tokenize/count", {"input": TEXT}).json == {"count": len(tokens)}
    assert server.ask("/extras/detokenize", {"tokens": tokens}).json["text"].strip() == TEXT
