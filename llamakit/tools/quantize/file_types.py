"""The types of files that can be made: names and numbers of llama.cpp's, and the type most of their tensors get.

Source of numbers and default types: llama.h and llama-quant.cpp of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError


@dataclass(frozen=True, slots=True)
class FileType:
    """A recipe for a file, such as Q4_K_M; `number` is what general.file_type says of it."""

    name: str
    number: int
    default: GGMLType  # of the tensors that no rule gives another
    bpw: float  # bits a weight, all tensors together, of a Llama 3 of 8 billion weights
    note: str = ""


def _file_type(name: str, number: int, default: str, bpw: float, note: str = "") -> FileType:
    return FileType(name, number, GGMLType[default], bpw, note)


_IMATRIX = "needs an importance matrix"

FILE_TYPES: tuple[FileType, ...] = (
    _file_type("F32", 0, "F32", 32.0),
    _file_type("F16", 1, "F16", 16.0),
    _file_type("BF16", 32, "BF16", 16.0),
    _file_type("Q8_0", 7, "Q8_0", 8.5),
    _file_type("Q6_K", 18, "Q6_K", 6.56),
    _file_type("Q5_1", 9, "Q5_1", 6.04),
    _file_type("Q5_K_M", 17, "Q5_K", 5.70),
    _file_type("Q5_K_S", 16, "Q5_K", 5.57),
    _file_type("Q5_0", 8, "Q5_0", 5.57),
    _file_type("Q4_1", 3, "Q4_1", 5.10),
    _file_type("Q4_K_M", 15, "Q4_K", 4.89, "a good balance"),
    _file_type("IQ4_NL", 25, "IQ4_NL", 4.68),
    _file_type("Q4_K_S", 14, "Q4_K", 4.67),
    _file_type("Q4_0", 2, "Q4_0", 4.64),
    _file_type("NVFP4", 39, "NVFP4", 4.64, "for models trained to these 4-bit floats"),
    _file_type("IQ4_XS", 30, "IQ4_XS", 4.46),
    _file_type("MXFP4_MOE", 38, "MXFP4", 8.5, "experts in MXFP4, all else in Q8_0"),
    _file_type("Q3_K_L", 13, "Q3_K", 4.30),
    _file_type("Q3_K_M", 12, "Q3_K", 4.00),
    _file_type("IQ3_M", 27, "IQ3_S", 3.76),
    _file_type("IQ3_S", 26, "IQ3_S", 3.66),
    _file_type("Q3_K_S", 11, "Q3_K", 3.64),
    _file_type("IQ3_XS", 22, "IQ3_S", 3.50, _IMATRIX),
    _file_type("IQ3_XXS", 23, "IQ3_XXS", 3.25, _IMATRIX),
    _file_type("Q2_K", 10, "Q2_K", 3.16),
    _file_type("Q2_K_S", 21, "Q2_K", 2.97, _IMATRIX),
    _file_type("IQ2_M", 29, "IQ2_S", 2.93, _IMATRIX),
    _file_type("IQ2_S", 28, "IQ2_XS", 2.74, _IMATRIX),
    _file_type("Q2_0", 41, "Q2_0", 2.68),
    _file_type("IQ2_XS", 20, "IQ2_XS", 2.59, _IMATRIX),
    _file_type("TQ2_0", 37, "TQ2_0", 2.52, "for models trained to three values a weight"),
    _file_type("IQ2_XXS", 19, "IQ2_XXS", 2.38, _IMATRIX),
    _file_type("TQ1_0", 36, "TQ1_0", 2.19, "for models trained to three values a weight"),
    _file_type("IQ1_M", 31, "IQ1_M", 2.15, _IMATRIX),
    _file_type("IQ1_S", 24, "IQ1_S", 2.00, _IMATRIX),
    _file_type("Q1_0", 40, "Q1_0", 1.48, "for models trained to two values a weight"),
)
COPY = FileType("COPY", -1, GGMLType.F32, 0.0, "keeps every tensor's type")  # only metadata or shards change
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

_BY_NAME = {file_type.name: file_type for file_type in (*FILE_TYPES, COPY)}
_BY_NUMBER = {str(file_type.number): file_type for file_type in FILE_TYPES}


def find_file_type(word: str) -> FileType | None:
    """The file type of a name in any case, an alias or a number; None for any other word."""
    name = word.upper()
    return _BY_NAME.get(ALIASES.get(name, name)) or _BY_NUMBER.get(word)


def parse_file_type(word: str) -> FileType:
    """As `find_file_type`, but raises UsageError for another word."""
    found = find_file_type(word)
    if found is None:
        known = ", ".join(_BY_NAME)
        raise UsageError(f"unknown file type {word!r}; known are {known}")
    return found
