"""Settings of config.json that many families hand on as they are."""

from __future__ import annotations

from collections.abc import Mapping

from llamakit.convert.config import Config
from llamakit.convert.family import Keys
from llamakit.errors import ModelError

OAI_LIMIT, OAI_SLOPE = 7.0, 1.702  # of gates and ups in GPT-OSS and MiniMax M3


def copied(config: Config, names: Mapping[str, str]) -> Keys:
    """GGUF's keys with the values of the config's names (on the right), as far as it has them."""
    for ours, theirs in names.items():
        if config.has(theirs):
            value = config.values[theirs]
            if not isinstance(value, (bool, int, float, str)):
                raise ModelError(f"{config.path}: {theirs} is {value!r:.60}, not a single value")
            yield ours, value


def n_dense(config: Config, default: int | None = None) -> int:
    """How many layers there are before the first with experts: transformers 5 lists the kinds of all layers.

    Raises ModelError where the config does not say and there is no default.
    """
    kinds = config.strs("mlp_layer_types", default=[])
    if kinds:
        return next((i for i, kind in enumerate(kinds) if kind != "dense"), len(kinds))
    names = ("first_k_dense_replace", "num_dense_layers")
    return config.int(*names) if default is None else config.int(*names, default=default)


def swiglu_keys(config: Config) -> Keys:
    """GPT-OSS's function of gates and ups, where it has another limit. Raises ModelError for another slope."""
    limit, slope = config.float("swiglu_limit", default=OAI_LIMIT), config.float("swiglu_alpha", default=OAI_SLOPE)
    if slope != OAI_SLOPE:
        raise ModelError(f"{config.path}: swiglu_alpha is {slope:g}; only {OAI_SLOPE} can be converted")
    if limit != OAI_LIMIT:
        yield "llamakit.swiglu_limit", limit
