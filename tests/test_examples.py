"""The examples of scripts/*.sh and prompts/ run, on a tiny model, and where it is there on the demo model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.engine.state import load_file
from llamakit.core.vocab.letters import LETTERS
from llamakit.tools.catalog import DEMO, is_complete, models_folder
from tests.core.vocab.vocabs import bpe_metadata
from tests.tiny import Tiny, write_tiny

REPO = Path(__file__).parents[1]
ACTIONS = {"alarm", "reminder", "call", "meeting"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Writes gibberish in bytes, of which CR is none."""
    keys = bpe_metadata(["a b"], drop=LETTERS[13])
    shape = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), n_ctx=2048, metadata=keys)
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", shape))


@pytest.fixture
def demo() -> str:
    path = models_folder() / DEMO.file_name
    if not is_complete(path, DEMO):
        pytest.skip("needs the demo model: llamakit pull demo")
    return str(path)


def example(script: str, *args: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(REPO), os.environ.get("PYTHONPATH"))))
    variables |= {"PYTHONPATH": path, "LLAMAKIT": f"{sys.executable} -m llamakit"}
    return subprocess.run(
        [str(REPO / "scripts" / f"{script}.sh"), *args], input=typed, env=os.environ | variables, capture_output=True,
        text=True, errors="replace", timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("model", ["tiny", "demo"])
def test_a_request_becomes_json_that_fits(model: str, request: pytest.FixtureRequest) -> None:
    done = example("json_request", "call my sister at eight", "-m", request.getfixturevalue(model), "-n", "600")
    assert done.returncode == 0, done.stderr
    command = json.loads(done.stdout)
    assert set(command) == {"action", "when", "what"}
    assert command["action"] in ACTIONS


@pytest.mark.parametrize("model", ["tiny", "demo"])
def test_a_person_is_talked_with(model: str, request: pytest.FixtureRequest) -> None:
    args = ("-m", request.getfixturevalue(model), "-n", "12", "--temp", "0")
    done = example("chat_with_a_person", *args, typed="Good night!\nSleep well.\n")
    assert done.returncode == 0, done.stderr
    begin = (REPO / "prompts/chat-with-ines.txt").read_text()
    assert done.stdout.startswith(begin)
    assert len(done.stdout) > len(begin) + 10


def test_a_persistent_chat_goes_on_where_it_was(tiny: str, tmp_path: Path) -> None:
    folder = tmp_path / "talk"
    args = (str(folder), "-m", tiny, "--temp", "0", "-ctk", "f32", "-ctv", "f32")
    first = example("persistent_chat", *args, typed="Hello!\n", N_PREDICT="8")
    assert first.returncode == 0, first.stderr
    transcript = (folder / "transcript.txt").read_bytes()
    begin = (REPO / "prompts/chat-with-ines.txt").read_bytes()
    assert transcript.startswith(begin + b" Hello!\nInes:")
    assert transcript.endswith(b"\nVisitor:")
    second = example("persistent_chat", *args, typed="And now?\n\nnot said\n", N_PREDICT="8")
    assert second.returncode == 0, second.stderr
    longer = (folder / "transcript.txt").read_bytes()
    assert longer.startswith(transcript + b" And now?\nInes:")
    assert b"not said" not in longer
    with load_model(tiny) as model, Context(model, n_ctx=2048, type_k="f32", type_v="f32") as context:
        assert load_file(context, folder / "state").n_past > len(transcript) * 0.9  # tokens of a byte or two


def test_a_persistent_chat_that_cannot_answer_keeps_its_transcript(tiny: str, tmp_path: Path) -> None:
    done = example("persistent_chat", str(tmp_path), "-m", str(tmp_path / "absent.gguf"), typed="Hello!\n")
    assert done.returncode == 1
    assert "absent.gguf" in done.stderr
    assert (tmp_path / "transcript.txt").read_bytes() == (REPO / "prompts/chat-with-ines.txt").read_bytes()


def test_a_long_persistent_chat_is_shortened(tiny: str, tmp_path: Path) -> None:
    begin = (REPO / "prompts/chat-with-ines.txt").read_text()
    (tmp_path / "transcript.txt").write_text(begin + " word" * 1200 + "\nInes: yes\nVisitor:")
    done = example("persistent_chat", str(tmp_path), "-m", tiny, typed="Hello!\n", N_PREDICT="4", CONTEXT="1900")
    assert done.returncode == 0, done.stderr
    transcript = (tmp_path / "transcript.txt").read_text(errors="replace")
    assert transcript.startswith(begin + " ...\n")
    assert "\nInes: yes\nVisitor: Hello!\nInes:" in transcript
    assert len(transcript) < 3000
