"""Hostile templates are stopped, soon and small, and say why (fault 22)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.meter import Limits
from llamakit.core.chat.template import ChatTemplate
from tests.core.chat.conversations import user
from tests.core.chat.hostile import ENDLESS, FORBIDDEN, HUGE, NOTHING, UNREADABLE

CHAT = [user("Hi")]


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_a_template_without_end_is_stopped_by_the_clock_fault_22(text: str) -> None:
    template = ChatTemplate(text, limits=Limits(seconds=0.1, seconds_per_message=0.0))
    started = time.thread_time()
    with pytest.raises(TemplateError, match=r"was stopped: line 1: it takes more than 0\.1 seconds"):
        template.render(CHAT)
    assert time.thread_time() - started < 3  # and it was compiled


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_template_that_would_fill_the_memory_is_stopped_fault_22(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(TemplateError, match="was stopped"):
        ChatTemplate(text).render(CHAT)
    assert time.thread_time() - started < 2


def test_all_of_them_together_take_little_memory_fault_22() -> None:
    code = """
import resource
from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.template import ChatTemplate
from tests.core.chat.hostile import HUGE
ChatTemplate("{{ messages }}").render([])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for text in HUGE.values():
    try:
        ChatTemplate(text).render([])
    except TemplateError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert int(result.stdout) < 256  # MiB


@pytest.mark.parametrize("text", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_template_cannot_reach_into_the_program_fault_22(text: str) -> None:
    with pytest.raises(TemplateError, match="does what no template may: line 1: "):
        ChatTemplate(text).render(CHAT)


@pytest.mark.parametrize("text", NOTHING.values(), ids=NOTHING)
def test_of_the_program_nothing_is_seen_fault_22(text: str) -> None:
    prompt = ChatTemplate(text).render(CHAT)
    assert prompt in ("", "[Undefined]")


@pytest.mark.parametrize("text, message", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_template_says_why_fault_22(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        ChatTemplate(text).render(CHAT)


def test_what_a_template_says_is_shown_shortened() -> None:
    with pytest.raises(TemplateError, match=r"refuses these messages: line 1: a{500}\.\.\.$"):
        ChatTemplate("{{ raise_exception('a' * 9999999) }}").render(CHAT)


def test_messages_are_left_as_they_were() -> None:
    chat = [user(["a"])]
    with pytest.raises(TemplateError):
        ChatTemplate("{{ messages[0].content.append('b') }}").render(chat)
    assert chat == [user(["a"])]


def test_what_is_held_no_more_is_given_back() -> None:
    """A text that grows by a message at a time needs, added up, far more than there may be at once."""
    text = (
        "{% set ns = namespace(x='') %}{% for m in messages %}{% set ns.x = ns.x ~ m.content %}{% endfor %}{{ ns.x }}"
    )
    chat = [user("x" * 1000)] * 500
    assert ChatTemplate(text, limits=Limits(n_bytes=1 << 20, bytes_per_input_byte=8)).render(chat) == "x" * 500_000


def test_a_long_text_may_take_the_place_of_a_short_one() -> None:
    chat = [user("x" * 1_000_000)]
    template = ChatTemplate(
        "{{ ('.' * 9999 ~ 'HERE').replace('HERE', messages[0].content)|replace('HERE', 'x')|length }}"
    )
    assert template.render(chat) == "1009999"


def test_more_messages_may_take_more_time_and_memory() -> None:
    text = "{% for m in messages %}{% for n in messages %}{% endfor %}{% endfor %}"
    few = Limits(seconds=0.0, seconds_per_message=0.001)
    assert ChatTemplate(text, limits=few).render([user("x")] * 1000) == ""
