"""Chat templates: where checkpoints keep them, and under which keys GGUF does."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamakit.convert.checkpoint import read_json
from llamakit.convert.vocabulary.files import TokenizerFiles, mistral_version
from llamakit.convert.vocabulary.tekken import version_of
from llamakit.errors import VocabError

log = logging.getLogger(__name__)

KEY = "tokenizer.chat_template"
MISTRAL_TEMPLATES = ("mistral-v1", "mistral-v3", "mistral-v3-tekken", "mistral-v7", "mistral-v7-tekken")
_NAME = re.compile(r"\w+", re.ASCII)


def template_keys(files: TokenizerFiles) -> Iterator[tuple[str, Any]]:
    """Full keys: the default template, named ones, and the list of their names."""
    templates = read_templates(files)
    named = {name: template for name, template in templates.items() if name != "default"}
    if named:
        yield "tokenizer.chat_templates", list(named)
    for name, template in named.items():
        yield f"{KEY}.{name}", template
    if "default" in templates:
        yield KEY, templates["default"]


def read_templates(files: TokenizerFiles) -> dict[str, str]:
    """Templates by name; chat_template.jinja goes before what the JSON files hold, as in transformers."""
    path = files.folder / "chat_template.jinja"
    if path.is_file():
        others = sorted((files.folder / "additional_chat_templates").glob("*.jinja"))
        return {"default": _text(path)} | {other.stem: _text(other) for other in others}
    if files.is_mistral:
        return named_by_version(files) if files.has_named_template else {}
    given = files.settings.get("chat_template")
    if given is None and (files.folder / "chat_template.json").is_file():
        given = read_json(files.folder / "chat_template.json").get("chat_template")
    if given is None:
        return {}
    if isinstance(given, str):
        return {"default": given}
    if not isinstance(given, list):
        log.warning("%s: chat_template is a JSON %s: left out", files.folder, type(given).__name__)
        return {}
    return dict(_named(given))


def named_by_version(files: TokenizerFiles) -> dict[str, str]:
    """The name that llama.cpp and `core/chat/named.py` have for the format of a version of Mistral's tokenizers."""
    path = files.tekken_path or files.sentencepiece_path
    version = "" if path is None else version_of(path) if files.tekken_path else mistral_version(path)
    name = f"mistral-{version}-tekken" if files.tekken_path else f"mistral-{version}"
    if name in MISTRAL_TEMPLATES:
        return {"default": name}
    log.warning("%s: no chat template: none is known by a name for version %r of Mistral's", files.folder, version)
    return {}


def _named(entries: list[Any]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, template = (entry.get("name"), entry.get("template")) if isinstance(entry, dict) else (None, None)
        if isinstance(name, str) and isinstance(template, str) and _NAME.fullmatch(name):
            yield name, template
        else:
            log.warning("a chat template without a proper name is left out: %.60r", entry)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabError(f"{path}: cannot read: {error}") from None
