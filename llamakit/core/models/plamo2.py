"""PLaMo 2: layers of attention, or of a state space with one decay for each head; norms before and after each part."""

from __future__ import annotations

from llamakit.core.graph.ops import Activation, Glu, Node, RmsNorm, Slice
from llamakit.core.graph.ops.recurrent import StateScan
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mamba import STATES, convolved, read_mamba
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer

LEAST_RANK = 64  # of dt's short row


class Plamo2(Transformer):
    arch = "plamo2"
    hf_names = ("Plamo2ForCausalLM",)
    is_neox = True

    def read_settings(self) -> None:
        self.shape = read_mamba(self.meta, self.hp.eps)
        self.w.pass_over("blk.*.attn_qkv.scale", *(f"blk.*.ssm_{n}.scale" for n in ("in", "x", "dt", "out")))

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        mixed = self.attention(normed, w, i) if self.hp.heads_kv[i] else self.remember(normed, w, i)
        x = x + self.bare_norm(mixed, w, "post_attention_norm")
        fed = feed_forward.gated_of_one(self.norm(x, w, "ffn_norm"), w, self.hp.ffs[i])
        return x + self.bare_norm(fed, w, "post_ffw_norm")

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        dim, eps = self.hp.head_dim, self.hp.eps
        q = RmsNorm(q, w("attn_q_norm", self.hp.heads[i], dim), eps)
        k = RmsNorm(k, w("attn_k_norm", self.hp.heads_kv[i], dim), eps)
        return super().heads(q, k, w, i)

    def remember(self, x: Node, w: Tensors, i: int) -> Node:
        m, n_head = self.shape, self.shape.rank
        dim, rank = m.inner // n_head, max(LEAST_RANK, self.hp.n_embd // 16)
        both = w.linear("ssm_in", x, 2 * m.inner)
        gate, inner = Slice(both, 0, dim, n_head), Slice(both, dim, dim, n_head)
        inner_row = convolved(inner, w, m.kernel, STATES * i)
        mixed = w.matrix("ssm_x", rank + 2 * m.state, m.inner)
        b, c, dt = (
            self.bare_norm(mixed.part(first, n)(inner_row), w, name)
            for name, first, n in (
                ("ssm_b_norm", 0, m.state),
                ("ssm_c_norm", m.state, m.state),
                ("ssm_dt_norm", 2 * m.state, rank),
            )
        )
        dt = Activation(w.linear("ssm_dt", dt, n_head), "softplus")
        a, d = w.bare("ssm_a", n_head, 1), w.bare("ssm_d", n_head)
        y = StateScan(inner_row, dt, b, c, a, d, m.state, STATES * i + 1)
        return w.linear("ssm_out", Glu(gate, y), x.width)
