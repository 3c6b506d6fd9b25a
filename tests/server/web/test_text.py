"""What a model writes becomes text, never a part of the page that does something."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi")

from .fake import delta, end, said, words
from .reading import answers, ask, see, texts

HOSTILE = r"""
<script>window.hacked = 1</script>
<img src="x" onerror="window.hacked = 2"> <svg onload="window.hacked = 3"></svg>
<iframe srcdoc="<script>parent.hacked = 4</script>"></iframe><style>body { display: none }</style>
<a href="javascript:window.hacked = 5">click</a> <base href="https://evil.example/"><form id="composer"></form>

[one](javascript:window.hacked=6) [two](JaVaScRiPt:window.hacked=7) [three](data:text/html,<script>hacked=8</script>)
[four](vbscript:x) <javascript:window.hacked=9> [five](&#106;avascript:window.hacked=10) [six](//evil.example/x)
[seven](http://harmless.example/ "title\" onmouseover=\"window.hacked=11")
![look](https://evil.example/track.png?secret) ![x](x"onerror="window.hacked=12)
[ref]: javascript:window.hacked=13
[ref]

# <img src=x onerror=window.hacked=14> &lt;img src=x onerror=window.hacked=15&gt;

| <script>window.hacked=16</script> | b |
|---|---|
| <img src=x onerror=window.hacked=17> | `<img src=x onerror=window.hacked=18>` |

- [ ] <script>window.hacked=19</script>

$\href{javascript:window.hacked=20}{x}$ $\includegraphics{https://evil.example/y.png}$ $\label{composer} <img src=x>$
$$\style{position:fixed}{\class{dialog}{\text{<img src=x onerror=window.hacked=21>}}}$$
$$\begin{equation}\label{search}\url{javascript:window.hacked=22}\end{equation}$$

```html"><img src=x onerror=window.hacked=23>
<script>window.hacked = 24</script>
```

```python
</code></pre><script>window.hacked = 25</script>
```
"""

ALLOWED = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong", "ul",
    "table", "thead", "tbody", "tr", "th", "td", "div", "span", "figure", "figcaption", "button", "svg", "path",
    "input", "article", "details", "summary", "h2",
}  # fmt: skip

INSPECT = """() => {
  const inside = [...document.querySelectorAll('.thread *')].filter((node) => !node.closest('math'))
  const all = [...document.querySelectorAll('.thread *')]
  return {
    hacked: window.hacked ?? null,
    names: inside.map((node) => node.localName),
    handlers: all.flatMap((node) => node.getAttributeNames()).filter((name) => name.startsWith('on')),
    sources: all.flatMap((node) => [node.getAttribute('src'), node.getAttribute('style')]).filter(Boolean),
    links: inside.filter((node) => node.localName === 'a').map((node) => node.href),
    ids: document.querySelectorAll('#composer').length,
    math: [...document.querySelectorAll('.thread math *')].map((node) => node.getAttribute('href')).filter(Boolean),
  }
}"""


def test_a_hostile_model_runs_and_loads_nothing(open_page, fake):
    fake.models = [f"<img src=x onerror=window.hacked=30>{i}" for i in range(2)]
    page = open_page()
    token = delta(content="")
    entry = {"token": "<img src=x onerror=window.hacked=31>", "logprob": -1, "top_logprobs": []}
    token["choices"][0]["logprobs"] = {"content": [entry]}
    call = delta(tool_calls=[{"index": 0, "function": {"name": "<script>hacked=32</script>", "arguments": "<script>"}}])
    fake.answers([delta(reasoning_content=HOSTILE), call, token, *words(HOSTILE), *end()])
    ask(page, "<script>window.hacked = 33</script><img src=x onerror=window.hacked=34>")
    page.locator(".answer > .prose .hljs-number").wait_for()
    page.locator(".answer > .prose math").first.wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    page.get_by_role("button", name="Token probabilities").click()
    page.locator(".token").first.hover()
    page.get_by_role("button", name="Token probabilities").click()
    page.reload()
    page.locator(".answer > .prose math").first.wait_for()
    found = page.evaluate(INSPECT)
    assert found["hacked"] is None
    assert set(found["names"]) - ALLOWED == set()
    assert found["handlers"] == found["math"] == []
    assert found["ids"] == 1
    assert not [source for source in found["sources"] if "evil" in source or "fixed" in source]
    assert set(found["links"]) <= {"http://harmless.example/", "https://evil.example/track.png?secret"}
    assert "window.hacked = 24" in answers(page).inner_text()  # said, not swallowed


def test_the_policy_stops_what_would_get_through(browser, fake):
    """Were the page to put HTML or a script into itself, the browser would refuse."""
    attempt = """() => {
      const tried = []
      try { document.body.insertAdjacentHTML('beforeend', '<p id=got>') } catch (error) { tried.push(error.name) }
      try { document.createElement('script').text = '1' } catch (error) { tried.push(error.name) }
      return tried
    }"""
    page = browser.new_page()
    page.goto(fake.url)
    assert page.evaluate(attempt) == ["TypeError", "TypeError"]
    page.close()


MARKDOWN = r"""
# Title

Some **bold**, *slanted*, ~~gone~~ and `co<de>` text &amp; a [link](https://example.org/a?b=1).
It costs $5 or $6, and $E = mc^2$ holds; \(a_1\) too.

1. one
   - inner
2. two

- [x] done
- [ ] open

> said

| a | b |
|:--|--:|
| 1 | 2 |

$$\frac{1}{2}$$

\[
\sqrt{x}
\]

```python
def f(): return 1
```

$$\brok{en$$
"""


def test_markdown_math_and_code_are_shown(page, fake):
    fake.answers(said(MARKDOWN))
    ask(page, "Hello")
    answer = answers(page)
    page.locator(".hljs-keyword", has_text="def").wait_for()
    answer.locator("msqrt").wait_for()
    assert answer.locator("h3").inner_text() == "Title"
    assert answer.locator("strong, em, del").all_inner_texts() == ["bold", "slanted", "gone"]
    assert answer.locator("p code").inner_text() == "co<de>"
    assert "text & a link" in answer.inner_text()
    assert "It costs $5 or $6, and" in answer.inner_text()
    assert answer.locator("math").count() == 4
    assert answer.locator("mfrac").count() == 1
    assert "\\brok{en" in answer.inner_text()
    assert answer.locator("ol > li").count() == 2
    assert [box.is_checked() for box in answer.get_by_role("checkbox").all()] == [True, False]
    assert answer.locator("td.right").inner_text() == "2"
    link = answer.get_by_role("link", name="link")
    assert link.get_attribute("href") == "https://example.org/a?b=1"
    assert "noopener" in link.get_attribute("rel")


def test_code_and_messages_are_copied(open_page, fake):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    fake.answers(said("Look:\n\n```js\n1 < 2\n```"))
    ask(page, "Hello")
    for button, wanted in [("Copy code", "1 < 2"), ("Copy message", "Look:\n\n```js\n1 < 2\n```")]:
        page.get_by_role("button", name=button).last.click()
        page.wait_for_function("async (wanted) => (await navigator.clipboard.readText()) === wanted", arg=wanted)
    assert page.get_by_role("status").inner_text().strip() == "Copied"


def test_a_tool_call_is_shown(page, fake):
    parts = [
        delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": "add", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a": 1, '}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '"b": 2}'}}]),
    ]
    fake.answers([*parts, *end("tool_calls")])
    ask(page, "Hello")
    page.get_by_text("Calls add").click()
    assert json.loads(answers(page).locator("pre").inner_text()) == {"a": 1, "b": 2}


ABYSSES = [
    ">" * 5_000 + " x",
    "- " * 2_000 + "x",
    "[" * 5_000 + "](" * 5,
    "*_" * 3_000 + "x",
    "\\(" * 5_000,
    "$a " * 5_000,
    "```\n" * 300,
    "$" + "{" * 3_000 + "$",
    "$" + "\\frac1" * 300 + "$",
]


def test_texts_made_to_choke_the_page_do_not(page, fake):
    """Each is there, in a time that a reader would wait, and the page goes on."""
    for i, text in enumerate(ABYSSES):
        page.get_by_role("button", name="New chat").click()
        fake.answers([delta(content=text), *end()])
        ask(page, f"Question {i}")
    ask(page, "Hello")
    see(page, "You said: Hello")


def test_a_long_answer_stays_quick(page, fake):
    paragraph = "Words and `code` and $x^2$ in a paragraph that is as long as most of them are. " * 4 + "\n\n"
    fake.answers([delta(content=paragraph) for _ in range(150)] + end())
    ask(page, "Hello")
    assert answers(page).locator("p:not(.speed)").count() == 150
    assert texts(page)[1].count("paragraph") == 600
