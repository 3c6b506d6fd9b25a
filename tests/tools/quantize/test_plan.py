"""What the user asks for goes before the recipe, in llama-quantize's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llamakit.core.gguf.types import GGMLType as T
from llamakit.errors import LlamakitError, UsageError
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry
from llamakit.tools.quantize.file_types import parse_file_type
from llamakit.tools.quantize.importance import selected
from llamakit.tools.quantize.plan import Options, Plan, check, make_plan
from llamakit.tools.quantize.pruning import pruned_names
from tests.tools.quantize.shapes import llama, reader, tensor

Q, Q1, DOWN = "blk.0.attn_q.weight", "blk.1.attn_q.weight", "blk.0.ffn_down.weight"


def plan_of(word: str = "Q4_K_M", **options: Any) -> Plan:
    return make_plan(llama(is_tied=options.pop("is_tied", False)), parse_file_type(word), Options(**options))


def types(word: str = "Q4_K_M", **options: Any) -> dict[str, str]:
    return {planned.name: planned.type.name for planned in plan_of(word, **options).tensors}


@pytest.mark.parametrize(
    "word, options, changed",
    [
        ("Q4_K_M", {"output_type": T.Q5_0}, {"output.weight": "Q5_0"}),
        ("Q4_K_M", {"output_type": T.Q5_0, "is_tied": True}, {"token_embd.weight": "Q5_0"}),
        ("Q4_K_M", {"token_embedding_type": T.Q8_0}, {"token_embd.weight": "Q8_0"}),
        ("Q4_K_M", {"leave_output": True}, {"output.weight": "F16"}),
        ("Q4_K_M", {"leave_output": True, "output_type": T.Q5_0}, {"output.weight": "F16"}),
        ("F16", {"output_type": T.Q8_0}, {"output.weight": "Q8_0"}),
        ("F16", {"tensor_types": [("attn_q", T.Q8_0)]}, {}),  # files of floats pass patterns over
        ("Q4_K_M", {"tensor_types": [("attn_q", T.Q8_0)]}, {Q: "Q8_0", Q1: "Q8_0"}),
        ("Q4_K_M", {"tensor_types": [(r"\.0\.ATTN_Q", T.Q8_0)]}, {Q: "Q8_0"}),
        ("Q4_K_M", {"tensor_types": [(r"blk\.0.*q", T.F32), ("attn_q", T.Q8_0)]}, {Q: "F32", Q1: "Q8_0"}),
        ("Q4_K_M", {"tensor_types": [("norm", T.Q8_0)]}, {}),  # what may not be quantized is not
        ("Q4_K_M", {"tensor_types": [("output", T.Q8_0)], "output_type": T.Q5_0},
         {"output.weight": "Q5_0", "blk.0.attn_output.weight": "Q8_0", "blk.1.attn_output.weight": "Q8_0"}),
        ("Q4_K_M", {"types": {Q: T.IQ4_NL}, "tensor_types": [("attn_q", T.Q8_0)]}, {Q: "IQ4_NL", Q1: "Q8_0"}),
    ],
)  # fmt: skip
def test_a_wish_changes_what_it_names_and_nothing_else(
    word: str, options: dict[str, Any], changed: dict[str, str]
) -> None:
    assert types(word, **options) == types(word, is_tied=options.get("is_tied", False)) | changed


def test_pure_gives_every_matrix_the_default_type() -> None:
    pure = types("Q4_K_M", is_pure=True)
    assert {type_ for name, type_ in pure.items() if "norm" not in name} == {"Q4_K"}


def test_copy_keeps_all_types() -> None:
    assert all(planned.is_copied for planned in plan_of("COPY", output_type=T.Q8_0).tensors)


def test_the_large_table_of_per_layer_embeddings_may_be_named_apart() -> None:
    model = reader({}, [tensor(name, (256, 9)) for name in ("per_layer_token_embd.weight", "token_embd.weight")])
    options = Options(token_embedding_type=T.Q8_0, tensor_types=[("per_layer", T.Q4_0)])
    plan = make_plan(model, parse_file_type("Q5_0"), options)
    assert {planned.name: planned.type.name for planned in plan.tensors} == {
        "per_layer_token_embd.weight": "Q4_0",
        "token_embd.weight": "Q8_0",
    }


def test_a_type_that_does_not_fit_gives_way_and_is_remembered() -> None:
    plan = make_plan(llama(n_embd=288, n_ff=512), parse_file_type("Q4_K_M"), Options())
    planned = {tensor.name: tensor for tensor in plan.tensors}
    assert (planned[Q].type, planned[Q].replaces) == (T.Q5_0, T.Q4_K)
    assert planned[DOWN].replaces is None
    assert all("ffn_down" not in tensor.name for tensor in plan.fallbacks)


def test_the_order_is_by_layer_then_name_and_that_of_the_shards_where_they_are_kept() -> None:
    first = [tensor("blk.10.b", (256, 2), offset=9), tensor("blk.2.z", (256, 2), offset=5)]
    second = [tensor("z", (256, 2)), tensor("blk.2.a", (256, 2), offset=7), tensor("a", (256, 2), offset=8)]
    for keep_split, names in ((False, "a z blk.2.a blk.2.z blk.10.b"), (True, "blk.2.z blk.10.b z blk.2.a a")):
        plan = make_plan(reader({}, first, second), parse_file_type("Q8_0"), Options(keep_split=keep_split))
        assert [planned.name for planned in plan.tensors] == names.split()


def test_sizes_are_those_of_the_blocks() -> None:
    plan = make_plan(reader({}, [tensor("x.weight", (256, 3))]), parse_file_type("Q8_0"), Options())
    assert (plan.n_bytes, plan.bpw) == (3 * 272, 8.5)


def test_overrides_count_for_the_recipe() -> None:
    assert types(overrides={"llama.expert_count": 8})["blk.0.attn_k.weight"] == "Q8_0"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tensor_types": [("(", T.Q8_0)]}, "no regular expression"),
        ({"types": {"blk.9.attn_q.weight": T.Q8_0}}, "no tensor 'blk.9.attn_q.weight'"),
        ({"prune_layers": {2}}, "no layer 2; it has 2"),
        ({"prune_layers": {0, 1}}, "no layer would be left"),
    ],
)
def test_wishes_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_of(**options)


def test_layers_behind_those_left_out_move_up() -> None:
    names = ["output.weight", *(f"blk.{i}.attn_q.weight" for i in range(5))]
    assert pruned_names(names, {1, 3}) == {
        "output.weight": "output.weight",
        "blk.0.attn_q.weight": "blk.0.attn_q.weight",
        "blk.2.attn_q.weight": "blk.1.attn_q.weight",
        "blk.4.attn_q.weight": "blk.2.attn_q.weight",
    }


def imatrix(*sizes: tuple[str, int]) -> Imatrix:
    return Imatrix({name: ImatrixEntry(np.ones((1, n), np.float32), np.ones(1, np.float32)) for name, n in sizes})


def test_importance_goes_to_the_tensors_it_names_under_their_old_names() -> None:
    options = Options(imatrix=imatrix(("blk.1.attn_q.weight", 256)), prune_layers=frozenset({0}))
    plan = make_plan(llama(), parse_file_type("Q4_K_M"), options)
    assert [planned.name for planned in plan.tensors if planned.importance is not None] == [Q]
    assert Q not in plan.unweighted and DOWN in plan.unweighted


def test_importance_of_a_stack_has_a_row_for_each_expert() -> None:
    name = "blk.0.ffn_up_exps.weight"
    model = reader({"llama.block_count": 1}, [tensor(name, (256, 64, 3))])
    plan = make_plan(model, parse_file_type("Q4_0"), Options(imatrix=imatrix((name, 768))))
    assert plan.tensors[0].importance is not None


def test_entries_are_selected_by_parts_of_names() -> None:
    whole = imatrix(("blk.0.attn_q.weight", 1), ("blk.0.attn_k.weight", 1), ("blk.0.ffn_up.weight", 1))
    some = selected(whole, include=["attn_q", "ffn"])
    assert some is not None and [*some.entries] == ["blk.0.attn_q.weight", "blk.0.ffn_up.weight"]
    some = selected(whole, exclude=["attn"])
    assert some is not None and [*some.entries] == ["blk.0.ffn_up.weight"]
    assert selected(whole, exclude=["blk"]) is None


def test_fault_57_importance_of_another_size_is_refused_but_for_the_embeddings() -> None:
    with pytest.raises(
        UsageError, match=r"x.dat has 128 columns for blk.0.attn_q.weight, the model 256: .* another model"
    ):
        plan_of(imatrix=imatrix((Q, 128)), imatrix_path="x.dat")
    plan = plan_of(imatrix=imatrix(("token_embd.weight", 128), (Q, 256)))
    assert "token_embd.weight" in plan.unweighted


def test_fault_57_importance_that_names_none_of_the_tensors_is_refused() -> None:
    with pytest.raises(UsageError, match=r"x.dat is of another model: none of its 1 entries"):
        check(plan_of(imatrix=imatrix(("blk.0.other.weight", 256)), imatrix_path="x.dat"))


@pytest.mark.parametrize("word", ["IQ2_XXS", "IQ1_S", "IQ3_XXS", "Q2_K_S", "IQ2_M"])
def test_types_near_two_bits_need_importance(word: str) -> None:
    plan = plan_of(word)
    assert "output.weight" not in plan.needing_imatrix and "token_embd.weight" not in plan.needing_imatrix
    with pytest.raises(LlamakitError, match=r"needs an importance matrix: .* --imatrix"):
        check(plan)


def test_a_quantized_source_is_refused_unless_allowed() -> None:
    model = reader({}, [tensor("a.weight", (256, 4), T.Q8_0), tensor("b.weight", (256, 4), T.Q4_0)])
    for word, ok in (("Q4_0", False), ("COPY", True)):
        plan = make_plan(model, parse_file_type(word), Options())
        if ok:
            check(plan)
        else:
            with pytest.raises(LlamakitError, match=r"a.weight is Q8_0 already; .* --allow-requantize"):
                check(plan)
    check(make_plan(model, parse_file_type("Q4_0"), Options(allow_requantize=True)))
