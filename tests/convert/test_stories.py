"""A trained model: the text that llama2.c's file gives, from the folder of the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
from llamakit.convert.run import Options, carry_out

from ..running import open_decoder, reference

STORIES = Path(__file__).parents[3] / "shared/assets/stories260K"
N_TOKENS = 200


class Llama2C:
    """llama2.c's model, written from its README: one obvious function, one token at a time."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        self.dim, n_ff, self.n_layer, self.n_head, self.n_kv, n_vocab, _ = np.frombuffer(raw, "<i4", 7).tolist()
        self.weights, self.at = np.frombuffer(raw, "<f4", offset=28), 0
        dim, n_layer, kv = self.dim, self.n_layer, self.dim // self.n_head * self.n_kv
        self.embd = self.take(n_vocab, dim)
        self.norm1 = self.take(n_layer, dim)
        self.q, self.k, self.v = self.take(n_layer, dim, dim), self.take(n_layer, kv, dim), self.take(n_layer, kv, dim)
        self.o, self.norm2 = self.take(n_layer, dim, dim), self.take(n_layer, dim)
        self.gate, self.down = self.take(n_layer, n_ff, dim), self.take(n_layer, dim, n_ff)
        self.up, self.norm3 = self.take(n_layer, n_ff, dim), self.take(dim)
        self.cache: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(n_layer)]

    def take(self, *shape: int) -> np.ndarray:
        n = int(np.prod(shape))
        self.at += n
        return self.weights[self.at - n : self.at].reshape(shape).astype(np.float64)

    def step(self, token: int) -> np.ndarray:
        """Logits after one more token."""
        x, size = self.embd[token], self.dim // self.n_head
        turn = len(self.cache[0]) * 10000.0 ** (-np.arange(0, size, 2) / size)

        def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
            return x / np.sqrt(np.mean(x * x) + 1e-5) * weight

        def turned(heads: np.ndarray) -> np.ndarray:
            pairs = heads.reshape(-1, size // 2, 2)
            a, b = pairs[..., 0], pairs[..., 1]
            return np.stack([a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)], -1).reshape(
                -1, size
            )

        for i in range(self.n_layer):
            a = norm(x, self.norm1[i])
            self.cache[i].append((turned(self.k[i] @ a), (self.v[i] @ a).reshape(-1, size)))
            keys, values = (np.stack(part) for part in zip(*self.cache[i], strict=True))
            heads = []
            for h, q in enumerate(turned(self.q[i] @ a)):
                scores = keys[:, h * self.n_kv // self.n_head] @ q / np.sqrt(size)
                weights = np.exp(scores - scores.max())
                heads.append(weights / weights.sum() @ values[:, h * self.n_kv // self.n_head])
            x = x + self.o[i] @ np.concatenate(heads)
            f = norm(x, self.norm2[i])
            gate = self.gate[i] @ f
            x = x + self.down[i] @ (gate / (1 + np.exp(-gate)) * (self.up[i] @ f))
        return self.embd @ norm(x, self.norm3)


@pytest.mark.skipif(not STORIES.is_dir(), reason="the trained model lies outside the repository")
def test_stories260k_tells_the_story_of_llama2_c(tmp_path):
    source = Source.open(STORIES / "hf")
    path = tmp_path / "stories.gguf"
    for _ in carry_out(make_plan(source, metadata(source), OUTPUT_TYPES["f32"]), path, Options()):
        pass
    llama2c, tokens = Llama2C(STORIES / "stories260K.bin"), [1]
    for _ in range(N_TOKENS):
        tokens.append(int(llama2c.step(tokens[-1]).argmax()))
    decoder = open_decoder(path)
    logits = reference(decoder, decoder.logits(256)).run(np.asarray(tokens[:-1]))
    np.testing.assert_array_equal(logits.argmax(-1), tokens[1:])  # greedy: each token is the best after those before
