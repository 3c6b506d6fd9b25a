"""Weights as tiles, and the products made of them: one row of activations at a time, or many together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.graph.ops import Add, Embed, Glu, RmsNorm, Tokens
from llamakit.core.kernels.store import KernelStore
from llamakit.core.quants import dequantize, find_type, parse_type
from llamakit.core.simd.target import host_target

from .products import (
    FLOATS,
    KINDS,
    QUANTIZED,
    SCALED_BY_BYTES,
    TYPES,
    Arrays,
    Bench,
    columns_for,
    evaluate,
    exact,
    held,
    linear,
    multiplied,
    multiply,
    pack,
    relative_error,
    rows_of_bytes,
    scale_fields,
    set_halves,
)

REPO = Path(__file__).parents[3]


def activations(n_rows: int, n_columns: int) -> np.ndarray:
    return np.random.default_rng(n_rows).standard_normal((n_rows, n_columns)).astype(np.float32)


def embedding(type: str, n_rows: int, n_columns: int, scale: float = 1.0) -> tuple[np.ndarray, Arrays, Embed]:
    arrays, rows = Arrays(), rows_of_bytes(type, n_rows, n_columns)
    return rows, arrays, Embed(Tokens(), arrays.add(rows, type, n_columns), scale)


def compile_for(types: Sequence[str]) -> None:
    """Everything that these tests run, compiled together, so in parallel."""
    names = set()
    for type in types:
        n_columns = columns_for(type)
        _, arrays, table = embedding(type, 1, n_columns)
        for kind in KINDS:
            names |= {step.kernel for step in Bench(table, arrays, 2, kind).steps}
            root = linear(arrays, arrays.input(activations(2, n_columns)), rows_of_bytes(type, 1, n_columns), type)
            names |= {step.kernel for step in Bench(root, arrays, 2, kind).steps}
    KernelStore().load(sorted(names))


@pytest.fixture(scope="module", autouse=True)
def all_kernels():
    compile_for(TYPES)


@pytest.mark.parametrize("type", [t for t in TYPES if t != "f16"])
@pytest.mark.parametrize("n_rows", [16, 17, 33])
def test_packing_keeps_every_byte(type, n_rows):
    arrays, rows = Arrays(), rows_of_bytes(type, n_rows, columns_for(type))
    packed = pack(arrays, arrays.add(rows, type, columns_for(type))).data
    assert rows.size <= packed.size <= -(-n_rows // 32) * 32 * rows.shape[1]
    filled = np.concatenate([rows.ravel(), np.zeros(packed.size - rows.size, np.uint8)])
    np.testing.assert_array_equal(np.sort(packed), np.sort(filled))


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("n_rows", [1, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_embedding_is_dequantization_to_the_bit(type, n_rows, kind):
    rows, arrays, table = embedding(type, n_rows, columns_for(type))
    np.testing.assert_array_equal(evaluate(table, arrays, n_rows, kind, n_threads=3), held(rows, type))


def test_embedding_may_be_scaled():
    rows, arrays, table = embedding("q4_k", 20, 256, scale=1.5)
    got = evaluate(table, arrays, 20, KINDS[1])
    np.testing.assert_allclose(got, dequantize(rows, "q4_k") * 1.5, rtol=1e-6)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("n_rows", [1, 15, 17, 33])
def test_both_products_are_the_formula_and_equal_to_the_bit(type, n_rows):
    rows = rows_of_bytes(type, n_rows, columns_for(type))
    for n_tokens in (1, 5, 6, 7, 13):
        x = activations(n_tokens, columns_for(type))
        one, many = (multiply(rows, type, x, kind) for kind in KINDS)
        np.testing.assert_array_equal(many, one)
        assert relative_error(one, exact(rows, type, x)) < 1e-5


@pytest.mark.parametrize("type", [t for t in TYPES if t != "f32"])
def test_smaller_activations_cost_less_than_a_percent(type):
    rows, x = rows_of_bytes(type, 64, 512), activations(32, 512)
    got = multiply(rows, type, x, KINDS[1])
    error = relative_error(got, x @ dequantize(rows, type).T)
    assert 1e-6 < error < (5e-3 if type in FLOATS else 1e-2)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_depends_on_the_number_of_threads(type, kind):
    rows, x = rows_of_bytes(type, 83, columns_for(type)), activations(7, columns_for(type))
    alone = multiply(rows, type, x, kind)
    for n_threads in (2, 3, 8):
        np.testing.assert_array_equal(multiply(rows, type, x, kind, n_threads), alone)


@pytest.mark.parametrize("type", ["q4_1", "q6_k", "f32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_gives_the_same_bits_in_any_company(type, kind):
    rows, x = rows_of_bytes(type, 48, columns_for(type)), activations(13, columns_for(type))
    whole = multiply(rows, type, x, kind)
    for part in (slice(12, 13), slice(3, 10), slice(5, 11)):
        np.testing.assert_array_equal(multiply(rows, type, x[part], kind), whole[part])


# what goes before and behind a product
@pytest.mark.parametrize("type", ["q8_0", "q5_k", "f32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_scale_bias_and_residual_follow_the_product(type, kind):
    n_columns, n_rows, rng = columns_for(type), 40, np.random.default_rng(1)
    rows, x = rows_of_bytes(type, n_rows, n_columns), activations(7, n_columns)
    scale, bias, residual = rng.normal(size=1), rng.normal(size=n_rows), rng.normal(size=(7, n_rows))
    plain = exact(rows, type, x)
    arrays = Arrays()
    source, before = arrays.input(x), arrays.input(residual)
    both = {"scale": scale, "bias": bias}
    for root, wanted in (
        (linear(arrays, source, rows, type, scale=scale), plain * scale),
        (linear(arrays, source, rows, type, **both), plain * scale + bias),
        (Add(before, linear(arrays, source, rows, type)), plain + residual),
        (Add(before, linear(arrays, source, rows, type, **both)), plain * scale + bias + residual),
    ):
        assert relative_error(evaluate(root, arrays, 7, kind, n_threads=2), wanted) < 1e-5


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("type", ["q4_0", "q3_k", "f32", "bf16"])
@pytest.mark.parametrize("activation, formula", [("silu", silu), ("gelu", gelu)])
@pytest.mark.parametrize("n_rows", [48, 40])
def test_gate_and_up_are_multiplied_behind_the_activation(type, activation, formula, n_rows):
    n_columns = columns_for(type)
    gate, up = (rows_of_bytes(type, n_rows, n_columns, seed) for seed in (1, 2))
    for n_tokens in (1, 7):
        x, arrays = activations(n_tokens, n_columns), Arrays()
        source = arrays.input(x)
        root = Glu(linear(arrays, source, gate, type), linear(arrays, source, up, type), activation)
        one, many, split = (
            evaluate(root, arrays, n_tokens, kind, n_threads)
            for kind, n_threads in ((KINDS[0], 1), (KINDS[1], 1), (KINDS[0], 3))
        )
        assert relative_error(one, formula(exact(gate, type, x)) * exact(up, type, x)) < 1e-5
        np.testing.assert_array_equal(many, one)
        np.testing.assert_array_equal(split, one)


@pytest.mark.parametrize("type", ["q4_k", "q8_0", "f32", "f16"])
def test_a_norm_in_front_of_the_product(type):
    rows, x = rows_of_bytes(type, 33, columns_for(type)), activations(7, columns_for(type)) * np.float32(5)
    weight = np.random.default_rng(3).normal(size=columns_for(type)).astype(np.float32)
    arrays = Arrays()
    root = linear(arrays, RmsNorm(arrays.input(x), arrays.floats(weight), 1e-5), rows, type)
    one, many = (evaluate(root, arrays, 7, kind) for kind in KINDS)
    np.testing.assert_array_equal(many, one)
    normed = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight
    assert relative_error(one, normed @ dequantize(rows, type).T) < (2e-6 if type == "f32" else 1e-2)


# faults 34 and 36: any bytes may stand in a file
@pytest.mark.parametrize(
    "type, byte",
    [(type, byte) for type in TYPES for byte in (0x00, 0x7F, 0x80, 0xFF)],
)
def test_fault_36_any_bytes_are_read_as_numpy_reads_them(type, byte):
    arrays, rows = Arrays(), np.full_like(rows_of_bytes(type, 17, columns_for(type)), byte)
    table = Embed(Tokens(), arrays.add(rows, type, columns_for(type)))
    wanted = held(rows, type)
    np.testing.assert_array_equal(evaluate(table, arrays, 17, KINDS[1]), wanted)
    one, many = (multiply(rows, type, activations(7, columns_for(type)), kind) for kind in KINDS)
    np.testing.assert_array_equal(many, one)
    assert np.isnan(one).all() == np.isnan(wanted).all()


@pytest.mark.parametrize("type", [t for t in QUANTIZED if t not in SCALED_BY_BYTES])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_fault_34_a_bad_scale_spoils_its_own_row_only(type, bad):
    rows, x = rows_of_bytes(type, 33, columns_for(type)), activations(7, columns_for(type))
    clean = multiply(rows, type, x, KINDS[0])
    blocks = rows[20].view(find_type(parse_type(type)).layout)
    set_halves(blocks[1:2], scale_fields(type)[0], np.full(1, bad, np.float16))
    one, many = (multiply(rows, type, x, kind) for kind in KINDS)
    np.testing.assert_array_equal(many, one)
    assert not np.isfinite(one[:, 20]).any()
    np.testing.assert_array_equal(np.delete(one, 20, axis=1), np.delete(clean, 20, axis=1))


@pytest.mark.parametrize("type", QUANTIZED)
def test_fault_34_a_denormal_scale_is_a_number_like_others(type):
    rows, x = rows_of_bytes(type, 16, columns_for(type)), activations(1, columns_for(type))
    for name in scale_fields(type):
        blocks = rows.reshape(-1).view(find_type(parse_type(type)).layout)
        set_halves(blocks, name, np.full(len(blocks), 6e-8, np.float16))
    assert relative_error(multiply(rows, type, x, KINDS[0]), exact(rows, type, x)) < 1e-5


@pytest.mark.parametrize(
    "type, bad",
    [(type, bad) for type in ("q4_0", "q6_k", "q8_0", *FLOATS) for bad in (np.nan, np.inf)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_is_none_reaches_the_result_of_its_row(type, bad, kind):
    """A NaN among activations must not turn into a plausible number: it is what a sampler is warned by."""
    x = activations(7, columns_for(type))
    x[3, 11] = bad
    got = multiply(rows_of_bytes(type, 16, columns_for(type)), type, x, kind)
    assert np.isfinite(got).all(axis=1).tolist() == [row != 3 for row in range(7)]


@pytest.mark.parametrize("type", TYPES)
def test_a_row_of_zeros_gives_zeros(type):
    rows = rows_of_bytes(type, 16, columns_for(type))
    assert not multiply(rows, type, np.zeros((1, columns_for(type)), np.float32), KINDS[0]).any()


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("size", [1e-30, 1e-42, 1e30])
def test_activations_near_the_ends_of_the_numbers_give_numbers(type, size):
    rows = rows_of_bytes(type, 16, columns_for(type))
    x = activations(3, columns_for(type)) * np.float32(size)
    one, many = (multiply(rows, type, x, kind) for kind in KINDS)
    np.testing.assert_array_equal(many, one)
    assert np.isfinite(one).all()


# other instruction sets
EACH_FORM = ("q4_0", "q8_0", "q2_k", "q4_k", "q6_k", "f32", "f16")  # bias, eight bits, minimums; scales for 16 or 32


def results_of(types: Sequence[str]) -> dict[str, np.ndarray]:
    """Results that no instruction set may change."""
    results = {}
    for type in types:
        n_columns = columns_for(type)
        gate, up = rows_of_bytes(type, 48, n_columns), rows_of_bytes(type, 48, n_columns, 1)
        arrays = Arrays()
        normed = RmsNorm(
            arrays.input(activations(13, n_columns)), arrays.floats(np.linspace(0.5, 1.5, n_columns)), 1e-5
        )
        roots = {
            "embed": Embed(Tokens(), arrays.add(gate, type, n_columns)),
            "product": linear(arrays, normed, gate, type),
            "gated": Glu(linear(arrays, normed, gate, type), linear(arrays, normed, up, type), "gelu"),
            "tiny": linear(arrays, arrays.input(activations(13, n_columns) * np.float32(1e-39)), gate, type),
        }
        for name, root in roots.items():
            for kind in KINDS:
                results[f"{type} {name} {kind}"] = evaluate(root, arrays, 13, kind)
    return results


SCRIPT = """
import sys
import numpy as np
from tests.core.kernels.test_products import compile_for, results_of
compile_for(sys.argv[2:])
np.savez(sys.argv[1], **results_of(sys.argv[2:]))
"""


def results_on_avx2(path: Path, types: Sequence[str]) -> dict[str, np.ndarray]:
    environment = os.environ | {"NUMBA_CPU_NAME": "haswell", "PYTHONPATH": str(REPO)}
    subprocess.run([sys.executable, "-c", SCRIPT, str(path), *types], env=environment, cwd=REPO, check=True)
    return dict(np.load(path))


@pytest.fixture(scope="module")
def avx2_results(tmp_path_factory):
    return results_on_avx2(tmp_path_factory.mktemp("avx2") / "results.npz", EACH_FORM)


def test_avx2_gives_the_bits_of_the_host(avx2_results):
    for name, wanted in results_of(EACH_FORM).items():
        if not is_flushed(name):
            np.testing.assert_array_equal(avx2_results[name], wanted, err_msg=name)


@pytest.mark.slow
def test_avx2_gives_the_bits_of_the_host_for_every_type(tmp_path):
    results = results_on_avx2(tmp_path / "results.npz", TYPES)
    for name, wanted in results_of(TYPES).items():
        if not is_flushed(name):
            np.testing.assert_array_equal(results[name], wanted, err_msg=name)


@pytest.mark.xfail(reason="the bf16 instruction takes denormal numbers for 0", condition=host_target().has_bf16)
def test_avx2_gives_the_bits_of_the_host_for_denormal_numbers_too(avx2_results):
    for name, wanted in results_of(EACH_FORM).items():
        if is_flushed(name):
            np.testing.assert_array_equal(avx2_results[name], wanted, err_msg=name)


def is_flushed(name: str) -> bool:
    return "16 tiny" in name


def test_activations_are_rounded_as_little_as_they_may():
    x = activations(3, 96)
    assert relative_error(multiplied(x, "q8_0"), x) < 1e-2
    assert relative_error(multiplied(x, "bf16"), x) < 3e-3
