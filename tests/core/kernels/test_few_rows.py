"""Products of a few rows at once: the bits of one row, and of many."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.graph.ops import Add, Glu

from .products import (
    FEW,
    KINDS,
    QUANTIZED,
    Arrays,
    Bench,
    columns_for,
    evaluate,
    linear,
    multiply,
    rows_of_bytes,
)

SOME = ("q4_1", "q8_0", "q6_k")  # with minimums, of all eight bits, with scales for 16 columns
types = pytest.mark.parametrize(
    "type", [type if type in SOME else pytest.param(type, marks=pytest.mark.slow) for type in QUANTIZED]
)


def activations(n_rows, n_columns):
    return np.random.default_rng(n_rows).standard_normal((n_rows, n_columns)).astype(np.float32)


@types
def test_a_few_rows_have_the_bits_of_one(type):
    rows = rows_of_bytes(type, 83, columns_for(type))
    for n_tokens in (2, 5, 6, 7, 13, 18):
        x = activations(n_tokens, columns_for(type))
        one = multiply(rows, type, x, KINDS[0])
        for n_threads in (1, 3):
            np.testing.assert_array_equal(multiply(rows, type, x, FEW, n_threads), one)


@pytest.mark.parametrize("type", SOME)
def test_what_follows_the_product_has_the_bits_of_one_row_too(type):
    n_columns = columns_for(type)
    arrays = Arrays()
    x, before = arrays.input(activations(7, n_columns)), arrays.input(activations(7, 48))
    gate, up = (rows_of_bytes(type, 48, n_columns, seed) for seed in (1, 2))
    roots = [
        Add(before, linear(arrays, x, gate, type, bias=np.arange(48.0))),
        Glu(linear(arrays, x, gate, type), linear(arrays, x, up, type), "silu"),
    ]
    for root in roots:
        got = evaluate(root, arrays, 7, FEW, n_threads=2)
        np.testing.assert_array_equal(got, evaluate(root, arrays, 7, KINDS[0]))
        assert any(step.kernel.startswith("few_rows") for step in Bench(root, arrays, 7, FEW).steps)
