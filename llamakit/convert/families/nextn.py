"""Layers behind the last that foretell further tokens: how many there are, and the names they have everywhere."""

from __future__ import annotations

import re
from functools import cached_property

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import Names

APART = re.compile(r"(?:model\.)?mtp\.layers\.(\d+)\.(.+)")  # such a layer's tensor, where they stand apart

NEXTN: Names = {
    "eh_proj": "nextn.eh_proj",
    "enorm": "nextn.enorm",
    "hnorm": "nextn.hnorm",
    "embed_tokens": "nextn.embed_tokens",
    "shared_head.head": "nextn.shared_head_head",
    "shared_head.norm": "nextn.shared_head_norm",
}


class Foretelling(Family):
    """A family with such layers, as many as the config says, if the checkpoint has them."""

    @cached_property
    def n_predict_layers(self) -> int:
        n = self.config.int("num_nextn_predict_layers", default=0)
        return n if any(f"layers.{self.config.n_layer}.eh_proj" in name for name in self.checkpoint) else 0

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.n_predict_layers

    def foretelling_keys(self) -> Keys:
        if self.n_predict_layers:
            yield "nextn_predict_layers", self.n_predict_layers


class ForetellingApart(Foretelling):
    """The same, where these layers stand apart in the checkpoint, and the config does not count them."""

    @cached_property
    def n_predict_layers(self) -> int:
        numbers = [int(match[1]) for name in self.checkpoint if (match := APART.fullmatch(name))]
        return max(numbers, default=-1) + 1
