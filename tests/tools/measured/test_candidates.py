"""What each tensor may become, in bytes and in error."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import dequantize, quantize
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry
from llamakit.tools.measured.candidates import TYPES, Choices, find_choices, spread
from llamakit.tools.quantize.plan import Options

Q4, Q8 = GGMLType.Q4_0, GGMLType.Q8_0
WIDTHS = {"blk.0.attn_q.weight": 64, "blk.0.ffn_down.weight": 256, "blk.0.attn_k.weight": 40}


@pytest.fixture
def reader(tmp_path):
    rng = np.random.default_rng(0)
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("general.architecture", "llama")
        writer.add("llama.block_count", 1)
        for name, width in WIDTHS.items():
            writer.add_tensor(name, rng.normal(size=(5, width)).astype(np.float16))
        writer.add_tensor("blk.0.attn_norm.weight", np.ones(64, np.float32))
        writer.add_tensor("blk.0.ffn_up_exps.weight", rng.normal(size=(3, 4, 64)).astype(np.float16))
    with GGUFReader(tmp_path / "m.gguf") as reader:
        yield reader


def find(reader: GGUFReader, options: Options | None = None, known=None) -> dict[str, Choices]:
    return {choices.name: choices for choices in find_choices(reader, options or Options(), known or {})}


def test_types_are_those_whose_blocks_divide_the_rows(reader):
    types = {name: {c.type for c in choices.candidates} for name, choices in find(reader).items()}
    assert types["blk.0.attn_norm.weight"] == {GGMLType.F32}
    assert types["blk.0.attn_k.weight"] == {GGMLType.F16}  # 40 columns are no whole blocks of any type
    assert {Q8, Q4, GGMLType.IQ4_NL, GGMLType.F16} <= types["blk.0.attn_q.weight"]
    assert GGMLType.Q4_K not in types["blk.0.attn_q.weight"]
    assert {Q8, GGMLType.Q4_K, GGMLType.Q2_K} <= types["blk.0.ffn_down.weight"]
    assert GGMLType.IQ2_XS not in types["blk.0.ffn_down.weight"]  # without importance


def test_importance_opens_the_smallest_types(reader):
    entry = ImatrixEntry(np.ones((1, 256), np.float32), np.ones(1, np.float32))
    options = Options(imatrix=Imatrix({"blk.0.ffn_down.weight": entry}))
    assert {c.type for c in find(reader, options)["blk.0.ffn_down.weight"].candidates} == {*TYPES, GGMLType.F16}


def test_the_users_wishes_leave_no_choice(reader):
    found = find(reader, Options(tensor_types=[("attn_q", GGMLType.Q5_0)]))
    assert [c.type for c in found["blk.0.attn_q.weight"].candidates] == [GGMLType.Q5_0]


def test_bytes_are_those_of_the_file_and_the_error_is_weighted(reader):
    name = "blk.0.ffn_up_exps.weight"
    importance = np.random.default_rng(1).uniform(0.1, 2, (3, 64)).astype(np.float32)
    options = Options(imatrix=Imatrix({name: ImatrixEntry(importance, np.ones(3, np.float32))}))
    found = find(reader, options)[name].find(Q4)
    assert found is not None and found.n_bytes == -(-3 * 4 * 36 // 32) * 32
    x = reader.tensor(name).data.astype(np.float32)
    y = np.stack([dequantize(quantize(x[e], Q4, importance[e]), Q4) for e in range(3)])
    weight = importance[:, None, :]
    assert found.error == pytest.approx((weight * (x - y) ** 2).sum() / (weight * x * x).sum(), rel=1e-5)
    assert found.error < 0.02


def test_errors_that_are_known_are_not_reckoned_again(reader):
    known = {"blk.0.attn_q.weight": dict.fromkeys(TYPES, 0.5)}
    found = find(reader, known=known)["blk.0.attn_q.weight"]
    assert {c.error for c in found.candidates} == {0.0, 0.5}


@pytest.mark.parametrize("n, wanted, expected", [(10, 3, [1, 5, 8]), (3, 10, [0, 1, 2]), (7, 1, [3])])
def test_samples_are_spread(n, wanted, expected):
    assert spread(n, wanted).tolist() == expected
