"""The page in headless Chromium, in front of a server whose answers each test writes."""

from __future__ import annotations

import shutil

import pytest

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the quickest first


@pytest.fixture(scope="module")
def browser():
    """Chromium, as the system has it; skipped without it or what drives it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on the path (Debian: apt-get install chromium-headless-shell)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served():
    """The fake server of a module; `fake` is it in a test, without anything of the test before."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    from ..serving import listening
    from .fake import Fake, fake_app

    fake = Fake()
    with listening(fake_app(fake)) as url:
        fake.url = url
        yield fake


@pytest.fixture
def fake(served):
    from .fake import Fake

    vars(served).update(vars(Fake(url=served.url)))
    return served


@pytest.fixture
def open_page(browser, fake):
    """Opens pages; at the end none may have loaded anything from elsewhere, or failed without showing it."""
    contexts, addresses, complaints = [], [], []

    def note(message):
        is_status = message.text.startswith("Failed to load resource")  # the page says it, too
        if message.type == "error" and not is_status:
            complaints.append(message.text)

    def open_page(width=1280, height=800, before="", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        context.add_init_script(before)
        page = context.new_page()
        page.on("request", lambda request: addresses.append(request.url))
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(fake.url)
        page.get_by_label("Message", exact=True).wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [address for address in addresses if not address.startswith((fake.url, "data:", "blob:"))] == []


@pytest.fixture
def page(open_page):
    return open_page()
