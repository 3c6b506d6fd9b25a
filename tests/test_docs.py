"""Every command and program in docs/ runs, in its order; links lead somewhere; the reference is up to date."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamakit.tools.catalog import DEMO, is_complete, models_folder

REPO = Path(__file__).parents[1]
PAGES = [REPO / "README.md", *sorted(path for path in (REPO / "docs").rglob("*.md") if path.name != "reference.md")]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[\w-]*)?\)")
COMMANDS = REPO / "docs/commands.md"
SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {title: section for title, section in SECTION.findall(COMMANDS.read_text("utf-8")) if "```" in section}
NEEDED = {"server.md": ("fastapi", "openai"), "index.md": ("fastapi",), "lm-eval.md": ("lm_eval",)}
INSTALLS = re.compile(r"^ *(pip install .*|.*npm ci.*)$", re.MULTILINE)  # the environment of the tests stays as it is
FAILURE = re.compile(r"^error: |, expected ", re.MULTILINE)
SLOW = ("--target-size",)  # minutes; tests/tools/quantize measures less


def script_of(page: str) -> str:
    """One shell script of a page's blocks: commands as they are, Python programs each in an interpreter of its own."""
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for language, block in BLOCK.findall(page):
        if language == "python":
            parts.append(f"python - <<'PROGRAM'\n{block}PROGRAM")
        elif language == "sh":
            parts.append(INSTALLS.sub(":", block))
        elif language == "console":
            parts.extend(steps_of(block))
    return "\n".join(parts)


def steps_of(transcript: str) -> Iterator[str]:
    """The commands of a transcript; one whose answer is an error must fail, a conversation gets what is typed."""
    for step in re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]:
        command, _, answer = step.partition("\n")
        while command.count("'") % 2:  # a text in quotes goes on
            line, _, answer = answer.partition("\n")
            command += "\n" + line
        if any(slow in command for slow in SLOW):
            continue
        typed = re.findall(r"^> (.*)$", answer, re.MULTILINE)
        if typed:
            command += " <<'TYPED'\n" + "".join(f"{line}\n" for line in typed) + "TYPED"
        if command.endswith("&"):
            yield f"{command}\nuntil curl -sf localhost:8080/health >/dev/null; do sleep 0.1; done"
        else:
            yield f"if {command}\nthen exit 9; fi" if FAILURE.search(answer) else command


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `llamakit` and `python`, for PATH."""
    folder = tmp_path_factory.mktemp("bin")
    for name, command in (("llamakit", f'"{sys.executable}" -m llamakit'), ("python", f'"{sys.executable}"')):
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def run(script: str, folder: Path, commands: Path, **variables: str) -> None:
    if not is_complete(models_folder() / DEMO.file_name, DEMO):
        pytest.skip("needs the demo model: llamakit pull demo")
    if shutil.which("bash") is None or shutil.which("curl") is None:
        pytest.skip("needs bash and curl")
    variables |= {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("path", [path for path in PAGES if path != COMMANDS], ids=lambda path: path.stem)
def test_every_block_of_a_page_runs(path: Path, commands: Path, tmp_path: Path) -> None:
    script = script_of(path.read_text(encoding="utf-8"))
    if script.count("\n") == 1:
        return  # nothing to run
    for module in NEEDED.get(path.name, ()):
        pytest.importorskip(module)
    run(script, tmp_path, commands)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that docs/commands.md names."""
    folder = tmp_path_factory.mktemp("files")
    demo = models_folder() / DEMO.file_name
    if not is_complete(demo, DEMO):
        pytest.skip("needs the demo model: llamakit pull demo")
    for name in ("SmolLM2-135M-Instruct.Q4_1.gguf", "smol-Q8_0.gguf", "minilm.gguf"):
        (folder / name).symlink_to(demo)
    for name in ("prompts", "grammars"):
        (folder / name).symlink_to(REPO / name)
    shutil.copy(demo, folder / "smol.gguf")
    (folder / "damaged.gguf").write_bytes(demo.read_bytes()[:-1000])
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    for name, content in (
        ("wiki.test.raw", text),
        ("happy.txt", "I am so glad\nWhat a day\n"),
        ("sad.txt", "I am so sad\nWhat a pity\n"),
        ("lines.txt", "The cat sits.\nA kitten rests.\nStocks fell.\n"),
        ("answer.json", '{"a": t}\n'),
        ("chat.jinja", "{{ messages }}"),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.mark.parametrize("title", SECTIONS)
def test_every_command_runs(title: str, commands: Path, files: Path) -> None:
    section = SECTIONS[title]
    for word, module in (("llamakit server", "fastapi"), ("import OpenAI", "openai")):
        if word in section:
            pytest.importorskip(module)
    if "convert-hf SmolLM2" in section:
        checkpoint = REPO.parent / "shared/assets/stories260K/hf"
        if not checkpoint.exists():
            pytest.skip("needs a checkpoint: ../shared/assets/stories260K/hf")
        shutil.copytree(checkpoint, files / "SmolLM2-135M-Instruct", dirs_exist_ok=True)
    if "gemma3-270m-svg-lora" in section:
        pytest.skip("needs Gemma and an adapter; tests/cli has these commands with small models")
    script = script_of(section)
    if "F16.gguf" in section and not (files / "F16.gguf").exists():
        script = "llamakit quantize --allow-requantize smol.gguf F16.gguf F16\n" + script
    with socket.socket() as listening:  # a port that is free
        listening.bind(("127.0.0.1", 0))
        port = str(listening.getsockname()[1])
    run(script.replace("8080", port), files, commands, LLAMA_ARG_PORT=port)


def test_classes_that_are_shown_stand_in_the_sources() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (REPO / "llamakit").rglob("*.py"))
    blocks = [block for path in PAGES for block in BLOCK.findall(path.read_text(encoding="utf-8"))]
    excerpts = [text.strip() for language, text in blocks if language == "py"]
    assert excerpts
    assert [excerpt for excerpt in excerpts if excerpt not in sources] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [target for target in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_reference_is_made_of_todays_docstrings() -> None:
    done = subprocess.run(
        [sys.executable, str(REPO / "scripts/make_reference.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
