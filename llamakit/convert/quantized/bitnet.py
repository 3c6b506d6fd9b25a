"""BitNet's packed weights: four rows of -1, 0 and 1 in a byte, a quarter of all rows apart; the scale divides.

Source: transformers, `integrations/bitnet.py`.
"""

from __future__ import annotations

import numpy as np

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.quantized.parts import Floats, Replaced, computed, split, values_of


def bitnet(checkpoint: Checkpoint) -> Replaced:
    for name in checkpoint.tensors:
        weight = name.removesuffix("_scale")
        if weight == name or not weight.endswith(".weight") or weight not in checkpoint.tensors:
            continue
        yield name, None
        n_byte, n_in = checkpoint.tensors[weight].shape
        if checkpoint.tensors[weight].dtype != "U8":
            continue

        def load(weight: str = weight, scale: str = name) -> Floats:
            rows = split(checkpoint.array(weight)[None], 2, axis=0).reshape(-1, checkpoint.tensors[weight].shape[1])
            return np.asarray((rows - 1) / values_of(checkpoint, scale).reshape(()), np.float32)

        yield weight, computed(checkpoint, (4 * n_byte, n_in), load, weight, name)
