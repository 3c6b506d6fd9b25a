"""What an importance matrix has to say about the tensors of a model (fault 57: that of another model)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry
from llamakit.tools.quantize.file_types import FileType
from llamakit.tools.quantize.roles import Role, role_of


def selected(imatrix: Imatrix, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Imatrix | None:
    """The entries whose names contain one of `include`, if given, and none of `exclude`; None if none is left."""
    entries = {
        name: entry
        for name, entry in imatrix.entries.items()
        if not any(part in name for part in exclude) and (not include or any(part in name for part in include))
    }
    return replace(imatrix, entries=entries) if entries else None


def importance_of(tensor: Tensor, imatrix: Imatrix, path: str) -> ImatrixEntry | None:
    """The tensor's entry, if there is one. `path` is that of the importance matrix, for errors.

    Raises UsageError for an entry of another size, as the matrix of another model has; only that of the embeddings
    is passed over, which llama-imatrix collects in a way of its own.
    """
    entry = imatrix.entries.get(tensor.name)
    n_columns = tensor.shape[0] * n_matrices(tensor)
    if entry is None or entry.sums.size == n_columns:
        return entry
    if role_of(tensor.name) is Role.TOKEN_EMBD:
        return None
    raise UsageError(
        f"{path or 'the importance matrix'} has {entry.sums.size} columns for {tensor.name}, the model {n_columns}: "
        "it is of another model; compute one with `llamakit imatrix`"
    )


def n_matrices(tensor: Tensor) -> int:
    """The matrices stacked in a tensor, one for each expert."""
    return math.prod(tensor.shape[2:])


def check_model(imatrix: Imatrix, path: str, names: Collection[str]) -> None:
    """Raise UsageError where no entry names one of the model's tensors."""
    if not any(name in names for name in imatrix.entries):
        what = f"none of its {len(imatrix.entries)} entries names a tensor of this one"
        raise UsageError(f"{path or 'the importance matrix'} is of another model: {what}")


_WORTHLESS_WITHOUT = frozenset(GGMLType[name] for name in ("IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S"))


def needs_imatrix(name: str, type_: GGMLType, file_type: FileType) -> bool:
    """Whether the tensor's type is worth nothing without importance; output and embeddings make do."""
    if role_of(name) in (Role.OUTPUT, Role.TOKEN_EMBD):
        return False
    return type_ in _WORTHLESS_WITHOUT or (type_ is GGMLType.Q2_K and file_type.name == "Q2_K_S")
