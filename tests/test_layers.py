"""Imports point strictly down, and starting up stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "llamakit"

# Highest first; folders on one line do not know each other.
LAYERS = [
    ["cli", "compat"],
    ["server", "api"],
    ["tools", "convert"],
    ["core.engine"],
    ["core.models", "core.kv", "core.sampling", "core.chat"],
    ["core.graph"],
    ["core.quants", "core.vocab", "core.grammar"],
    ["core.kernels"],
    ["core.simd", "core.gguf"],
    ["errors"],
]
NO_API = {"__init__", "__main__", "errors"}
API = {path.stem for path in PACKAGE.glob("*.py")} - NO_API  # llamakit.quants
RANK = {folder: rank for rank, folders in enumerate(LAYERS) for folder in folders}
HEAVY = {
    "numba",
    "llvmlite",
    "numpy",
    "tokenizers",
    "sentencepiece",
    "safetensors",
    "jinja2",
    "rich",
    "tqdm",
    "pydantic",
}


def folder_of(module: str) -> str:
    """`llamakit.core.gguf.reader` -> `core.gguf`, `llamakit.llama` -> `api`, `llamakit.errors` -> `errors`."""
    parts = module.split(".")[1:]
    if parts and parts[0] in API:
        return "api"
    return ".".join(parts[:2] if parts[:1] == ["core"] else parts[:1])


def imports_of(source: str) -> set[str]:
    """Modules of ours that a file names, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "llamakit"}


def is_allowed(importer: str, imported: str) -> bool:
    """May a module of folder `importer` import from `imported`? `__init__` and `__main__` may import everything."""
    if importer in ("", "__main__") or importer == imported or imported == "__version__":
        return True
    return imported in RANK and RANK[imported] > RANK[importer]


def modules() -> list[str]:
    return sorted(str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules())
def test_a_module_imports_only_from_layers_below(path: str) -> None:
    importer = folder_of(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    for name in imports_of((PACKAGE.parent / path).read_text()):
        imported = folder_of(name)
        assert is_allowed(importer, imported), f"{path} imports {name}: {imported} is not below {importer}"


@pytest.mark.parametrize(
    "importer, imported, ok",
    [
        ("core.gguf", "errors", True),
        ("core.engine", "core.gguf", True),
        ("core.gguf", "core.gguf", True),
        ("core.gguf", "core.simd", False),  # sideways
        ("core.kernels", "core.graph", False),  # up
        ("tools", "cli", False),
        ("", "cli", True),
        ("__main__", "cli", True),
        ("api", "core.engine", True),
        ("api", "tools", True),
        ("tools", "api", False),
        ("core.engine", "api", False),
    ],
)
def test_the_rule_tells_up_and_sideways_from_down(importer: str, imported: str, ok: bool) -> None:
    assert is_allowed(importer, imported) is ok


def test_core_knows_no_flags_and_no_screen() -> None:
    for path in (PACKAGE / "core").rglob("*.py"):
        named = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not named & {"typer", "click", "rich", "tqdm", "argparse"}, path


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after `code`."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.split(".")[0] for line in result.stderr.splitlines()}


@pytest.mark.parametrize(
    "code",
    [
        "import llamakit",
        *(
            f"from llamakit.cli.app import run; assert run({args!r}) == 0"
            for args in (
                ["--help"],
                ["run", "--help"],
                ["bench", "--help"],
                ["pull", "--help"],
                ["quantize", "--help"],
                ["gguf", "dump", "--help"],
            )
        ),
    ],
)
def test_help_imports_nothing_heavy(code: str) -> None:
    assert not loaded_by(code) & HEAVY
