"""A recipe applied to a model: the type of each of its tensors.

Source: llama-quant.cpp of 2026 (`llama_tensor_get_type_impl`, `tensor_type_fallback`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.gguf.values import Value
from llamakit.errors import ModelError, UsageError
from llamakit.tools.quantize.file_types import FileType
from llamakit.tools.quantize.recipes import PLAIN, RECIPES, Cases, ModelFacts, Place, Recipe
from llamakit.tools.quantize.roles import FEED_FORWARD, Role, layer_of, role_of

Q3_K, Q4_K, Q5_K = GGMLType.Q3_K, GGMLType.Q4_K, GGMLType.Q5_K

UNQUANTIZED = (GGMLType.F32, GGMLType.F16, GGMLType.BF16)

# Layers of the architectures whose models llama.cpp calls 70B; of llama only those with shared keys and values.
_LAYERS_OF_70B = {"llama": 80, "llama-embed": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}


def facts_of(metadata: Mapping[str, Value], path: str, has_imatrix: bool = False) -> ModelFacts:
    """What the recipes ask of a model, from its metadata. Raises ModelError for numbers that make no sense."""
    meta = Metadata.of_model(metadata, path)
    n_layer = meta.int("block_count", 0, min=0)
    n_expert = meta.int("expert_count", 0, min=0)
    n_head = _of_first_layer(meta, "attention.head_count", 0)
    n_head_kv = _of_first_layer(meta, "attention.head_count_kv", n_head)
    is_llama = meta.arch.startswith("llama")
    return ModelFacts(
        meta.arch,
        n_layer,
        n_expert,
        n_head // n_head_kv if n_head_kv else 0,
        is_70b=n_layer - meta.int("nextn_predict_layers", 0, min=0) == _LAYERS_OF_70B.get(meta.arch)
        and not (is_llama and (n_head == n_head_kv or n_expert == 8)),
        has_imatrix=has_imatrix,
    )


def _of_first_layer(meta: Metadata, key: str, default: int) -> int:
    """A number that a file gives once or for each layer."""
    if isinstance(meta.mapping.get(meta.full_key(key)), list):
        return (meta.ints(key, min=0) or [default])[0]
    return meta.int(key, default, min=0)


class Mix:
    """Hands out types for the tensors of one model, in the order of the file to be: some rules count.

    `names` are those of all its tensors.
    """

    def __init__(self, file_type: FileType, model: ModelFacts, names: Sequence[str]) -> None:
        self.file_type, self.model = file_type, model
        self.recipe = RECIPES.get(file_type.name, PLAIN)
        roles = [role_of(name) for name in names]
        self.is_tied = Role.OUTPUT not in roles  # then the embeddings are the output too, and treated as it
        self.n_attn_v = roles.count(Role.ATTN_V)
        self.seen: Counter[Role] = Counter()

    def next_type(self, name: str, shape: Sequence[int], output_type: GGMLType | None = None) -> GGMLType:
        """The type of the next tensor that is left to the recipe; `output_type` replaces that of the output.

        Raises ModelError for the feed-forward of experts whose layer cannot be told.
        """
        role = role_of(name)
        default = self.file_type.default
        if self.model.arch == "glm5-next" and _contains(name, "attn_q_a", "attn_q_b", "nextn.eh_proj"):
            return GGMLType.Q8_0
        if role is Role.OUTPUT or (role is Role.TOKEN_EMBD and self.is_tied):
            return output_type or self._output(shape)
        if self.file_type.name == "MXFP4_MOE":
            return GGMLType.MXFP4 if self._is_stack(role, shape) else GGMLType.Q8_0
        if role is Role.TOKEN_EMBD:
            return self.recipe.token_embd or default
        place = self._place(role, name)
        type_ = choose(cases_of(self.recipe, role), place) or default
        return type_ if self.recipe.is_low else self._widened(role, type_)

    def _output(self, shape: Sequence[int]) -> GGMLType:
        default = self.file_type.default
        uneven = shape[0] % BLOCK_SIZES[default].n_values != 0
        if uneven or GGMLType.Q8_0 is default or self.model.arch == "falcon" or self.file_type.name == "MXFP4_MOE":
            return GGMLType.Q8_0
        return self.recipe.output

    def _is_stack(self, role: Role, shape: Sequence[int]) -> bool:
        """Whether a tensor holds a matrix for each expert."""
        return len(shape) > 2 and shape[2] > 1 and (self.model.arch != "bailingmoe3" or role in FEED_FORWARD)

    def _place(self, role: Role, name: str) -> Place:
        before = layer = self.seen[role]
        self.seen[role] += 1
        if role not in FEED_FORWARD:
            return Place(self.model, self.n_attn_v, before, layer)
        if self.model.n_expert > 1 and not self.recipe.is_low:
            # Some models keep each expert in a tensor of its own: only the name tells the layer then.
            number = layer_of(name)
            if number is None or number >= self.model.n_layer:
                raise ModelError(f"tensor {name!r} names no layer below the model's {self.model.n_layer}")
            layer = number
        return Place(self.model, self.model.n_layer, before, layer)

    def _widened(self, role: Role, type_: GGMLType) -> GGMLType:
        """Attention that is small beside the feed-forward can afford more bits."""
        if role in (Role.ATTN_K, Role.ATTN_V) and self.model.n_expert == 8:
            return GGMLType.Q8_0
        if role is Role.ATTN_V and self.model.is_70b and type_ in (Q3_K, Q4_K):
            return Q5_K
        return type_


def cases_of(recipe: Recipe, role: Role) -> Cases:
    return {
        Role.ATTN_Q: recipe.attn_q,
        Role.ATTN_K: recipe.attn_k,
        Role.ATTN_V: recipe.attn_v,
        Role.ATTN_OUTPUT: recipe.attn_output,
        Role.FFN_GATE: recipe.ffn_gate_up,
        Role.FFN_UP: recipe.ffn_gate_up,
        Role.FFN_DOWN: recipe.ffn_down,
    }.get(role, ())


def choose(cases: Cases, place: Place) -> GGMLType | None:
    """The type of the first case that holds; None where none does or the default is to stay."""
    return next((type_ for condition, type_ in cases if condition(place)), None)


_SMALLER_BLOCKS: dict[GGMLType, GGMLType] = {
    GGMLType[name]: GGMLType[smaller]
    for smaller, names in {
        "IQ4_NL": "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_XS",
        "Q4_0": "Q2_0 Q2_K Q3_K TQ1_0 TQ2_0",
        "Q5_0": "Q4_K",
        "Q5_1": "Q5_K",
        "Q8_0": "Q6_K",
    }.items()
    for name in names.split()
}


def fitting(type_: GGMLType, n: int, name: str) -> GGMLType:
    """`type_` if its blocks divide rows of `n` values, else the nearest type whose blocks do, at last F16.

    Raises UsageError for the types that have no such neighbour.
    """
    if n % BLOCK_SIZES[type_].n_values == 0:
        return type_
    if type_ not in _SMALLER_BLOCKS and BLOCK_SIZES[type_].n_values > 32:
        raise UsageError(
            f"{name} has rows of {n} values, which {type_.name} does not divide; give --tensor-type for it"
        )
    smaller = _SMALLER_BLOCKS.get(type_, type_)
    return smaller if n % BLOCK_SIZES[smaller].n_values == 0 else GGMLType.F16


def _contains(name: str, *parts: str) -> bool:
    return any(part in name for part in parts)
