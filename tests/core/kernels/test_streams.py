"""Kernels on streams side by side in a row."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.kernels.streams import Balance, Dot, Mix
from llamakit.core.kernels.unary import ROOT, SHIFT, Unary


def rows(n_rows: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random rows, and the same filled up with what no kernel may read into its result."""
    x = np.random.default_rng(seed).standard_normal((n_rows, n)).astype(np.float32)
    return x, np.ascontiguousarray(np.pad(x, ((0, 0), (0, -n % 16)), constant_values=np.nan))


@pytest.mark.parametrize("n_in, n_out, n", [(4, 1, 64), (1, 4, 33), (4, 4, 48), (3, 2, 7)])
def test_mix_sums_streams_with_the_shares_of_each_result(run_kernel, n_in, n_out, n):
    x, wide_x = rows(5, n_in * n)
    c, wide_c = rows(5, n_in * n_out, seed=1)
    out = np.full((5, -(-n_out * n // 16) * 16), np.nan, np.float32)
    record = Mix(
        x=wide_x, c=wide_c, out=out, n_rows=np.array([5]), x_pitch=wide_x.shape[1], c_pitch=wide_c.shape[1],
        out_pitch=out.shape[1], n=n, n_in=n_in, n_out=n_out,
    )  # fmt: skip
    run_kernel("streams.mix", record, 3)
    wanted = np.einsum("tjn,tji->tin", x.reshape(5, n_in, n), c.reshape(5, n_in, n_out)).reshape(5, -1)
    np.testing.assert_allclose(out[:, : n_out * n], wanted, rtol=1e-5, atol=1e-5)
    assert not out[:, n_out * n :].any()


def balanced(x: np.ndarray, n: int, n_rounds: int, eps: float) -> np.ndarray:
    shares = np.exp(x.astype(np.float64).reshape(len(x), -1, n))
    shares = shares / shares.sum(2, keepdims=True) + eps
    for i in range(n_rounds):
        shares = shares if i == 0 else shares / (shares.sum(2, keepdims=True) + eps)
        shares = shares / (shares.sum(1, keepdims=True) + eps)
    return shares.reshape(x.shape)


@pytest.mark.parametrize(
    "n, n_groups, n_rounds, eps", [(5, 1, 0, 0.0), (4, 3, 0, 0.0), (4, 4, 1, 1e-3), (4, 4, 20, 0.0)]
)
def test_balance_is_softmax_and_divisions_by_the_sums_of_columns_and_rows(run_kernel, n, n_groups, n_rounds, eps):
    x, wide = rows(6, n * n_groups)
    out = np.full_like(wide, np.nan)
    record = Balance(
        x=wide, out=out, n_rows=np.array([6]), pitch=wide.shape[1], n=n, n_groups=n_groups, n_rounds=n_rounds, eps=eps
    )
    run_kernel("streams.balance", record, 2)
    np.testing.assert_allclose(out[:, : n * n_groups], balanced(x, n, n_rounds, eps), rtol=1e-5)
    assert not out[:, n * n_groups :].any()
    if n_rounds > 10:
        np.testing.assert_allclose(out.reshape(6, 4, 4).sum(2), 1, atol=1e-3)


def test_numbers_far_apart_have_shares_without_overflow(run_kernel):
    x = np.zeros((1, 16), np.float32)
    x[0, :3] = [1e4, 0, -1e4]
    out = np.full_like(x, np.nan)
    run_kernel("streams.balance", Balance(x=x, out=out, n_rows=np.array([1]), pitch=16, n=3, n_groups=1, n_rounds=0,
                                          eps=0.0))  # fmt: skip
    np.testing.assert_array_equal(out[0, :3], [1, 0, 0])


@pytest.mark.parametrize("n, n_groups", [(64, 1), (7, 3), (40, 4)])
def test_dot_sums_the_products_of_each_group(run_kernel, n, n_groups):
    (a, wide_a), (b, wide_b) = rows(5, n * n_groups), rows(5, n * n_groups, seed=1)
    out = np.full((5, 16), np.nan, np.float32)
    run_kernel("streams.dot", Dot(a=wide_a, b=wide_b, out=out, n_rows=np.array([5]), pitch=wide_a.shape[1],
                                  out_pitch=16, n=n, n_groups=n_groups), 2)  # fmt: skip
    np.testing.assert_allclose(out[:, :n_groups], (a * b).reshape(5, n_groups, n).sum(2), rtol=1e-4, atol=1e-5)
    assert not out[:, n_groups:].any()


@pytest.mark.parametrize("kind, c, wanted", [(SHIFT, 0.5, [0.5, 4.5, -3.5, 0.6]), (ROOT, 0.25, [0, 2, -2, 0.5])])
def test_shifts_and_signed_roots(run_kernel, kind, c, wanted):
    x = np.zeros((1, 16), np.float32)
    x[0, :4] = [0, 4, -4, 0.1]
    out = np.full_like(x, np.nan)
    run_kernel("unary.unary", Unary(x=x, out=out, n=4, pitch=16, n_rows=np.array([1]), kind=kind, c=c))
    np.testing.assert_allclose(out[0, :4], wanted, rtol=1e-6)
    assert not out[0, 4:].any()
