"""What the name of a model says: maker, base name, size, what it was tuned for, version.

The words are told apart as in llama.cpp's converter of 2026, so that the same names give the same keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"(v|iter)?\d+([.]\d+)*", re.IGNORECASE)
_TYPE = re.compile(r"i?q\d(_\w)*|b?fp?(16|32)", re.IGNORECASE)
_SIZE = re.compile(r"((A|\d+x)?\d+([._]\d+)?[KMBT]\d?|small|mini|medium|large|x?xl)", re.IGNORECASE)
_TUNED = re.compile(r"chat|instruct|vision|lora", re.IGNORECASE)
_KEEPS_CASE = re.compile(r"(v\d+(?:\.\d+)*|\d.*)")


@dataclass(frozen=True, slots=True)
class ModelId:
    """The parts of an id such as "mistralai/Mixtral-8x7B-Instruct-v0.1"; None where one is absent."""

    name: str
    organization: str | None = None
    basename: str | None = None
    finetune: str | None = None
    version: str | None = None
    size_label: str | None = None


def title(words: str) -> str:
    """Words with dashes as a title: "smollm2-135m" -> "Smollm2 135m". Versions and words with capitals stay."""
    parts = words.strip().replace("-", " ").split()
    return " ".join(p.title() if p.islower() and not _KEEPS_CASE.fullmatch(p) else p for p in parts)


def parse_model_id(text: str, n_params: int = 0) -> ModelId:
    """`n_params` of the model tells sizes from lengths of context, where it is known."""
    if " " in text:
        return ModelId(text)
    organization: str | None = None
    name = text
    if "/" in text:
        organization, name = text.split("/", 1)
        if organization.startswith("."):
            organization = None
    parts = [part for part in name.split("-") if part]
    kinds = [""] * len(parts)
    for i, part in enumerate(parts):
        if _VERSION.fullmatch(part):
            kinds[i] = "version"
        elif _TYPE.fullmatch(part):
            kinds[i], parts[i] = "type", part.upper()
        elif i and _SIZE.fullmatch(part):
            kinds[i], parts[i] = _size(part, n_params)
        elif i and _TUNED.fullmatch(part):
            kinds[i] = "finetune"
    if any(kind == "size_label" and re.search(r"\d", part) for kind, part in zip(kinds, parts, strict=True)):
        kinds = [
            "" if kind == "size_label" and part.isalpha() else kind for kind, part in zip(kinds, parts, strict=True)
        ]
    return _composed(name, organization, parts, kinds)


def _composed(name: str, organization: str | None, parts: list[str], kinds: list[str]) -> ModelId:
    n_base = 0  # words at the start; versions among them count as theirs unless they are the last
    while n_base < len(parts) and ((not kinds[n_base] and parts[n_base][0].isalpha()) or kinds[n_base] == "version"):
        n_base += 1
    end = n_base
    if end == len(parts):
        while end and kinds[end - 1] == "version":
            end -= 1
    base = parts[:end]
    rest = [(part, kind or "finetune") for part, kind in zip(parts[end:], kinds[end:], strict=True)]

    def of(wanted: str) -> str | None:
        return "-".join(dict.fromkeys(part for part, kind in rest if kind == wanted)) or None

    size, finetune, version = of("size_label"), of("finetune"), of("version")
    basename = "-".join(base) or None if size or finetune or version else None
    return ModelId(name, organization, basename, finetune, version, size)


def _size(part: str, n_params: int) -> tuple[str, str]:
    """Whether a word is the model's size or rather what it was tuned for, and its usual spelling."""
    part = part.replace("_", ".")
    if part[-1].isdecimal():  # as in bloom-7b1
        part = f"{part[:-2]}.{part[-1]}{part[-2]}"
    if len(part) > 1 and part[-2].isdecimal() and part[-1] in "kmbt":
        part = part[:-1] + part[-1].upper()
    try:
        named = float(part[:-1]) * 1000 ** " KMBT".find(part[-1])
    except ValueError:
        return "size_label", part
    if n_params and abs(named - n_params) > 7 * n_params // 8:
        return "finetune", part[:-1] + part[-1].lower()  # most likely a length of context
    return "size_label", part
