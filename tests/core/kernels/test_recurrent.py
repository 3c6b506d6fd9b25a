"""Kernels that remember, against their formulas in NumPy: from the start, from a state, and in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from llamakit.core.kernels.batch import Batch, Run
from llamakit.core.kernels.recurrent import Convolution, DeltaScan, StateScan, WkvScan

N_TOKENS = 21
Floats = np.ndarray


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def on_pitch(x: Floats) -> Floats:
    """Rows filled up with zeros to whole vectors."""
    return np.pad(x, ((0, 0), (0, -x.shape[1] % 16)))


def run_in_pieces(
    run_kernel: Callable[..., None], name: str, record: type, rows: dict[str, Floats], sizes: list[int], **fields: Any
) -> Floats:
    """Tokens of sequence 1 of two, so many at a time; the other sequence's state must stay as it was."""
    n_state = fields.pop("n_state")
    states, first, done = np.zeros((2, n_state), np.float32), 0, []
    states[0] = 7
    for size in sizes:
        part = {key: np.ascontiguousarray(x[first : first + size]) for key, x in rows.items()}
        out = np.full((size, fields["out_width"]), np.nan, np.float32)
        runs = np.zeros(1, Run.dtype)
        runs["first"], runs["n_tokens"], runs["position"], runs["seq"] = 0, size, first, 1
        batch = Batch(n_tokens=size, n_outputs=0, n_runs=1, tokens=None, positions=None, cells=None, outputs=None,
                      runs=runs.view(np.uint8), tables=None)  # fmt: skip
        rest = {key: value for key, value in fields.items() if key not in ("out_width", "n_threads")}
        run_kernel(name, record(batch=batch, states=states, state_pitch=n_state, out=out, **part, **rest),
                   fields["n_threads"])  # fmt: skip
        done.append(out)
        first += size
    assert (states[0] == 7).all()
    return np.concatenate(done)


def check(run: Callable[[list[int], int], Floats], wanted: Floats) -> None:
    """One piece against the formula; then the same bits in other pieces, with other threads."""
    whole = run([N_TOKENS], 1)
    n = wanted.shape[1]
    np.testing.assert_allclose(whole[:, :n], wanted, rtol=2e-4, atol=2e-5)
    assert not whole[:, n:].any()
    for sizes, n_threads in (([1] * N_TOKENS, 1), ([5, 1, 15], 3), ([N_TOKENS], 2)):
        np.testing.assert_array_equal(run(sizes, n_threads), whole)


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("width", [16, 40])
@pytest.mark.parametrize("has_bias", [False, True])
def test_convolution_is_the_formula(run_kernel, n, width, has_bias):
    x, weight, bias = normal(N_TOKENS, width), normal(n, width, seed=1), normal(1, width, seed=2)
    padded = np.concatenate([np.zeros((n - 1, width), np.float32), x])
    wanted = sum(padded[j : j + N_TOKENS] * weight[j] for j in range(n)) + bias * has_bias
    pitch = on_pitch(x).shape[1]
    check(
        lambda sizes, n_threads: run_in_pieces(
            run_kernel, "recurrent.convolve", Convolution, {"x": on_pitch(x)}, sizes, n_state=(n - 1) * pitch,
            out_width=pitch, n_threads=n_threads, weight=on_pitch(weight), bias=on_pitch(bias) if has_bias else None,
            n=n, pitch=pitch,
        ),
        wanted,
    )  # fmt: skip


@pytest.mark.parametrize("n_head, n_group, p, n", [(4, 2, 8, 16), (3, 1, 1, 20), (2, 2, 5, 128)])
@pytest.mark.parametrize("is_one", [0, 1])
@pytest.mark.parametrize("is_bare", [False, True], ids=["", "bare"])
def test_scan_is_the_formula(run_kernel, n_head, n_group, p, n, is_one, is_bare):
    """Bare: without steps and skips, as linear attention uses it."""
    x, dt = normal(N_TOKENS, n_head * p), np.abs(normal(N_TOKENS, n_head, seed=1))
    b, c = (normal(N_TOKENS, n_group * n, seed=seed) for seed in (2, 3))
    a, d = -np.abs(normal(n_head, 1 if is_one else n, seed=4)), normal(n_head, seed=5)
    if is_bare:
        dt, d = np.ones_like(dt), np.zeros_like(d)
    h, wanted = np.zeros((n_head, p, n)), np.zeros((N_TOKENS, n_head, p))
    group = np.arange(n_head) // (n_head // n_group)
    for t in range(N_TOKENS):
        b_t, c_t = (m[t].reshape(n_group, n)[group][:, None] for m in (b, c))
        x_t = x[t].reshape(n_head, p)
        h = h * np.exp(dt[t][:, None] * a)[:, None] + (x_t * dt[t][:, None])[..., None] * b_t
        wanted[t] = (h * c_t).sum(-1) + d[:, None] * x_t
    rows = {"x": on_pitch(x), "dt": on_pitch(dt), "b": on_pitch(b), "c": on_pitch(c)}
    pitches = {f"{k}_pitch": v.shape[1] for k, v in rows.items()}
    if is_bare:
        del rows["dt"]
    given = {"d": None, "dt": None} if is_bare else {"d": d}
    n_pitch = -(-n // 16) * 16
    table = np.zeros((n_head, n_pitch), np.float32)
    table[:, : a.shape[1]] = a
    check(
        lambda sizes, n_threads: run_in_pieces(
            run_kernel, "recurrent.scan", StateScan, rows, sizes, n_state=n_head * p * n_pitch,
            out_width=rows["x"].shape[1], n_threads=n_threads, **pitches, **given,
            a=table, is_one=is_one, n_head=n_head, n_group=n_group, p=p, n=n, n_pitch=n_pitch,
        ),
        wanted.reshape(N_TOKENS, -1),
    )  # fmt: skip


@pytest.mark.parametrize("n_head, n_head_k, n_key, n_value", [(4, 2, 8, 16), (3, 1, 5, 40)])
@pytest.mark.parametrize("is_tiled", [0, 1])
@pytest.mark.parametrize("has_key_decay", [0, 1])
def test_the_delta_rule_is_the_formula(run_kernel, n_head, n_head_k, n_key, n_value, is_tiled, has_key_decay):
    q, k = (normal(N_TOKENS, n_head_k * n_key, seed=seed) * np.float32(0.4) for seed in (0, 1))
    v, beta = normal(N_TOKENS, n_head * n_value, seed=2), np.abs(normal(N_TOKENS, n_head, seed=3)) * np.float32(0.3)
    g = -np.abs(normal(N_TOKENS, n_head * (n_key if has_key_decay else 1), seed=4))
    heads = np.arange(n_head) % n_head_k if is_tiled else np.arange(n_head) // (n_head // n_head_k)
    s, wanted = np.zeros((n_head, n_key, n_value)), np.zeros((N_TOKENS, n_head, n_value))
    for t in range(N_TOKENS):
        q_t, k_t = (m[t].reshape(n_head_k, n_key)[heads] for m in (q, k))
        s = s * np.exp(g[t].reshape(n_head, -1))[..., None]
        missing = v[t].reshape(n_head, -1) - np.einsum("hij,hi->hj", s, k_t)
        s = s + k_t[..., None] * (beta[t][:, None] * missing)[:, None]
        wanted[t] = np.einsum("hij,hi->hj", s, q_t)
    rows = {name: on_pitch(x) for name, x in (("q", q), ("k", k), ("v", v), ("g", g), ("beta", beta))}
    v_size = -(-n_value // 16) * 16
    check(
        lambda sizes, n_threads: run_in_pieces(
            run_kernel, "recurrent.delta", DeltaScan, rows, sizes, n_state=n_head * n_key * v_size,
            out_width=rows["v"].shape[1], n_threads=n_threads, **{f"{k}_pitch": x.shape[1] for k, x in rows.items()},
            n_head=n_head, n_head_k=n_head_k, n_key=n_key, n_value=n_value, v_size=v_size, is_tiled=is_tiled,
            has_key_decay=has_key_decay,
        ),
        wanted.reshape(N_TOKENS, -1),
    )  # fmt: skip


@pytest.mark.parametrize("n_head, n", [(3, 16), (2, 5), (1, 40)])
@pytest.mark.parametrize("is_read_first", [0, 1])
@pytest.mark.parametrize("is_corrected", [False, True])
def test_wkv_is_the_formula(run_kernel, n_head, n, is_read_first, is_corrected):
    r, k, v, a, b = (normal(N_TOKENS, n_head * n, seed=seed) * np.float32(0.3) for seed in range(5))
    w = np.exp(-np.abs(normal(N_TOKENS, n_head * n, seed=5)))
    s, wanted = np.zeros((n_head, n, n)), np.zeros((N_TOKENS, n_head, n))
    for t in range(N_TOKENS):
        r_t, w_t, k_t, v_t, a_t, b_t = (m[t].reshape(n_head, n) for m in (r, w, k, v, a, b))
        before = s
        s = s * w_t[..., None] + k_t[..., None] * v_t[:, None]
        if is_corrected:
            s = s + b_t[..., None] * np.einsum("hij,hi->hj", before, a_t)[:, None]
        wanted[t] = np.einsum("hij,hi->hj", before if is_read_first else s, r_t)
    rows = {"r": r, "w": w, "k": k, "v": v} | ({"a": a, "b": b} if is_corrected else {})
    rows = {name: on_pitch(x) for name, x in rows.items()}
    size, pitch = -(-n // 16) * 16, rows["v"].shape[1]
    given = {} if is_corrected else {"a": None, "b": None}
    check(
        lambda sizes, n_threads: run_in_pieces(
            run_kernel, "recurrent.wkv", WkvScan, rows, sizes, n_state=n_head * n * size, out_width=pitch,
            n_threads=n_threads, pitch=pitch, n_head=n_head, n=n, size=size, is_read_first=is_read_first, **given,
        ),
        wanted.reshape(N_TOKENS, -1),
    )  # fmt: skip
