"""Weights as tiles, and the products made of them: one GEMV, one GEMM, one embedding for every type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.graph.weights import fill_up
from llamakit.core.kernels.epilogue import ADD, GATED, GELU, SILU
from llamakit.core.quants import dequantize, find_type, parse_type

from . import products
from .products import (
    EPS,
    FLOATS,
    QUANTIZED,
    TYPES,
    columns_for,
    embed,
    exact,
    multiply,
    pack,
    relative_error,
    rows_of_bytes,
)

REPO = Path(__file__).parents[3]
KINDS = ("gemv", "gemm")


@pytest.fixture(scope="module")
def run(run_kernel):
    products.compile_all()
    return run_kernel


def activations(n_rows: int, n_columns: int) -> np.ndarray:
    return np.random.default_rng(n_rows).standard_normal((n_rows, n_columns)).astype(np.float32)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("n_rows", [16, 17, 33])
def test_packing_keeps_every_byte(run, type, n_rows):
    rows = rows_of_bytes(type, n_rows, columns_for(type))
    packed = pack(run, type, rows, n_columns=columns_for(type))
    assert rows.size <= packed.data.size <= -(-n_rows // 32) * 32 * rows.shape[1]
    filled = np.concatenate([rows.ravel(), np.zeros(packed.data.size - rows.size, np.uint8)])
    np.testing.assert_array_equal(np.sort(packed.data), np.sort(filled))


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("n_rows", [1, 33])
def test_embedding_is_dequantization_to_the_bit(run, type, n_rows):
    n_columns = columns_for(type)
    rows = rows_of_bytes(type, n_rows, n_columns)
    tokens = np.array([n_rows - 1, 0, n_rows // 2, 0, n_rows - 1])
    got = embed(run, pack(run, type, rows, n_columns=n_columns), n_columns, tokens)
    np.testing.assert_array_equal(got[:, :n_columns], dequantize(rows, type)[tokens])
    assert not got[:, n_columns:].any()


def test_embedding_may_be_scaled(run):
    rows = rows_of_bytes("q4_k", 20, 256)
    got = embed(run, pack(run, "q4_k", rows, n_columns=256), 256, np.arange(20), scale=1.5)
    np.testing.assert_allclose(got, dequantize(rows, "q4_k") * 1.5, rtol=1e-6)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("n_rows", [1, 15, 17, 33])
def test_both_products_are_the_formula_and_equal_to_the_bit(run, type, n_rows):
    n_columns = columns_for(type)
    rows = rows_of_bytes(type, n_rows, n_columns)
    packed = pack(run, type, rows, n_columns=n_columns)
    for n_tokens in (1, 5, 6, 7, 13):
        x = activations(n_tokens, n_columns)
        one, many = (multiply(run, kind, packed, x) for kind in KINDS)
        np.testing.assert_array_equal(many, one)
        assert relative_error(one[:, :n_rows], exact(rows, type, x)) < 1e-5
        assert not one[:, n_rows:].any()


@pytest.mark.parametrize("type", QUANTIZED)
def test_int8_activations_cost_less_than_a_percent(run, type):
    rows, x = rows_of_bytes(type, 64, 512), activations(32, 512)
    got = multiply(run, "gemm", pack(run, type, rows, n_columns=512), x)
    assert relative_error(got, x @ dequantize(rows, type).T) < 1e-2


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_depends_on_the_number_of_threads(run, type, kind):
    n_columns = columns_for(type)
    packed = pack(run, type, rows_of_bytes(type, 83, n_columns), n_columns=n_columns)
    x = activations(7, n_columns)
    alone = multiply(run, kind, packed, x)
    for n_threads in (2, 3, 8):
        np.testing.assert_array_equal(multiply(run, kind, packed, x, n_threads=n_threads), alone)


@pytest.mark.parametrize("type", ["q4_1", "q6_k", "f16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_gives_the_same_bits_in_any_company(run, type, kind):
    n_columns = columns_for(type)
    packed = pack(run, type, rows_of_bytes(type, 48, n_columns), n_columns=n_columns)
    x = activations(13, n_columns)
    whole = multiply(run, kind, packed, x)
    for part in (slice(12, 13), slice(3, 10), slice(5, 11)):
        np.testing.assert_array_equal(multiply(run, kind, packed, x[part]), whole[part])


# what follows a product
@pytest.mark.parametrize("type", ["q8_0", "q5_k", "f32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_scale_bias_and_residual_follow_the_product(run, type, kind):
    n_columns, n_rows = columns_for(type), 40
    rows, x = rows_of_bytes(type, n_rows, n_columns), activations(7, n_columns)
    rng = np.random.default_rng(1)
    scale, bias = (fill_up(rng.standard_normal(n_rows).astype(np.float32)) for _ in range(2))
    residual = rng.standard_normal((7, n_rows)).astype(np.float32)
    packed = pack(run, type, rows, n_columns=n_columns)
    plain = exact(rows, type, x)
    scaled = plain * scale[:n_rows] + bias[:n_rows]
    got = multiply(run, kind, packed, x, scale=scale, bias=bias)[:, :n_rows]
    assert relative_error(got, scaled) < 1e-5
    got = multiply(run, kind, packed, x, mode=ADD, start=residual)[:, :n_rows]
    assert relative_error(got, plain + residual) < 1e-5
    got = multiply(run, kind, packed, x, mode=ADD, start=residual, scale=scale, bias=bias)
    assert relative_error(got[:, :n_rows], scaled + residual) < 1e-5
    assert not got[:, n_rows:].any()


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("type", ["q4_0", "q3_k", "f16"])
@pytest.mark.parametrize("activation, formula", [(SILU, silu), (GELU, gelu)])
def test_gate_and_up_in_turns_are_multiplied_behind_the_activation(run, type, activation, formula):
    n_columns, n_rows = columns_for(type), 48
    gate, up = (rows_of_bytes(type, n_rows, n_columns, seed) for seed in (1, 2))
    packed = pack(run, type, gate, up, n_columns=n_columns, is_interleaved=True)
    for n_tokens in (1, 7):
        x = activations(n_tokens, n_columns)
        wanted = formula(exact(gate, type, x)) * exact(up, type, x)
        one, many, split = (
            multiply(run, kind, packed, x, mode=GATED, activation=activation, n_threads=n_threads)
            for kind, n_threads in (("gemv", 1), ("gemm", 1), ("gemv", 3))
        )
        assert relative_error(one, wanted) < 1e-5
        np.testing.assert_array_equal(many, one)
        np.testing.assert_array_equal(split, one)


@pytest.mark.parametrize("type", ["q4_k", "q8_0", "f32"])
def test_a_norm_in_front_of_the_product(run, type):
    n_columns = columns_for(type)
    rows, x = rows_of_bytes(type, 33, n_columns), activations(7, n_columns) * np.float32(5)
    weight = np.random.default_rng(3).standard_normal(n_columns).astype(np.float32)
    packed = pack(run, type, rows, n_columns=n_columns)
    one, many = (multiply(run, kind, packed, x, norm=weight) for kind in KINDS)
    np.testing.assert_array_equal(many, one)
    normed = x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight
    assert relative_error(one[:, :33], normed @ dequantize(rows, type).T) < (2e-6 if type in FLOATS else 1e-2)


def test_matrices_lie_on_top_of_each_other(run):
    parts = [rows_of_bytes("q4_1", n, 96, n) for n in (32, 16, 5)]
    x = activations(3, 96)
    got = multiply(run, "gemv", pack(run, "q4_1", *parts, n_columns=96), x)
    np.testing.assert_allclose(got[:, :53], np.concatenate([exact(p, "q4_1", x) for p in parts], axis=1), rtol=1e-4)


@pytest.mark.parametrize("type", ["q4_0", "q6_k", "f16"])
@pytest.mark.parametrize("n_rows", [32, 24, 48])
def test_each_row_may_choose_its_own_matrix(run, type, n_rows):
    n_columns, n_expert = columns_for(type), 3
    experts = np.stack([rows_of_bytes(type, n_rows, n_columns, e) for e in range(n_expert)])
    packed = pack(run, type, experts, n_columns=n_columns)
    x, choice = activations(4, n_columns), np.array([2, 0, 1, 2, 0, 1, 1, 0], np.int32)
    got = multiply(run, "gemv", packed, x, choice=choice, x_share=2, n_threads=3)
    wanted = np.concatenate([exact(experts[e], type, x[i // 2 : i // 2 + 1]) for i, e in enumerate(choice)])
    assert relative_error(got[:, :n_rows], wanted) < 1e-5


# fault 34 and 36: any bytes may stand in a file
@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("byte", [0x00, 0x7F, 0x80, 0xFF])
def test_fault_36_any_bytes_are_read_as_numpy_reads_them(run, type, byte):
    n_columns = columns_for(type)
    rows = np.full_like(rows_of_bytes(type, 17, n_columns), byte)
    packed = pack(run, type, rows, n_columns=n_columns)
    wanted = dequantize(rows, type)
    np.testing.assert_array_equal(embed(run, packed, n_columns, np.arange(17))[:, :n_columns], wanted)
    x = activations(7, n_columns)
    one, many = (multiply(run, kind, packed, x)[:, :17] for kind in KINDS)
    np.testing.assert_array_equal(many, one)
    assert np.isnan(one).all() == np.isnan(wanted).all()


@pytest.mark.parametrize("type", QUANTIZED)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_fault_34_a_bad_scale_spoils_its_own_row_only(run, type, bad):
    n_columns, quant = columns_for(type), find_type(parse_type(type))
    rows = rows_of_bytes(type, 33, n_columns)
    clean = multiply(run, "gemv", pack(run, type, rows, n_columns=n_columns), activations(7, n_columns))
    rows.reshape(33, -1)[20].view(quant.layout)["d"][1] = bad
    packed = pack(run, type, rows, n_columns=n_columns)
    one, many = (multiply(run, kind, packed, activations(7, n_columns)) for kind in KINDS)
    np.testing.assert_array_equal(many, one)
    assert not np.isfinite(one[:, 20]).any()
    np.testing.assert_array_equal(np.delete(one, 20, axis=1), np.delete(clean, 20, axis=1))


@pytest.mark.parametrize("type", QUANTIZED)
def test_fault_34_a_denormal_scale_is_a_number_like_others(run, type):
    n_columns, quant = columns_for(type), find_type(parse_type(type))
    rows = rows_of_bytes(type, 16, n_columns)
    for name in {"d", "m", "dmin"} & set(quant.layout.names):
        rows.reshape(-1).view(quant.layout)[name] = np.float16(6e-8)
    x = activations(1, n_columns)
    got = multiply(run, "gemv", pack(run, type, rows, n_columns=n_columns), x)
    assert relative_error(got, exact(rows, type, x)) < 1e-5


SWALLOWED = pytest.mark.xfail(reason="the largest magnitude of a block passes over a NaN, which then counts as 0")


@pytest.mark.parametrize(
    "type, bad",
    [
        *((type, np.inf) for type in ("q4_0", "q6_k", "q8_0", "f16")),
        *(pytest.param(type, np.nan, marks=SWALLOWED) for type in ("q4_0", "q6_k", "q8_0")),
        ("f16", np.nan),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_is_none_reaches_the_result_of_its_row(run, type, bad, kind):
    """A NaN among activations must not turn into a plausible number: it is what a sampler is warned by."""
    n_columns = columns_for(type)
    x = activations(7, n_columns)
    x[3, 11] = bad
    got = multiply(run, kind, pack(run, type, rows_of_bytes(type, 16, n_columns), n_columns=n_columns), x)
    assert np.isfinite(got).all(axis=1).tolist() == [row != 3 for row in range(7)]


def test_a_row_of_zeros_gives_zeros(run):
    for type in TYPES:
        n_columns = columns_for(type)
        packed = pack(run, type, rows_of_bytes(type, 16, n_columns), n_columns=n_columns)
        assert not multiply(run, "gemv", packed, np.zeros((1, n_columns), np.float32)).any()


# other instruction sets
def results_for_every_type(run) -> dict[str, np.ndarray]:
    """Results that no instruction set may change."""
    products.compile_all()
    results = {}
    for type in TYPES:
        n_columns = columns_for(type)
        rows, up = rows_of_bytes(type, 48, n_columns), rows_of_bytes(type, 48, n_columns, 1)
        packed = pack(run, type, rows, n_columns=n_columns)
        gated = pack(run, type, rows, up, n_columns=n_columns, is_interleaved=True)
        x = activations(13, n_columns)
        results[f"{type} embed"] = embed(run, packed, n_columns, np.arange(48))
        norm = np.linspace(0.5, 1.5, n_columns).astype(np.float32)
        for kind in KINDS:
            results[f"{type} {kind}"] = multiply(run, kind, packed, x, norm=norm)
            results[f"{type} {kind} gated"] = multiply(run, kind, gated, x, mode=GATED, activation=GELU)
    return results


SCRIPT = """
import sys
import numpy as np
from tests.core.conftest import make_runner
from tests.core.kernels.test_products import results_for_every_type
np.savez(sys.argv[1], **results_for_every_type(make_runner()))
"""


def test_avx2_gives_the_bits_of_the_host(run, tmp_path):
    environment = os.environ | {"NUMBA_CPU_NAME": "haswell", "PYTHONPATH": str(REPO)}
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "avx2.npz")], env=environment, cwd=REPO, check=True)
    for name, wanted in results_for_every_type(run).items():
        np.testing.assert_array_equal(np.load(tmp_path / "avx2.npz")[name], wanted, err_msg=name)
