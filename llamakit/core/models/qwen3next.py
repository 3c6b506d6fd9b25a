"""Qwen 3 Next: Qwen 3.5 with experts, whose value heads lie beside each other by key head."""

from __future__ import annotations

from llamakit.core.graph.ops import Concat, Node, Slice
from llamakit.core.models.blocks.delta_net import delta_net
from llamakit.core.models.qwen35moe import Qwen35Moe
from llamakit.core.models.tensors import Tensors


class Qwen3Next(Qwen35Moe):
    arch = "qwen3next"
    hf_names = ("Qwen3NextForCausalLM",)

    def remember(self, x: Node, w: Tensors, i: int) -> Node:
        m = self.delta
        per_key = m.n_head_v // m.n_head_k
        w.pass_over("attn_qkv.scale", "attn_gate.scale", "ssm_in.scale", "ssm_out.scale")
        n, k, v = m.n_head_k, m.n_key, per_key * m.n_value
        if w.has("attn_qkv"):
            w.pass_over("ssm_in.*")
            mixed: Node = w.linear("attn_qkv", x, 2 * m.key_width + m.value_width)
            gate: Node = w.linear("attn_gate", x, m.value_width)
        else:  # older files have all for one key head side by side
            whole = w.linear("ssm_in", x, 2 * (m.key_width + m.value_width))
            parts = [Slice(whole, first, width, n) for first, width in ((0, k), (k, k), (2 * k, v), (2 * k + v, v))]
            mixed, gate = Concat(tuple(parts[:3])), parts[3]
        both = w.linear("ssm_ba", x, 2 * m.n_head_v)
        beta, alpha = Slice(both, 0, per_key, n), Slice(both, per_key, per_key, n)
        return w.linear("ssm_out", delta_net(mixed, gate, beta, alpha, w, m, i, is_tiled=False), self.hp.n_embd)
