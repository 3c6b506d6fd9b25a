"""PyTorch's pickled checkpoints, read without running anything that they name.

A .bin file is a ZIP archive: data.pkl describes the tensors, a file each holds their bytes. The pickle machine may only
call the functions below; whatever else a file names is refused. Source of the layout: torch/serialization.py.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.convert.safetensors import DTYPES, StoredTensor
from llamakit.core.gguf.source import Source
from llamakit.errors import ModelError, printable

_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
_LOCAL_HEADER = 30  # bytes, before the name and the extra field
_MAX_PICKLE = 1 << 28
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # a pickled number, in place of an archive
_WRAPPED = ("state_dict", "model")  # where programs that train keep the tensors, beside other things


@dataclass(frozen=True)
class _StorageType:
    dtype: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    offset: int
    n_values: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: Any, first: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage) or type(first) is not int or first < 0:
        raise pickle.UnpicklingError("a tensor without a storage")
    if not all(type(n) is int and n >= 0 for n in (*shape, *stride)):
        raise pickle.UnpicklingError("a tensor whose shape is no numbers")
    if len(shape) != len(stride):
        raise pickle.UnpicklingError(f"a tensor of shape {list(shape)} with {len(stride)} strides")
    tensor = _Tensor(storage, first, tuple(shape), tuple(stride))
    if max(first + _extent(tensor), math.prod(shape)) > storage.n_values:
        raise pickle.UnpicklingError(f"a tensor of shape {list(shape)} that is larger than its storage")
    return tensor


def _extent(tensor: _Tensor) -> int:
    """Values of the storage from the tensor's first to its last."""
    if 0 in tensor.shape:
        return 0
    return 1 + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))


def _is_row_by_row(tensor: _Tensor) -> bool:
    steps = [math.prod(tensor.shape[i + 1 :]) for i in range(len(tensor.shape))]
    return all(n <= 1 or step == wanted for n, step, wanted in zip(tensor.shape, tensor.strides, steps, strict=True))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


class _Reader(pickle.Unpickler):
    """A pickle machine that knows tensors, and the dictionaries they come in."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, member: str) -> None:
        super().__init__(archive.open(member))
        self.path, self.archive, self.folder = path, archive, member.removesuffix("data.pkl")

    def find_class(self, module: str, name: str) -> Any:
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module == "torch" and name == "Size":
            return tuple
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _rebuild_tensor if name == "_rebuild_tensor_v2" else _rebuild_parameter
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs; refused")

    def persistent_load(self, pid: Any) -> _Storage:
        kind = pid[1] if isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" else None
        if not isinstance(kind, _StorageType) or not isinstance(pid[2], str) or type(pid[4]) is not int:
            raise pickle.UnpicklingError("a reference that is no storage")
        info = self.archive.getinfo(f"{self.folder}data/{pid[2]}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size < pid[4] * DTYPES[kind.dtype][0]:
            raise pickle.UnpicklingError(f"the data of storage {pid[2]} is too short, or compressed")
        return _Storage(kind.dtype, _data_offset(self.path, info), pid[4])


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: the name in front of them may differ from the directory's."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER)
    return (
        info.header_offset
        + _LOCAL_HEADER
        + int.from_bytes(header[26:28], "little")
        + int.from_bytes(header[28:30], "little")
    )


def read_pickled(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a .bin file by name. Raises ModelError for anything that is not tensors only."""
    try:
        with path.open("rb") as file:
            if file.read(len(_LEGACY)) == _LEGACY:
                raise ModelError(f"{path}: in the format of PyTorch before 1.6; save it anew, as safetensors")
        with zipfile.ZipFile(path) as archive:
            member = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
            if member is None or archive.getinfo(member).file_size > _MAX_PICKLE:
                raise ModelError(f"{path}: an archive without data.pkl: no checkpoint of PyTorch 1.6 or later")
            loaded = _Reader(path, archive, member).load()
        for key in _WRAPPED:
            if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
                loaded = loaded[key]
        if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
            raise ModelError(f"{path}: it holds a {type(loaded).__name__}, not tensors by name")
        source = Source(path)
        source.map(source.size)
        found = {name: tensor for name, tensor in loaded.items() if isinstance(tensor, _Tensor)}
        return {name: _stored(path, name, tensor, source) for name, tensor in found.items()}
    except ModelError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise ModelError(printable(f"{path}: no checkpoint: {type(error).__name__}: {str(error)[:160]}")) from None


def _stored(path: Path, name: str, tensor: _Tensor, source: Source) -> StoredTensor:
    """Checked once more: a pickle can change fields of what it has built."""
    numbers = (tensor.first, tensor.storage.offset, *tensor.shape, *tensor.strides)
    if tensor.storage.dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in numbers):
        raise ModelError(printable(f"{path}: tensor {name!r} is described by what are no numbers"))
    width = DTYPES[tensor.storage.dtype][0]
    offset, n_bytes = tensor.storage.offset + tensor.first * width, _extent(tensor) * width
    if max(offset + n_bytes, math.prod(tensor.shape) * width) > source.size:
        raise ModelError(printable(f"{path}: tensor {name!r} ends behind the end of the file"))
    strides = None if _is_row_by_row(tensor) else tensor.strides
    return StoredTensor(name, tensor.storage.dtype, tensor.shape, offset, n_bytes, source, strides)
