"""Raw interaction: the text goes back and forth by llama.cpp's rules."""

from __future__ import annotations

from llamakit.core.engine.generate import Finish
from llamakit.tools.chat.interaction import Interaction, RawParams
from tests.fake_engine import BOS, EOS
from tests.tools.chat.talking import said, session_of

USER = ("User:",)
WITH_USER = RawParams(stop=USER)


def interact(script: str, params: RawParams = WITH_USER, prompt: str = "A chat.\n") -> Interaction:
    interaction = Interaction(session_of(script), params)
    interaction.add_prompt(interaction.session.vocab.encode(prompt))
    return interaction


def seen(interaction: Interaction) -> str:
    return bytes(t for t in interaction.session.tokens if t < BOS).decode()


def test_a_reverse_prompt_hands_the_turn_to_the_person() -> None:
    talk = interact("Hi!\nUser:Sure.\nUser:")
    assert said(talk.go_on()) == "Hi!\nUser:"
    assert talk.session.finish is Finish.STOP_TEXT
    assert talk.is_persons_turn
    talk.add_input(" go")
    assert not talk.is_persons_turn
    assert said(talk.go_on()) == "Sure.\nUser:"
    assert seen(talk) == "A chat.\nHi!\nUser: goSure.\nUser"  # the last token is drawn but not computed


def test_a_prompt_that_ends_with_a_reverse_prompt_waits_for_the_person() -> None:
    assert interact("", prompt="A chat.\nUser:").is_persons_turn


def test_prefix_and_suffix_stand_around_what_is_typed() -> None:
    talk = interact("ok|", RawParams(in_prefix=" <", in_suffix="> ", in_prefix_bos=True), prompt="p")
    talk.add_input("hi")
    assert talk.waiting == [BOS, *b"p", BOS, *b" <hi> "]
    assert said(talk.go_on()) == "ok"


def test_an_empty_input_only_hands_the_turn_back() -> None:
    talk = interact("ok|", RawParams(in_prefix="<", in_suffix=">"), prompt="p")
    talk.add_input("")
    assert talk.waiting == [BOS, *b"p"]


def test_where_the_model_ends_the_reverse_prompt_is_written_for_it() -> None:
    talk = interact("done|more|")
    assert said(talk.go_on()) == "done\nUser:"
    assert talk.is_persons_turn
    assert talk.session.pending == [EOS]
    talk.add_input(" x")
    said(talk.go_on())
    assert seen(talk) == "A chat.\ndoneUser: xmore"
    assert EOS in talk.session.tokens


def test_it_is_the_persons_turn_after_n_predict_tokens() -> None:
    talk = interact("abcdef", RawParams(n_predict=2))
    assert said(talk.go_on()) == "ab"
    assert said(talk.go_on()) == "cd"


def test_an_interruption_ends_it_behind_the_last_token() -> None:
    talk = interact("abcdef", RawParams())
    events = talk.go_on()
    assert said([next(events)]) == "a"
    talk.is_interrupted = True
    assert said(events) == ""
    assert talk.session.finish is None
