"""Talking with a model on the page."""

from __future__ import annotations

import json
import threading
import time

import pytest

pytest.importorskip("fastapi")

from fastapi.responses import JSONResponse

from .fake import BREAK, delta, end, said, words
from .reading import answers, ask, say, see, texts


def wait_until(is_true):
    until = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def refused(status, message, kind="invalid_request_error", **more):
    return JSONResponse({"error": {"code": status, "message": message, "type": kind, **more}}, status)


def test_an_answer_streams(page, fake):
    read, gate = threading.Event(), threading.Event()
    timings = {"prompt_per_second": 912.3, "predicted_per_second": 118.4}
    progress = {"choices": [], "prompt_progress": {"total": 200, "cache": 0, "processed": 84, "time_ms": 3}}
    fake.answers(
        [progress, read, *words("The first sentence. And the"), gate, *words(" second one."), *end(timings=timings)]
    )
    say(page, "Hello")
    see(page, "Reading the prompt")
    see(page, "42 %")
    read.set()
    see(page, "And the")
    assert "second one" not in answers(page).inner_text()
    assert page.get_by_role("status").inner_text() == "The first sentence."
    assert page.locator("[aria-busy=true]").count() == 1
    gate.set()
    see(page, "118 tokens/s")
    assert texts(page) == ["Hello", "The first sentence. And the second one."]
    assert "8 tokens · 118 tokens/s · prompt 21 (16 cached) at 912 tokens/s" in answers(page).inner_text()
    assert "29 of 4,096 tokens of context" in page.locator("form.composer").inner_text()
    assert page.get_by_role("status").inner_text().strip() == "And the second one."
    assert fake.requests == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
    ]


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_an_answer_is_stopped(page, fake, way):
    fake.answers([*words("As far as it came"), threading.Event()])
    say(page, "Hello")
    see(page, "As far as it came")
    if way == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    see(page, "stopped")
    wait_until(lambda: fake.n_cancelled == 1)
    assert texts(page) == ["Hello", "As far as it came"]
    ask(page, "Go on")
    assert [message["role"] for message in fake.requests[1]["messages"]] == ["user", "assistant", "user"]


def test_another_answer_is_a_branch(page, fake):
    fake.answers(said("One"), said("Two"), said("Three"))
    ask(page, "Hello")
    for wanted in ("2/2", "3/3"):
        page.get_by_role("button", name="Regenerate").click()
        see(page, wanted)
        page.get_by_role("button", name="Send").wait_for()
    assert texts(page) == ["Hello", "Three"]
    page.get_by_role("button", name="Previous branch").click()
    see(page, "2/3")
    assert texts(page) == ["Hello", "Two"]
    ask(page, "More")
    assert [message["content"] for message in fake.requests[3]["messages"]] == ["Hello", "Two", "More"]
    assert all(request["messages"] == fake.requests[0]["messages"] for request in fake.requests[:3])


def test_an_edited_question_is_a_branch(page, fake):
    fake.answers(said("An apple"), said("A cherry"), said("A pear"))
    ask(page, "A fruit?")
    ask(page, "Another?")
    page.get_by_role("article", name="You").first.hover()
    page.get_by_role("button", name="Edit").first.click()
    page.get_by_label("Edited message").fill("A green fruit?")
    page.locator("form.editor").get_by_role("button", name="Send").click()
    see(page, "A pear")
    assert texts(page) == ["A green fruit?", "A pear"]
    page.get_by_role("button", name="Previous branch").click()
    see(page, "A cherry")
    assert texts(page) == ["A fruit?", "An apple", "Another?", "A cherry"]


def test_an_edited_answer_is_what_the_model_is_told(page, fake):
    ask(page, "Hello")
    page.get_by_role("button", name="Edit").last.click()
    page.get_by_label("Edited message").fill("Something else")
    page.get_by_role("button", name="Save").click()
    see(page, "2/2")
    ask(page, "And?")
    assert [message["content"] for message in fake.requests[1]["messages"]] == ["Hello", "Something else", "And?"]


def test_a_conversation_is_there_after_a_reload(page, fake):
    fake.answers(said("One"), said("Two"))
    ask(page, "Hello **you**")
    page.get_by_role("button", name="Regenerate").click()
    see(page, "2/2")
    page.get_by_role("button", name="Send").wait_for()
    page.get_by_role("button", name="Previous branch").click()
    see(page, "1/2")
    page.reload()
    see(page, "1/2")
    assert texts(page) == ["Hello **you**", "One"]
    assert page.get_by_role("link", name="Hello **you**").count() == 1


def test_what_came_before_the_page_was_closed_is_kept(page, fake):
    fake.answers([*words("Some of"), threading.Event()])
    say(page, "Hello")
    see(page, "Some of")
    page.reload()
    see(page, "broken off")
    wait_until(lambda: fake.n_cancelled == 1)
    page.get_by_role("button", name="Regenerate").click()
    see(page, "You said: Hello")


def test_reasoning_is_folded(page, fake):
    fake.answers([delta(reasoning_content="Let me "), delta(reasoning_content="think."), *said("42")])
    ask(page, "Hello")
    thought = page.locator(".reasoning").get_by_text("Let me think.")
    assert not thought.is_visible()
    page.locator(".reasoning summary").click()
    assert thought.is_visible()
    ask(page, "And?")
    assert fake.requests[1]["messages"][1] == {"role": "assistant", "content": "42"}


def test_events_may_come_in_any_pieces(page, fake):
    text = "".join(f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n" for chunk in said("Grüße 👋 an alle"))
    whole = f": a comment\n\n{text}data: [DONE]\n\n".encode()
    fake.answers([whole[i : i + 5] for i in range(0, len(whole), 5)])
    ask(page, "Hello")
    assert texts(page) == ["Hello", "Grüße 👋 an alle"]


def test_questions_without_an_answer_go_into_the_next(page, fake):
    fake.answers(refused(503, "Loading model"))
    ask(page, "One")
    ask(page, "Two")
    assert fake.requests[1]["messages"] == [{"role": "user", "content": "One\n\nTwo"}]


def test_a_key_that_is_missing_can_be_entered(open_page, fake):
    fake.key = "secret"
    page = open_page()
    see(page, "The server wants an API key")
    page.get_by_role("button", name="Enter the key").click()
    page.wait_for_function("() => document.activeElement.id === 'api-key'")
    page.keyboard.type("secret")
    page.get_by_label("API key").press("Tab")
    page.get_by_role("alert").wait_for(state="detached")
    ask(page, "Hello")
    assert texts(page)[1] == "You said: Hello"
    stored = "() => Object.values(localStorage).join().includes('secret')"
    assert not page.evaluate(stored)
    page.get_by_label("Keep it in this browser").check()
    assert page.evaluate(stored)
    page.get_by_label("Keep it in this browser").uncheck()
    assert not page.evaluate(stored)


ERRORS = [
    (refused(400, "top_k is odd"), "Top_k is odd. Check the settings.", "Open settings"),
    (refused(429, "the queue is full"), "The server is busy", "Try again"),
    (refused(503, "Loading model", "unavailable_error"), "The server is not ready", "Try again"),
    (refused(403, "pages of this origin may not ask here"), "Pages of this origin may not ask here.", None),
    (JSONResponse("?", 502), "The server failed", "Try again"),
    ([*words("A bit"), {"error": {"code": 500, "message": "no more"}}], "No more. Its log tells more.", "Try again"),
    ([*words("A bit"), BREAK], "The answer broke off", "Try again"),
    (
        refused(400, "too many tokens", "exceed_context_size_error", n_prompt_tokens=9, n_ctx=8),
        "longer than the model's context",
        "New chat",
    ),
]


def test_errors_are_said_in_words(page, fake):
    for i, (reply, wanted, button) in enumerate(ERRORS):
        page.get_by_role("button", name="New chat").first.click()
        fake.answers(reply)
        ask(page, f"Question {i}")
        assert wanted in page.get_by_role("alert").last.inner_text()
        if button is None:
            continue
        page.get_by_role("alert").last.get_by_role("button", name=button).click()
        if button == "Try again":
            see(page, f"You said: Question {i}")
            page.get_by_role("button", name="Send").wait_for()
        elif button == "Open settings":
            page.get_by_role("complementary", name="Settings").wait_for()
    page.get_by_role("heading", name="tiny", level=2).wait_for()  # a new chat


def test_a_server_that_is_gone_is_said_in_words(page):
    page.context.set_offline(True)
    ask(page, "Hello")
    assert "The server does not answer" in page.get_by_role("alert").inner_text()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    see(page, "You said: Hello")


def test_conversations_are_answered_beside_each_other(page, fake):
    gate = threading.Event()
    fake.answers([*words("Slow"), gate, *words(" but sure"), *end()])
    say(page, "First")
    see(page, "Slow")
    page.get_by_role("button", name="New chat").click()
    ask(page, "Second")
    assert texts(page) == ["Second", "You said: Second"]
    page.get_by_role("link", name="First").click()
    page.get_by_role("button", name="Stop").wait_for()
    gate.set()
    page.get_by_role("button", name="Send").wait_for()
    assert texts(page) == ["First", "Slow but sure"]


def test_a_browser_that_keeps_nothing_still_chats(open_page, fake):
    page = open_page(before="IDBFactory.prototype.open = () => { throw new Error('no store here') }")
    ask(page, "Hello")
    assert texts(page) == ["Hello", "You said: Hello"]
    assert "This conversation is not kept" in page.get_by_role("alert").inner_text()
    assert "No store here." in page.get_by_role("alert").inner_text()


def test_a_model_that_loads_is_waited_for(open_page, fake):
    fake.is_loading = True
    page = open_page()
    assert "The server is not ready" in page.get_by_role("alert").inner_text()
    fake.is_loading = False
    page.get_by_role("heading", name="tiny", level=1).wait_for()
    assert page.get_by_role("alert").count() == 0
