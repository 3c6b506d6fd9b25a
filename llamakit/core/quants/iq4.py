"""The codebook of IQ4_NL and IQ4_XS: sixteen values, closer together near zero."""

from __future__ import annotations

import numpy as np

CODEBOOK = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
LOW, HIGH = (int(word) for word in (CODEBOOK ^ np.int8(-128)).view(np.int64))  # value + 128, for `look_up`
