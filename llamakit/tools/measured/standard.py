"""llama.cpp's mixes as a measure: what each would cost this model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError
from llamakit.tools.measured.candidates import Choices
from llamakit.tools.measured.estimate import damage_of
from llamakit.tools.measured.notebook import Notebook
from llamakit.tools.quantize.file_types import FILE_TYPES, FileType
from llamakit.tools.quantize.plan import Options, make_plan


@dataclass(frozen=True)
class Mix:
    """A type for each tensor, the bytes of all tensors, and the damage that is to be expected (nats a token)."""

    name: str
    types: Mapping[str, GGMLType]
    n_bytes: int
    damage: float


def standard_mixes(
    reader: GGUFReader, options: Options, choices: Sequence[Choices], notebook: Notebook
) -> Iterator[tuple[FileType, Mix]]:
    """Those whose types are all among the candidates, with the same importance matrix."""
    plain = Options(imatrix=options.imatrix, allow_requantize=options.allow_requantize)
    for file_type in FILE_TYPES:
        try:
            plan = make_plan(reader, file_type, plain)
        except UsageError:  # its blocks do not divide the rows of this model
            continue
        types = {tensor.source.name: tensor.type for tensor in plan.tensors}
        found = [(c, c.find(types[c.name])) for c in choices]
        n_bytes, damage = 0, 0.0
        for one, candidate in found:
            if candidate is None:
                break
            n_bytes += candidate.n_bytes
            damage += damage_of(one, candidate, notebook.damages.get(one.name, {}))
        else:
            if not plan.needing_imatrix:
                yield file_type, Mix(file_type.name, types, n_bytes, damage)


def nearest(mixes: Sequence[tuple[FileType, Mix]], n_bytes: int) -> list[Mix]:
    """The largest standard mix that is not larger (by more than a hundredth), and the next above it."""
    by_size = sorted((mix for _, mix in mixes), key=lambda mix: (mix.n_bytes, -mix.damage))
    below = [mix for mix in by_size if mix.n_bytes <= 1.01 * n_bytes]
    above = [mix for mix in by_size if mix.n_bytes > 1.01 * n_bytes]
    return [*below[-1:], *above[:1]]


def closest_file_type(mixes: Sequence[tuple[FileType, Mix]], n_bytes: int) -> FileType:
    """What general.file_type may call a mix of so many bytes."""
    return min(mixes, key=lambda each: abs(each[1].n_bytes - n_bytes))[0]


def with_types(options: Options, mix: Mix) -> Options:
    return replace(options, types=mix.types)
