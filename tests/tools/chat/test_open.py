"""A model made ready to talk: its template, its thoughts, what its answers must fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from llamakit.api.grammar import LlamaGrammar
from llamakit.core.chat.output.format import ReasoningFormat
from llamakit.core.sampling.params import SamplingParams
from llamakit.tools.chat.conversation import Conversation
from llamakit.tools.chat.draws import AfterThoughts, Draws
from llamakit.tools.chat.events import Delta
from llamakit.tools.chat.open import TemplateParams, open_speaker
from llamakit.tools.completion import Completion, CompletionParams, ContextParams, open_completion
from tests.api.model import TINY
from tests.tiny import Tiny, write_tiny

THINKS = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]"
    "{% if thinks %}<think>{% endif %}{% endif %}{# </think> #}"
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    metadata = dict(TINY.metadata) | {"tokenizer.chat_template": THINKS}
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf", Tiny(n_vocab=TINY.n_vocab, metadata=metadata))


@pytest.fixture
def completion(path: Path) -> Iterator[Completion]:
    with ExitStack() as opened:
        params = CompletionParams(n_predict=24)
        yield opened.enter_context(open_completion(path, ContextParams(), SamplingParams(seed=1), params))


def speaker_of(completion: Completion, grammar: str | None = None, **params: object) -> Conversation:
    draws = Draws(SamplingParams(seed=1, temperature=2.0), completion.vocab, completion.context.n_vocab)
    draws.grammar = LlamaGrammar.from_string(grammar) if grammar else None
    return Conversation(open_speaker(completion, TemplateParams(**params), draws))


def test_the_models_own_template_writes_the_prompt(completion: Completion) -> None:
    talk = speaker_of(completion)
    talk.set_system("s")
    list(talk.say("hi"))
    assert talk.speaker.transcript.segments[0].text == "[system]s[user]hi[assistant]"


def test_another_template_can_be_named(completion: Completion) -> None:
    talk = speaker_of(completion, override="chatml")
    list(talk.say("hi"))
    assert talk.speaker.transcript.segments[0].text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "thinks, text, thinking, content",
    [
        (False, "<think>so</think>\n\nyes", "so", "yes"),
        (True, "so</think>yes", "so", "yes"),
        (False, "yes", "", "yes"),
        (True, "so", "so", ""),
    ],
)
def test_thoughts_are_told_from_the_answer(
    thinks: bool, text: str, thinking: str, content: str, completion: Completion
) -> None:
    talk = speaker_of(completion, variables={"thinks": thinks})
    prompt = talk.speaker.voice.render([])
    for size in (1, 3, 100):
        reader = talk.speaker.voice.new_reader(prompt)
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        deltas = [*(d for piece in pieces for d in reader.push(piece)), *reader.finish()]
        assert all(isinstance(delta, Delta) for delta in deltas)
        assert "".join(d.text for d in deltas if d.is_thinking) == thinking
        assert "".join(d.text for d in deltas if not d.is_thinking) == content


@pytest.mark.parametrize("reasoning", [None, ReasoningFormat.NONE])
def test_thoughts_may_stay_in_the_text(reasoning: ReasoningFormat | None, completion: Completion) -> None:
    talk = speaker_of(completion, reasoning=reasoning)
    reader = talk.speaker.voice.new_reader(talk.speaker.voice.render([]))
    deltas = [*reader.push("<think>so</think>yes"), *reader.finish()]
    assert "".join(d.text for d in deltas) == "<think>so</think>yes"
    assert not any(d.is_thinking for d in deltas)


def test_thoughts_are_kept_apart_in_the_messages(completion: Completion) -> None:
    talk = speaker_of(completion, variables={"thinks": True}, budget=3)
    events = list(talk.say("hi"))
    message = talk.messages[-1]
    assert message.reasoning == "".join(e.text for e in events if isinstance(e, Delta) and e.is_thinking).rstrip()
    assert "think>" not in message.text


def test_a_budget_ends_the_thoughts(completion: Completion) -> None:
    talk = speaker_of(completion, variables={"thinks": True}, budget=3, budget_message=" Enough.")
    list(talk.say("hi"))
    raw = talk.speaker.transcript.segments[-1].text
    assert raw.count(" Enough.</think>") == 1
    assert (talk.messages[-1].reasoning or "").endswith("Enough.")


def test_a_grammar_begins_behind_the_thoughts(completion: Completion) -> None:
    talk = speaker_of(completion, 'root ::= "cat" "."', variables={"thinks": True}, budget=3)
    list(talk.say("hi"))
    assert talk.speaker.transcript.segments[-1].text.partition("</think>")[2] == "cat."


def test_a_grammar_holds_from_the_start_where_nothing_is_thought(completion: Completion) -> None:
    talk = speaker_of(completion, 'root ::= "cat" "."')
    list(talk.say("hi"))
    assert talk.messages[-1].text == "cat."


def test_a_sleeping_constraint_allows_all_and_hears_nothing() -> None:
    class Heard:
        def __init__(self) -> None:
            self.tokens: list[int] = []

        def fill_mask(self, mask: np.ndarray) -> None:
            mask[:] = 7

        def accept(self, token: int) -> None:
            self.tokens.append(token)

    heard, mask = Heard(), np.zeros(2, np.uint32)
    constraint = AfterThoughts(heard, [5, 6])
    for token in (5, 4, 5, 6, 9):
        constraint.fill_mask(mask)
        assert mask[0] == (7 if token == 9 else 0xFFFFFFFF)
        constraint.accept(token)
    assert heard.tokens == [9]
