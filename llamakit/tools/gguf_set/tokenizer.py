"""Special tokens and chat templates as changes of metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamakit.core.gguf.file import FileMetadata
from llamakit.core.gguf.types import ValueType
from llamakit.errors import UsageError
from llamakit.tools.gguf_set.changes import Change, set_text

# As the keys spell them: tokenizer.ggml.ROLE_token_id.
ROLES = (
    "bos eos eot eom unknown seperator padding mask "
    "fim_pre fim_suf fim_mid fim_pad fim_rep fim_sep prefix suffix middle"
).split()
ALIASES = {"unk": "unknown", "sep": "seperator", "separator": "seperator", "pad": "padding"}
TOKENS = "tokenizer.ggml.tokens"
TEMPLATE, TEMPLATES = "tokenizer.chat_template", "tokenizer.chat_templates"


def special_token(metadata: FileMetadata, role: str, text: str) -> tuple[Change, list[int]]:
    """The change that gives a role to the token of that text, and the ids of all tokens of it: the first is taken."""
    ids = [i for i, token in enumerate(tokens(metadata)) if token == text]
    if not ids:
        raise UsageError(f"no token of the vocabulary is {text!r}")
    return special_token_by_id(metadata, role, ids[0]), ids


def special_token_by_id(metadata: FileMetadata, role: str, token_id: int) -> Change:
    """The change that gives a role to a token. Raises UsageError for an unknown role or an id that is no token."""
    role = ALIASES.get(role, role)
    if role not in ROLES:
        raise UsageError(f"no special token is called {role!r}; there are {' '.join(ROLES)}")
    n = len(tokens(metadata))
    if not 0 <= token_id < n:
        raise UsageError(f"{token_id} is no token: the vocabulary has the ids 0..{n - 1}")
    key = f"tokenizer.ggml.{role}_token_id"
    types = metadata.field(key).types if key in metadata else (ValueType.UINT32,)
    return Change(key, types, token_id)


def tokens(metadata: FileMetadata) -> list[Any]:
    value = metadata.get(TOKENS)
    if not isinstance(value, list):
        raise UsageError(f"the file has no vocabulary ({TOKENS})")
    return value


def template_changes(metadata: FileMetadata, template: str | list[Any]) -> Iterator[Change]:
    """A chat template, or a list of {"name": ..., "template": ...} of which "default" is the one; old ones go."""
    named: dict[str, str] = {"default": template} if isinstance(template, str) else dict(named_templates(template))
    default = named.pop("default", None)
    new = [set_text(f"{TEMPLATE}.{name}", text) for name, text in named.items()]
    if named:
        new.append(Change(TEMPLATES, (ValueType.ARRAY, ValueType.STRING), list(named)))
    if default is not None:
        new.append(set_text(TEMPLATE, default))
    kept = {change.key for change in new}
    for key in metadata:
        if key not in kept and (key in (TEMPLATE, TEMPLATES) or key.startswith(f"{TEMPLATE}.")):
            yield Change(key, None)
    yield from new


def named_templates(choices: list[Any]) -> Iterator[tuple[str, str]]:
    for choice in choices:
        fields = choice if isinstance(choice, dict) else {}
        name, text = fields.get("name"), fields.get("template")
        if not isinstance(name, str) or not isinstance(text, str):
            raise UsageError('a list of chat templates must hold {"name": ..., "template": ...}')
        yield re.sub(r"[^A-Za-z0-9]", "_", name), text


def parse_template(text: str) -> str | list[Any]:
    """A template as the command line gives it: Jinja, or a JSON list of named templates."""
    if not text.startswith("["):
        return text
    choices = parse_json(text, "--chat-template")
    return choices if isinstance(choices, list) else text


def template_of_config(path: str) -> str | list[Any]:
    """The `chat_template` of a tokenizer_config.json."""
    config = parse_json(read_text(path), path)
    template = config.get("chat_template") if isinstance(config, dict) else None
    if not isinstance(template, (str, list)):
        raise UsageError(f"{path} holds no chat_template")
    return template


def read_text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None


def parse_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what}: not JSON: {error}") from None
