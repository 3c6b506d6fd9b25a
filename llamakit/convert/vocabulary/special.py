"""Special tokens and what is put around a text: from tokenizer_config.json, tokenizer.json's last step, config.json.

Which file counts for what, and the spelling of the keys, is as in llama.cpp's converter of 2026.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llamakit.convert.config import Config
from llamakit.convert.vocabulary.files import TokenizerFiles

log = logging.getLogger(__name__)

KEYS = {
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "unk": "unknown_token_id",
    "sep": "seperator_token_id",  # spelt so in the format
    "pad": "padding_token_id",
    "mask": "mask_token_id",
    "eot": "eot_token_id",
    "eom": "eom_token_id",
}
_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_FLAGS = ("bos", "eos", "sep")


@dataclass(slots=True)
class SpecialTokens:
    """Texts of special tokens by role, and whether each is added to a text."""

    texts: dict[str, str]
    added: dict[str, bool] = field(default_factory=dict)


def special_keys(files: TokenizerFiles, config: Config, n_vocab: int) -> Iterator[tuple[str, int | bool]]:
    """Keys below `tokenizer.ggml.`: the ids, then the flags."""
    tokens = SpecialTokens({role: text for role in _ROLES if (text := _text_of(files.settings, role))})
    if files.tokenizer or files.is_mistral:
        _adopt_processing(tokens, files.steps("post_processor", "processors"))
        for role in (*_ROLES, "eot", "eom"):
            flag = files.settings.get(f"add_{role}_token")
            if isinstance(flag, bool):
                tokens.added.setdefault(role, flag)
    ids = {added.text: added.id for added in reversed(files.added)}
    if files.is_mistral and files.sentencepiece is not None:
        ids |= {piece.text: i for i, piece in enumerate(files.sentencepiece.pieces)}
    for role, key in KEYS.items():
        token = ids.get(tokens.texts.get(role, ""))
        if token is None and role in _ROLES:
            token = _id_of(config, role)
        if token is None:
            continue
        if 0 <= token < n_vocab:
            yield key, token
        else:
            log.warning("the %s token has the id %d, of %d tokens: left out", role, token, n_vocab)
    for role in _FLAGS:
        if role in tokens.added:
            yield f"add_{role}_token", tokens.added[role]


def _text_of(settings: Mapping[str, Any], role: str) -> str | None:
    entry = settings.get(f"{role}_token")
    if isinstance(entry, dict):
        entry = entry.get("content")
    return entry if isinstance(entry, str) else None


def _id_of(config: Config, role: str) -> int | None:
    value = config.values.get(f"{role}_token_id")
    if isinstance(value, list):
        value = value[0] if value else None
    return value if type(value) is int and value >= 0 else None


def _adopt_processing(tokens: SpecialTokens, steps: list[dict[str, Any]]) -> None:
    """What tokenizer.json puts around a text, as far as two flags can say it."""
    texts = tokens.texts
    if "cls" in texts:
        texts.setdefault("bos", texts["cls"])
    if "sep" in texts:
        texts.setdefault("eos", texts["sep"])
    for step in steps:
        kind = step.get("type")
        if kind == "ByteLevel":
            tokens.added.setdefault("bos", False)
            tokens.added.setdefault("eos", False)
        elif kind == "RobertaProcessing":
            tokens.added.update(bos=True, eos=True, sep=True)
            for role, default in (("cls", "bos"), ("sep", "eos")):
                texts.setdefault(role, (step.get(role) or [texts.get(default, "")])[0])
        elif kind == "TemplateProcessing":
            single, pair = (step.get(name) or [] for name in ("single", "pair"))
            if isinstance(single, list) and isinstance(pair, list):
                _adopt_template(tokens, single, pair)


def _adopt_template(tokens: SpecialTokens, single: list[Any], pair: list[Any]) -> None:
    """A template such as [bos, A] and [bos, A, sep, B, eos]."""
    texts = tokens.texts
    first, last = (_special(single[0]), _special(single[-1])) if len(single) > 1 else (None, None)
    if first:
        if first not in (texts.get("bos"), texts.get("cls")):
            texts.setdefault("bos", first)
            texts.setdefault("cls", first)
        tokens.added["bos"] = first in (texts.get("bos"), texts.get("cls"))
    if last:
        if last != texts.get("eos"):
            # What was to end a generation still does so, under another name.
            role = "eom" if "eot" in texts else "eot"
            if "eos" in texts:
                texts[role] = texts["eos"]
            texts["eos"] = last
        tokens.added["eos"] = True
    if not pair:
        return
    inner = pair[1 if first and _special(pair[0]) == first else 0 : -1 if last and _special(pair[-1]) == last else None]
    if [_sequence(inner[0]), _sequence(inner[-1])] == ["A", "B"] and len(inner) > 2:
        between, ends = [_special(step) for step in inner[1:-1]], (texts.get("sep"), texts.get("eos"))
        is_added = bool(between[0] and between[0] in ends and not last)
        if len(between) == 2:
            is_added = is_added or bool(between[1] and between[1] in ends)
        tokens.added["sep"] = is_added
        if is_added and "sep" not in texts and "eos" in texts:
            texts["sep"] = texts["eos"]


def _special(step: Any) -> str | None:
    entry = step.get("SpecialToken") if isinstance(step, dict) else None
    return entry.get("id") if isinstance(entry, dict) else None


def _sequence(step: Any) -> str | None:
    entry = step.get("Sequence") if isinstance(step, dict) else None
    return entry.get("id") if isinstance(entry, dict) else None
