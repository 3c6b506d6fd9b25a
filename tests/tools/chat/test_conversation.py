"""A conversation computes only what is new, and forgets what the person takes back."""

from __future__ import annotations

import pytest

from llamakit.core.chat.message import Message
from llamakit.core.engine.generate import Finish
from llamakit.tools.chat.events import Delta, Reading
from llamakit.tools.chat.speaker import ChatError, ChatParams
from tests.fake_engine import BOS
from tests.tools.chat.talking import converse, notices, roles, said, seen


def test_an_answer_becomes_a_message() -> None:
    talk = converse("hello|", system="be brief")
    assert said(talk.say("hi")) == "hello"
    assert roles(talk) == [("system", "be brief"), ("user", "hi"), ("assistant", "hello")]
    assert seen(talk) == "S:be brief;U:hi;A:hello"
    assert talk.speaker.session.tokens[0] == BOS
    turn = talk.speaker.turn
    assert (turn.n_prompt, turn.n_reused, turn.n_said, turn.finish) == (19, 0, 5, Finish.END_OF_TEXT)


def test_a_second_turn_computes_only_its_own_tokens() -> None:
    talk = converse("one|two|")
    said(talk.say("a"))
    n_calls = len(talk.speaker.session.context.calls)
    assert said(talk.say("b")) == "two"
    assert seen(talk) == "U:a;A:one;U:b;A:two"
    computed = [call for call in talk.speaker.session.context.calls[n_calls:] if call[0] == "prefill"]
    assert computed[0][1] == talk.speaker.turn.n_reused == 1 + len("U:a;A:one")
    assert sum(n for _, _, n in computed) == len(";U:b;A:")


def test_the_models_own_tokens_stay_where_encoding_would_choose_others() -> None:
    talk = converse("one|two|")
    said(talk.say("a"))
    talk.speaker.transcript.segments[-1] = type(talk.speaker.transcript.segments[-1])("one", (1, 2))
    said(talk.say("b"))
    assert talk.speaker.transcript.tokens()[: 1 + len("U:a;A:") + 2][-2:] == [1, 2]


def test_regenerate_answers_the_same_message_again() -> None:
    talk = converse("one|two|")
    said(talk.say("a"))
    assert said(talk.regenerate()) == "two"
    assert roles(talk) == [("user", "a"), ("assistant", "two")]
    assert seen(talk) == "U:a;A:two"
    assert talk.n_answers == 2


def test_each_answer_has_a_sampler_of_its_own_number() -> None:
    talk, numbers = converse("one|two|three|"), []
    new_sampler = talk.speaker.voice.new_sampler
    object.__setattr__(talk.speaker.voice, "new_sampler", lambda n, prompt: numbers.append(n) or new_sampler(n, prompt))
    for events in (talk.say("a"), talk.regenerate(), talk.say("b")):
        said(events)
    assert numbers == [0, 1, 2]


def test_undo_takes_the_last_turn_back() -> None:
    talk = converse("one|two|three|")
    said(talk.say("a"))
    said(talk.say("b"))
    assert talk.undo() == "b"
    assert roles(talk) == [("user", "a"), ("assistant", "one")]
    assert said(talk.say("c")) == "three"
    assert seen(talk) == "U:a;A:one;U:c;A:three"


def test_edit_puts_another_message_in_the_last_ones_place() -> None:
    talk = converse("one|two|three|")
    said(talk.say("a"))
    said(talk.say("b"))
    assert said(talk.edit("B")) == "three"
    assert seen(talk) == "U:a;A:one;U:B;A:three"


def test_clear_keeps_the_system_message() -> None:
    talk = converse("one|two|", system="s")
    said(talk.say("a"))
    talk.clear()
    assert said(talk.say("b")) == "two"
    assert seen(talk) == "S:s;U:b;A:two"


@pytest.mark.parametrize("before, text, after", [("", "new", "S:new;"), ("old", "new", "S:new;"), ("old", "", "")])
def test_the_system_message_can_be_changed_in_between(before: str, text: str, after: str) -> None:
    talk = converse("one|two|", system=before)
    said(talk.say("a"))
    talk.set_system(text)
    said(talk.say("b"))
    assert seen(talk) == f"{after}U:a;A:one;U:b;A:two"


@pytest.mark.parametrize("action", ["regenerate", "undo"])
def test_what_needs_a_turn_says_so(action: str) -> None:
    talk = converse("one|", system="s")
    with pytest.raises(ChatError):
        result = getattr(talk, action)()
        said(result)
    assert roles(talk) == [("system", "s")]


def test_an_interrupted_answer_stays_as_far_as_it_came() -> None:
    talk = converse("hello|more|")
    text = ""
    for event in talk.say("a"):
        assert isinstance(event, Delta)
        text += event.text
        if text == "hel":
            talk.interrupt()
    assert text == "hel"
    assert talk.speaker.turn.finish is None
    assert roles(talk) == [("user", "a"), ("assistant", "hel")]
    said(talk.say("b"))
    assert seen(talk).startswith("U:a;A:hel;U:b;A:")


def test_a_message_without_an_answer_is_joined_to_the_next() -> None:
    talk = converse("ok|")
    talk.messages = [Message("user", "a")]
    assert said(talk.say("b")) == "ok"
    assert roles(talk) == [("user", "a\n\nb"), ("assistant", "ok")]


def test_a_long_message_is_read_in_slices_and_can_be_interrupted_between_them() -> None:
    talk = converse("ok|", n_ctx=4096)
    events = talk.say("x" * 2000)
    assert next(events) == Reading(512, 2006)
    talk.interrupt()
    assert list(events) == []
    assert talk.speaker.turn.finish is None
    assert [m.role for m in talk.messages] == ["user"]
    assert len(talk.speaker.session.tokens) == 512
    assert said(talk.regenerate()) == "ok"  # goes on behind the first slice
    assert talk.speaker.turn.n_reused == 512


def test_closing_the_iterator_keeps_what_was_said() -> None:
    talk = converse("hello|more|")
    events = talk.say("a")
    for _ in range(2):
        next(events)
    events.close()
    assert roles(talk) == [("user", "a"), ("assistant", "he")]


def test_reverse_prompts_end_an_answer_and_are_no_part_of_it() -> None:
    talk = converse("good. User: and|", ChatParams(stop=("User:",)))
    assert said(talk.say("a")) == "good. "
    assert talk.speaker.turn.finish is Finish.STOP_TEXT
    assert roles(talk)[-1] == ("assistant", "good. ")


def test_an_answer_has_at_most_n_predict_tokens() -> None:
    talk = converse("abcdefgh", ChatParams(n_predict=3))
    assert said(talk.say("x")) == "abc"
    assert talk.speaker.turn.finish is Finish.LENGTH
    assert said(talk.say("y")) == "def"
    assert seen(talk).startswith("U:x;A:abc;U:y;A:de")


def test_a_full_context_drops_the_oldest_turns_and_says_so() -> None:
    talk = converse("".join(f"answer{i}|" for i in range(9)), n_ctx=64, system="s")
    told = []
    for i in range(6):
        told += notices(list(talk.say(f"question{i}")))
    assert told == ["context full (64 tokens): the oldest 2 turns are no longer seen by the model"] * 2
    assert seen(talk) == "S:s;U:question4;A:answer4;U:question5;A:answer5"
    assert talk.n_turns == 6


def test_keep_holds_the_first_turns_when_the_context_is_full() -> None:
    talk = converse("".join(f"answer{i}|" for i in range(9)), ChatParams(n_keep=-1), n_ctx=64)
    for i in range(6):
        said(talk.say(f"question{i}"))
    assert seen(talk).startswith("U:question0;A:answer0;U:question")
    assert "question1" not in seen(talk)


def test_a_context_that_fills_in_the_midst_of_an_answer_drops_turns_and_goes_on() -> None:
    long = "abcdefghijklmnopqrstuvwxyz"
    talk = converse(f"one|two|{long}|", n_ctx=48)
    said(talk.say("a"))
    said(talk.say("b"))
    events = list(talk.say("c"))
    assert said(events) == long
    assert notices(events) == ["context full (48 tokens): the oldest 2 turns are no longer seen by the model"]
    assert seen(talk) == f"U:c;A:{long}"


def test_an_answer_ends_where_nothing_is_left_to_drop() -> None:
    talk = converse("abcdefghij" * 9, n_ctx=32)
    said(talk.say("a"))
    assert talk.speaker.turn.finish is Finish.CONTEXT_FULL
    assert len(talk.speaker.session.tokens) == 31


def test_a_message_that_is_too_long_is_taken_back() -> None:
    talk = converse("one|two|", n_ctx=32)
    said(talk.say("a"))
    with pytest.raises(ChatError, match="too long: 44 tokens, and the context holds 32"):
        said(talk.say("x" * 38))
    assert roles(talk) == [("user", "a"), ("assistant", "one")]
    assert said(talk.say("b")) == "two"
    assert seen(talk) == "U:a;A:one;U:b;A:two"


def test_a_context_shift_loses_cells_and_says_so() -> None:
    talk = converse("one|" + "abcdefghijklmnopqrstuvwxyz" + "|three|", ChatParams(context_shift=True), 32, "s")
    said(talk.say("a"))
    events = list(talk.say("b"))
    assert said(events) == "abcdefghijklmnopqrstuvwxyz"
    assert notices(events)[0].startswith("context full: the oldest ")
    assert seen(talk).startswith("S:s;U:")  # kept
    assert seen(talk).endswith("uvwxyz")
    assert said(talk.say("c")) == "three"
    assert seen(talk).endswith("z;U:c;A:three")


def test_what_was_said_can_be_taken_back_after_a_context_shift() -> None:
    talk = converse("one|" + "abcdefghijklmnopqrstuvwxyz" + "|three|", ChatParams(context_shift=True), 32, "s")
    said(talk.say("a"))
    said(talk.say("b"))
    talk.undo()
    assert said(talk.say("c")) == "three"
    assert seen(talk) == "S:s;U:a;A:one;U:c;A:three"
