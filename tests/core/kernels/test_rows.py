"""Kernels that take rows one by one: norm, activations, sums, picks, and the choice of experts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.elementwise import GATED, Elementwise, SelectRows
from llamakit.core.kernels.moe import GATINGS, Combine, Route
from llamakit.core.kernels.norm import GroupNorm, RmsNorm
from llamakit.core.kernels.unary import CLAMP, KINDS, SCALE, SOFTCAP, Unary

EPS = 1e-5
SHAPES = [(1, 8), (3, 64), (7, 40), (5, 16), (2, 577)]  # (rows, columns)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def on_pitch(x: np.ndarray) -> np.ndarray:
    """Rows filled up with zeros to whole vectors."""
    return np.pad(x, ((0, 0), (0, -x.shape[1] % 16)))


@pytest.mark.parametrize("n_rows, n", SHAPES)
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("has_residual", [False, True])
def test_rms_norm_is_the_formula(run_kernel, n_rows, n, n_threads, has_residual):
    x, residual, weight = on_pitch(normal(n_rows, n) * np.float32(7)), on_pitch(normal(n_rows, n, seed=1)), normal(1, n)
    out = np.full_like(x, np.nan)
    record = RmsNorm(x=x, weight=on_pitch(weight), residual=residual if has_residual else None, out=out,
                     n_rows=np.array([n_rows]), n=n, pitch=x.shape[1], eps=EPS)  # fmt: skip
    run_kernel("norm.rms_norm", record, n_threads)
    wide = x[:, :n].astype(np.float64)
    wanted = wide / np.sqrt((wide * wide).mean(-1, keepdims=True) + EPS) * weight
    wanted = wanted + residual[:, :n] if has_residual else wanted
    np.testing.assert_allclose(out[:, :n], wanted, rtol=2e-6, atol=2e-6)
    assert not out[:, n:].any()


def test_rms_norm_may_write_where_its_residual_is(run_kernel):
    x, residual, weight = on_pitch(normal(4, 40)), on_pitch(normal(4, 40, seed=1)), on_pitch(normal(1, 40))
    fields = {"x": x, "weight": weight, "n_rows": np.array([4]), "n": 40, "pitch": 48, "eps": EPS}
    apart = np.empty_like(x)
    run_kernel("norm.rms_norm", RmsNorm(residual=residual, out=apart, **fields))
    run_kernel("norm.rms_norm", RmsNorm(residual=residual, out=residual, **fields))
    np.testing.assert_array_equal(residual, apart)


@pytest.mark.parametrize("value", [0.0, 1e-20, 1e18])
def test_rms_norm_of_rows_near_the_ends_of_the_numbers(run_kernel, value):
    x, out = np.full((1, 32), value, np.float32), np.empty((1, 32), np.float32)
    run_kernel("norm.rms_norm", RmsNorm(x=x, weight=np.ones(32, np.float32), residual=None, out=out,
                                        n_rows=np.array([1]), n=32, pitch=32, eps=EPS))  # fmt: skip
    np.testing.assert_allclose(out, np.float64(value) / np.sqrt(np.float64(value) ** 2 + EPS), rtol=1e-6)


@pytest.mark.parametrize("n, n_groups", [(8, 1), (40, 3), (16, 4), (577, 1), (1, 5)])
@pytest.mark.parametrize("is_centered", [0, 1])
@pytest.mark.parametrize("weights", ["none", "one", "each"])
def test_group_norm_is_the_formula(run_kernel, n, n_groups, is_centered, weights):
    x = on_pitch(normal(5, n * n_groups) * np.float32(7) + np.float32(3))
    weight, bias = (on_pitch(normal(n_groups if weights == "each" else 1, n, seed=seed)) for seed in (1, 2))
    out = np.full_like(x, np.nan)
    run_kernel("norm.groups", GroupNorm(
        x=x, weight=None if weights == "none" else weight, bias=None if weights == "none" else bias, out=out,
        n_rows=np.array([5]), n=n, n_groups=n_groups, pitch=x.shape[1],
        weight_step=weight.shape[1] if weights == "each" else 0, is_centered=is_centered, eps=EPS,
    ), 3)  # fmt: skip
    wide = x[:, : n * n_groups].astype(np.float64).reshape(5, n_groups, n)
    wide -= wide.mean(-1, keepdims=True) * is_centered
    wanted = wide / np.sqrt((wide * wide).mean(-1, keepdims=True) + EPS)
    if weights != "none":
        wanted = wanted * weight[:, :n] + bias[:, :n]
    np.testing.assert_allclose(out[:, : n * n_groups], wanted.reshape(5, -1), rtol=2e-5, atol=2e-5)
    assert not out[:, n * n_groups :].any()


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_erf(x):
    return x * np.array([math.erfc(-each / math.sqrt(2)) / 2 for each in x.flat]).reshape(x.shape)


ODD = {
    "relu6": lambda a: np.clip(a, 0, 6),
    "leaky_relu": lambda a: np.where(a < 0, 0.01 * a, a),
    "hard_swish": lambda a: a * np.clip(a + 3, 0, 6) / 6,
    "mish": lambda a: a * np.tanh(np.logaddexp(0, a)),
}
FORMULAS = {
    "add": lambda a, b: a + b,
    "copy": lambda a, b: a,
    "glu silu": lambda a, b: silu(a) * b,
    "glu gelu": lambda a, b: gelu(a) * b,
    "glu gelu_erf": lambda a, b: gelu_erf(a) * b,
    "glu relu": lambda a, b: np.maximum(a, 0) * b,
    "glu relu2": lambda a, b: np.maximum(a, 0) ** 2 * b,
    "glu gelu_quick": lambda a, b: a / (1 + np.exp(-1.702 * a)) * b,
    **{f"glu {name}": lambda a, b, f=f: f(a) * b for name, f in ODD.items()},
    **{f"unary {name}": lambda a, b, f=f: f(a) for name, f in ODD.items()},
    "glu tanh": lambda a, b: np.tanh(a) * b,
    "glu sigmoid": lambda a, b: b / (1 + np.exp(-a)),
    "glu swiglu_oai": lambda a, b: np.minimum(a, 3) / (1 + np.exp(-1.702 * np.minimum(a, 3))) * (np.clip(b, -3, 3) + 1),
    "glu swiglu_clamp": lambda a, b: silu(np.minimum(a, 3)) * np.clip(b, -3, 3),
    "glu silu_clamp": lambda a, b: np.minimum(silu(a), 3) * np.clip(b, -3, 3),
    "unary silu": lambda a, b: silu(a),
    "unary gelu": lambda a, b: gelu(a),
    "unary gelu_erf": lambda a, b: gelu_erf(a),
    "unary gelu_quick": lambda a, b: a / (1 + np.exp(-1.702 * a)),
    "unary elu": lambda a, b: np.where(a < 0, np.expm1(np.minimum(a, 0)), a),
    "unary exp": lambda a, b: np.exp(a),
    "unary relu": lambda a, b: np.maximum(a, 0),
    "unary relu2": lambda a, b: np.maximum(a, 0) ** 2,
    "unary sigmoid": lambda a, b: 1 / (1 + np.exp(-a)),
    "unary tanh": lambda a, b: np.tanh(a),
    "unary softplus": lambda a, b: np.logaddexp(0, a),
    "unary softcap": lambda a, b: 3 * np.tanh(a / 3),
    "unary clamp": lambda a, b: np.clip(a, -3, 3),
    "unary scale": lambda a, b: 3 * a,
}


def elementwise(run_kernel, kind: str, a: np.ndarray, b: np.ndarray, n_threads: int = 1) -> np.ndarray:
    name, _, activation = kind.partition(" ")
    out = np.full_like(a, np.nan)
    fields = {"out": out, "pitch": a.shape[1], "n_rows": np.array([len(a)])}
    if name == "unary":
        kind = {**KINDS, "softcap": SOFTCAP, "clamp": CLAMP, "scale": SCALE}[activation]
        record = Unary(x=a, n=min(40, a.shape[1]), kind=kind, c=3.0, **fields)
        run_kernel("unary.unary", record, n_threads)
    else:
        record = Elementwise(a=a, b=b, activation=GATED.get(activation, 0), limit=3.0, **fields)
        run_kernel(f"elementwise.{name}", record, n_threads)
    return out


@pytest.mark.parametrize("kind", FORMULAS)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_elementwise_is_the_formula(run_kernel, kind, n_threads):
    a, b = on_pitch(normal(5, 40) * np.float32(4)), on_pitch(normal(5, 40, seed=1))
    got = elementwise(run_kernel, kind, a, b, n_threads)
    wanted = FORMULAS[kind](a.astype(np.float64), b)
    np.testing.assert_allclose(got[:, :40], wanted[:, :40], rtol=1e-5, atol=2e-6)
    assert not got[:, 40:].any()


@pytest.mark.parametrize(
    "kind", ["glu silu", "glu gelu", "unary gelu_erf", "unary softcap", "unary sigmoid", "unary softplus", "unary mish"]
)
def test_activations_reach_their_limits_without_overflow(run_kernel, kind):
    a = np.array([[0, -0.0, 1e-30, 87, 88, 89, 1e4, 1e30, -87, -88, -89, -1e4, -1e30, 20, -20, 3e38]], np.float32)
    got = elementwise(run_kernel, kind, a, np.ones_like(a))[0]
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = FORMULAS[kind](a[0].astype(np.float64), 1)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        "glu silu",
        "glu gelu",
        "unary gelu_erf",
        "unary relu",
        "unary relu2",
        "unary mish",
        "glu hard_swish",
        "unary softcap",
        "unary clamp",
    ],
)
def test_activations_hand_on_what_is_no_number(run_kernel, kind):
    a = np.zeros((1, 16), np.float32)
    a[0, 5] = np.nan
    got = elementwise(run_kernel, kind, a, np.ones_like(a))[0]
    assert np.isnan(got).tolist() == np.isnan(a[0]).tolist()


def make_batch(outputs: list[int]) -> Batch:
    return Batch(n_tokens=0, n_outputs=len(outputs), n_runs=0, tokens=None, positions=None, cells=None,
                 outputs=np.array(outputs, np.int32), runs=None, tables=None)  # fmt: skip


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_rows_asked_for_are_picked(run_kernel, n_threads):
    x = on_pitch(normal(9, 40))
    out = np.full((4, 48), np.nan, np.float32)
    run_kernel("elementwise.select_rows", SelectRows(x=x, out=out, pitch=48, batch=make_batch([8, 0, 3])), n_threads)
    np.testing.assert_array_equal(out[:3], x[[8, 0, 3]])
    assert np.isnan(out[3]).all()


# experts
def route(run_kernel, logits: np.ndarray, n_used: int, is_normed: bool, n_threads: int = 1, **options):
    n_tokens, n_expert = logits.shape
    held = on_pitch(logits)
    held[:, n_expert:] = 1e9  # whatever the router's matrix leaves there
    shares, chosen = np.full((n_tokens, n_used), np.nan, np.float32), np.full((n_tokens, n_used), -1, np.int32)
    n_chosen = np.zeros(1, np.int64)
    fields = {
        "bias": None,
        "n_group": 1,
        "n_group_used": 1,
        "n_best_of_group": 2,
        "per_expert": 1,
        "gating": GATINGS["softmax"],
        "norm_power": 1,
        "norm_floor": 2.0**-14,
        "scale": 1.0,
        "jitter": 0.0,
    }
    run_kernel("moe.route", Route(logits=held, probs=np.empty_like(held), worths=np.empty_like(held),
                                  shares=shares, chosen=chosen,
                                  n_rows=np.array([n_tokens]), n_chosen_rows=n_chosen, pitch=held.shape[1],
                                  n_expert=n_expert, n_used=n_used, is_normed=int(is_normed),
                                  **(fields | options)), n_threads)  # fmt: skip
    assert n_chosen[0] == n_tokens * n_used
    return shares, chosen


@pytest.mark.parametrize("n_expert, n_used", [(2, 2), (5, 1), (16, 4), (17, 3), (100, 8)])
@pytest.mark.parametrize("is_normed", [True, False])
def test_the_best_experts_are_chosen_by_softmax_over_all(run_kernel, n_expert, n_used, is_normed):
    logits = normal(7, n_expert) * np.float32(3)
    shares, chosen = route(run_kernel, logits, n_used, is_normed, n_threads=3)
    wide = np.exp(logits.astype(np.float64))
    wide /= wide.sum(1, keepdims=True)
    wanted = np.argsort(-wide, axis=1)[:, :n_used]
    np.testing.assert_array_equal(chosen, wanted)
    best = np.take_along_axis(wide, wanted, 1)
    np.testing.assert_allclose(shares, best / best.sum(1, keepdims=True) if is_normed else best, rtol=1e-5)


def test_of_equal_experts_the_first_are_chosen(run_kernel):
    shares, chosen = route(run_kernel, np.zeros((2, 6), np.float32), 3, True)
    np.testing.assert_array_equal(chosen, [[0, 1, 2]] * 2)
    np.testing.assert_allclose(shares, np.full((2, 3), 1 / 3), rtol=1e-6)


def test_shares_are_divided_by_a_norm_of_them_or_what_is_the_least(run_kernel):
    logits = normal(7, 12) * np.float32(3)
    plain, _ = route(run_kernel, logits, 3, False)
    by_root, _ = route(run_kernel, logits, 3, True, norm_power=2)
    by_floor, _ = route(run_kernel, logits, 3, True, norm_floor=0.9)
    np.testing.assert_allclose(by_root, plain / np.sqrt((plain**2).sum(1, keepdims=True)), rtol=1e-5)
    np.testing.assert_allclose(by_floor, plain / np.maximum(plain.sum(1, keepdims=True), 0.9), rtol=1e-5)


def test_other_ways_to_weigh_experts(run_kernel):
    logits = normal(9, 12) * np.float32(3)
    sigmoid = 1 / (1 + np.exp(-logits.astype(np.float64)))
    bias = on_pitch(normal(1, 12, seed=4) * np.float32(2))
    shares, chosen = route(run_kernel, logits, 3, False, gating=GATINGS["sigmoid"], bias=bias, scale=2.5)
    np.testing.assert_array_equal(chosen, np.argsort(-(sigmoid + bias[:, :12]), axis=1)[:, :3])
    np.testing.assert_allclose(shares, np.take_along_axis(sigmoid, chosen, 1) * 2.5, rtol=1e-5)
    shares, chosen = route(run_kernel, logits, 3, False, gating=GATINGS["softmax_chosen"])
    best = np.take_along_axis(np.exp(logits.astype(np.float64)), chosen, 1)
    np.testing.assert_allclose(shares, best / best.sum(1, keepdims=True), rtol=1e-5)
    shares, chosen = route(run_kernel, logits, 3, False, gating=GATINGS["softplus_root"])
    wanted = np.sqrt(np.logaddexp(0, np.take_along_axis(logits.astype(np.float64), chosen, 1)))
    np.testing.assert_allclose(shares, wanted, rtol=1e-5)


def test_a_sparse_mixer_weighs_only_those_that_are_near(run_kernel):
    logits = np.array([[1.0, 5.0, 4.9, 0.98, -3.0], [-2.0, -1.0, -1.01, -4.0, -1.5]], np.float32)
    shares, chosen = route(run_kernel, logits, 2, False, gating=GATINGS["sparse_mixer"], jitter=0.02)
    assert chosen.tolist() == [[1, 2], [1, 2]]
    e = np.exp
    np.testing.assert_allclose(
        shares[0], [1 / (1 + e(-0.1)), 1], rtol=1e-5
    )  # 4.9 is within 4 % of 5, 1.0 is not of 4.9
    np.testing.assert_allclose(shares[1], [1 / (1 + e(-0.01)), 1], rtol=1e-5)
    shares, _ = route(run_kernel, logits, 2, False, gating=GATINGS["sparse_mixer"], jitter=0.5)
    np.testing.assert_allclose(
        shares[0], [1 / (1 + e(-0.1) + e(-4) + e(-4.02)), 1 / (1 + e(-3.9) + e(-3.92))], rtol=1e-5
    )


def test_only_experts_of_the_best_groups_are_chosen(run_kernel):
    logits = np.array([[9, 0, 0, 5, 5, 0, 4, 4.5, 4]], np.float32)  # groups of three: 9, 10, 8.5
    _, chosen = route(run_kernel, logits, 3, True, n_group=3, n_group_used=2, gating=GATINGS["softmax_chosen"])
    assert chosen.tolist() == [[0, 3, 4]]
    _, chosen = route(run_kernel, logits, 3, True, n_group=3, n_group_used=1, gating=GATINGS["softmax_chosen"])
    assert chosen.tolist() == [[3, 4, 5]]
    _, chosen = route(
        run_kernel, logits, 3, True, n_group=3, n_group_used=1, n_best_of_group=1, gating=GATINGS["softmax_chosen"]
    )
    assert chosen.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_router_gone_wrong_chooses_experts_that_exist(run_kernel, bad):
    logits = normal(3, 6)
    logits[0, 4], logits[1] = bad, bad
    _, chosen = route(run_kernel, logits, 2, True)
    assert ((chosen >= 0) & (chosen < 6)).all()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_what_experts_give_is_added_by_their_shares(run_kernel, n_threads):
    y, shares = on_pitch(normal(12, 40)), np.abs(normal(4, 3))
    out = np.full((4, 48), np.nan, np.float32)
    record = Combine(y=y, y_pitch=48, shares=shares, out=out, n_rows=np.array([4]), pitch=48, n_used=3)
    run_kernel("moe.combine", record, n_threads)
    np.testing.assert_allclose(out, (y.reshape(4, 3, 48) * shares[:, :, None]).sum(1), atol=1e-6)
