"""The named templates against llama.cpp's llama_chat_apply_template, whose prompts are in tests/data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamakit.core.chat.named import DETECTED, NAMES, named
from llamakit.core.chat.template import ChatTemplate

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data/chat_named.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DETECTED)
def test_a_named_template_writes_what_llama_cpp_writes(name: str) -> None:
    """The first prompt opens the assistant's turn, the second, if there is one, does not."""
    template = ChatTemplate(named(name))
    for conversation, prompts in GOLDEN["prompts"][name].items():
        for opens, prompt in zip((True, False), prompts, strict=False):
            assert template.render(GOLDEN["conversations"][conversation], None, opens) == prompt, conversation


def test_there_are_as_many_names_as_llama_cpp_has() -> None:
    assert len(NAMES) == 54
    assert set(GOLDEN["prompts"]) == {*NAMES, "dots1"}
