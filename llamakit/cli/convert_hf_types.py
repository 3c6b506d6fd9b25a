"""--outtype of `llamakit convert-hf`: the type of the file, and what says the type of each tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.convert.plan import Chooser, OutputType, Source


def read_output_type(word: str, source: Source, keys: dict[str, Any]) -> tuple[OutputType, Chooser | None]:
    """The type of the file, and for those of `quantize` what says the type of each tensor."""
    from llamakit.convert.plan import OUTPUT_TYPES, OutputType
    from llamakit.tools.quantize.file_types import parse_file_type

    if word.lower() == "auto":
        return source.auto_type(), None
    if word.lower() in OUTPUT_TYPES:
        return OUTPUT_TYPES[word.lower()], None
    file_type = parse_file_type(word)
    if file_type.name == "COPY":
        raise InvalidArgument("--outtype COPY: a checkpoint has no GGUF types; auto keeps 16 bits")
    return OutputType(file_type.name, file_type.number, file_type.default), _recipe(file_type.name, source, keys)


def _recipe(name: str, source: Source, keys: dict[str, Any]) -> Chooser:
    """The types that `quantize` would give the tensors of the 16-bit file."""
    from llamakit.convert.plan import plain_values
    from llamakit.core.gguf.types import GGMLType
    from llamakit.tools.quantize.file_types import parse_file_type
    from llamakit.tools.quantize.importance import needs_imatrix
    from llamakit.tools.quantize.mix import Mix, facts_of, fitting
    from llamakit.tools.quantize.roles import is_quantizable, layer_of

    file_type, half = parse_file_type(name), source.auto_type().default
    weights, arch = source.mapped.weights, source.family.gguf_arch

    def place(tensor: str) -> tuple[int, bytes]:
        layer = layer_of(tensor)
        return (-1 if layer is None else layer, tensor.encode())

    ordered = sorted(weights, key=place)
    mix = Mix(file_type, facts_of(plain_values(keys), str(source.folder)), ordered)
    types: dict[str, GGMLType] = {}
    for tensor in ordered:
        shape = weights[tensor].shape[::-1]
        if not is_quantizable(tensor, shape, arch):
            continue
        types[tensor] = fitting(mix.next_type(tensor, shape), shape[0], tensor)
        if needs_imatrix(tensor, types[tensor], file_type):
            raise InvalidArgument(
                f"--outtype {name} needs an importance matrix for {tensor}: convert with auto, then `llamakit quantize`"
            )
    return lambda tensor, shape: types.get(tensor, half)
