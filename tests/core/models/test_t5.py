"""Encoder and decoder: T5's answers to a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Context, Outputs
from llamakit.core.engine.embed import Embedder
from llamakit.core.engine.generate import Session, generate
from llamakit.core.engine.load import Model
from llamakit.core.engine.pooling import Pooling
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.graph.ops.buckets import Buckets
from llamakit.core.vocab.stream import TextStream
from llamakit.errors import ModelError, UsageError

from ...encoders import Shapes, vectors
from ...fake_engine import ByteVocab, GreedySampler
from ...running import open_context, open_decoder, reference
from ...tiny import Tiny, write_tiny

N_EMBD, N_HEAD, HEAD_DIM, N_FF, N_VOCAB = 64, 3, 24, 96, 67
INNER = N_HEAD * HEAD_DIM
SOURCE = np.random.default_rng(1).integers(0, N_VOCAB, 70)
ANSWER = np.random.default_rng(2).integers(0, N_VOCAB, 90)


def matrices(prefix: str) -> Shapes:
    return [(f"{prefix}_{n}.weight", (INNER, N_EMBD)) for n in "qkv"] + [(f"{prefix}_o.weight", (N_EMBD, INNER))]


def write_t5(path: Path, arch: str = "t5", has_gate: bool = True, layers_with_biases: tuple[int, ...] = (0,)) -> Path:
    keys = {
        "block_count": 2, "context_length": 256, "embedding_length": N_EMBD, "feed_forward_length": N_FF,
        "attention.head_count": N_HEAD, "attention.key_length": HEAD_DIM, "attention.value_length": HEAD_DIM,
        "attention.layer_norm_rms_epsilon": 1e-6, "attention.relative_buckets_count": 16,
        "attention.relative_max_distance": 40, "decoder_block_count": 3, "logit_scale": 0.125,
    }  # fmt: skip
    forward: Shapes = [("ffn_up.weight", (N_FF, N_EMBD)), ("ffn_down.weight", (N_EMBD, N_FF))]
    forward += [("ffn_gate.weight", (N_FF, N_EMBD))] if has_gate else []
    own = [*matrices("attn"), *forward, *vectors("attn_norm", "ffn_norm", has_bias=False)]
    crossed = [*matrices("cross_attn"), *vectors("cross_attn_norm", has_bias=False)]
    tensors: Shapes = [("token_embd.weight", (N_VOCAB, N_EMBD))]
    for side, n_layer, layer in (("enc", 2, own), ("dec", 3, own + crossed)):
        if side == "enc" or arch == "t5":
            tensors += vectors(f"{side}.output_norm", has_bias=False)
            for i in range(n_layer):
                biases: Shapes = [("attn_rel_b.weight", (16, N_HEAD))] if i in layers_with_biases else []
                tensors += [(f"{side}.blk.{i}.{name}", shape) for name, shape in [*layer, *biases]]
    rng = np.random.default_rng(0)
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", arch)
        for key, value in keys.items():
            writer.add(f"{arch}.{key}", value)
        for name, shape in tensors:
            x = rng.uniform(-1, 1, shape).astype(np.float32)
            x = 1 + x * np.float32(0.3) if "norm" in name else x
            is_small = len(shape) > 1 and "embd" not in name and "rel_b" not in name
            writer.add_tensor(name, x * np.float32((2 / shape[-1]) ** 0.5) if is_small else x)
    return path


@pytest.fixture(scope="module")
def t5(tmp_path_factory) -> Path:
    return write_t5(tmp_path_factory.mktemp("models") / "t5.gguf")


def answered(path: Path, source: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Logits of the formula."""
    decoder = open_decoder(path)
    encoder = reference(decoder, decoder.source(256))
    encoder.run(source)
    run = reference(decoder)
    run.cache |= encoder.cache
    return run.run(answer)


@pytest.mark.parametrize(
    "options", [{}, {"has_gate": False}, {"layers_with_biases": (0, 1, 2)}], ids=["gate", "no gate", "biases in all"]
)
def test_the_program_is_the_formula(tmp_path, options):
    path = write_t5(tmp_path / "t5.gguf", **options)
    wanted = answered(path, SOURCE, ANSWER)
    with open_context(path) as context:
        context.encode(SOURCE)
        got = context.decode([Chunk(ANSWER, 0, Outputs.ALL)])
    np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_answer_has_the_same_bits_however_it_is_cut(t5, size, n_threads):
    with open_context(t5) as context:
        context.encode(SOURCE)
        whole = context.decode([Chunk(ANSWER, 0, Outputs.ALL)])
    with open_context(t5, n_threads=n_threads, n_seq_max=2) as context:
        context.encode(SOURCE[:9], seq=1)
        context.encode(SOURCE)
        for i in range(0, len(ANSWER), size):
            both = [Chunk(ANSWER[i : i + size], 0, Outputs.ALL), Chunk(ANSWER[: min(i + 1, 3)], 1)][: 1 + (i < 3)]
            part = context.decode(both)[: len(ANSWER[i : i + size])]
            np.testing.assert_array_equal(part, whole[i : i + size])


def test_a_sequence_can_be_cut_behind_its_source_and_forked(t5):
    with open_context(t5, n_seq_max=2) as context:
        context.encode(SOURCE)
        first = context.prefill(ANSWER[:20])
        assert context.truncate(len(SOURCE)) == len(SOURCE)
        np.testing.assert_array_equal(context.prefill(ANSWER[:20]), first)
        context.cache.fork(0, 1, len(SOURCE) + 5)
        np.testing.assert_array_equal(context.prefill(ANSWER[5:20], seq=1), first)
        with pytest.raises(UsageError, match="within"):
            context.cache.fork(0, 1, len(SOURCE) - 1)
        assert context.truncate(len(SOURCE) - 1) == 0
        context.encode(SOURCE[:3])
        assert not context.can_shift


def test_a_generation_answers_its_prompt(t5):
    with open_context(t5) as context:
        context.encode(SOURCE)
        logits, wanted = context.step(0), []
        for _ in range(8):
            wanted.append(int(np.argmax(logits)))
            logits = context.step(wanted[-1])
        context.truncate(0)
        session = Session(context, ByteVocab(), GreedySampler(), TextStream(ByteVocab()))
        assert [piece.token for piece in generate(session, SOURCE.tolist(), 8)] == wanted
        assert session.tokens == [*SOURCE.tolist(), 0, *wanted[:-1]]


def test_an_answer_without_a_source_is_refused(t5):
    with open_context(t5) as context, pytest.raises(UsageError, match="answers a source"):
        context.prefill(ANSWER)


def test_sources_that_do_not_fit_are_refused(t5, tmp_path):
    with open_context(t5, n_ctx=64, n_ubatch=64) as context:
        for source in ([], SOURCE):
            with pytest.raises(UsageError, match="a source of"):
                context.encode(source)
        context.encode(SOURCE[:60])
        with pytest.raises(UsageError, match="in front of all else"):
            context.encode(SOURCE[:3])
        with pytest.raises(ModelError, match="context is 64"):
            context.prefill(ANSWER[:5])
    with (
        open_context(write_tiny(tmp_path / "llama.gguf", Tiny())) as context,
        pytest.raises(UsageError, match="encoder"),
    ):
        context.encode([1])


@pytest.mark.parametrize("arch", ["t5", "t5encoder"])
def test_the_encoder_alone_embeds(tmp_path, arch):
    path = write_t5(tmp_path / "t5.gguf", arch)
    decoder = open_decoder(path)
    wanted = reference(decoder, decoder.hidden(256)).run(SOURCE)
    with Embedder(Model(path), pooling=Pooling.NONE) as embedder:
        states = embedder.embed([SOURCE, SOURCE[:5]], norm=-1)
    np.testing.assert_allclose(states[: len(SOURCE)], wanted, atol=2e-5)


def test_buckets_are_t5_s():
    ahead = np.array([-1000, -40, -12, -8, -7, -1, 0, 1, 3, 4, 10, 100])
    one = Buckets(16, 40, is_two_sided=False).of(ahead)
    two = Buckets(16, 40, is_two_sided=True).of(ahead)
    assert one.tolist() == [15, 15, 10, 8, 7, 1, 0, 0, 0, 0, 0, 0]
    assert two.tolist() == [7, 7, 5, 5, 4, 1, 0, 9, 11, 12, 13, 15]


def test_the_logits_are_those_of_transformers(tmp_path):
    folder = Path(__file__).parents[4] / "shared/golden/hf/t5"
    if not folder.exists():
        pytest.skip("the checkpoint lies outside the repository")
    from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
    from llamakit.convert.run import Options, carry_out

    source = Source.open(folder)
    path = tmp_path / "t5.gguf"
    list(carry_out(make_plan(source, metadata(source), OUTPUT_TYPES["f32"]), path, Options()))
    expected = np.load(folder / "expected.npz")
    with Context(Model(path), n_ctx=256, type_k="f32", type_v="f32") as context:
        context.encode(expected["tokens"])
        got = context.decode([Chunk(expected["decoder_tokens"], 0, Outputs.ALL)])
    assert ((got - expected["logits"]) ** 2).sum() <= 1e-8 * (expected["logits"] ** 2).sum()
