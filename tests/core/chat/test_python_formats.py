"""llama-cpp-python's chat formats."""

from __future__ import annotations

import pytest

from llamakit.core.chat.named import TEMPLATES
from llamakit.core.chat.python_formats import OWN, PLAIN, SAME, template_text
from llamakit.core.chat.template import ChatTemplate


@pytest.mark.parametrize("name", SAME.keys() - {"mistral-instruct"})
def test_a_format_under_another_name_is_one_of_ours(name: str) -> None:
    assert template_text(name) in TEMPLATES


def test_mistrals_first_format_has_no_blank_before_an_answer() -> None:
    text = template_text("mistral-instruct")
    assert text is not None
    roles = ("system", "user", "assistant", "user")
    messages = [{"role": role, "content": said} for role, said in zip(roles, "SUAV", strict=True)]
    assert ChatTemplate(text).render(messages) == "[INST] S\n\nU [/INST]A</s>[INST] V [/INST]"


def test_a_format_of_models_without_a_template() -> None:
    text = template_text("snoozy")
    assert text is not None
    prompt = ChatTemplate(text).render([{"role": "user", "content": "Hi"}], None, True)
    assert prompt == "### Prompt: Hi\n### Response:"


def test_no_name_of_ours_is_hidden() -> None:
    assert not {*SAME, *PLAIN} & {*TEMPLATES}


@pytest.mark.parametrize("name", [None, "", OWN])
def test_the_model_s_own(name: str | None) -> None:
    assert template_text(name) is None


@pytest.mark.parametrize("text", ["chatml", "{{ messages }}", "unheard of"])
def test_all_else_is_the_template_s_name_or_text(text: str) -> None:
    assert template_text(text) == text
