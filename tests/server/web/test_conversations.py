"""Conversations in the browser: the list, and files of them."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi")

from .fake import said
from .reading import ask, see, texts


def titles(page):
    return page.get_by_role("navigation").get_by_role("link").all_inner_texts()


def new_chat(page):
    page.get_by_role("button", name="New chat").click()


@pytest.fixture
def three(page):
    """A page with three conversations; the last is in view."""
    for question in ("About apples", "About pears", "About <b>plums</b>"):
        new_chat(page)
        ask(page, question)
    return page


def test_the_newest_comes_first_and_each_opens(three):
    assert titles(three) == ["About <b>plums</b>", "About pears", "About apples"]
    three.get_by_role("link", name="About apples").click()
    see(three, "You said: About apples")
    three.go_back()
    see(three, "You said: About <b>plums</b>")


def test_a_conversation_is_renamed(three):
    three.get_by_role("link", name="About pears").hover()
    three.get_by_role("button", name="Rename About pears").click()
    three.get_by_label("Title").fill("Fruit")
    three.keyboard.press("Enter")
    three.get_by_role("link", name="Fruit").hover()
    three.get_by_role("button", name="Rename Fruit").click()
    three.get_by_label("Title").fill("Vegetables")
    three.keyboard.press("Escape")
    three.reload()
    three.get_by_role("link", name="Fruit").wait_for()
    assert titles(three) == ["About <b>plums</b>", "Fruit", "About apples"]


def test_a_conversation_is_deleted_when_that_was_meant(three):
    for button in ("Cancel", "Delete"):
        three.get_by_role("link", name="About <b>plums</b>").hover()
        three.get_by_role("button", name="Delete About <b>plums</b>").click()
        three.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
        three.get_by_role("dialog").wait_for(state="detached")
    three.get_by_role("heading", name="tiny", level=2).wait_for()
    three.reload()
    three.get_by_role("link", name="About pears").wait_for()
    assert titles(three) == ["About pears", "About apples"]


SHOWN = "titles => [...document.querySelectorAll('.chat a')].map((link) => link.innerText).join() === titles.join()"


def test_search_looks_into_messages(three, fake):
    fake.answers(said("They grow on trees in Kent."))
    new_chat(three)
    ask(three, "Where?")
    box = three.get_by_label("Search conversations")
    for query, wanted in [("KENT trees", ["Where?"]), ("about pears", ["About pears"]), ("kiwi", [])]:
        box.fill(query)
        three.wait_for_function(SHOWN, arg=wanted)
    box.fill("")
    three.wait_for_function(SHOWN, arg=["Where?", "About <b>plums</b>", "About pears", "About apples"])


def exported(page, button):
    with page.expect_download() as download:
        button.click()
    return json.loads(download.value.path().read_text())


def test_what_was_exported_is_imported_elsewhere(open_page, three, fake, tmp_path):
    fake.answers(said("Again"))
    three.get_by_role("button", name="Regenerate").click()
    see(three, "Again")
    see(three, "2/2")
    three.get_by_role("button", name="Send").wait_for()
    file = exported(three, three.get_by_role("button", name="Export all"))
    assert (file["format"], file["version"], len(file["chats"])) == ("llamakit-conversations", 1, 3)
    path = tmp_path / "file.json"
    path.write_text(json.dumps(file))
    other = open_page()
    for n in (3, 6):
        with other.expect_file_chooser() as chooser:
            other.get_by_role("button", name="Import").click()
        chooser.value.set_files(path)
        other.wait_for_function("n => document.querySelectorAll('.chat').length === n", arg=n)
    assert other.get_by_role("status").inner_text().strip() == "3 conversations imported"
    assert sorted(titles(other)) == sorted(titles(three) * 2)
    other.get_by_role("link", name="About <b>plums</b>").first.click()
    see(other, "2/2")
    assert texts(other) == ["About <b>plums</b>", "Again"]
    other.get_by_role("button", name="Previous branch").click()
    see(other, "You said: About <b>plums</b>")


def test_all_that_an_answer_has_is_imported(page):
    answer = {
        "finish": "length",
        "reasoning": "Hm.",
        "calls": [{"name": "add", "arguments": "{}"}],
        "tokens": [{"text": "Hi", "logprob": -0.5, "top": [{"text": "Ho", "logprob": -1.5}]}],
        "usage": {"prompt": 3, "cached": 2, "completion": 1},
        "timings": {"promptPerSecond": 100, "predictedPerSecond": 12.5},
    }
    import_text(page, json.dumps(file_of(chat(role="assistant", answer=answer))))
    page.get_by_role("link", name="T", exact=True).click()
    see(page, "1 tokens · 12.5 tokens/s · prompt 3 (2 cached) at 100 tokens/s · cut at the most tokens")
    see(page, "Calls add")
    see(page, "Reasoning")
    page.get_by_role("button", name="Token probabilities").click()
    page.get_by_role("button", name="Hi, 60.7 %").wait_for()


def test_one_conversation_is_exported(three):
    three.get_by_role("link", name="About pears").hover()
    file = exported(three, three.get_by_role("button", name="Export About pears"))
    assert [message["text"] for message in file["chats"][0]["messages"]] == ["About pears", "You said: About pears"]


def chat(**message):
    times = {"created": 1, "updated": 1}
    one = {"id": "a", "parent": None, "role": "user", "text": "Hi", "created": 1, **message}
    return {"conversation": {"id": "c", "title": "T", "head": "a", **times}, "messages": [one]}


def file_of(*chats):
    return {"format": "llamakit-conversations", "version": 1, "chats": list(chats)}


WRONG_FILES = [
    ("{", "The file is no JSON"),
    (json.dumps([1]), "the file is no object"),
    (json.dumps({"format": "other"}), "This is no export of llamakit"),
    (json.dumps({**file_of(), "version": 9}), "version 9"),
    (json.dumps(file_of(chat(), chat(text=5))), "chats[1].messages[0].text is no text"),
    (json.dumps(file_of(chat(role="system"))), "chats[0].messages[0].role"),
    (
        json.dumps(file_of(chat(role="assistant", answer={"tokens": [{"text": "a", "logprob": "b"}]}))),
        "chats[0].messages[0].answer.tokens[0].logprob is no number",
    ),
]


def import_text(page, text):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import").click()
    chooser.value.set_files({"name": "x.json", "mimeType": "application/json", "buffer": text.encode()})


def test_a_file_that_is_no_export_is_refused_whole(page):
    for text, wanted in WRONG_FILES:
        import_text(page, text)
        page.get_by_role("alert").get_by_text(wanted).wait_for()
    assert titles(page) == []


def test_a_circle_of_messages_ends(page):
    import_text(page, json.dumps(file_of(chat(parent="a"))))
    page.get_by_role("link", name="T", exact=True).click()
    see(page, "Hi")
    assert texts(page) == ["Hi"]
