"""Manifests: hashes written down, and files held against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from llamakit.errors import LlamakitError
from llamakit.tools.gguf_hash.hashes import UUID, Entry

STRENGTH = ("sha256", "sha1", "xxh64", UUID)


class ManifestFileError(LlamakitError):
    """A manifest that cannot be read."""

    exit_code = 5


class ManifestUnknownHash(LlamakitError):
    """A manifest without any hash known here."""

    exit_code = 4


class Match(Enum):
    """How an entry compares with the manifest's."""

    OK = "Ok"
    MISMATCH = "Mismatch"
    NOT_FOUND = "Not Found"


class Verdict(Enum):
    """What a check comes to; exit codes and names are those of llama-gguf-hash."""

    SUCCESS = (0, "Success")
    FAILURE = (1, "Failure")
    MISSING_ENTRY = (3, "Manifest Missing Entry")

    @property
    def exit_code(self) -> int:
        return self.value[0]

    def __str__(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Digests by algorithm and name; of equal names the first counts."""

    path: str
    digests: dict[tuple[str, str], str]

    @property
    def algorithms(self) -> list[str]:
        """Those that occur, strongest first."""
        return [algorithm for algorithm in STRENGTH if any(algorithm == known for known, _ in self.digests)]

    def compare(self, entry: Entry) -> Match:
        """By the name as it is given or, for a manifest made elsewhere, by that of the file without its folder."""
        for name in (entry.name, without_folder(entry.name)):
            digest = self.digests.get((entry.algorithm, name))
            if digest is not None:
                return Match.OK if digest == entry.digest else Match.MISMATCH
        return Match.NOT_FOUND


def read_manifest(path: str) -> Manifest:
    """Raises ManifestFileError, or ManifestUnknownHash when no line begins with a known kind of hash."""
    try:
        text = Path(path).read_text("utf-8", "surrogateescape")
    except (OSError, ValueError) as error:
        raise ManifestFileError(f"{path}: cannot read the manifest: {getattr(error, 'strerror', error)}") from None
    lines = [parts for parts in (line.split(None, 2) for line in text.splitlines()) if len(parts) == 3]
    known = [(algorithm, digest, name.strip()) for algorithm, digest, name in lines if algorithm in STRENGTH]
    if not known:
        raise ManifestUnknownHash(f"{path}: the manifest holds no hash known here ({', '.join(STRENGTH)})")
    digests: dict[tuple[str, str], str] = {}
    for algorithm, digest, name in known:
        digests.setdefault((algorithm, name), digest)
    for algorithm, digest, name in known:
        digests.setdefault((algorithm, without_folder(name)), digest)
    return Manifest(path, digests)


def without_folder(name: str) -> str:
    """`models/a.gguf:blk.0` -> `a.gguf:blk.0`; a tensor's name may hold slashes too."""
    end = name.find(".gguf")
    return name[name.rfind("/", 0, end if end >= 0 else None) + 1 :]


def judge(compared: Sequence[tuple[Entry, Match]]) -> Verdict:
    """A mismatch anywhere is a failure; else one entry that was found is enough, though not all were."""
    matches = {match for _, match in compared}
    if Match.MISMATCH in matches:
        return Verdict.FAILURE
    return Verdict.SUCCESS if Match.OK in matches else Verdict.MISSING_ENTRY
