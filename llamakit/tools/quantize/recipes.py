"""The recipes: for each file type, the tensors that get another type than its default.

A recipe's entry for a role is a list of cases; the first whose condition holds gives the type, and where none holds
the default stays. Source: llama-quant.cpp of 2026 (`llama_tensor_get_type_impl`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from llamakit.core.gguf.types import GGMLType

Q4_1, Q5_1 = GGMLType.Q4_1, GGMLType.Q5_1
Q2_K, Q3_K, Q4_K, Q5_K, Q6_K = GGMLType.Q2_K, GGMLType.Q3_K, GGMLType.Q4_K, GGMLType.Q5_K, GGMLType.Q6_K
IQ2_XXS, IQ2_S, IQ3_XXS, IQ3_S = GGMLType.IQ2_XXS, GGMLType.IQ2_S, GGMLType.IQ3_XXS, GGMLType.IQ3_S


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the recipes ask of a model."""

    arch: str
    n_layer: int  # prediction layers at the end included
    n_expert: int = 0
    n_gqa: int = 1  # query heads for each key/value head of the first layer; 0 without attention
    is_70b: bool = False  # 80 layers whose query heads share attn_v
    has_imatrix: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor stands among the `n` of its role."""

    model: ModelFacts
    n: int
    before: int  # tensors of its role in front of it
    layer: int  # for the feed-forward of experts the number in its name, else `before`


Condition: TypeAlias = Callable[[Place], bool]
DEFAULT: Final = None
Cases: TypeAlias = tuple[tuple[Condition, "GGMLType | None"], ...]


def always(place: Place) -> bool:
    return True


def more_bits(place: Place) -> bool:
    """The first and the last eighth, and every third layer between."""
    eighth = place.n // 8
    return place.layer < eighth or place.layer >= 7 * place.n // 8 or (place.layer - eighth) % 3 == 2


def first(n: int) -> Condition:
    return lambda place: place.before < n


def first_sixteenth(place: Place) -> bool:
    return place.layer < place.n // 16


def first_eighth(place: Place) -> bool:
    return place.layer < place.n // 8


def first_eighth_counted(place: Place) -> bool:
    """As `first_eighth`, but by the count of tensors: shared experts count beside the others of their layer."""
    return place.before < place.n // 8


def middle(place: Place) -> bool:
    """All but the first and the last eighth."""
    return place.n // 8 <= place.layer < 7 * place.n // 8


def grouped(place: Place) -> bool:
    """At least four query heads share keys and values, which makes attn_v small."""
    return place.model.n_gqa >= 4


def four_experts(place: Place) -> bool:
    """At least four, which makes attention small beside the feed-forward."""
    return place.model.n_expert >= 4


def eight_experts(place: Place) -> bool:
    """Just eight: tuned on Mixtral."""
    return place.model.n_expert == 8


def falcon(place: Place) -> bool:
    return place.model.arch == "falcon"


def imatrix(place: Place) -> bool:
    return place.model.has_imatrix


def both(one: Condition, other: Condition) -> Condition:
    return lambda place: one(place) and other(place)


def but(one: Condition, exception: Condition) -> Condition:
    return lambda place: one(place) and not exception(place)


@dataclass(frozen=True, slots=True)
class Recipe:
    output: GGMLType = Q6_K
    token_embd: GGMLType | None = DEFAULT
    attn_q: Cases = ()
    attn_k: Cases = ()
    attn_v: Cases = ()  # attn_qkv and attn_kv_b too
    attn_output: Cases = ()
    ffn_gate_up: Cases = ()
    ffn_down: Cases = ()
    is_low: bool = False  # near two bits: keeps to these cases where the others widen attention further (`mix`)


def _attn_output(dense: GGMLType | None) -> Cases:
    return ((falcon, DEFAULT), (eight_experts, Q5_K), (always, dense))


def _low(token_embd: GGMLType, wider: GGMLType, attn_output: GGMLType | None) -> Recipe:
    return Recipe(
        output=Q5_K,
        token_embd=token_embd,
        attn_k=((eight_experts, Q4_K),),
        attn_v=((grouped, Q4_K), (four_experts, Q4_K), (always, wider)),
        attn_output=((eight_experts, Q5_K), (always, attn_output)),
        ffn_down=((first_eighth_counted, wider),),
        is_low=True,
    )


RECIPES: Mapping[str, Recipe] = {
    "Q4_0": Recipe(ffn_down=((both(first_eighth, imatrix), Q4_1),)),
    "Q5_0": Recipe(ffn_down=((both(first_eighth, imatrix), Q5_1),)),
    "Q2_K": Recipe(
        attn_v=((grouped, Q4_K), (always, Q3_K)), attn_output=_attn_output(Q3_K), ffn_down=((always, Q3_K),)
    ),
    "Q2_K_S": Recipe(attn_v=((grouped, Q4_K),), ffn_down=((first_eighth, Q4_K),)),
    "Q3_K_S": Recipe(attn_output=_attn_output(DEFAULT)),
    "Q3_K_M": Recipe(
        attn_v=((first(2), Q5_K), (always, Q4_K)),
        attn_output=_attn_output(Q4_K),
        ffn_down=((first_sixteenth, Q5_K), (but(falcon, more_bits), DEFAULT), (always, Q4_K)),
    ),
    "Q3_K_L": Recipe(
        attn_v=((always, Q5_K),),
        attn_output=((falcon, Q4_K), (eight_experts, DEFAULT), (always, Q5_K)),
        ffn_down=((falcon, Q4_K), (always, Q5_K)),
    ),
    "Q4_K_S": Recipe(
        attn_v=((first(4), Q5_K),),
        attn_output=_attn_output(DEFAULT),
        ffn_down=((but(first_eighth, falcon), Q5_K),),
    ),
    "Q4_K_M": Recipe(
        attn_v=((more_bits, Q6_K),),
        attn_output=_attn_output(DEFAULT),
        ffn_down=(
            (both(falcon, first_sixteenth), Q6_K),
            (both(falcon, more_bits), Q5_K),
            (but(more_bits, falcon), Q6_K),
        ),
    ),
    "Q5_K_M": Recipe(attn_v=((more_bits, Q6_K),), ffn_down=((more_bits, Q6_K),)),
    "IQ4_NL": Recipe(
        attn_v=((grouped, Q5_K),),
        attn_output=_attn_output(DEFAULT),
        ffn_down=((but(first_eighth, imatrix), Q5_K),),
    ),
    "IQ4_XS": Recipe(
        attn_v=((grouped, Q5_K),),
        attn_output=_attn_output(DEFAULT),
        ffn_down=((but(first_eighth, imatrix), Q5_K),),
    ),
    "IQ3_M": Recipe(
        attn_v=((always, Q4_K),),
        attn_output=_attn_output(Q4_K),
        ffn_down=((first_eighth, Q4_K), (both(eight_experts, more_bits), Q4_K)),
    ),
    "IQ3_S": Recipe(attn_v=((grouped, Q4_K),), attn_output=_attn_output(DEFAULT)),
    "IQ3_XS": Recipe(
        attn_q=((always, IQ3_XXS),),
        attn_k=((always, IQ3_XXS),),
        attn_v=((grouped, Q4_K),),
        attn_output=_attn_output(DEFAULT),
        ffn_gate_up=((middle, IQ3_XXS),),
    ),
    "IQ3_XXS": Recipe(
        output=Q5_K,
        token_embd=IQ3_S,
        attn_q=((always, IQ2_S),),
        attn_k=((always, IQ2_S),),
        attn_v=((grouped, Q4_K), (imatrix, DEFAULT), (always, IQ3_S)),
        attn_output=_attn_output(IQ3_S),
        ffn_down=((imatrix, DEFAULT), (first_eighth, Q4_K), (always, Q3_K)),
    ),
    "IQ2_M": _low(token_embd=IQ3_S, wider=IQ3_S, attn_output=IQ3_S),
    "IQ2_S": _low(token_embd=IQ3_S, wider=IQ3_S, attn_output=IQ3_S),
    "IQ2_XS": _low(token_embd=Q2_K, wider=Q2_K, attn_output=DEFAULT),
    "IQ2_XXS": _low(token_embd=Q2_K, wider=Q2_K, attn_output=DEFAULT),
    "IQ1_M": _low(token_embd=Q2_K, wider=Q2_K, attn_output=IQ2_XXS),
    "IQ1_S": _low(token_embd=Q2_K, wider=Q2_K, attn_output=IQ2_XXS),
    "TQ1_0": Recipe(token_embd=Q4_K),
    "TQ2_0": Recipe(token_embd=Q4_K),
    "Q2_0": Recipe(token_embd=Q4_K),
}
PLAIN = Recipe()  # the types without a recipe of their own: Q4_1, Q5_1, Q5_K_S, Q6_K, Q8_0, NVFP4, Q1_0
