"""Files of presets: sections become models, as llama-server's router reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.cli.server_presets import models_of_preset, settings_of, warn_once

PRESET = """
version = 1

[*]
ctx-size = 512
temp = 0.5
load-on-startup = true

[small]
model = small.gguf
LLAMA_ARG_N_PARALLEL = 2
jinja = false
c = 256
chat-template-kwargs = {"a": "b=c"}

; from the hub
[org/large:Q4_0]
hf-repo = org/large:Q4_0
n_predict = 7
cache-prompt = off
reasoning-preserve = off
mlock = off
special = on
load-on-startup = off
"""


@pytest.fixture
def preset(tmp_path):
    def write(text):
        path = tmp_path / "models.ini"
        path.write_text(text)
        return str(path)

    return write


def test_sections_are_models(preset):
    small, large = models_of_preset(preset(PRESET), settings_of([])).values()
    assert (small.path, small.aliases, small.n_slots, small.opening.n_ctx) == ("small.gguf", ("small",), 2, 256)
    assert (small.chat.use_jinja, small.chat.variables["a"], small.sampling) == (False, "b=c", {"temperature": 0.5})
    assert (large.path, large.aliases) == ("hf:org/large:Q4_0", ("org/large:Q4_0",))
    assert (large.n_predict, large.cache_prompt, large.show_special, large.opening.n_ctx) == (7, False, True, 512)
    assert (small.loads_at_start, large.loads_at_start) == (True, False)
    assert (small.chat.variables["preserve_reasoning"], large.chat.variables["preserve_reasoning"]) == (True, False)


def test_the_command_line_goes_first_and_the_environment_last(preset, monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "64")
    monkeypatch.setenv("LLAMA_ARG_BATCH", "32")
    common = settings_of(["--temp", "0", "--top-k", "3", "-n", "9", "--no-jinja"])
    small, large = models_of_preset(preset(PRESET), replace(common, stop=("x",))).values()
    assert small.sampling == large.sampling == {"temperature": 0.0, "top_k": 3}
    assert (large.n_predict, large.chat.use_jinja, large.stop) == (9, False, ("x",))
    assert (small.opening.n_ctx, large.opening.n_ctx, large.opening.n_batch) == (256, 512, 32)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[a]\nctx-size = 5", r"\[a\]: names no model"),
        ("[a]\nmodel = x\nctx-size = many", r"\[a\]: --ctx-size: 'many' is not a whole number"),
        ("[a]\nmodel = x\nport = 80", r"\[a\]: invalid argument: --port"),
        ("[a]\nmodel = x\njinja = perhaps", r"\[a\]: jinja is on or off, not 'perhaps'"),
        ("[a]\nmodel = x\nload-on-startup = soon", r"\[a\]: load-on-startup is on or off, not 'soon'"),
        ("[a]\nmodel = x\n[a]\nmodel = y", "section 'a' already exists"),
    ],
)
def test_what_is_wrong_is_said_with_its_section(preset, text, message):
    with pytest.raises(InvalidArgument, match=message):
        models_of_preset(preset(text), settings_of([]))


def test_keys_without_effect_are_named_once(preset, capsys):
    warn_once.cache_clear()
    path = preset("[*]\nstop-timeout = 3\n[a]\nmodel = x\ndedup-cache-models = on\n[b]\nmodel = y")
    for _ in range(2):
        models_of_preset(path, settings_of([]))
    said = capsys.readouterr().err.splitlines()
    assert sorted(said) == [
        "warn: dedup-cache-models has no effect in llamakit", "warn: stop-timeout has no effect in llamakit",
    ]  # fmt: skip
