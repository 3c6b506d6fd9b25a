"""The quantities of `imatrix --show-statistics`, on numbers small enough to reckon by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.errors import UsageError
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry
from llamakit.tools.imatrix_statistics import layer_statistics, tensor_statistics


def entry(sums: list[list[float]], counts: list[float]) -> ImatrixEntry:
    return ImatrixEntry(np.array(sums, np.float32), np.array(counts, np.float32))


def test_each_quantity_is_its_formula():
    (row,) = tensor_statistics(Imatrix({"blk.0.attn_q.weight": entry([[0.0, 2.0, 4.0, 10.0]], [2])}))
    assert (row.layer, row.short_name, row.n, row.total, row.least, row.most) == (0, "attn_q", 4, 8.0, 0.0, 5.0)
    assert row.mean == 2 and row.deviation == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 4))
    assert row.active == 0.75 and row.outliers == 0.25 and row.similarity == 0
    shares = [1 / 8, 2 / 8, 5 / 8]
    assert row.entropy == pytest.approx(-sum(p * math.log2(p) for p in shares))
    assert row.relative_entropy == pytest.approx(row.entropy / 2)


def test_experts_without_input_do_not_count():
    (row,) = tensor_statistics(Imatrix({"blk.0.ffn_up_exps.weight": entry([[2.0, 2.0], [0.0, 0.0]], [2, 0])}))
    assert (row.n, row.total) == (2, 2.0)


def test_a_layer_is_compared_with_the_one_below():
    entries = {
        "blk.9.attn_q.weight": entry([[1.0, 0.0]], [1]),
        "blk.10.attn_q.weight": entry([[3.0, 4.0]], [1]),
        "blk.11.attn_q.weight": entry([[0.0, 0.0]], [1]),
    }
    rows = {row.layer: row for row in tensor_statistics(Imatrix(entries))}
    assert (rows[9].similarity, rows[10].similarity, rows[11].similarity) == (0, pytest.approx(0.6), 0)


def test_rows_come_by_kind_the_largest_first_and_layers_are_means_by_columns():
    entries = {
        "output.weight": entry([[1.0]], [1]),
        "blk.0.ffn_up.weight": entry([[1.0, 3.0]], [1]),
        "blk.1.ffn_up.weight": entry([[5.0, 5.0]], [1]),
        "blk.0.attn_q.weight": entry([[1.0]], [1]),
    }
    rows = tensor_statistics(Imatrix(entries))
    assert [(r.layer, r.short_name) for r in rows] == [(0, "attn_q"), (1, "ffn_up"), (0, "ffn_up"), (None, "output")]
    assert [(r.layer, r.total) for r in layer_statistics(rows)] == [(0, (1 * 1 + 2 * 4) / 3), (1, 10)]


def test_a_matrix_that_saw_nothing_is_refused():
    with pytest.raises(UsageError, match="seen no input"):
        tensor_statistics(Imatrix({"a": entry([[0.0]], [0])}))
