"""Each sampling stage against its formula in NumPy, over vocabularies of odd sizes."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from llamakit.core.kernels import sampling
from llamakit.core.sampling.generator import Generator
from llamakit.core.sampling.stage import RandomStage
from llamakit.core.sampling.stages import choose, edits, truncate
from llamakit.core.sampling.stages.temperature import SMALLEST, temperature
from llamakit.core.simd.target import host_target
from tests.stages import KINDS, SIZES, Chain, descending, make_logits, softmax

LONG = [pytest.param(make_logits(kind, 151936), id=f"{kind} 151936") for kind in ("normal", "rising")]


def naive_top_p(logits, p, min_keep=0):
    order = descending(logits)
    reached = np.flatnonzero(np.cumsum(softmax(logits[order])) >= p)
    return order[: max(reached[0] + 1 if len(reached) else len(order), min_keep)]


each_vocabulary = pytest.mark.parametrize(
    "logits",
    [pytest.param(make_logits(kind, n), id=f"{kind} {n}") for kind in KINDS for n in SIZES] + LONG,
)


@each_vocabulary
def test_begin_takes_the_whole_vocabulary(logits):
    chain = Chain(logits)
    chain.check(np.arange(len(logits)))
    assert chain.chosen == 0


@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
def test_begin_notices_a_logit_that_is_no_number(n, place, value):
    logits = make_logits("normal", n)
    logits[place] = value
    assert Chain(logits).chosen == -1


@pytest.mark.parametrize("n", [1, 16, 1000])
def test_begin_notices_that_all_logits_are_minus_infinity(n):
    assert Chain(np.full(n, -np.inf, np.float32)).chosen == -1


@each_vocabulary
def test_top_k_keeps_the_k_largest_in_order(logits):
    for k in (1, 2, 40, 500, len(logits) + 1):
        Chain(logits).run(truncate.top_k, top_k=k).check(descending(logits)[:k])


@each_vocabulary
def test_top_k_of_a_sorted_list_is_its_beginning(logits):
    Chain(logits).run(truncate.top_k, top_k=40).run(truncate.top_k, top_k=3).check(descending(logits)[:3])


@each_vocabulary
@pytest.mark.parametrize("p, min_keep", [(0.0, 0), (0.5, 0), (0.95, 0), (0.9, 30)])
def test_top_p_keeps_the_fewest_that_reach_p(logits, p, min_keep):
    chain = Chain(logits).run(truncate.top_p, top_p=p, min_keep=min_keep)
    want = len(naive_top_p(logits, np.float32(p), min_keep))
    assert abs(chain.n - want) <= (want > 1000)  # float32 weights: the sum of thousands may cross p one token off
    chain.check(descending(logits)[: chain.n])


@each_vocabulary
def test_top_p_after_top_k_looks_at_the_k_only(logits):
    chosen = descending(logits)[:40]
    chain = Chain(logits).run(truncate.top_k, top_k=40).run(truncate.top_p, top_p=0.8)
    chain.check(chosen[naive_top_p(logits[chosen], np.float32(0.8))])


@each_vocabulary
@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
def test_min_p_keeps_what_comes_near_the_largest(logits, p):
    floor = logits.max() + np.float32(math.log(p))
    Chain(logits).run(truncate.min_p, min_p=p).check(np.flatnonzero(logits >= floor))
    chosen = descending(logits)[:40]
    Chain(logits).run(truncate.top_k, top_k=40).run(truncate.min_p, min_p=p).check(chosen[logits[chosen] >= floor])


@pytest.mark.parametrize("k", [0, 100])
def test_min_p_keeps_min_keep(k):
    logits = make_logits("normal", 1000)
    chain = Chain(logits).run(truncate.top_k, top_k=k)
    chain.run(truncate.min_p, min_p=0.9, min_keep=7)
    assert set(chain.ids) == set(descending(logits)[:7])


@each_vocabulary
@pytest.mark.parametrize("t", [0.8, 1e-45, 1e30])
def test_temperature_divides_without_overflow(logits, t):
    chain = Chain(logits).run(temperature, temperature=t)
    scale = np.float32(max(t, SMALLEST))
    shift = logits.max() if abs(float(logits.max())) >= float(scale) * 1e38 else np.float32(0)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(chain.values, (logits - shift) / scale)
    assert np.isfinite(chain.values.max())


@each_vocabulary
def test_greedy_takes_the_first_of_the_largest(logits):
    assert Chain(logits).run(choose.greedy).chosen == np.argmax(logits)
    chain = Chain(logits).run(choose.likeliest)
    assert chain.chosen == np.argmax(logits)
    np.testing.assert_array_equal(chain.values, logits)


def draw_with(chain, first, second):
    """The draw that follows when the generator gives these two words."""
    generator = Generator(0, n_words=2)
    generator.noise.data["first"], generator.noise.data["second"], generator.noise.data["is_used"] = first, second, 0
    record = sampling.Draw(candidates=chain.c, noise=generator.noise)
    chain.run_stage(RandomStage("sampling.draw", record, generator))
    assert generator.noise.data["is_used"] == 1
    return chain


@each_vocabulary
@pytest.mark.parametrize("u", [0.0, 0.3, 0.9, 1 - 2.0**-53])
def test_draw_takes_the_first_whose_cumulative_probability_reaches_u(logits, u):
    bits = int(u * 2**64)
    chain = draw_with(Chain(logits), bits & 0xFFFFFFFF, bits >> 32)
    p = softmax(logits)
    assert logits[chain.chosen] - logits.max() > -88
    total = np.cumsum(p)
    assert total[chain.chosen] >= u - 1e-6
    assert total[chain.chosen] - p[chain.chosen] <= u + 1e-6


@pytest.mark.parametrize("n", SIZES)
def test_allow_leaves_the_tokens_whose_bit_is_set(n):
    logits = make_logits("normal", n)
    allowed = np.random.default_rng(n).random(n) < 0.3
    bytes_ = np.packbits(allowed, bitorder="little")
    mask = np.zeros(-(-n // 32), np.uint32)
    mask.view(np.uint8)[: len(bytes_)] = bytes_
    chain = Chain(logits)
    chain.run_stage(edits.allow(chain.c, mask))
    np.testing.assert_array_equal(chain.values, np.where(allowed, logits, -np.inf))


def test_bias_is_added_and_end_of_generation_banned():
    logits = make_logits("normal", 100)
    biases = {3: 1.5, 99: -math.inf, 7: -2.0}
    chain = Chain(logits).run(edits.logit_bias, eog_ids=[7, 50], logit_bias=biases, ignore_eos=True)
    want = logits.copy()
    want[3] += 1.5
    want[[7, 50, 99]] = -np.inf
    np.testing.assert_array_equal(chain.values, want)


@pytest.mark.parametrize("k", [None, 30])
@pytest.mark.parametrize("last_n", [1, 5, 64, 200, -1])
@pytest.mark.parametrize("n_accepted", [0, 1, 64, 300])
def test_penalties_follow_their_formula(k, last_n, n_accepted):
    logits = make_logits("normal", 50)  # fewer tokens than the history holds
    tokens = np.random.default_rng(last_n + 1).integers(0, 50, n_accepted).tolist()
    chain = Chain(logits, history=tokens)
    if k is not None:
        chain.run(truncate.top_k, top_k=k)
    options = {"repeat_penalty": 1.3, "frequency_penalty": 0.2, "presence_penalty": -0.4, "repeat_last_n": last_n}
    chain.run(edits.penalties, **options)

    r, f, p = (np.float32(x) for x in (1.3, 0.2, -0.4))
    want = logits.copy()
    last = tokens[-last_n:] if last_n > 0 else tokens
    for token in set(last):
        count = np.float32(last.count(token))
        want[token] = (want[token] * r if want[token] <= 0 else want[token] / r) - (count * f + p)
    np.testing.assert_array_equal(chain.values, want[chain.ids])


def test_stages_after_a_ban_of_everything_end_without_a_token():
    for last in (choose.greedy, choose.draw):
        chain = Chain(make_logits("normal", 1000))
        chain.run_stage(edits.allow(chain.c, np.zeros(32, np.uint32)))
        chain.run(truncate.top_k, top_k=40).run(truncate.top_p, top_p=0.9, min_keep=2)
        chain.run(truncate.min_p, min_p=0.1, min_keep=2).run(temperature, temperature=0.5)
        assert chain.run(last).chosen == -1


def digest() -> str:
    """Candidates and logits, bit for bit, after chains over several vocabularies."""
    sums = hashlib.sha256()
    firsts = [
        (truncate.top_k, {"top_k": 40}),
        (truncate.top_p, {"top_p": 0.9}),
        (truncate.min_p, {"min_p": 0.01}),
        (truncate.typical_p, {"typical_p": 0.7}),
        (truncate.tfs_z, {"tfs_z": 0.7}),
        (truncate.top_n_sigma, {"top_n_sigma": 1.5}),
        (truncate.xtc, {"xtc_probability": 1.0, "xtc_threshold": 0.01}),
        (temperature, {"temperature": 1.0, "dynatemp_range": 0.5, "dynatemp_exponent": 0.7}),
    ]
    lasts = [
        (choose.draw, {}),
        (choose.mirostat, {"mirostat": 1}),
        (choose.mirostat, {"mirostat": 2, "mirostat_tau": 3.0}),
        (choose.AdaptiveP, {"adaptive_target": 0.3}),
    ]
    for logits in (make_logits(kind, n) for kind in KINDS for n in (17, 1025, 49152)):
        for i, (first, options) in enumerate(firsts):
            last, last_options = lasts[i % len(lasts)]
            chain = Chain(logits).run(first, **options)
            chain.run(truncate.top_p, top_p=0.95).run(temperature, temperature=0.8).run(last, **last_options)
            sums.update(chain.ids.tobytes() + chain.values.tobytes() + chain.c.values["weights"][: chain.n].tobytes())
            sums.update(chain.chosen.to_bytes(4, "little", signed=True))
    return sums.hexdigest()


@pytest.mark.skipif(not host_target().has_avx2, reason="needs a processor with AVX2")
def test_avx2_gives_the_same_bits():
    environment = os.environ | {"NUMBA_CPU_NAME": "haswell", "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == digest()


if __name__ == "__main__":
    print(digest())
