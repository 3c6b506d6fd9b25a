"""Which template a model is chatted with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.load import load_template
from llamakit.core.chat.named import named
from llamakit.core.chat.prompt import chat_prompt
from llamakit.core.vocab.tokens import TokenType
from tests.core.chat.conversations import TOOLS, user

KEY = "tokenizer.chat_template"
CHAT = [user("Hi")]
CONTROL = bytearray([TokenType.CONTROL, TokenType.CONTROL])
VOCAB: Any = SimpleNamespace(texts=["<s>", "</s>"], types=CONTROL, bos_id=0, eos_id=None, add_bos=True, add_eos=False)
OWN = {KEY: "{{ bos_token }}own {{ messages[0].content }}{{ eos_token }}"}
TOOL_USE = {f"{KEY}.tool_use": "with {% if tools %}{{ tools[0].function.name }}{% endif %}"}
BOTH = OWN | TOOL_USE
CHATML = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "metadata, override, plain, with_tools",
    [
        (OWN, None, "own Hi", "own Hi"),
        (BOTH, None, "own Hi", "with get_weather"),
        (TOOL_USE, None, "with ", "with get_weather"),
        ({}, None, CHATML, CHATML),
        (BOTH, "", "own Hi", "with get_weather"),
        (BOTH, "chatml", CHATML, CHATML),
        (BOTH, "chatml\n", CHATML, CHATML),
        (BOTH, "mine {{ messages[0].content }}", "mine Hi", "mine Hi"),
    ],
)
def test_the_one_asked_for_then_the_models_own_then_chatml(
    metadata: dict[str, Any], override: str | None, plain: str, with_tools: str
) -> None:
    template = load_template(metadata, VOCAB, override)
    assert chat_prompt(template, CHAT).text == plain
    assert chat_prompt(template, CHAT, TOOLS).text == with_tools


def test_special_tokens_are_the_vocabularys() -> None:
    template = load_template(OWN, VOCAB)
    assert (template.bos_token, template.eos_token, template.add_bos, template.add_eos) == ("<s>", "", True, False)
    assert template.render(CHAT) == "<s>own Hi"


def test_without_jinja_a_template_is_the_named_one_it_resembles() -> None:
    template = load_template({KEY: "{{ '<|start_header_id|>' }}<|end_header_id|>"}, VOCAB, use_jinja=False)
    assert (template.name, template.source) == ("llama3", named("llama3"))


@pytest.mark.parametrize(
    "metadata, override, use_jinja, fault",
    [
        ({}, "lama3", True, "there is no chat template 'lama3'; the names are: chatml, "),
        (OWN, None, False, "is none of those that are known without Jinja: leave out --no-jinja"),
        ({}, "{{ x }}", False, "is none of those that are known without Jinja"),
        ({KEY: 7}, None, True, f"{KEY} of the model is no text, but of type int: use --chat-template"),
    ],
)
def test_nothing_else_takes_the_place_of_what_cannot_be_used(
    metadata: dict[str, Any], override: str | None, use_jinja: bool, fault: str
) -> None:
    with pytest.raises(TemplateError, match=fault):
        load_template(metadata, VOCAB, override, use_jinja)


def test_a_text_of_several_words_is_a_template_that_says_the_same_of_all_chats() -> None:
    assert chat_prompt(load_template(OWN, VOCAB, "Once upon a time"), CHAT).text == "Once upon a time"


def test_a_broken_template_is_no_hindrance_until_it_is_rendered_fault_22() -> None:
    template = load_template({KEY: "{% if %}"}, VOCAB)
    with pytest.raises(TemplateError, match="line 1"):
        chat_prompt(template, CHAT)
