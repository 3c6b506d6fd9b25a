"""What a request is for that says little."""

from __future__ import annotations

import pytest

from llamakit.core.grammar.gbnf import parse_gbnf

pytest.importorskip("fastapi")

from ..serving import serving

CHAT = {"messages": [{"role": "user", "content": "a"}]}


@pytest.fixture(scope="module")
def says_aba(scheduler):
    with serving(scheduler, rules=parse_gbnf('root ::= "aba"')) as running:
        yield running


@pytest.mark.parametrize(
    "route, body, answer",
    [
        ("/completion", {"prompt": "a"}, lambda told: told["content"]),
        ("/v1/completions", {"prompt": "a"}, lambda told: told["choices"][0]["text"]),
        ("/v1/chat/completions", CHAT, lambda told: told["choices"][0]["message"]["content"]),
        ("/v1/messages", {**CHAT, "max_tokens": 9}, lambda told: told["content"][0]["text"]),
        ("/generate", {"inputs": "a"}, lambda told: told["generated_text"]),
    ],
)
def test_the_servers_grammar_holds_where_a_request_has_none(says_aba, route, body, answer):
    assert answer(says_aba.ask(route, body).json) == "aba"


def test_a_requests_own_grammar_goes_first(says_aba):
    assert says_aba.ask("/completion", {"prompt": "a", "grammar": 'root ::= "bb"'}).json["content"] == "bb"
