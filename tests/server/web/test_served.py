"""The page in front of the server itself, with a tiny model."""

from __future__ import annotations

from .reading import ask


def test_a_chat_with_the_server_itself(browser, server):
    context = browser.new_context()
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(server.url)
    page.get_by_role("heading", name="tiny", level=1).wait_for()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Most tokens", exact=True).fill("12")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_label("Ignore the end token", exact=True).select_option("on")
    page.get_by_label("Token probabilities").check()
    ask(page, "Hello")
    answer = page.get_by_role("article", name="Answer")
    assert "12 tokens · " in answer.inner_text()
    assert "cut at the most tokens" in answer.inner_text()
    page.get_by_role("button", name="Token probabilities").click()
    assert answer.locator(".token").count() == 12
    page.get_by_role("button", name="Regenerate").click()
    page.get_by_text("2/2").wait_for()
    page.get_by_role("button", name="Send").wait_for()
    assert "cached" in answer.inner_text()
    ask(page, "word " * 400)
    assert "longer than the model's context" in page.get_by_role("alert").inner_text()
    context.close()
    assert [text for text in complaints if "status of 400" not in text] == []
