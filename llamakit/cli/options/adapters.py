"""What changes a model while it runs, for every command that generates text: a group (see `parsing/groups.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument

PANEL = "Adapters"


@dataclass(frozen=True)
class AdapterOptions:
    """What the command line says of adapters."""

    lora: Annotated[
        list[str], option("--lora", panel=PANEL, help="LoRA adapter (GGUF, see convert-lora); repeat or comma list.")
    ] = field(default_factory=list)
    lora_scaled: Annotated[
        list[str], option("--lora-scaled", panel=PANEL, help="The same with a scale, FILE:SCALE; repeat or comma list.")
    ] = field(default_factory=list)
    lora_init_without_apply: Annotated[
        bool, option("--lora-init-without-apply", panel=PANEL, help="Load the adapters, each with scale 0.")
    ] = False

    control_vector: Annotated[
        list[str], option("--control-vector", panel=PANEL, help="Directions to add behind layers (GGUF); repeatable.")
    ] = field(default_factory=list)
    control_vector_scaled: Annotated[
        list[str], option("--control-vector-scaled", panel=PANEL, help="The same with a scale, FILE:SCALE; repeatable.")
    ] = field(default_factory=list)
    control_vector_layer_range: Annotated[
        str | None,
        option(
            "--control-vector-layer-range", panel=PANEL, help="START END: first and last layer.", show_default="all"
        ),
    ] = None

    @property
    def control_vectors(self) -> tuple[tuple[str, float], ...]:
        """Files and scales, as of adapters."""
        vectors = scaled("--control-vector-scaled", self.control_vector_scaled)
        return (*((path, 1.0) for path in listed(self.control_vector)), *vectors)

    @property
    def control_layers(self) -> tuple[int, int | None]:
        """The first and the last layer that vectors are added to; None, from 0 or less: the model's last."""
        if self.control_vector_layer_range is None:
            return 1, None
        start, _, end = self.control_vector_layer_range.partition(":")
        try:
            first, last = int(start), int(end)
        except ValueError:
            raise InvalidArgument("--control-vector-layer-range takes two layers: START END") from None
        if 0 < last < first:
            raise InvalidArgument(f"--control-vector-layer-range: the last layer, {last}, is before the first, {first}")
        return max(first, 1), last if last > 0 else None

    @property
    def adapters(self) -> tuple[tuple[str, float], ...]:
        """Files and scales. Raises InvalidArgument where a scale is no number."""
        given = [(path, 1.0) for path in listed(self.lora)] + list(scaled("--lora-scaled", self.lora_scaled))
        return tuple((path, 0.0 if self.lora_init_without_apply else scale) for path, scale in given)


def listed(values: list[str]) -> Iterator[str]:
    for value in values:
        yield from filter(None, value.split(","))


def scaled(name: str, values: list[str]) -> Iterator[tuple[str, float]]:
    """FILE:SCALE of an option, taken apart at the last colon."""
    for value in listed(values):
        path, _, number = value.rpartition(":")
        try:
            yield path, float(number)
        except ValueError:
            raise InvalidArgument(f"{name}: {value!r} is not FILE:SCALE") from None
        if not path:
            raise InvalidArgument(f"{name}: {value!r} is not FILE:SCALE")
