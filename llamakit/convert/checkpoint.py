"""The tensors of a folder, in however many files they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llamakit.convert.safetensors import DTYPES, StoredTensor, read_safetensors
from llamakit.convert.weight import BF16, Array, Weight
from llamakit.errors import ModelError, UsageError, printable

INDEX, MISTRAL_INDEX = "model.safetensors.index.json", "consolidated.safetensors.index.json"
PICKLE_INDEX = "pytorch_model.bin.index.json"
_ONE_OF = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")
FLOAT8 = {"F8_E4M3": (4, 7), "F8_E5M2": (5, 15)}  # bits of the exponent, its bias


@dataclass(frozen=True)
class Checkpoint:
    """All tensors of a model by name; nothing is read before `weight` or `array` is asked to load.

    `replaced` are tensors made of others, and in their place (None) the others.
    """

    tensors: Mapping[str, StoredTensor]
    replaced: Mapping[str, Weight | None] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys((*self.tensors, *self.replaced))
        return (name for name in names if self.replaced.get(name, name) is not None)

    def __contains__(self, name: str) -> bool:
        return self.replaced[name] is not None if name in self.replaced else name in self.tensors

    def weight(self, name: str) -> Weight:
        """A tensor of floats (or of integers, as floats)."""
        made = self.replaced.get(name)
        if made is not None:
            return made
        stored = self._stored(name)
        if stored.dtype in ("U8", "I8") and len(stored.shape) > 1:
            raise ModelError(
                printable(f"tensor {name!r} holds {stored.dtype}: quantized in a way that config.json does not tell")
            )
        plain: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "BF16": BF16}
        return Weight(
            stored.shape,
            plain.get(stored.dtype, np.dtype("<f4")),
            lambda: floats(stored),
            (name,),
            release=stored.release,
        )

    def array(self, name: str) -> Array:
        """A tensor's values as they are: float8 as bytes, bfloat16 as uint16."""
        stored = self._stored(name)
        code = DTYPES[stored.dtype][1] or ("<u2" if stored.dtype == "BF16" else "<u1")
        return stored.raw.view(code).reshape(stored.shape)

    def _stored(self, name: str) -> StoredTensor:
        if name not in self.tensors:
            raise ModelError(printable(f"tensor {name!r} is missing in the checkpoint"))
        return self.tensors[name]

    @cached_property
    def first_dtype(self) -> str:
        """The dtype of the first matrix, which says what the model was trained in."""
        matrices = (stored.dtype for stored in self.tensors.values() if len(stored.shape) > 1)
        return next(matrices, "F32")


def open_checkpoint(folder: Path, allow_pickle: bool = False, is_mistral: bool = False) -> Checkpoint:
    """Open the safetensors files of a folder (or Mistral's own), or pickled ones where that is allowed.

    Raises ModelError for files that are missing, damaged or name others outside the folder; UsageError where there are
    pickled tensors only and `allow_pickle` is not set.
    """
    index = folder / (MISTRAL_INDEX if is_mistral else INDEX)
    if index.is_file():
        return _open_index(index, read_safetensors)
    for pattern in ("consolidated*.safetensors",) if is_mistral else ("model*.safetensors", "*.safetensors"):
        paths = [path for path in sorted(folder.glob(pattern)) if not path.name.startswith("adapter_")]
        if paths:
            return _merged(_whole_set(paths), read_safetensors)
    if is_mistral:
        pickles = sorted(folder.glob("consolidated*.pth"))
    else:
        pickles = sorted(folder.glob("pytorch_model*.bin")) or sorted(folder.glob("*.bin"))
    if not pickles:
        wanted = "consolidated*.safetensors" if is_mistral else "*.safetensors"
        raise ModelError(f"{folder}: no {wanted} files; is it the folder of a model?")
    if not allow_pickle:
        raise UsageError(f"{folder}: {pickle_refused(pickles[0].name)}")
    from llamakit.convert.pickled import read_pickled

    pickle_index = folder / PICKLE_INDEX
    if not is_mistral and pickle_index.is_file():
        return _open_index(pickle_index, read_pickled)
    return _merged(_whole_set(pickles), read_pickled)


def pickle_refused(name: str) -> str:
    reads = "--allow-pickle reads tensors from it and refuses all else"
    return f"only pickled tensors ({name}); a pickle can hold code. {reads}"


Read: TypeAlias = Callable[[Path], dict[str, StoredTensor]]


def _whole_set(paths: list[Path]) -> list[Path]:
    """Files without an index. Raises ModelError where one is missing of those numbered 00001-of-0000N."""
    matches = [match for path in paths if (match := _ONE_OF.fullmatch(path.name))]
    names = {path.name for path in paths}
    for stem, n, end in dict.fromkeys((match[1], match[3], match[4]) for match in matches):
        wanted = [f"{stem}-{i:05}-of-{n}{end}" for i in range(1, int(n) + 1)]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise _files_missing(paths[0].parent, missing, len(wanted))
    return paths


def _files_missing(folder: Path, missing: list[str], n: int) -> ModelError:
    return ModelError(f"{folder}: {len(missing)} of {n} files are missing, the first is {missing[0]}")


def _open_index(path: Path, read: Read) -> Checkpoint:
    index, folder = read_json(path), path.parent
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise ModelError(f"{path}: weight_map is not an object of file names")
    files = list(dict.fromkeys(weight_map.values()))
    for name in files:
        if not name or Path(name).name != name or name in (".", ".."):
            raise ModelError(printable(f"{path}: {name!r} is no name of a file beside it; refused"))
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise _files_missing(folder, missing, len(files))
    checkpoint = _merged([folder / name for name in files], read)
    for name, file in weight_map.items():
        if name not in checkpoint or checkpoint.tensors[name].source.path.name != file:
            raise ModelError(printable(f"{path}: tensor {name!r} is not in {file}"))
    return checkpoint


def _merged(paths: list[Path], read: Read) -> Checkpoint:
    tensors: dict[str, StoredTensor] = {}
    for path in paths:
        for name, tensor in read(path).items():
            if name in tensors:
                where = tensors[name].source.path.name
                raise ModelError(printable(f"{path}: tensor {name!r} is in {where} too"))
            tensors[name] = tensor
    return Checkpoint(tensors)


def floats(stored: StoredTensor) -> Array:
    """Values as float32, float16, or bfloat16 in a uint16."""
    raw, shape = stored.raw, stored.shape
    if stored.dtype == "BF16":
        return raw.view("<u2").reshape(shape)
    if stored.dtype in ("F32", "F16"):
        return raw.view("<f4" if stored.dtype == "F32" else "<f2").reshape(shape)
    if stored.dtype in FLOAT8:
        return float8_values(stored.dtype)[raw].reshape(shape)
    if stored.dtype == "F8_E8M0":
        return powers_of_two()[raw].reshape(shape)
    code = DTYPES[stored.dtype][1]
    if code is None:
        raise ModelError(f"tensor {stored.name} has the dtype {stored.dtype}, which is not converted by itself")
    return raw.view(code).reshape(shape).astype(np.float32)


def float8_values(dtype: str) -> NDArray[np.float32]:
    """The 256 values of a float8 type. E5M2 has infinities as IEEE has, E4M3 has none and one NaN of each sign."""
    n_exponent, bias = FLOAT8[dtype]
    n_mantissa = 7 - n_exponent
    codes = np.arange(128)
    exponent, mantissa = codes >> n_mantissa, (codes & ((1 << n_mantissa) - 1)) / (1 << n_mantissa)
    values = np.where(exponent > 0, (1 + mantissa) * 2.0 ** (exponent - bias), mantissa * 2.0 ** (1 - bias))
    if dtype == "F8_E5M2":
        values = np.where(exponent == 31, np.where(mantissa == 0, np.inf, np.nan), values)
    else:
        values[127] = np.nan
    return np.concatenate([values, -values]).astype(np.float32)


def powers_of_two() -> NDArray[np.float32]:
    """The 256 values of E8M0, an exponent alone; the last is NaN."""
    return np.append(np.ldexp(np.float32(1), np.arange(255) - 127), np.float32(np.nan)).astype(np.float32)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ModelError where the file is absent, malformed or holds something else."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or a number of thousands of digits
        raise ModelError(printable(f"{path}: no JSON: {type(error).__name__}: {str(error)[:120]}")) from None
    if not isinstance(parsed, dict):
        raise ModelError(f"{path}: a JSON {type(parsed).__name__}, not an object")
    return parsed
