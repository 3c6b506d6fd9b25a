"""Importance matrices from text: what is summed, over which tokens, and how files are merged and resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk as Tokens
from llamakit.core.engine.context import Context, Outputs
from llamakit.core.engine.input_squares import InputSquares
from llamakit.core.engine.load import Model
from llamakit.errors import UsageError
from llamakit.tools.imatrix import Collector, Settings, combine, read_unfinished, save, unused_experts
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry, read_imatrix, write_dat, write_gguf

from ..tiny import Tiny, write_tiny

N_CTX = 32
TOKENS = np.random.default_rng(5).integers(0, 67, 200).tolist()


class Vocab:
    """What the collector asks of a vocabulary."""

    bos_id = 1

    def __init__(self, add_bos: bool) -> None:
        self.add_bos = add_bos


def open_model(path: Path, add_bos: bool = False) -> Model:
    model = Model(path)
    model.__dict__["vocab"] = Vocab(add_bos)  # a cached property
    return model


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", Tiny(is_tied=True))


def collect(path: Path, *, add_bos: bool = False, first: int = 0, n: int | None = None, **settings) -> Imatrix:
    with Collector(open_model(path, add_bos), Settings(**{"n_ctx": N_CTX, "n_ubatch": 96, **settings})) as collector:
        for _ in collector.compute(collector.windows(TOKENS, first, n)):
            pass
        return collector.imatrix(["text"])


def by_hand(path: Path, windows: list[list[int]]) -> dict[str, np.ndarray]:
    squares = InputSquares(lambda name: name.startswith("blk."))
    with Context(Model(path), n_ctx=N_CTX, observer=squares) as context:
        for window in windows:
            context.truncate(0)
            context.decode([Tokens(window, outputs=Outputs.NONE)])
    squares.take()
    return {name: seen.sums for name, seen in squares.seen.items()}


@pytest.mark.parametrize("first, n, expected", [(0, None, range(6)), (2, None, range(2, 6)), (1, 3, range(1, 4))])
def test_the_chunks_asked_for_are_summed_with_all_their_tokens(path, first, n, expected):
    matrix = collect(path, first=first, n=n)
    sums = by_hand(path, [TOKENS[N_CTX * i : N_CTX * (i + 1)] for i in expected])
    assert matrix.n_chunks == len(expected) and matrix.chunk_size == N_CTX and matrix.datasets == ("text",)
    assert matrix.entries.keys() == sums.keys()
    for name, entry in matrix.entries.items():
        np.testing.assert_allclose(entry.sums, sums[name], rtol=1e-4)
        assert entry.counts.tolist() == [N_CTX * len(expected)]


def test_bos_takes_the_place_of_a_chunks_first_token(path):
    matrix = collect(path, add_bos=True, n=1)
    sums = by_hand(path, [[1, *TOKENS[1:N_CTX]]])
    np.testing.assert_allclose(matrix.entries["blk.0.attn_q.weight"].sums, sums["blk.0.attn_q.weight"], rtol=1e-4)


@pytest.mark.parametrize("settings", [{"n_ubatch": 20}, {"n_ubatch": 32}, {"with_perplexity": False}, {"n_threads": 1}])
def test_how_the_work_is_cut_does_not_matter(path, settings):
    """Except for rests of fewer than 16 tokens: here 20 and 12 of every chunk."""
    whole, cut = collect(path), collect(path, **settings)
    n = 20 if settings.get("n_ubatch") == 20 else N_CTX
    for name, entry in cut.entries.items():
        assert entry.counts.tolist() == [n * 6]
        if n == N_CTX:
            np.testing.assert_allclose(entry.sums, whole.entries[name].sums, rtol=1e-5)


def test_the_output_head_counts_every_row_when_asked_for(path):
    plain, more = collect(path), collect(path, process_output=True)
    assert more.entries.keys() - plain.entries.keys() == {"token_embd.weight"}  # tied: the table is the head
    assert more.entries["token_embd.weight"].counts.tolist() == [N_CTX * 6]
    np.testing.assert_array_equal(more.entries["blk.0.ffn_up.weight"].sums, plain.entries["blk.0.ffn_up.weight"].sums)


@pytest.mark.parametrize("process_output", [False, True])
def test_the_second_half_of_each_chunk_is_scored(path, process_output):
    settings = Settings(n_ctx=N_CTX, n_ubatch=64, process_output=process_output)
    with Collector(open_model(path), settings) as collector:
        found = list(collector.compute(collector.windows(TOKENS, n_chunks=3)))
    with Context(Model(path), n_ctx=N_CTX) as context:
        for i, nll in enumerate(found):
            window = TOKENS[N_CTX * i : N_CTX * (i + 1)]
            context.truncate(0)
            logits = context.decode([Tokens(window, outputs=Outputs.ALL)]).astype(np.float64)
            logprobs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            wanted = [-logprobs[j, window[j + 1]] for j in range(N_CTX // 2, N_CTX - 1)]
            np.testing.assert_allclose(nll, wanted, atol=1e-5)


def test_too_short_a_text_is_refused(path):
    with Collector(open_model(path), Settings(n_ctx=N_CTX)) as collector:
        with pytest.raises(UsageError, match="64 tokens"):
            collector.windows(TOKENS[:63])
        with pytest.raises(UsageError, match="after 5 chunks"):
            collector.windows(TOKENS, first_chunk=5)


def entry(sums: list[list[float]], counts: list[float]) -> ImatrixEntry:
    return ImatrixEntry(np.array(sums, np.float32), np.array(counts, np.float32))


def test_matrices_of_both_formats_add_up_in_tokens(tmp_path):
    """A .dat file counts chunks, and does not know where one expert ends."""
    dense, experts = entry([[8.0, 16.0]], [64]), entry([[6.0, 2.0], [4.0, 12.0]], [32, 32])
    matrix = Imatrix({"a": dense, "b": experts}, ("one",), 2, 32)
    write_gguf(tmp_path / "m.gguf", matrix)
    write_dat(tmp_path / "m.dat", matrix)
    both = combine([read_imatrix(tmp_path / "m.gguf"), read_imatrix(tmp_path / "m.dat")], 32)
    assert both.n_chunks == 4 and both.datasets == ("one", "one")
    np.testing.assert_allclose(both.entries["a"].sums, 2 * dense.sums)
    np.testing.assert_allclose(both.entries["b"].importance, experts.importance)


def test_chunks_of_another_length_are_counted_anew():
    matrix = combine(
        [Imatrix({"a": entry([[1.0]], [64])}, (), 2, 32), Imatrix({"a": entry([[1.0]], [64])}, (), 4, 16)], 64
    )
    assert (matrix.n_chunks, matrix.chunk_size, matrix.entries["a"].counts.tolist()) == (2, 64, [128])


def test_experts_without_input_are_told():
    assert unused_experts(Imatrix({"a": entry([[1.0], [0.0]], [3, 0]), "b": entry([[1.0]], [3])})) == {"a": 0.5}


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(path, tmp_path):
    whole, part = collect(path), collect(path, n=2)
    save(tmp_path / "m.gguf", part)
    unfinished = read_unfinished(tmp_path / "m.gguf", "text", N_CTX)
    assert unfinished is not None and unfinished.n_chunks == 2
    with Collector(open_model(path), Settings(n_ctx=N_CTX, n_ubatch=96)) as collector:
        list(collector.compute(collector.windows(TOKENS, unfinished.n_chunks)))
        resumed = collector.imatrix(["text"], [unfinished])
    assert resumed.n_chunks == 6
    for name, one in resumed.entries.items():
        np.testing.assert_allclose(one.sums, whole.entries[name].sums, rtol=1e-5)


@pytest.mark.parametrize("dataset, n_ctx", [("another", N_CTX), ("text", 64)])
def test_a_file_of_another_run_is_not_resumed(path, tmp_path, dataset, n_ctx):
    save(tmp_path / "m.gguf", collect(path, n=1))
    with pytest.raises(UsageError, match="cannot be resumed"):
        read_unfinished(tmp_path / "m.gguf", dataset, n_ctx)
    assert read_unfinished(tmp_path / "none.gguf", dataset, n_ctx) is None
