"""What a reader does on the page, and sees."""

from __future__ import annotations


def say(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def ask(page, text):
    """Say something and wait for the end of the answer."""
    say(page, text)
    page.get_by_role("button", name="Send").wait_for()


def answers(page):
    return page.get_by_role("article", name="Answer")


def see(page, text):
    """Wait until a text is in the conversation."""
    page.locator(".thread").get_by_text(text).first.wait_for()


def texts(page):
    """Each message's text, speed and buttons left out."""
    return [text.strip() for text in page.locator(".bubble, .answer > .prose").all_inner_texts()]
