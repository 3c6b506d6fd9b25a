"""Top-n-sigma, typical, tail-free and XTC, each against its formula in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.sampling.generator import mt19937
from llamakit.core.sampling.stages import truncate
from tests.stages import KINDS, Chain, descending, make_logits, softmax

each_vocabulary = pytest.mark.parametrize(
    "logits",
    [pytest.param(make_logits(kind, n), id=f"{kind} {n}") for kind in KINDS for n in (1, 2, 3, 17, 64, 1025)]
    + [pytest.param(make_logits("normal", 151936), id="normal 151936")],
)
each_start = pytest.mark.parametrize("k", [0, 40], ids=["whole", "after top-k"])


def start(logits, k):
    """The candidates before the stage, and their ids in order: by id, or by logit."""
    chain = Chain(logits).run(truncate.top_k, top_k=k)
    return chain, chain.ids


@each_vocabulary
@each_start
@pytest.mark.parametrize("n_sigma", [0.5, 1.0, 3.0])
def test_top_n_sigma_bans_what_is_further_below_the_largest(logits, k, n_sigma):
    chain, ids = start(logits, k)
    x = logits[ids].astype(np.float64)
    finite = x[np.isfinite(x)]
    floor = x.max() - n_sigma * finite.std() if len(ids) > 1 else -np.inf
    chain.run(truncate.top_n_sigma, top_n_sigma=n_sigma)
    np.testing.assert_array_equal(chain.ids, ids)
    if finite.std() > 1e18:
        return  # its square is no float32
    doubtful = np.abs(x - floor) <= 1e-5 * max(1.0, abs(floor))
    want = np.where(x < floor, -np.inf, logits[ids])
    np.testing.assert_array_equal(chain.values[~doubtful], want[~doubtful].astype(np.float32))


def naive_typical(logits, ids, p, min_keep=0):
    """In the order of how far each surprise is from the entropy: as many as are needed."""
    probs = softmax(logits[ids])
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = -np.log(probs)
        distance = np.abs(surprise - np.nansum(np.where(probs > 0, probs * surprise, 0)))
    order = np.argsort(distance, kind="stable")
    order = order[np.isfinite(distance[order])]
    above = np.flatnonzero(np.cumsum(probs[order]) > p)
    n = above[0] + 1 if len(above) else len(order)
    return ids[order[: max(n, min_keep)]], distance[order]


@pytest.mark.parametrize("p, min_keep", [(0.0, 0), (0.2, 0), (0.7, 0), (0.2, 20)])
@pytest.mark.parametrize("n", [1, 2, 17, 1025, 20000])
@pytest.mark.parametrize("kind", ["normal", "peaked", "tied", "banned", "rising"])
@each_start
def test_typical_keeps_the_most_usual_surprises(kind, n, k, p, min_keep):
    logits = make_logits(kind, n)
    chain, ids = start(logits, k)
    want, _ = naive_typical(logits, ids, np.float32(p), min_keep)
    chain.run(truncate.typical_p, typical_p=p, min_keep=min_keep)
    assert abs(chain.n - len(want)) <= (len(want) > 500)  # sums of float32: they may cross p one token off
    n_sure = min(chain.n, len(want))
    got = softmax(logits[ids])
    place = {token: i for i, token in enumerate(ids.tolist())}
    same = chain.ids[:n_sure] == want[:n_sure]
    for a, b in zip(chain.ids[:n_sure][~same], want[:n_sure][~same], strict=True):  # as far, to within rounding
        distance = [-np.log(got[place[int(t)]]) for t in (a, b)]
        mean = -np.nansum(np.where(got > 0, got * np.log(np.maximum(got, 1e-300)), 0))
        assert abs(distance[0] - mean) == pytest.approx(abs(distance[1] - mean), rel=1e-4, abs=1e-4)
    np.testing.assert_array_equal(chain.values, logits[chain.ids])


def test_typical_prefers_usual_tokens_to_likely_ones():
    logits = np.log(np.array([0.3, *[0.05] * 14], np.float32))
    assert 0 not in Chain(logits).run(truncate.typical_p, typical_p=0.4).ids.tolist()


def naive_tail_free(logits, z, min_keep):
    """How many of the sorted candidates stay."""
    p = softmax(logits)
    if len(p) <= 2:
        return len(p)
    bends = np.abs(np.diff(np.diff(p)))
    bends = bends / bends.sum() if bends.sum() > 1e-6 else np.full(len(bends), 1 / len(bends))
    enough = np.flatnonzero((np.cumsum(bends) > z) & (np.arange(len(bends)) >= max(1, min_keep)))
    return enough[0] if len(enough) else len(p)


@each_vocabulary
@each_start
@pytest.mark.parametrize("z, min_keep", [(0.1, 0), (0.5, 0), (0.95, 0), (0.5, 10)])
def test_tail_free_cuts_where_the_bends_are_used_up(logits, k, z, min_keep):
    order = descending(logits)[: k or None]
    chain, _ = start(logits, k)
    chain.run(truncate.tfs_z, tfs_z=z, min_keep=min_keep)
    want = naive_tail_free(logits[order], np.float32(z), min_keep)
    bends = np.abs(np.diff(np.diff(softmax(logits[order]))))
    if len(bends) and 1e-7 < bends.sum() and not np.isin(z, np.cumsum(bends) / bends.sum()):
        assert abs(chain.n - want) <= (want > 100)
    chain.check(order[: chain.n])


def naive_xtc(logits, order, threshold, min_keep=0):
    """The candidates that stay when XTC strikes."""
    above = softmax(logits[order]) >= np.float32(threshold)
    last = int(np.argmin(above)) - 1 if not above.all() else len(above) - 1
    return order[last:] if last > 0 and len(order) - last >= min_keep else order


@each_vocabulary
@each_start
@pytest.mark.parametrize("threshold, min_keep", [(0.5, 0), (0.1, 0), (0.01, 0), (0.01, 30)])
def test_xtc_keeps_only_the_least_likely_of_those_above_the_threshold(logits, k, threshold, min_keep):
    order = descending(logits)[: k or None]
    chain, _ = start(logits, k)
    chain.run(truncate.xtc, xtc_probability=1.0, xtc_threshold=threshold, min_keep=min_keep)
    if len(logits) == 1:
        order = np.array([0])
    chain.check(naive_xtc(logits, order, threshold, min_keep))


def test_xtc_strikes_by_its_own_generator():
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1], np.float32))
    for seed in (1, 2, 42):
        outputs = mt19937(seed)
        chain = Chain(logits, seed=seed)
        stage = truncate.xtc(chain.setup(xtc_probability=0.3, xtc_threshold=0.15))
        for _ in range(50):
            chain.begin()
            chain.run_stage(stage)
            struck = np.float32(outputs.getrandbits(32)) / np.float32(2.0**32) <= np.float32(0.3)
            assert chain.n == (2 if struck else 4)


@pytest.mark.parametrize(
    "stage, options",
    [
        (truncate.typical_p, {"typical_p": 1.0}),
        (truncate.tfs_z, {"tfs_z": 1.0}),
        (truncate.top_n_sigma, {"top_n_sigma": 0.0}),
        (truncate.xtc, {"xtc_probability": 0.0}),
        (truncate.xtc, {"xtc_probability": 1.0, "xtc_threshold": 0.51}),
    ],
)
def test_stages_that_are_off_are_none(stage, options):
    assert stage(Chain(make_logits("normal", 10)).setup(**options)) is None
