"""The page by keyboard, on a narrow screen, and for assistive technology."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi")

from .fake import delta, end, said, words
from .reading import ask, see, texts

FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
RICH = """
# Title

Text with `code`, a [link](https://example.org) and $x^2$.

```python
def f(): return "a", 1  # note
```

| a |
|---|
| 1 |
"""


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_a_whole_talk_by_keyboard(page, fake):
    keys = page.keyboard
    fake.answers(said("One"), said("Two"), said("Three"))
    assert page.evaluate(FOCUSED) == "Message"  # where a reader begins
    keys.type("Hello")
    keys.press("Shift+Enter")
    keys.type("you")
    keys.press("Enter")
    see(page, "One")
    page.get_by_role("button", name="Send").wait_for()
    keys.press("ArrowUp")
    page.get_by_label("Edited message").wait_for()
    keys.press("Control+A")
    keys.type("Hi")
    keys.press("Enter")
    see(page, "Two")
    page.get_by_role("button", name="Send").wait_for()
    keys.press("Escape")
    keys.press("r")
    see(page, "Three")
    see(page, "2/2")
    page.get_by_role("button", name="Send").wait_for()
    page.get_by_role("button", name="Previous branch").last.focus()
    keys.press("Enter")
    see(page, "Two")
    keys.press("?")
    assert "Regenerate the last answer" in page.get_by_role("dialog", name="Keyboard").inner_text()
    keys.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    keys.press("s")
    page.get_by_role("complementary", name="Settings").wait_for()
    keys.press("s")
    page.get_by_role("complementary", name="Settings").wait_for(state="detached")
    keys.press("/")
    page.wait_for_function(f"() => ({FOCUSED}) === 'Search conversations'")
    keys.press("Escape")
    keys.press("n")
    page.wait_for_function(f"() => ({FOCUSED}) === 'Message'")
    assert texts(page) == []
    assert [request["messages"][0]["content"] for request in fake.requests] == ["Hello\nyou", "Hi", "Hi"]


def test_tab_reaches_everything_in_the_order_of_the_page(page):
    ask(page, "Hello")
    page.locator(".skip").focus()
    order = []
    for _ in range(20):
        order.append(page.evaluate(FOCUSED).strip())
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or order[-1] == "Message"  # its box has a ring
        if order[-1] == "Message":
            break
        page.keyboard.press("Tab")
    assert order == [
        *["Skip to the message box", "New chat", "Close the list", "Search conversations", "Hello"],
        *["Rename Hello", "Export Hello", "Delete Hello", "Import", "Export all"],
        *["Dark theme", "Keyboard shortcuts", "Settings", "Copy message", "Edit"],
        *["Copy message", "Edit", "Regenerate", "Message"],
    ]  # fmt: skip


def test_single_keys_are_let_alone_while_writing_and_when_switched_off(page):
    page.keyboard.type("nsb?")
    assert page.get_by_label("Message", exact=True).input_value() == "nsb?"
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Shortcuts of a single key").uncheck()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    assert page.get_by_role("complementary", name="Conversations").is_visible()


def test_a_phone_shows_everything_in_drawers(open_page, fake):
    page = open_page(360, 740, has_touch=True, is_mobile=True)
    assert page.get_by_role("complementary").count() == 0
    fake.answers(said(RICH + "\n\n" + "x" * 200 + "\n\n```\n" + "y" * 200 + "\n```\n$$" + "z+" * 80 + "z$$"))
    ask(page, "Hello " + "w" * 80)
    page.locator("math").last.wait_for()
    assert overflow(page) == 0
    page.get_by_role("button", name="Conversations").tap()
    drawer = page.get_by_role("dialog", name="Conversations")
    assert drawer.bounding_box()["width"] < 330
    drawer.get_by_role("button", name="New chat").tap()
    drawer.wait_for(state="detached")
    page.get_by_role("button", name="Settings").tap()
    drawer = page.get_by_role("dialog", name="Settings")
    drawer.get_by_label("Temperature", exact=True).fill("0.5")
    page.touchscreen.tap(10, 300)  # beside it
    drawer.wait_for(state="detached")
    assert page.get_by_role("button", name="Settings, 1 changed").is_visible()
    assert overflow(page) == 0


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing(open_page, fake, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(width, 800, color_scheme=scheme)
    fake.answers([delta(reasoning_content="Hm."), *words(RICH), *end()], [{"error": {"code": 500, "message": "no"}}])
    ask(page, "Hello")
    page.get_by_text("Reasoning").click()
    page.locator(".hljs-keyword").first.wait_for()
    ask(page, "Again")

    def check(place):
        page.wait_for_timeout(200)  # what fades in has done so
        found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found] == [], place

    check("conversation")
    page.get_by_role("button", name="Settings").click()
    page.evaluate("() => document.querySelectorAll('.group').forEach((group) => (group.open = true))")
    check("settings")
    if width < 800:
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Conversations").click()
        check("list")
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    check("help")
