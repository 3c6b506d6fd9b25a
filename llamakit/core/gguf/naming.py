"""The GGUF naming convention: BaseName-SizeLabel-FineTune-Version-Encoding-Type-Shard.gguf.

Source: the naming section of the GGUF specification. Only the base name must be there to compose a name, the base
name and the size label to parse one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

_SIZE = re.compile(r"(?:\d+x)?\d+(?:\.\d+)?[KMBTQ]", re.IGNORECASE)
_SIZE_DETAIL = re.compile(r"[A-Za-z]+\d+(?:\.\d+)?[kmbtq]")  # as in 3.8B-ContextLength4k
_VERSION = re.compile(r"v\d+(?:\.\d+)*")
_ENCODING = re.compile(r"(?:B?F|I)\d+|(?:I|T|K)?Q\d\w*|(?:MX|NV)FP\d\w*", re.IGNORECASE)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_KINDS = ("LoRA", "vocab")

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"))


@dataclass(frozen=True, slots=True)
class ModelName:
    """The parts of a model's file name; None or "" where one is absent."""

    base: str
    size: str | None = None  # "8B", "8x7B", "3.8B-ContextLength4k"
    finetune: str | None = None
    version: str | None = None  # with its v
    encoding: str | None = None  # "Q4_K_M"
    kind: str | None = None  # "LoRA", "vocab"; a model has none
    shard: tuple[int, int] | None = None  # number from 1, count

    @classmethod
    def parse(cls, path: str | PurePath) -> ModelName | None:
        """The parts of a path's last element, or None when it does not follow the convention."""
        name = PurePath(path).name
        if not name.endswith(".gguf"):
            return None
        stem = name.removesuffix(".gguf")
        match = _SHARD.search(stem)
        shard = (int(match[1]), int(match[2])) if match else None
        parts = (stem[: match.start()] if match else stem).split("-")

        kind = parts.pop() if parts[-1] in _KINDS else None
        encoding = parts.pop() if _ENCODING.fullmatch(parts[-1]) else None
        version = parts.pop() if _VERSION.fullmatch(parts[-1]) else None
        at = next((i for i in range(1, len(parts)) if _SIZE.fullmatch(parts[i])), None)
        if at is None or "" in parts:
            return None
        end = at + 2 if len(parts) > at + 1 and _SIZE_DETAIL.fullmatch(parts[at + 1]) else at + 1
        size, finetune = "-".join(parts[at:end]), "-".join(parts[end:]) or None
        return cls("-".join(parts[:at]), size, finetune, version, encoding, kind, shard)

    def __str__(self) -> str:
        """The file name; spaces and slashes inside a part become dashes, the encoding upper case."""
        encoding = self.encoding.upper() if self.encoding else None
        shard = f"{self.shard[0]:05d}-of-{self.shard[1]:05d}" if self.shard else None
        parts = (self.base, self.size, self.finetune, self.version, encoding, self.kind, shard)
        return "-".join(re.sub(r"[\s/]+", "-", part.strip()) for part in parts if part) + ".gguf"


def size_label(n_params: int, n_expert: int = 0) -> str:
    """A parameter count with at least two digits: "135M", "1.2B"; with experts "8x7.0B", the count being of one."""
    unit, letter = next(((unit, letter) for unit, letter in _UNITS if n_params > unit), (1e3, "K"))
    scaled = n_params / unit
    n_decimals = max(2 - len(str(round(scaled)).lstrip("0")), 0)
    prefix = f"{n_expert}x" if n_expert else ""
    return f"{prefix}{scaled:.{n_decimals}f}{letter}"
