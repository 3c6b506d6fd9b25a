"""File types by name, alias and number, as llama-quantize takes them."""

from __future__ import annotations

import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError
from llamakit.tools.imatrix_file import Imatrix
from llamakit.tools.quantize.file_types import COPY, FILE_TYPES, FileType, find_file_type, parse_file_type
from llamakit.tools.quantize.plan import Options, make_plan
from tests.tools.quantize.shapes import reader, tensor


@pytest.mark.parametrize(
    "word, name",
    [
        ("Q4_K_M", "Q4_K_M"),
        ("q4_k_m", "Q4_K_M"),
        ("Q4_K", "Q4_K_M"),
        ("q3_k", "Q3_K_M"),
        ("Q5_K", "Q5_K_M"),
        ("15", "Q4_K_M"),
        ("0", "F32"),
        ("1", "F16"),
        ("copy", "COPY"),
    ],
)
def test_a_type_is_found_by_name_alias_or_number(word: str, name: str) -> None:
    assert parse_file_type(word).name == name


@pytest.mark.parametrize("word", ["", "Q4", "Q4_K_X", "5", "33", "-1", "out.gguf", "4.5"])
def test_other_words_are_no_types(word: str) -> None:
    assert find_file_type(word) is None
    with pytest.raises(UsageError, match="unknown file type"):
        parse_file_type(word)


def test_numbers_are_those_of_llama_cpp() -> None:
    numbers = {file_type.name: file_type.number for file_type in FILE_TYPES}
    assert numbers == {
        "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11,
        "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19,
        "IQ2_XS": 20, "Q2_K_S": 21, "IQ3_XS": 22, "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26, "IQ3_M": 27,
        "IQ2_S": 28, "IQ2_M": 29, "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4_MOE": 38,
        "NVFP4": 39, "Q1_0": 40, "Q2_0": 41,
    }  # fmt: skip
    assert COPY not in FILE_TYPES


def test_the_list_runs_from_many_bits_to_few() -> None:
    bits = [file_type.bpw for file_type in FILE_TYPES if file_type.name != "MXFP4_MOE"]
    assert bits == sorted(bits, reverse=True)


@pytest.mark.parametrize("file_type", FILE_TYPES, ids=lambda file_type: file_type.name)
def test_bits_a_weight_and_the_need_for_importance_are_those_of_a_llama_3_8b(file_type: FileType) -> None:
    n, n_kv, n_ff, n_vocab = 4096, 1024, 14336, 128256
    of_layer = {
        "attn_q": (n, n), "attn_k": (n, n_kv), "attn_v": (n, n_kv), "attn_output": (n, n),
        "ffn_gate": (n, n_ff), "ffn_up": (n, n_ff), "ffn_down": (n_ff, n),
    }  # fmt: skip
    model = reader(
        {"llama.block_count": 32, "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8},
        [
            tensor("token_embd.weight", (n, n_vocab)),
            tensor("output.weight", (n, n_vocab)),
            *(tensor(f"blk.{i}.{name}.weight", shape) for i in range(32) for name, shape in of_layer.items()),
            *(tensor(f"blk.{i}.ffn_norm.weight", (n,), GGMLType.F32) for i in range(65)),
        ],
    )
    needs_imatrix = file_type.note == "needs an importance matrix"
    plan = make_plan(model, file_type, Options(imatrix=Imatrix({}) if needs_imatrix else None))
    assert bool(plan.needing_imatrix) is needs_imatrix
    assert plan.bpw == pytest.approx(file_type.bpw, abs=0.006)
