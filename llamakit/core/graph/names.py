"""Names of values, for whoever looks into a model: after the tensors that make them, as in GGUF files.

`blk.3.attn_q` is what that tensor gives (`...weight` left off), norms and products alike. Where no tensor's name says
what a value is, these do:

    token_embd        the embedding                        output            logits
    blk.N.q, k, v     queries, keys and values as attention gets them: normed and turned
    blk.N.attn_heads  what attention gives, head by head, before the output projection
    blk.N.ffn_inp     what the feed-forward part begins with, before its norm
    blk.N.ffn_moe_out what the experts give
    blk.N.out         what the layer gives

llama.cpp's own names (`attn_out-3`, `l_out-3`) mean the same values: ALIASES.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from llamakit.core.graph.ops import Embed, Experts, Linear, Node, Norm, Tokens, in_order
from llamakit.core.graph.ops.attention import Attention, CachedAttention

ALIASES = {
    "attn_out": "attn_output",
    "kqv_out": "attn_heads",
    "ffn_out": "ffn_down",
    "l_out": "out",
    "Qcur": "q",
    "Kcur": "k",
    "Vcur": "v",
}
WHOLE = {"result_norm": "output_norm", "result_output": "output", "inp_embd": "token_embd"}
OF_LAYER = re.compile(r"(\w+)-(\d+|[*?])")  # llama.cpp's way to number
LAYER = re.compile(r"blk\.\d+\.")


def name_nodes(root: Node, layer_outputs: Sequence[Node]) -> dict[str, Node]:
    """The values of a formula that is not fused, by their names; of several of one name the second is `name#2`."""
    names: dict[str, Node] = {}

    def give(name: str, node: Node) -> None:
        n, full = 1, name
        while names.setdefault(full, node) is not node:
            n += 1
            full = f"{name}#{n}"

    order = in_order(root)
    for node in order:
        match node:
            case Embed(tokens=Tokens()):
                give("token_embd", node)
            case Linear(weight=weight) if not weight.is_part:
                give(without_ending(weight.name), node)
            case Norm(weight=weight) if weight is not None:
                name = without_ending(weight.name)
                give(name, node)
                if name.endswith(".ffn_norm"):
                    give(f"{layer_of(name)}ffn_inp", node.x)
            case Experts(down=weight):
                give(f"{layer_of(weight.name)}ffn_moe_out", node)
    names["output"] = root
    layers = dict(zip(map(id, layer_outputs), range(len(layer_outputs)), strict=True))
    for node in order:
        if isinstance(node, Attention | CachedAttention):
            give(f"blk.{node.layer}.attn_heads", node)
            give(f"blk.{node.layer}.q", node.q)
        if isinstance(node, Attention):
            give(f"blk.{node.layer}.k", node.k)
            give(f"blk.{node.layer}.v", node.v)
            if node.chosen is not None:
                give(f"blk.{node.layer}.chosen", node.chosen)
        if id(node) in layers:
            give(f"blk.{layers[id(node)]}.out", node)
    return names


def without_ending(name: str) -> str:
    return name.removesuffix(".weight")


def layer_of(name: str) -> str:
    """`blk.3.` of a tensor's name; empty where it is of no layer."""
    found = LAYER.match(name)
    return found[0] if found else ""


def matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that a pattern with `*`, `?` and `[...]` means, in order; the ends may be llama.cpp's."""
    pattern = canonical(pattern)
    return [name for name in names if fnmatchcase(name, pattern)]


def canonical(pattern: str) -> str:
    if found := OF_LAYER.fullmatch(pattern):
        pattern = f"blk.{found[2]}.{found[1]}"
    head, dot, end = pattern.rpartition(".")
    return head + dot + ALIASES.get(end, end) if dot else WHOLE.get(pattern, pattern)
