"""A sequence of a `Llama` as it is now, to go on from later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass
class LlamaState:
    """The evaluated tokens, their logits as far as they were kept, and what the engine has of them as bytes.

    input_ids: int32 (n_tokens,), scores: float32 (n_rows, n_vocab). Pickles; the bytes are checksummed, and refused by
    another model.
    """

    input_ids: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    n_tokens: int
    llama_state: bytes
    llama_state_size: int
    seed: int
