"""Write docs/reference.md: the public names, with the signatures and docstrings that they have in the source.

python scripts/make_reference.py            # writes
python scripts/make_reference.py --check    # says whether it is up to date
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

REPO = Path(__file__).parents[1]
PAGE = REPO / "docs/reference.md"

# Heading, file, and the names of it that are public.
PARTS = [
    ("Llama", "api/llama.py", ["Llama"]),
    ("Token by token", "api/tokens.py", ["TokenApi"]),
    ("Completions", "api/completion.py", ["create_completion"]),
    ("Chats", "api/chat.py", ["create_chat_completion"]),
    ("asyncio", "api/async_llama.py", ["AsyncLlama"]),
    ("Grammars", "api/grammar.py", ["LlamaGrammar"]),
    ("Caches", "api/cache.py", ["LlamaRAMCache", "LlamaDiskCache"]),
    ("States", "api/state.py", ["LlamaState"]),
    ("Drafts", "api/drafts.py", ["LlamaDraftModel", "LlamaPromptLookupDecoding"]),
    ("Traces", "core/engine/trace.py", ["Trace"]),
    ("What a hook gets", "core/engine/hooks.py", ["Moment"]),
    ("Profiles of a Llama", "api/looking.py", ["LlamaProfile"]),
    ("Profiles of a context", "core/engine/profile.py", ["Profile", "OpTime"]),
    ("GGUF files", "core/gguf/reader.py", ["GGUFReader"]),
    ("Writing GGUF files", "core/gguf/writer.py", ["GGUFWriter"]),
    ("Chat templates", "core/chat/template.py", ["ChatTemplate"]),
    ("The engine: models", "core/engine/load.py", ["load_model", "Model"]),
    ("The engine: contexts", "core/engine/context.py", ["Context"]),
    ("The engine: many requests", "core/engine/scheduler/scheduler.py", ["Scheduler"]),
    ("Errors", "errors.py", ["LlamakitError", "UsageError", "GGUFError", "ModelError", "VocabError", "KernelError"]),
]


def page() -> str:
    lines = [
        "# Reference",
        "",
        "Made of the docstrings by `scripts/make_reference.py`. `from llamakit import Llama, AsyncLlama, LlamaGrammar,",
        "ChatTemplate, GGUFReader, GGUFWriter`; the rest is imported from its module.",
    ]
    for heading, file, names in PARTS:
        tree = ast.parse((REPO / "llamakit" / file).read_text(encoding="utf-8"))
        lines += ["", f"## {heading}", "", f"`llamakit.{file.removesuffix('.py').replace('/', '.')}`"]
        found = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        for name in names:
            lines += described(found[name], 3)
    return "\n".join(lines) + "\n"


def described(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, level: int) -> list[str]:
    """A heading with the signature, the docstring, and of a class its public methods."""
    title = node.name if isinstance(node, ast.ClassDef) else signature(node)
    lines = ["", f"{'#' * level} {title if isinstance(node, ast.ClassDef) else node.name}", ""]
    if not isinstance(node, ast.ClassDef):
        lines += ["```text", title, "```", ""]
    if text := ast.get_docstring(node):
        lines += text.splitlines()
    if isinstance(node, ast.ClassDef):
        for part in node.body:
            is_function = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function and ast.get_docstring(part) and not part.name.startswith("_"):
                lines += described(part, level + 1)
    return lines


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    if "property" in marks:
        return f"{node.name}{returns.replace(' ->', ':')}"
    arguments = ast.unparse(node.args)
    text = f"{node.name}({arguments}){returns}"
    return text if len(text) <= 110 else f"{node.name}(\n    " + arguments.replace(", ", ",\n    ") + f"\n){returns}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    made = page()
    if parser.parse_args().check:
        is_current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == made
        print("up to date" if is_current else f"{PAGE.name} is not up to date: python scripts/make_reference.py")
        return 0 if is_current else 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
