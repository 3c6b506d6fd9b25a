"""bitsandbytes: 4 bits by a table of 16 values (NF4, FP4), or 8 bits with a scale a row.

Of 4 bits, `weight` holds two values a byte, the first in the high bits, row after row; `weight.absmax` the largest
value of each block, which may itself be stored in 8 bits by a table; `weight.quant_state.*` is JSON in bytes. Source:
bitsandbytes' functional.py.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.quantized.parts import Floats, Replaced, computed, required, values_of
from llamakit.errors import ModelError

_STATE = ".quant_state.bitsandbytes__"
_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")


def bits_and_bytes(checkpoint: Checkpoint) -> Replaced:
    for name in checkpoint.tensors:
        if _STATE in name:
            yield from _of_4_bits(checkpoint, name, name.partition(_STATE)[0])
        elif name.endswith(".SCB"):
            yield from _of_8_bits(checkpoint, name, name.removesuffix("SCB") + "weight")
        elif name.endswith(".weight_format"):
            yield name, None


def _of_8_bits(checkpoint: Checkpoint, scales: str, weight: str) -> Replaced:
    required(checkpoint, weight)
    yield scales, None

    def load() -> Floats:
        return values_of(checkpoint, weight) * (values_of(checkpoint, scales) / np.float32(127))[:, None]

    yield weight, computed(checkpoint, checkpoint.tensors[weight].shape, load, weight, scales)


def _of_4_bits(checkpoint: Checkpoint, state_name: str, weight: str) -> Replaced:
    names = [f"{weight}.{part}" for part in _PARTS]
    state = _read_state(checkpoint, state_name)
    is_nested = "nested_blocksize" in state
    required(checkpoint, weight, *(names if is_nested else names[:2]))
    for name in (state_name, *names):
        yield name, None
    shape = tuple(state["shape"])

    def load() -> Floats:
        codes = checkpoint.array(weight).reshape(-1)
        values = values_of(checkpoint, names[1])[np.stack([codes >> 4, codes & 15], -1).reshape(-1)]
        values = values[: int(np.prod(shape))]
        return (values * np.repeat(largest(), state["blocksize"])[: len(values)]).reshape(shape)

    def largest() -> Floats:
        """The largest value of each block."""
        if not is_nested:
            return values_of(checkpoint, names[0])
        levels = values_of(checkpoint, names[3])[checkpoint.array(names[0]).reshape(-1)]
        scales = np.repeat(values_of(checkpoint, names[2]), state["nested_blocksize"])[: len(levels)]
        return np.asarray(levels * scales + np.float32(state["nested_offset"]), np.float32)

    yield weight, computed(checkpoint, shape, load, weight, names[0])


def _read_state(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    try:
        state = json.loads(checkpoint.array(name).tobytes().decode("utf-8"))
        numbers = [*state["shape"], state["blocksize"], state.get("nested_blocksize", 1)]
        if not all(type(n) is int and n > 0 for n in numbers):
            raise ValueError("sizes that are no numbers")
        float(state.get("nested_offset", 0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"tensor {name} is no state of bitsandbytes: {type(error).__name__}: {str(error)[:80]}"
        ) from None
    return dict(state)
