"""Settings, and what of them reaches the server."""

from __future__ import annotations

import math
import re

import pytest

pytest.importorskip("fastapi")

from llamakit.server.web.routes import STATIC

from .fake import delta, end, said
from .reading import answers, ask, see

SOURCE = STATIC.parent / "source"
ALWAYS = {"model", "messages", "stream", "stream_options", "return_progress"}


@pytest.fixture
def page(open_page):
    page = open_page()
    page.get_by_role("button", name="Settings").click()
    return page


def change(page, label, value):
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_label(label, exact=True).press("Tab")


def test_only_what_was_changed_is_sent(page, fake):
    assert page.get_by_label("Top-k").get_attribute("placeholder") == "40"
    change(page, "System prompt", "Be brief.")
    change(page, "Temperature", "0.25")
    change(page, "Most tokens", "12")
    change(page, "Stop texts", "END\n\\n\\nQ:")
    page.get_by_text("Grammar and cache").click()
    page.get_by_label("Reuse the prompt").select_option("off")
    ask(page, "Hello")
    request = fake.requests[0]
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    chosen = {"temperature": 0.25, "max_tokens": 12, "stop": ["END", "\n\nQ:"], "cache_prompt": False}
    assert {name: request[name] for name in chosen} == chosen
    assert set(request) == ALWAYS | set(chosen)
    page.reload()
    page.get_by_role("button", name="Settings, 4 changed").click()
    assert page.get_by_label("Temperature (changed)", exact=True).input_value() == "0.25"
    page.get_by_role("button", name="Back to the server's defaults").click()
    ask(page, "Hello")
    assert "temperature" not in fake.requests[1]


def test_the_server_knows_every_setting():
    from llamakit.server.openai.chat import NAMES

    fields = (SOURCE / "src/chat/fields.ts").read_text()
    names = set(re.findall(r'(?:number|integer|boolean|lines)\("(\w+)"|name: "(\w+)"', fields))
    assert len(names) > 35
    assert {one or other for one, other in names} - NAMES == set()


def test_every_setting_of_the_sampler_is_there():
    from llamakit.server.generation.sampling_fields import SAMPLING_FIELDS

    fields = (SOURCE / "src/chat/fields.ts").read_text()
    assert {field.name for field in SAMPLING_FIELDS if f'"{field.name}"' not in fields} == set()


def test_biases_of_tokens_are_sent_as_pairs(page, fake):
    page.get_by_text("More samplers").click()
    change(page, "Logit bias", "15 -100\n the 2.5\nEND false")
    ask(page, "Hello")
    assert fake.requests[0]["logit_bias"] == [[15, -100], [" the", 2.5], ["END", False]]


def test_a_bias_without_a_number_is_said(page, fake):
    page.get_by_text("More samplers").click()
    change(page, "Logit bias", "the")
    ask(page, "Hello")
    assert fake.requests == []
    assert "Logit bias: mend it first" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize(
    "stored", ['{"fields":null}', '{"fields":{"top_k":{}}}', '{"theme":1,"system":7,"model":[]}', "null", "[1]", "{"]
)
def test_damaged_settings_are_left_out(open_page, fake, stored):
    page = open_page(before=f"localStorage.setItem('llamakit.settings', {stored!r})")
    ask(page, "Hello")
    assert set(fake.requests[0]) == ALWAYS


def test_settings_that_are_sound_stay_beside_damaged_ones(open_page, fake):
    page = open_page(before="""localStorage.setItem('llamakit.settings', '{"fields":{"top_k":7},"system":null}')""")
    ask(page, "Hello")
    assert fake.requests[0]["top_k"] == 7


def test_a_value_out_of_its_limits_is_not_taken(page, fake):
    for label, value in [("Top-p", "1.5"), ("Top-k", "1.5"), ("Top-k", "-1")]:
        change(page, label, value)
    ask(page, "Hello")
    assert set(fake.requests[0]) == ALWAYS


def test_a_schema_is_checked_and_sent(page, fake):
    change(page, "JSON schema", '{"type": ')
    assert "This is no JSON" in page.locator("#schema-problem").inner_text()
    ask(page, "Hello")
    assert fake.requests == []
    assert "JSON schema: mend it first" in page.get_by_role("alert").inner_text()
    change(page, "JSON schema", '{"type": "integer"}')
    page.get_by_role("button", name="Regenerate").click()
    see(page, "You said: Hello")
    wanted = {"name": "answer", "schema": {"type": "integer"}}
    assert fake.requests[0]["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert answers(page).locator("pre").inner_text() == "You said: Hello"  # its spaces stay


def test_further_fields_are_sent_as_they_are(page, fake):
    page.get_by_text("Further fields").first.click()
    change(page, "Further fields", '{"logit_bias": {"15": -100}}')
    ask(page, "Hello")
    assert fake.requests[0]["logit_bias"] == {"15": -100}


def drawn(text, probability, *others):
    top = [{"token": name, "logprob": math.log(p)} for name, p in [(text, probability), *others]]
    chunk = delta(content=text)
    chunk["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return chunk


def test_probabilities_show_on_hover_and_by_keys(page, fake):
    page.get_by_label("Token probabilities").check()
    fake.answers([drawn("The", 0.75, ("A", 0.2)), drawn(" <b>", 0.02, (" sky", 0.9)), *end()])
    ask(page, "Hello")
    assert (fake.requests[0]["logprobs"], fake.requests[0]["top_logprobs"]) == (True, 5)
    page.get_by_role("button", name="Token probabilities").click()
    page.get_by_role("button", name="The, 75.0 %").hover()
    assert "A\n20.0 %" in page.get_by_role("tooltip").inner_text()
    page.mouse.move(0, 0)
    page.get_by_role("button", name="The, 75.0 %").focus()
    page.keyboard.press("ArrowRight")
    assert "␣sky\n90.0 %" in page.get_by_role("tooltip").inner_text()
    page.get_by_role("button", name="Token probabilities").click()
    assert answers(page).locator(".prose").inner_text() == "The <b>"


def test_a_model_is_chosen_where_there_are_several(open_page, fake):
    fake.models = ["small", "large"]
    fake.answers(said("One"), said("Two"))
    page = open_page()
    page.get_by_label("Model", exact=True).select_option("large")
    ask(page, "Hello")
    page.reload()
    page.get_by_role("button", name="Regenerate").click()
    see(page, "Two")
    assert [request["model"] for request in fake.requests] == ["large", "large"]


def test_what_the_server_tells_of_the_model_is_shown(page):
    facts = page.locator(".facts").inner_text()
    for fact in ("models/tiny.gguf", "135M", "91.4 MiB", "4,096 tokens", "8,192 tokens", "4 requests"):
        assert fact in facts


def test_a_chosen_theme_stays(page):
    paper = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_label("Theme", exact=True).select_option("Dark")
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate(paper) == light
