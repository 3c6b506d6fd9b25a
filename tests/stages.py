"""For tests of the sampler: vocabularies of logits, and stages run one by one on candidates that a test can look at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import build_history, load_kernels
from llamakit.core.sampling.stage import Setup, Stage, current, new_candidates
from llamakit.core.sampling.stages import edits

KERNELS = [
    *(f"sampling.{name}" for name in "begin allow bias penalties temperature greedy likeliest draw".split()),
    *(f"sampling_select.{name}" for name in "top_k top_p min_p".split()),
    *(f"sampling_spread.{name}" for name in "top_n_sigma typical_p tfs_z xtc".split()),
    *(f"sampling_entropy.{name}" for name in "dynamic_temperature mirostat mirostat_2".split()),
    "sampling_adaptive.adaptive_p",
    "sampling_dry.dry",
    "sampling_sort.descending",
]
SIZES = [1, 2, 15, 16, 17, 64, 1000, 1025, 49152]
KINDS = ["normal", "flat", "peaked", "equal", "tied", "rising", "banned", "huge", "one left"]


def make_logits(kind: str, n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    x = {
        "normal": x * 3,
        "flat": x * 0.01,
        "peaked": x * 20,
        "equal": np.full(n, -1.5),
        "tied": np.round(x),
        "rising": np.linspace(-10, 10, n),
        "banned": np.where(rng.random(n) < 0.9, -np.inf, x),
        "huge": x * 1e37,
        "one left": np.full(n, -np.inf),
    }[kind].astype(np.float32)
    if not np.isfinite(x).any():
        x[n // 2] = 2.5
    return x


def descending(logits: np.ndarray) -> np.ndarray:
    """Token ids by logit, equal ones by id."""
    return np.argsort(-logits, kind="stable")


def softmax(logits: np.ndarray) -> np.ndarray:
    x = logits.astype(np.float64)
    p = np.exp(x - x.max())
    return p / p.sum()


class Chain:
    """Stages run one after the other on the candidates of some logits."""

    def __init__(self, logits: np.ndarray, history: Sequence[int] = (), vocab: Any = None, seed: int = 0) -> None:
        self.logits, self.accepted, self.vocab, self.seed = logits, history, vocab, seed
        self.c = new_candidates(len(logits))
        self.begin()

    def begin(self) -> None:
        """All tokens are candidates again."""
        begin = edits.begin(self.c)
        begin.record.data["logits"] = self.logits.ctypes.data
        self.run_stage(begin)

    def setup(self, eog_ids: Collection[int] = (), **options: Any) -> Setup:
        """What a stage is made of, with SamplingParams of these options."""
        params = SamplingParams(**options)
        history = build_history(params, len(self.logits))
        history.extend(self.accepted)
        return Setup(params, self.c, history, self.seed, eog_ids, self.vocab)

    def run_stage(self, stage: Stage) -> Stage:
        stage.link(load_kernels(*KERNELS))
        stage.run()
        return stage

    def run(self, build: Callable[[Setup], Stage | None], eog_ids: Collection[int] = (), **options: Any) -> Chain:
        """The stage that `build` makes of SamplingParams with these options; nothing where they turn it off."""
        stage = build(self.setup(eog_ids, **options))
        if stage is not None:
            self.run_stage(stage)
        return self

    @property
    def n(self) -> int:
        return int(self.c.data["n"])

    @property
    def chosen(self) -> int:
        return int(self.c.data["chosen"])

    @property
    def ids(self) -> np.ndarray:
        return current(self.c)[0].copy()

    @property
    def values(self) -> np.ndarray:
        return current(self.c)[1].copy()

    def check(self, ids: np.ndarray) -> None:
        """These candidates with their own logits, and -inf in all that a kernel may read beyond the last."""
        np.testing.assert_array_equal(self.ids, ids)
        np.testing.assert_array_equal(self.values, self.logits[ids])
        assert (self.c.values["logits"][self.n : self.n + 64] == -np.inf).all()
