"""Prompts as completions are given them: a text, ids, both mixed, or several of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamakit.server.generation.field import FieldError

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

MOST_PROMPTS = 256


def read_prompts(value: Any, vocab: Vocab, param: str = "prompt") -> list[tuple[int, ...]]:
    """The tokens of each prompt. Raises FieldError."""
    if value is None:
        raise FieldError(param, f'"{param}" is required')
    if isinstance(value, dict) and "prompt_string" in value:
        value = text_of(value, param)
    if isinstance(value, str):
        return [tokens_of([value], vocab, param)]
    if not isinstance(value, list):
        raise FieldError(param, "must be a text, a list of token ids, or a list of such prompts")
    if not value:
        raise FieldError(param, f'"{param}" must not be empty')
    if any(is_id(item) for item in value) and all(is_id(item) or isinstance(item, str) for item in value):
        return [tokens_of(value, vocab, param)]
    if len(value) > MOST_PROMPTS:
        raise FieldError(param, f"has {len(value)} prompts, at most {MOST_PROMPTS} are possible")
    prompts = []
    for i, item in enumerate(value):
        if isinstance(item, dict) and "prompt_string" in item:
            item = text_of(item, f"{param}.{i}")
        if not isinstance(item, str | list):
            raise FieldError(f"{param}.{i}", "must be a text or a list of token ids")
        prompts.append(tokens_of([item] if isinstance(item, str) else item, vocab, f"{param}.{i}"))
    return prompts


def text_of(value: dict[str, Any], param: str) -> str:
    """llama-server's form of a prompt that may have media."""
    text = value["prompt_string"]
    if not isinstance(text, str):
        raise FieldError(f"{param}.prompt_string", "must be a text")
    if value.get("multimodal_data"):
        raise FieldError(f"{param}.multimodal_data", "is not supported: the model reads text alone")
    return text


def is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def tokens_of(parts: list[Any], vocab: Vocab, param: str) -> tuple[int, ...]:
    """Ids and texts in a row; what the model wants around a text comes where the first part is one."""
    tokens: list[int] = []
    for i, part in enumerate(parts):
        if isinstance(part, str):
            tokens += vocab.encode(part, add_special=i == 0, parse_special=True)
        elif not is_id(part) or not 0 <= part < vocab.n_tokens:
            raise FieldError(param, f"{str(part)[:40]} is no token: Prompt contains invalid tokens")
        else:
            tokens.append(part)
    if not tokens:
        raise FieldError(param, f'"{param}" must not be empty')
    return tuple(tokens)
