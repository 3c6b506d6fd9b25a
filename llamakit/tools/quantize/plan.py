"""What a run is going to do: every tensor of the file to be, with its type and its importance matrix.

The order of tensors and of the user's wishes is llama-quantize's of 2026 (`llama_tensor_get_type`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llamakit.core.gguf.layout import tensor_bytes
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.errors import LlamakitError, UsageError
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry
from llamakit.tools.quantize.file_types import COPY, FileType
from llamakit.tools.quantize.importance import check_model, importance_of, needs_imatrix
from llamakit.tools.quantize.mix import Mix, facts_of, fitting
from llamakit.tools.quantize.pruning import pruned_names
from llamakit.tools.quantize.roles import Role, is_quantizable, layer_of, role_of

FLOATS = (GGMLType.F32, GGMLType.F16, GGMLType.BF16)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asks for beside the file type; names of tensors are those before pruning."""

    types: Mapping[str, GGMLType] = field(default_factory=dict)  # by whole name, before everything else
    tensor_types: Sequence[tuple[str, GGMLType]] = ()  # by regular expression, searched; the first that fits
    output_type: GGMLType | None = None
    token_embedding_type: GGMLType | None = None
    leave_output: bool = False  # output.weight keeps its type
    is_pure: bool = False  # the default type for every tensor that may be quantized
    allow_requantize: bool = False
    imatrix: Imatrix | None = None
    imatrix_path: str = ""  # as the new file's metadata and errors name it
    prune_layers: frozenset[int] = frozenset()
    overrides: Mapping[str, int | float | bool | str] = field(default_factory=dict)  # metadata
    keep_split: bool = False


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of the file to be."""

    source: Tensor
    name: str
    type: GGMLType
    replaces: GGMLType | None = None  # the type it should have, but whose blocks do not divide its rows
    importance: ImatrixEntry | None = None

    @property
    def n_bytes(self) -> int:
        return tensor_bytes(self.source.shape, self.type)

    @property
    def is_copied(self) -> bool:
        return self.type is self.source.type


@dataclass(frozen=True, slots=True)
class Plan:
    file_type: FileType
    options: Options
    tensors: Sequence[PlannedTensor]
    unweighted: Sequence[str] = ()  # quantized without importance although there is an importance matrix
    needing_imatrix: Sequence[str] = ()  # of types that are worth nothing without importance, which they lack

    @property
    def n_bytes(self) -> int:
        """Bytes of all tensors, padding not counted."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    @property
    def source_bytes(self) -> int:
        return sum(tensor.source.n_bytes for tensor in self.tensors)

    @property
    def n_values(self) -> int:
        return sum(tensor.source.n_values for tensor in self.tensors)

    @property
    def bpw(self) -> float:
        """Bits a weight, all tensors together."""
        return 8 * self.n_bytes / max(1, self.n_values)

    @property
    def fallbacks(self) -> list[PlannedTensor]:
        return [tensor for tensor in self.tensors if tensor.replaces is not None]


def make_plan(reader: GGUFReader, file_type: FileType, options: Options) -> Plan:
    """Settle the type of every tensor; nothing is read but the header.

    Raises UsageError for wishes that do not fit the model, ModelError for metadata that makes no sense. What is only
    found to be missing when a file is really written, `check` says.
    """
    tensors = in_order(reader, options.keep_split)
    names = pruned_names([tensor.name for tensor in tensors], options.prune_layers)
    tensors = [tensor for tensor in tensors if tensor.name in names]
    metadata = {key: reader.metadata[key] for key in reader.metadata if not key.startswith("tokenizer.")}
    facts = facts_of({**metadata, **options.overrides}, str(reader.path), options.imatrix is not None)
    chooser = _Chooser(file_type, options, Mix(file_type, facts, list(names.values())))
    planned = [chooser.planned(tensor, names[tensor.name]) for tensor in tensors]
    chooser.check_all_used()
    weightless = [tensor for tensor in planned if not tensor.is_copied and tensor.importance is None]
    return Plan(
        file_type,
        options,
        planned,
        [tensor.name for tensor in weightless if options.imatrix is not None],
        [tensor.name for tensor in weightless if needs_imatrix(tensor.name, tensor.type, file_type)],
    )


def in_order(reader: GGUFReader, keep_split: bool) -> list[Tensor]:
    """By layer, then by name; with `keep_split` as they lie in the shards."""
    if keep_split:
        return [tensor for file in reader.files for tensor in sorted(file.tensors, key=lambda tensor: tensor.offset)]

    def place(tensor: Tensor) -> tuple[int, bytes]:
        layer = layer_of(tensor.name)
        return (-1 if layer is None else layer, tensor.name.encode())

    return sorted(reader.tensors, key=place)


class _Chooser:
    """Settles types in the order of the tensors: the user's wishes first, then the recipe, then what fits."""

    def __init__(self, file_type: FileType, options: Options, mix: Mix) -> None:
        self.file_type, self.options, self.mix = file_type, options, mix
        self.patterns = [(_compiled(pattern), type_) for pattern, type_ in options.tensor_types]
        self.unused = set(options.types)

    def planned(self, tensor: Tensor, name: str) -> PlannedTensor:
        """What becomes of the next tensor, whose new name is `name`."""
        self.unused.discard(tensor.name)
        if not self._is_quantizable(tensor):
            return PlannedTensor(tensor, name, tensor.type)
        wanted = self._wanted(tensor, name)
        type_ = wanted if wanted in FLOATS else fitting(wanted, tensor.shape[0], name)
        entry, imatrix = None, self.options.imatrix
        if imatrix is not None and type_ is not tensor.type:
            entry = importance_of(tensor, imatrix, self.options.imatrix_path)
        return PlannedTensor(tensor, name, type_, wanted if type_ is not wanted else None, entry)

    def _is_quantizable(self, tensor: Tensor) -> bool:
        is_left = self.options.leave_output and tensor.name == "output.weight"
        is_number = tensor.type in FLOATS or BLOCK_SIZES[tensor.type].n_values > 1
        arch = self.mix.model.arch
        return (
            self.file_type is not COPY and not is_left and is_number and is_quantizable(tensor.name, tensor.shape, arch)
        )

    def _wanted(self, tensor: Tensor, name: str) -> GGMLType:
        options, role = self.options, role_of(name)
        if tensor.name in options.types:
            return options.types[tensor.name]
        by_pattern = next((type_ for pattern, type_ in self.patterns if pattern.search(name)), None)
        is_table = name == "per_layer_token_embd.weight"  # large, so it may be named apart
        if role is Role.TOKEN_EMBD and options.token_embedding_type is not None and not (is_table and by_pattern):
            return options.token_embedding_type
        if role is Role.OUTPUT and options.output_type is not None:
            return options.output_type
        default = self.file_type.default
        if default in FLOATS:
            return default
        if by_pattern is not None:
            return by_pattern
        return default if options.is_pure else self.mix.next_type(name, tensor.shape, options.output_type)

    def check_all_used(self) -> None:
        if self.unused:
            raise UsageError(f"the model has no tensor {min(self.unused)!r}, for which a type was given")


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"--tensor-type: {pattern!r} is no regular expression: {error}") from None


def check(plan: Plan) -> None:
    """Raise LlamakitError for a plan that can be computed but should not be carried out."""
    for tensor in plan.tensors:
        if not tensor.is_copied and tensor.source.type not in FLOATS and not plan.options.allow_requantize:
            raise LlamakitError(
                f"{tensor.source.source.path}: {tensor.name} is {tensor.source.type.name} already; start from the F16 "
                "or BF16 file, or allow the loss with --allow-requantize"
            )
    if plan.needing_imatrix:
        name = plan.needing_imatrix[0]
        type_ = next(tensor.type for tensor in plan.tensors if tensor.name == name)
        raise LlamakitError(
            f"{plan.file_type.name} makes {name} {type_.name}, which needs an importance matrix: compute one with "
            "`llamakit imatrix` and give it with --imatrix"
        )
    if plan.options.imatrix is not None:
        check_model(plan.options.imatrix, plan.options.imatrix_path, {tensor.source.name for tensor in plan.tensors})
