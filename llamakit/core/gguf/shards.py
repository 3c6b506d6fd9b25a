"""Models split over several files: their names, and opening them together.

Shard i of n of NAME is called NAME-0000i-of-0000n.gguf, counted from 1. Each shard says its number (split.no, from 0)
and how many there are (split.count); the first one holds all other metadata.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from llamakit.core.gguf.file import GGUFFile
from llamakit.errors import GGUFError

SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS = "split.no", "split.count", "split.tensors.count"
SPLIT_KEYS = (SPLIT_NO, SPLIT_TENSORS, SPLIT_COUNT)  # in the order llama.cpp writes them
MAX_SHARDS = 65_535  # split.count is a u16

_PATTERN = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ShardName:
    """The parts of a shard's path; `number` counts from 1."""

    prefix: str  # the path up to the numbers
    number: int
    count: int

    @classmethod
    def parse(cls, path: str | os.PathLike[str]) -> ShardName | None:
        """The parts of a shard's path, or None when it is not named as one."""
        match = _PATTERN.fullmatch(os.fspath(path))
        if match is None:
            return None
        name = cls(match["prefix"], int(match["number"]), int(match["count"]))
        return name if 1 <= name.number <= name.count <= MAX_SHARDS else None

    def __str__(self) -> str:
        return f"{self.prefix}-{self.number:05d}-of-{self.count:05d}.gguf"

    def siblings(self) -> list[str]:
        """Paths of all shards, first to last, this one among them."""
        return [str(ShardName(self.prefix, number, self.count)) for number in range(1, self.count + 1)]


def open_shards(path: str | os.PathLike[str], *, strict: bool = False, use_mmap: bool = True) -> list[GGUFFile]:
    """Open `path` and, if it is a shard, all others of its split, first to last.

    Raises GGUFError when a shard is missing, damaged, or does not belong with the others.
    """
    opened = GGUFFile(path, strict=strict, use_mmap=use_mmap)
    files = [opened]
    try:
        name = ShardName.parse(path)
        count = _count(opened)
        if count is None:
            if name is not None and name.count > 1:
                message = f"is named as shard {name.number} of {name.count}, but holds no {SPLIT_COUNT}; rename it"
                raise GGUFError(opened.path, None, message)
            return files
        if name is None:
            if count == 1:
                return files
            message = f"is a shard of {count}, but not named like NAME-00001-of-{count:05d}.gguf; rename it"
            raise GGUFError(opened.path, None, message)
        paths = name.siblings()
        missing = [os.path.basename(shard) for shard in paths if not os.path.exists(shard)]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise GGUFError(opened.path, None, f"shards are missing beside it: {', '.join(missing[:3])}{more}")
        files = [
            opened if number == name.number else GGUFFile(shard, strict=strict, use_mmap=use_mmap)
            for number, shard in enumerate(paths, start=1)
        ]
        _check_together(files)
    except BaseException:
        for file in files:
            file.close()
        raise
    return files


def is_shard(file: GGUFFile) -> bool:
    """Whether a file belongs to a split; one that llama.cpp merged says that it is of 0 shards."""
    return bool(_count(file))


def _count(file: GGUFFile) -> int | None:
    """split.count, or None where the file says nothing of a split."""
    return (_whole_number(file, SPLIT_COUNT) or None) if SPLIT_COUNT in file.metadata else None


def _whole_number(file: GGUFFile, key: str) -> int:
    value = file.metadata.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    offset = file.metadata.field(key).offset if key in file.metadata else None
    raise GGUFError(file.path, offset, f"{key} is {value!r}; a shard must give it as a whole number")


def _check_together(files: list[GGUFFile]) -> None:
    """Refuse shards that contradict their names or each other."""
    first, n_tensors = files[0], sum(len(file.tensors) for file in files)
    seen: dict[str, GGUFFile] = {}
    for number, file in enumerate(files):
        count, place = _count(file), _whole_number(file, SPLIT_NO)
        if count != len(files):
            raise GGUFError(file.path, None, f"{SPLIT_COUNT} is {count}, but there are {len(files)} shards by name")
        if place != number:
            message = f"it is shard {place + 1} by its {SPLIT_NO}, but {number + 1} by its name; are names swapped?"
            raise GGUFError(file.path, None, message)
        for key in file.metadata:
            foreign = key not in first.metadata or file.metadata[key] != first.metadata[key]
            if key != SPLIT_NO and foreign:
                message = f"{key!r} differs from that of {first.path.name}; is it a shard of another model?"
                raise GGUFError(file.path, file.metadata.field(key).offset, message)
        if SPLIT_TENSORS in file.metadata and _whole_number(file, SPLIT_TENSORS) != n_tensors:
            told = file.metadata[SPLIT_TENSORS]
            raise GGUFError(file.path, None, f"{SPLIT_TENSORS} is {told}, but all shards together hold {n_tensors}")
        for tensor in file.tensors:
            if tensor.name in seen:
                message = f"tensor {tensor.name!r} lies in {seen[tensor.name].path.name} too"
                raise GGUFError(file.path, tensor.info_offset, message)
            seen[tensor.name] = file
