"""Which template a model is chatted with: the one asked for, the model's own, or ChatML for a model that has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamakit.core.chat.detect import detect
from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.literal import special_texts
from llamakit.core.chat.named import NAMES, TEMPLATES, named
from llamakit.core.chat.template import ChatTemplate
from llamakit.core.vocab import Vocab

_KEY = "tokenizer.chat_template"


def load_template(
    metadata: Mapping[str, Any], vocab: Vocab, override: str | None = None, use_jinja: bool = True
) -> ChatTemplate:
    """The template for a model.

    override: a name (see `named.NAMES`) or Jinja text; without it, the model's `tokenizer.chat_template`, and its
    `tokenizer.chat_template.tool_use` when tools are given; ChatML if it has neither. Without use_jinja, the named
    template that the text is recognised as. Raises TemplateError for an unknown name and an unrecognised text; whether
    the text is Jinja at all shows when it is rendered.
    """
    text, tool_use = override, None
    if not text:
        tool_use = own_template(metadata, f"{_KEY}.tool_use")
        text = own_template(metadata, _KEY) or tool_use or "chatml"
    name = text.strip() if text.strip() in TEMPLATES else None
    if name is None and not looks_like_jinja(text):
        raise TemplateError(f"there is no chat template {text[:60]!r}; the names are: {', '.join(NAMES)}")
    if name is None and not use_jinja:
        name, tool_use = detect(text), None
        if name is None:
            raise TemplateError(
                "the chat template is none of those that are known without Jinja: leave out --no-jinja, or choose one "
                "of the names of --chat-template"
            )

    specials = special_texts(vocab)

    def token(id: int | None) -> str:
        return "" if id is None else vocab.texts[id]

    def template(text: str, name: str | None, with_tools: ChatTemplate | None = None) -> ChatTemplate:
        return ChatTemplate(
            text,
            bos_token=token(vocab.bos_id),
            eos_token=token(vocab.eos_id),
            add_bos=vocab.add_bos,
            add_eos=vocab.add_eos,
            name=name,
            tool_use=with_tools,
            specials=specials,
        )

    with_tools = template(tool_use, f"{_KEY}.tool_use") if tool_use and tool_use != text else None
    return template(named(name) if name else text, name, with_tools)


def own_template(metadata: Mapping[str, Any], key: str) -> str | None:
    text = metadata.get(key)
    if text is not None and not isinstance(text, str):
        raise TemplateError(f"{key} of the model is no text, but of type {type(text).__name__}: use --chat-template")
    return text or None


def looks_like_jinja(text: str) -> bool:
    """Not a mistyped name: a template prints something of the messages, or is a text of several words."""
    return "{{" in text or "{%" in text or len(text.split()) > 1
