"""Every tensor gets the type that llama-quantize gives it.

`quantize_mixes.json` holds what `llama-quantize --dry-run` (2026) says of ten models, with an importance matrix too
where that makes a difference: types of each kind of tensor, layer by layer. `../shared` has four models more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import LlamakitError, ModelError, UsageError
from llamakit.tools.imatrix_file import Imatrix
from llamakit.tools.quantize.file_types import parse_file_type
from llamakit.tools.quantize.mix import facts_of, fitting
from llamakit.tools.quantize.plan import Options, Plan, make_plan
from tests.tools.quantize.shapes import llama, reader, tensor

ROOT = Path(__file__).parents[3]
MIXES: dict[str, dict[str, Any]] = json.loads((ROOT / "tests/data/quantize_mixes.json").read_text())
SHARED = ROOT.parent / "shared/golden/quants/mix_types.json"


def model_of(case: dict[str, Any]) -> GGUFReader:
    arch, n_layer = case["arch"], case["n_layer"]
    shapes = {
        name.replace("*", str(i)): shape
        for name, shape in case["shapes"].items()
        for i in range(n_layer if "*" in name else 1)
    }
    metadata = {
        "general.architecture": arch,
        f"{arch}.block_count": n_layer,
        f"{arch}.attention.head_count": case["n_head"],
        f"{arch}.attention.head_count_kv": case["n_head_kv"],
        f"{arch}.expert_count": case["n_expert"],
    }
    f32 = [name for name, shape in shapes.items() if len(shape) == 1 or "ffn_gate_inp" in name]
    types = {name: GGMLType.F32 if name in f32 else GGMLType.F16 for name in shapes}
    return reader(metadata, [tensor(name, shape, types[name]) for name, shape in shapes.items()])


def layer_by_layer(plan: Plan) -> dict[str, list[str]]:
    """Types by the kind of tensor, for those that may be quantized."""
    kinds: dict[str, list[str]] = {}
    for planned in plan.tensors:
        if len(planned.source.shape) > 1 and "ffn_gate_inp" not in planned.name:
            kind = planned.name.split(".", 2)[2] if planned.name.startswith("blk.") else planned.name
            kinds.setdefault(kind.removesuffix(".weight"), []).append(planned.type.name.lower())
    return kinds


def spelled_out(types: str) -> Iterator[str]:
    """`q4_k*2 q6_k` -> q4_k, q4_k, q6_k"""
    for part in types.split():
        name, _, n = part.partition("*")
        yield from [name] * int(n or 1)


@pytest.mark.parametrize("name", MIXES)
def test_a_recipe_gives_the_types_of_llama_quantize(name: str) -> None:
    model = model_of(MIXES[name])
    for wish, kinds in MIXES[name]["types"].items():
        word, _, has_imatrix = wish.partition(" ")
        options = Options(imatrix=Imatrix({}) if has_imatrix else None)
        if kinds is None:  # llama-quantize fails
            with pytest.raises(LlamakitError):
                make_plan(model, parse_file_type(word), options)
            continue
        want = {kind: list(spelled_out(types)) for joint, types in kinds.items() for kind in joint.split()}
        assert layer_by_layer(make_plan(model, parse_file_type(word), options)) == want, wish


def test_the_shared_models_get_the_types_of_llama_quantize() -> None:
    if not SHARED.exists():
        pytest.skip("../shared is not here")
    facts = {
        "L2-untied": (2, 4, 4, 0),
        "L16-gqa4": (16, 8, 2, 0),
        "L32-mha": (32, 4, 4, 0),
        "L32-gqa4-moe8": (32, 8, 2, 8),
    }
    for case, by_type in json.loads(SHARED.read_text()).items():
        n_layer, n_head, n_head_kv, n_expert = facts[case]
        types = next(iter(by_type.values()))
        sizes = {name: (512 if "ffn_down" in name else 256, 256, *((8,) if "exps" in name else ())) for name in types}
        shapes = {name: sizes[name] if types[name] != "f32" or "inp" in name else (256,) for name in types}
        metadata = {
            "llama.block_count": n_layer,
            "llama.attention.head_count": n_head,
            "llama.attention.head_count_kv": n_head_kv,
            "llama.expert_count": n_expert,
        }
        f32 = [name for name in types if types[name] == "f32"]
        model = reader(
            metadata,
            [tensor(name, shape, GGMLType.F32 if name in f32 else GGMLType.F16) for name, shape in shapes.items()],
        )
        for word, want in by_type.items():
            plan = make_plan(model, parse_file_type(word), Options())
            assert {t.name: t.type.name.lower() for t in plan.tensors} == want, (case, word)


@pytest.mark.parametrize(
    "metadata, n_gqa, is_70b",
    [
        ({"llama.block_count": 80, "llama.attention.head_count": 64, "llama.attention.head_count_kv": 8}, 8, True),
        ({"llama.block_count": 80, "llama.attention.head_count": 64}, 1, False),
        ({"llama.block_count": 79, "llama.attention.head_count": 64, "llama.attention.head_count_kv": 8}, 8, False),
        ({"llama.attention.head_count": [6, 0], "llama.attention.head_count_kv": [2, 0]}, 3, False),
        ({"llama.attention.head_count": 0}, 0, False),
        ({}, 0, False),
        ({"llama.block_count": 81, "llama.nextn_predict_layers": 1, "llama.attention.head_count": 8,
          "llama.attention.head_count_kv": 1}, 8, True),
    ],
)  # fmt: skip
def test_the_recipes_facts_come_from_the_metadata(metadata: dict[str, Any], n_gqa: int, is_70b: bool) -> None:
    facts = facts_of({"general.architecture": "llama", **metadata}, "m.gguf")
    assert (facts.n_gqa, facts.is_70b) == (n_gqa, is_70b)


def test_metadata_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ModelError, match="block_count"):
        facts_of({"general.architecture": "llama", "llama.block_count": -1}, "m.gguf")


@pytest.mark.parametrize("name", ["blk.2.ffn_down_exps.weight", "enc.ffn_down_exps.weight"])
def test_experts_of_no_layer_are_refused(name: str) -> None:
    model = reader({"llama.block_count": 2, "llama.expert_count": 4}, [tensor(name, (256, 256, 4))])
    with pytest.raises(ModelError, match="names no layer below the model's 2"):
        make_plan(model, parse_file_type("Q4_K_M"), Options())


@pytest.mark.parametrize(
    "wanted, n, got",
    [
        ("Q4_K", 512, "Q4_K"),
        ("Q4_K", 288, "Q5_0"),
        ("Q5_K", 288, "Q5_1"),
        ("Q6_K", 288, "Q8_0"),
        ("Q2_K", 288, "Q4_0"),
        ("Q3_K", 288, "Q4_0"),
        ("TQ2_0", 288, "Q4_0"),
        ("Q2_0", 288, "Q4_0"),
        ("IQ3_S", 288, "IQ4_NL"),
        ("IQ4_XS", 288, "IQ4_NL"),
        ("Q4_K", 72, "F16"),
        ("Q8_0", 72, "F16"),
        ("IQ4_NL", 64, "IQ4_NL"),
    ],
)
def test_types_whose_blocks_do_not_divide_a_row_give_way(wanted: str, n: int, got: str) -> None:
    assert fitting(GGMLType[wanted], n, "t").name == got


def test_a_type_without_a_smaller_neighbour_is_refused() -> None:
    with pytest.raises(UsageError, match="t has rows of 288 values, which Q1_0 does not divide"):
        fitting(GGMLType.Q1_0, 288, "t")


def test_the_embeddings_are_the_output_where_there_is_no_other() -> None:
    types = {
        tied: {
            t.name: t.type.name for t in make_plan(llama(is_tied=tied), parse_file_type("Q4_K_M"), Options()).tensors
        }
        for tied in (True, False)
    }
    assert types[True]["token_embd.weight"] == "Q6_K"
    assert types[False]["token_embd.weight"] == "Q4_K"
