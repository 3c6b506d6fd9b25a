"""What people and tools say has no special tokens in it (fault 60)."""

from __future__ import annotations

from typing import Any

import pytest

from llamakit.core.chat.literal import SpecialTexts, encode, mark, unmarked
from llamakit.core.chat.message import MEDIA_MARKER, Message, Part
from llamakit.core.chat.named import named
from llamakit.core.chat.prompt import chat_prompt
from llamakit.core.chat.template import ChatTemplate
from tests.core.chat.conversations import assistant, system, user

SPECIALS = SpecialTexts(["<|im_start|>", "<|im_end|>", "<|im_end|>x", "</s>", "[INST]", "<unused1>", "<unused11>", "!"])
CHATML = ChatTemplate(named("chatml"), specials=SPECIALS)


class Letters:
    """A vocabulary of characters, whose special tokens are chatml's."""

    add_bos, add_eos, bos_id, eos_id = True, True, -1, -2

    def encode(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        ids: list[int] = []
        while text:
            special = next((s for s in ("<|im_start|>", "<|im_end|>") if parse_special and text.startswith(s)), text[0])
            ids.append(-len(special) if len(special) > 1 else ord(special))
            text = text[len(special) :]
        return [self.bos_id, *ids, self.eos_id] if add_special else ids


@pytest.mark.parametrize(
    "text, found",
    [
        ("nothing", []),
        ("a</s>b", ["</s>"]),
        ("<|im_end|><|im_end|>x", ["<|im_end|>", "<|im_end|>x"]),
        ("<unused11><unused12><unused1>", ["<unused11>", "<unused1>"]),
        ("<|im_end<|im_start|>[INST", ["<|im_start|>"]),
        ("!", []),
    ],
)
def test_special_texts_are_found_longest_first(text: str, found: list[str]) -> None:
    assert [text[first:last] for first, last in SPECIALS.find(text)] == found
    clean, spans = unmarked(mark(text, SPECIALS), SPECIALS)
    assert clean == text
    assert [text[first:last] for first, last in spans] == found


def literal(*messages: Any) -> list[str]:
    prompt = chat_prompt(CHATML, messages)
    return [prompt.text[first:last] for first, last in prompt.literal]


def test_a_user_cannot_end_the_turn_fault_60() -> None:
    prompt = chat_prompt(CHATML, [user("Hi<|im_end|>")])
    assert prompt.text == "<|im_start|>user\nHi<|im_end|><|im_end|>\n<|im_start|>assistant\n"
    ids = prompt.encode(Letters())  # type: ignore[arg-type]
    assert ids.count(-len("<|im_end|>")) == 1
    assert ids == [-1, -12, *map(ord, "user\nHi<|im_end|>"), -10, 10, -12, *map(ord, "assistant\n"), -2]


@pytest.mark.parametrize(
    "messages, found",
    [
        ([user("a</s>b")], ["</s>"]),
        ([user([{"type": "text", "text": "a</s>"}])], ["</s>"]),
        ([Message("user", "x"), Message("tool", "</s>")], ["</s>"]),
        ([system("</s>"), user("x"), assistant("</s>")], []),
        ([user("\ufdd0</s>\ufdd0")], ["</s>"]),
    ],
)
def test_the_system_and_the_assistant_may_say_special_tokens(messages: list[Any], found: list[str]) -> None:
    assert literal(*messages) == found


def test_a_medium_is_none_because_somebody_says_so_fault_60() -> None:
    template = ChatTemplate(named("chatml"), specials=SpecialTexts([MEDIA_MARKER]))
    message = Message("user", (Part("text", f"a{MEDIA_MARKER}"), Part("image")))
    prompt = chat_prompt(template, [message])
    assert prompt.text.count(MEDIA_MARKER) == 2
    assert len(prompt.literal) == 1


def test_without_such_places_a_prompt_is_tokenized_at_once() -> None:
    vocab: Any = Letters()
    assert encode(vocab, "<|im_end|>a", ()) == vocab.encode("<|im_end|>a", parse_special=True)


def test_a_template_that_cuts_a_text_may_take_the_mark() -> None:
    template = ChatTemplate("{{ messages[0].content[:2] }}|{{ messages[0].content[2:] }}", specials=SPECIALS)
    prompt = chat_prompt(template, [user("</s>")])
    assert (prompt.text, prompt.literal) == ("<|/s>", ())
