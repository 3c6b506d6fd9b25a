"""Every template of the collection renders as Hugging Face renders it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.template import ChatTemplate
from tests.core.chat import oracle
from tests.core.chat.conversations import CONVERSATIONS, SETTINGS

FOLDER = Path(__file__).parents[4] / "shared/assets/chat-templates"
FILES = sorted(FOLDER.glob("*.jinja"))
BOS, EOS = "<s>", "</s>"


@pytest.mark.skipif(not FILES, reason=f"no templates in {FOLDER}")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_template_renders_as_hugging_face_renders_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    template = ChatTemplate(text, bos_token=BOS, eos_token=EOS)
    n_rendered = 0
    for (name, messages), (tools, opens, more) in product(CONVERSATIONS.items(), SETTINGS):
        try:
            expected = oracle.render(text, messages, tools, opens, bos_token=BOS, eos_token=EOS, **more)
        except Exception:
            with pytest.raises(TemplateError):
                template.render(messages, tools, opens, **more)
        else:
            n_rendered += 1
            assert template.render(messages, tools, opens, **more) == expected, name
    assert n_rendered >= 10


def test_the_variables_of_a_template_are_known() -> None:
    with_tools = ChatTemplate("{{ tools }}{{ strictness }}")
    source = (
        "{% set made = 1 %}{{ made }}{% if x is defined %}{{ strftime_now('%d') }}{{ y.z }}{% endif %}{{ messages }}"
    )
    assert ChatTemplate(source, tool_use=with_tools).variables == {"x", "y", "messages", "tools", "strictness"}
    assert ChatTemplate("{% if %}").variables == frozenset()
