"""Functions of chats: messages as a prompt."""

from __future__ import annotations

import ctypes
from typing import Any

from llamakit.compat.c_api.buffers import number
from llamakit.core.chat.detect import detect
from llamakit.core.chat.named import TEMPLATES, named
from llamakit.core.chat.template import ChatTemplate

USUAL = "chatml"


class llama_chat_message(ctypes.Structure):
    _fields_ = (("role", ctypes.c_char_p), ("content", ctypes.c_char_p))


def llama_chat_apply_template(tmpl: bytes | None, chat: Any, n_msg: int, add_ass: bool, buf: Any, length: int) -> int:
    """Put the prompt of messages into a buffer, as far as it fits; the length of the whole prompt.

    tmpl is the name of a template, or the text of one, of which llama.cpp knows some.
    Raises TemplateError.
    """
    text = USUAL if tmpl is None else tmpl.decode()
    name = text if text in TEMPLATES else detect(text)
    template = ChatTemplate(text if name is None else named(name))
    messages = [{"role": chat[i].role.decode(), "content": chat[i].content.decode()} for i in range(number(n_msg))]
    prompt = template.render(messages, add_generation_prompt=bool(add_ass)).encode()
    if buf is not None and number(length) > 0:
        part = (prompt + b"\0")[: number(length)]
        ctypes.memmove(buf, part, len(part))
    return len(prompt)


def llama_chat_builtin_templates(output: Any, length: int) -> int:
    """Put the names of templates into an array of char pointers, as far as they fit; how many there are."""
    for i, name in enumerate(NAMES[: number(length)]):
        output[i] = name
    return len(NAMES)


NAMES = [name.encode() for name in TEMPLATES]  # kept: arrays hold pointers to them
