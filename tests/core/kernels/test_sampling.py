"""Each sampling stage against its formula in NumPy, over vocabularies of odd sizes."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from llamakit.core.kernels.store import KernelStore
from llamakit.core.sampling import SamplingParams, stages
from llamakit.core.sampling.history import History
from llamakit.core.simd.target import host_target

NAMES = [
    *(f"sampling.{name}" for name in "begin allow bias penalties temperature greedy draw".split()),
    *(f"sampling_select.{name}" for name in "top_k top_p min_p".split()),
]
SIZES = [1, 2, 15, 16, 17, 64, 1000, 1025, 49152]
KINDS = ["normal", "flat", "peaked", "equal", "tied", "rising", "banned", "huge", "one left"]


@pytest.fixture(scope="module")
def kernels():
    return KernelStore().load(NAMES)


def make_logits(kind, n):
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


class Chain:
    """Stages run one after the other, on candidates that a test can look at."""

    def __init__(self, kernels, logits):
        self.kernels, self.c = kernels, stages.new_candidates(len(logits))
        self.logits = logits
        begin = stages.begin(self.c)
        begin.record.data["logits"] = logits.ctypes.data
        begin.link(kernels).run()

    def run(self, stage, *options):
        stage(self.c, *options).link(self.kernels).run()
        return self

    @property
    def n(self):
        return int(self.c.data["n"])

    @property
    def chosen(self):
        return int(self.c.data["chosen"])

    @property
    def ids(self):
        is_whole = self.c.data["is_whole"] == 1
        return self.c.values["all_ids" if is_whole else "kept_ids"][: self.n].copy()

    @property
    def values(self):
        return self.c.values["logits"][: self.n].copy()

    def check(self, ids):
        """These candidates with their own logits, and -inf in all that a kernel may read beyond the last."""
        np.testing.assert_array_equal(self.ids, ids)
        np.testing.assert_array_equal(self.values, self.logits[ids])
        assert (self.c.values["logits"][self.n : self.n + 64] == -np.inf).all()


def descending(logits):
    """Token ids by logit, equal ones by id; those of -inf are no candidates."""
    order = np.argsort(-logits, kind="stable")
    return order[logits[order] > -np.inf]


def softmax(logits):
    p = np.exp(logits.astype(np.float64) - logits.max())
    return p / p.sum()


def naive_top_p(logits, p, min_keep=0):
    order = descending(logits)
    reached = np.flatnonzero(np.cumsum(softmax(logits[order])) >= p)
    return order[: max(reached[0] + 1 if len(reached) else len(order), min_keep)]


each_vocabulary = pytest.mark.parametrize(
    "logits",
    [pytest.param(make_logits(kind, n), id=f"{kind} {n}") for kind in KINDS for n in SIZES]
    + [pytest.param(make_logits(kind, 151936), id=f"{kind} 151936") for kind in ("normal", "rising")],
)


@each_vocabulary
def test_begin_takes_the_whole_vocabulary(kernels, logits):
    chain = Chain(kernels, logits)
    chain.check(np.arange(len(logits)))
    assert chain.chosen == 0


@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
def test_begin_notices_a_logit_that_is_no_number(kernels, n, place, value):
    logits = make_logits("normal", n)
    logits[place] = value
    assert Chain(kernels, logits).chosen == -1


@pytest.mark.parametrize("n", [1, 16, 1000])
def test_begin_notices_that_all_logits_are_minus_infinity(kernels, n):
    assert Chain(kernels, np.full(n, -np.inf, np.float32)).chosen == -1


@each_vocabulary
def test_top_k_keeps_the_k_largest_in_order(kernels, logits):
    for k in (1, 2, 40, 500, len(logits) + 1):
        Chain(kernels, logits).run(stages.top_k, k).check(descending(logits)[:k])


@each_vocabulary
def test_top_k_of_a_sorted_list_is_its_beginning(kernels, logits):
    Chain(kernels, logits).run(stages.top_k, 40).run(stages.top_k, 3).check(descending(logits)[:3])


@each_vocabulary
@pytest.mark.parametrize("p, min_keep", [(0.0, 0), (0.5, 0), (0.95, 0), (0.9, 30)])
def test_top_p_keeps_the_fewest_that_reach_p(kernels, logits, p, min_keep):
    chain = Chain(kernels, logits).run(stages.top_p, p, min_keep)
    want = len(naive_top_p(logits, np.float32(p), min_keep))
    assert abs(chain.n - want) <= (want > 1000)  # float32 weights: the sum of thousands may cross p one token off
    chain.check(descending(logits)[: chain.n])


@each_vocabulary
def test_top_p_after_top_k_looks_at_the_k_only(kernels, logits):
    chosen = descending(logits)[:40]
    chain = Chain(kernels, logits).run(stages.top_k, 40).run(stages.top_p, 0.8, 0)
    chain.check(chosen[naive_top_p(logits[chosen], np.float32(0.8))])


@each_vocabulary
@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
def test_min_p_keeps_what_comes_near_the_largest(kernels, logits, p):
    floor = logits.max() + np.float32(math.log(p))
    Chain(kernels, logits).run(stages.min_p, p, 0).check(np.flatnonzero(logits >= floor))
    chosen = descending(logits)[:40]
    Chain(kernels, logits).run(stages.top_k, 40).run(stages.min_p, p, 0).check(chosen[logits[chosen] >= floor])


@pytest.mark.parametrize("before", [[], [(stages.top_k, 100)]])
def test_min_p_keeps_min_keep(kernels, before):
    logits = make_logits("normal", 1000)
    chain = Chain(kernels, logits)
    for stage in before:
        chain.run(*stage)
    chain.run(stages.min_p, 0.9, 7)
    assert set(chain.ids) == set(descending(logits)[:7])


@each_vocabulary
@pytest.mark.parametrize("t", [0.8, 1e-45, 1e30])
def test_temperature_divides_without_overflow(kernels, logits, t):
    chain = Chain(kernels, logits).run(stages.temperature, t)
    scale = np.float32(max(t, stages.SMALLEST))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(chain.values, (logits - logits.max()) / scale)


@each_vocabulary
def test_greedy_takes_the_first_of_the_largest(kernels, logits):
    assert Chain(kernels, logits).run(stages.greedy).chosen == np.argmax(logits)


@each_vocabulary
@pytest.mark.parametrize("u", [0.0, 0.3, 0.9, 1 - 2.0**-53])
def test_draw_takes_the_first_whose_cumulative_probability_reaches_u(kernels, logits, u):
    bits = int(u * 2**64)
    chain = Chain(kernels, logits).run(stages.draw, np.array([bits & 0xFFFFFFFF, bits >> 32]))
    p = softmax(logits)
    assert logits[chain.chosen] - logits.max() > -88
    total = np.cumsum(p)
    assert total[chain.chosen] >= u - 1e-6
    assert total[chain.chosen] - p[chain.chosen] <= u + 1e-6


@pytest.mark.parametrize("n", SIZES)
def test_allow_leaves_the_tokens_whose_bit_is_set(kernels, n):
    logits = make_logits("normal", n)
    allowed = np.random.default_rng(n).random(n) < 0.3
    bytes_ = np.packbits(allowed, bitorder="little")
    mask = np.zeros(-(-n // 32), np.uint32)
    mask.view(np.uint8)[: len(bytes_)] = bytes_
    chain = Chain(kernels, logits).run(stages.allow, mask)
    np.testing.assert_array_equal(chain.values, np.where(allowed, logits, -np.inf))


def test_bias_is_added_and_end_of_generation_banned(kernels):
    logits = make_logits("normal", 100)
    params = SamplingParams(logit_bias={3: 1.5, 99: -math.inf, 7: -2.0}, ignore_eos=True)
    chain = Chain(kernels, logits).run(stages.logit_bias, params, [7, 50])
    want = logits.copy()
    want[3] += 1.5
    want[[7, 50, 99]] = -np.inf
    np.testing.assert_array_equal(chain.values, want)


@pytest.mark.parametrize("k", [None, 30])
@pytest.mark.parametrize("last_n", [1, 5, 64, 200])
@pytest.mark.parametrize("n_accepted", [0, 1, 64, 300])
def test_penalties_follow_their_formula(kernels, k, last_n, n_accepted):
    logits = make_logits("normal", 50)  # fewer tokens than the history holds
    tokens = np.random.default_rng(last_n).integers(0, 50, n_accepted).tolist()
    params = SamplingParams(repeat_penalty=1.3, frequency_penalty=0.2, presence_penalty=-0.4, repeat_last_n=last_n)
    history = History(last_n, 50)
    history.extend(tokens)
    chain = Chain(kernels, logits)
    if k is not None:
        chain.run(stages.top_k, k)
    chain.run(stages.penalties, params, history)

    r, f, p = (np.float32(x) for x in (1.3, 0.2, -0.4))
    want = logits.copy()
    for token in set(tokens[-last_n:]):
        count = np.float32(tokens[-last_n:].count(token))
        want[token] = (want[token] * r if want[token] <= 0 else want[token] / r) - (count * f + p)
    np.testing.assert_array_equal(chain.values, want[chain.ids])


def test_stages_after_a_ban_of_everything_end_without_a_token(kernels):
    for last in ((stages.greedy,), (stages.draw, np.array([5, 6]))):
        chain = Chain(kernels, make_logits("normal", 1000)).run(stages.allow, np.zeros(32, np.uint32))
        chain.run(stages.top_k, 40).run(stages.top_p, 0.9, 2).run(stages.min_p, 0.1, 2).run(stages.temperature, 0.5)
        assert chain.run(*last).chosen == -1


def digest() -> str:
    """Candidates and logits, bit for bit, after chains over several vocabularies."""
    kernels, sums = KernelStore().load(NAMES), hashlib.sha256()
    for logits in (make_logits(kind, n) for kind in KINDS for n in (17, 1025, 49152)):
        for first in ((stages.top_k, 40), (stages.top_p, 0.9, 0), (stages.min_p, 0.01, 0)):
            chain = Chain(kernels, logits).run(*first).run(stages.top_p, 0.95, 0).run(stages.temperature, 0.8)
            chain.run(stages.draw, np.array([123456789, 987654321]))
            sums.update(chain.ids.tobytes() + chain.values.tobytes() + chain.c.values["weights"][: chain.n].tobytes())
            sums.update(bytes([chain.chosen & 255]))
    return sums.hexdigest()


@pytest.mark.skipif(not host_target().has_avx2, reason="needs a processor with AVX2")
def test_avx2_gives_the_same_bits():
    environment = os.environ | {"NUMBA_CPU_NAME": "haswell", "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == digest()


if __name__ == "__main__":
    print(digest())
