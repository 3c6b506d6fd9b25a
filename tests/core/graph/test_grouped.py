"""Experts' products: rows of one expert multiplied together have the bits of rows multiplied one by one."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.graph.ops import Add, Experts, Node
from llamakit.core.kernels import few_rows

from ..kernels.products import FEW, KINDS, QUANTIZED, Arrays, Bench, columns_for, evaluate, rows_of_bytes

N_EXPERT, N_TOKENS = 6, 22
SOME = ("q4_1", "q8_0", "q6_k", "f32", "f16")  # with minimums, of all eight bits, by halves, floats one and in pairs
types = pytest.mark.parametrize(
    "type",
    [type if type in SOME else pytest.param(type, marks=pytest.mark.slow) for type in (*QUANTIZED, "bf16", *SOME[3:])],
)


def picks(*favourites: tuple[int, ...]) -> np.ndarray:
    """Logits of a router that chooses these experts, token by token, over and over."""
    logits = np.random.default_rng(1).uniform(-1, 1, (N_TOKENS, N_EXPERT)).astype(np.float32)
    for t, row in enumerate(logits):
        chosen = list(favourites[t % len(favourites)])
        row[chosen] += 5
    return logits


CHOICES = {
    "any two": np.random.default_rng(2).standard_normal((N_TOKENS, N_EXPERT)).astype(np.float32),
    "all rows take the same two": picks((1, 4)),
    "one row takes an expert": picks((2, 3), *[(0, 5)] * (N_TOKENS - 1)),
    "few rows each": picks(*[(0, 1)] * 12, *[(0, 2)] * 2, *[(0, 3)] * 3, *[(0, 4)] * 5),
}


class Mixture:
    """A node of experts whose weights have random bytes, and what the router says."""

    def __init__(self, type: str, down: str | None = None, n_ff: int | None = None) -> None:
        self.arrays, self.type, self.width = Arrays(), type, columns_for(type)
        self.n_ff = n_ff or columns_for(down or type)
        self.gate, self.up = (self.matrices(type, self.n_ff, self.width, seed) for seed in (1, 2))
        self.down = self.matrices(down or type, 40, self.n_ff, 3)
        self.x = np.random.default_rng(4).standard_normal((N_TOKENS, self.width)).astype(np.float32)

    def matrices(self, type: str, n_rows: int, n_columns: int, seed: int):
        data = rows_of_bytes(type, N_EXPERT * n_rows, n_columns, seed)
        return self.arrays.add(data.reshape(N_EXPERT, n_rows, -1), type, n_columns)

    def numbers(self, *shape: int):
        return self.arrays.floats(np.random.default_rng(len(shape)).uniform(0.5, 1.5, (N_EXPERT, *shape)))

    def node(self, logits: np.ndarray, **terms: object) -> Node:
        x, router = self.arrays.input(self.x), self.arrays.input(logits)
        return Experts(x, router, **{"gate": self.gate, "up": self.up, "down": self.down, "n_used": 2} | terms)

    def check(self, node: Node, n_tokens: int = N_TOKENS) -> None:
        """In programs for many and for few tokens, whatever the threads."""
        alone = evaluate(node, self.arrays, n_tokens, KINDS[0])
        assert np.isfinite(alone).all() and np.ptp(alone) > 0
        for kind in (KINDS[1], FEW):
            for n_threads in (1, 3):
                np.testing.assert_array_equal(evaluate(node, self.arrays, n_tokens, kind, n_threads), alone)


@types
@pytest.mark.parametrize("choice", CHOICES)
def test_rows_of_an_expert_together_have_the_bits_of_one(type, choice):
    mixture = Mixture(type)
    mixture.check(mixture.node(CHOICES[choice]))


@pytest.mark.parametrize("type", ["q4_k", "f16"])
def test_every_number_of_tokens(type):
    mixture = Mixture(type)
    node = mixture.node(CHOICES["any two"])
    for n_tokens in (2, 3, 5, 9, 17):
        mixture.check(node, n_tokens)


@pytest.mark.parametrize("type", ["q8_0", "f32", "bf16"])
def test_ungated_experts_with_scales_and_biases(type):
    mixture = Mixture(type)
    mixture.check(mixture.node(
        CHOICES["any two"], gate=None, activation="relu2", up_bias=mixture.numbers(mixture.n_ff),
        down_bias=mixture.numbers(40), up_scale=mixture.numbers(), down_scale=mixture.numbers(),
    ))  # fmt: skip


@pytest.mark.parametrize("type", ["q5_k", "f16"])
def test_gated_experts_with_scales_biases_and_an_activation_of_its_own_step(type):
    mixture = Mixture(type)
    terms = {f"{name}_bias": mixture.numbers(mixture.n_ff) for name in ("gate", "up")}
    node = mixture.node(CHOICES["few rows each"], activation="swiglu_oai", limit=3.0, up_cap=2.0, **terms)
    mixture.check(node)
    kernels = [step.kernel.partition("[")[0] for step in Bench(node, mixture.arrays, N_TOKENS, KINDS[1]).steps]
    assert kernels.count("grouping.sort") == 1
    assert kernels.count("quantize.tiles" if type == "q5_k" else "grouping.gather") == 2  # for both, and for down


@pytest.mark.parametrize("type, down, n_ff", [("q4_k", "q6_k", None), ("q8_0", "f16", 48), ("f16", "q8_0", 32)])
def test_types_may_differ(type, down, n_ff):
    """Of gate, up and down; quantized rows and floats go in tiles of their own size."""
    mixture = Mixture(type, down, n_ff)
    mixture.check(mixture.node(CHOICES["any two"]))


@pytest.mark.parametrize("terms", [{"is_share_first": True}, {"per_expert": 2}, {"n_group": 2}], ids=str)
def test_other_routers(terms):
    mixture = Mixture("q4_0")
    logits = CHOICES["any two"]
    if "per_expert" in terms:
        logits = np.repeat(logits, 2, axis=1)  # a token's two choices may be one matrix
    mixture.check(mixture.node(logits, **terms))


def test_a_program_for_many_tokens_reads_the_weights_of_an_expert_once():
    mixture = Mixture("q4_0")
    node = mixture.node(CHOICES["any two"])
    kernels = {kind: {s.kernel.split(".")[0] for s in Bench(node, mixture.arrays, 9, kind).steps} for kind in KINDS}
    assert "grouping" not in kernels[KINDS[0]]
    assert {"grouping", "few_rows" if few_rows.pays() else "gemm"} <= kernels[KINDS[1]]


def test_layers_work_in_the_same_memory():
    mixture = Mixture("q4_0")
    root = Add(mixture.node(CHOICES["any two"]), mixture.node(CHOICES["few rows each"]))
    mixture.check(root)
    steps = Bench(root, mixture.arrays, N_TOKENS, KINDS[1]).steps
    places = [int(step.record.data["y"]) for step in steps if step.kernel == "moe.combine"]
    assert len(places) == 2 and len(set(places)) == 1
