"""Metered templates write what Jinja's own sandbox writes, whatever they use of the language."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.template import ChatTemplate
from tests.core.chat import oracle

DATA = {
    "text": "Be <b>brief</b>, Köln & 日本.\n Two  words",
    "words": ["b", "a", "C", "a"],
    "numbers": [3, 1, 2],
    "table": {"k": "v", "n": 1.5, "l": [1, [2, None]], "t": True},
    "rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 1, "b": "z"}],
    "n": 7,
    "none": None,
}

# One a line: every construct, filter, test and method that a template may use.
SNIPPETS = (Path(__file__).parents[2] / "data/chat_snippets.jinja").read_text(encoding="utf-8").splitlines()
SNIPPETS += [
    "{%- if true -%}\n  a\n{%- endif %}\n\n  {% if true %}\n  b\n  {% endif %}\n{# c #}\n{{- 'd' }}\n",
    "{{ 'a\tb'.expandtabs(4) }}{{ text.rsplit('\n', maxsplit=1) }}{{ words|tojson(indent='\t') }}",
    "{{ text|tojson(ensure_ascii=true) }}{{ table.l|string }}{{ words|pprint }}{{ 1e3|filesizeformat }}",
    "{{ 'a'.ljust(4) }}{{ 'a'.rjust(4, '.') }}{{ '7'.zfill(3) }}",
]

FAILING = [
    "{{ missing.x }}",
    "{{ missing[0] }}",
    "{{ missing[1:] }}",
    "{{ none + 'a' }}",
    "{{ 'a' + 1 }}",
    "{{ none|tojson|int + [] }}",
    "{{ missing|tojson }}",
    "{{ words.append(1) }}",
    "{{ 1 / 0 }}",
    "{{ text|nosuchfilter }}",
    "{{ n() }}",
    "{% for x in n %}{% endfor %}",
    "{% set ns = namespace() %}{{ ns.x.y }}",
    "{% set n.x = 1 %}",
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_metered_template_writes_what_jinja_writes(snippet: str) -> None:
    expected = oracle.render(snippet, [], **DATA)
    assert ChatTemplate(snippet).render([], **DATA) == expected
    assert expected


@pytest.mark.parametrize("snippet", FAILING)
def test_what_fails_in_jinja_fails_here(snippet: str) -> None:
    with pytest.raises(Exception):  # noqa: B017
        oracle.render(snippet, [], **DATA)
    with pytest.raises(TemplateError, match="line 1"):
        ChatTemplate(snippet).render([], **DATA)


def test_the_time_is_now() -> None:
    before = datetime.now()
    rendered = ChatTemplate("{{ strftime_now('%Y-%m-%dT%H:%M:%S') }}").render([])
    assert 0 <= (datetime.fromisoformat(rendered) - before).total_seconds() + 1 < 60


def test_json_is_not_escaped_for_html() -> None:
    value = {"a": "<b>'&\u2028 ü"}
    assert ChatTemplate("{{ value|tojson }}").render([], value=value) == json.dumps(value, ensure_ascii=False)


def test_a_namespace_prints_short_and_takes_no_private_names() -> None:
    assert ChatTemplate("{{ namespace(a=1) }}").render([]) == "<Namespace>"
    with pytest.raises(TemplateError, match="a namespace takes no name such as '_a'"):
        ChatTemplate("{{ namespace(_a=1) }}").render([])
