"""Every command and program in docs/ runs, in its order; links lead somewhere; the reference is up to date."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llamakit.tools.catalog import DEMO, is_complete, models_folder

REPO = Path(__file__).parents[1]
PAGES = sorted(path for path in (REPO / "docs").rglob("*.md") if path.name != "reference.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[\w-]*)?\)")
NEEDED = {"how-to/server.md": ("fastapi", "openai"), "index.md": ("fastapi",)}
INSTALLS = re.compile(r"^ *(pip install .*)$", re.MULTILINE)  # the environment of the tests stays as it is


def script_of(page: str) -> str:
    """One shell script of a page's blocks: commands as they are, Python programs each in an interpreter of its own."""
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for language, block in BLOCK.findall(page):
        if language == "python":
            parts.append(f"python - <<'PROGRAM'\n{block}PROGRAM")
        elif language == "sh":
            parts.append(INSTALLS.sub(":", block))
    return "\n".join(parts)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `llamakit` and `python`, for PATH."""
    folder = tmp_path_factory.mktemp("bin")
    for name, command in (("llamakit", f'"{sys.executable}" -m llamakit'), ("python", f'"{sys.executable}"')):
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_block_of_a_page_runs(path: Path, commands: Path, tmp_path: Path) -> None:
    script = script_of(path.read_text(encoding="utf-8"))
    if script.count("\n") == 1:
        return  # nothing to run
    for module in NEEDED.get(str(path.relative_to(REPO / "docs")), ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    if not is_complete(models_folder() / DEMO.file_name, DEMO):
        pytest.skip("needs the demo model: llamakit pull demo")
    if shutil.which("bash") is None or shutil.which("curl") is None:
        pytest.skip("needs bash and curl")
    variables = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [target for target in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_reference_is_made_of_todays_docstrings() -> None:
    done = subprocess.run(
        [sys.executable, str(REPO / "scripts/make_reference.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
