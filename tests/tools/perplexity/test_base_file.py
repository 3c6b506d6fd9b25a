"""Files of log-probabilities: what is written is read, by llama.cpp too, and what is none is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from llamakit.errors import GGUFError
from llamakit.tools.perplexity.base_file import BaseReader, BaseWriter
from llamakit.tools.perplexity.measure import measure, measure_and_save
from llamakit.tools.perplexity.packed import PackedRows

from ...running import open_context
from .models import write_model
from .test_measure import windows_of

N_CTX, N_VOCAB, N_CHUNKS = 7, 5, 2
TOKENS = np.arange(N_CTX * N_CHUNKS, dtype=np.int32).reshape(N_CHUNKS, N_CTX) % N_VOCAB
N_ROWS = N_CHUNKS * (N_CTX - 1 - N_CTX // 2)


def packed_rows():
    packed = PackedRows.empty(N_ROWS, N_VOCAB)
    packed.header[:] = [[0.5 + i, -i] for i in range(N_ROWS)]
    packed.rows[:, 4 : 4 + N_VOCAB] = np.arange(N_ROWS * N_VOCAB).reshape(N_ROWS, N_VOCAB) * 1000
    return packed


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "base.kld"
    writer = BaseWriter(path, TOKENS, N_VOCAB)
    packed = packed_rows()
    writer.write(packed[:4])
    writer.write(packed[4:])
    assert not path.exists()
    writer.commit()
    return path


def test_the_bytes_are_those_of_the_format(path):
    """8 bytes of magic, three int32, the tokens, then two floats and n_vocab + n_vocab % 2 numbers a row."""
    packed = packed_rows()
    raw = b"_logits_" + struct.pack("<3i", N_CTX, N_VOCAB, N_CHUNKS) + TOKENS.tobytes()
    for (scale, least), row in zip(packed.header, packed.rows, strict=True):
        raw += struct.pack("<2f6H", scale, least, *row[4:])
    assert path.read_bytes() == raw


@pytest.mark.parametrize("sizes", [(6,), (1, 2, 3), (4, 2)])
def test_rows_come_back_in_order(path, sizes):
    with BaseReader(path) as reader:
        assert reader.n_vocab == N_VOCAB
        np.testing.assert_array_equal(reader.tokens, TOKENS)
        found = np.concatenate([reader.read(n).rows.copy() for n in sizes])
        np.testing.assert_array_equal(found, packed_rows().rows)
        with pytest.raises(GGUFError, match="ends within"):
            reader.read(1)


def test_the_windows_of_a_file_are_those_it_was_made_of(path):
    with BaseReader(path) as reader:
        windows = reader.windows(bos_id=3, n_chunks=1)
    assert (len(windows), windows.n_ctx, windows.first, windows.bos_id) == (1, N_CTX, N_CTX // 2, 3)


def test_what_is_not_committed_is_removed(tmp_path):
    writer = BaseWriter(tmp_path / "base.kld", TOKENS, N_VOCAB)
    writer.write(packed_rows())
    writer.close()
    assert list(tmp_path.iterdir()) == []


def whole(path, change):
    raw = bytearray(path.read_bytes())
    change(raw)
    path.write_bytes(raw)


def put(offset, layout, *values):
    return lambda raw: struct.pack_into(layout, raw, offset, *values)


def cut_to(n):
    def change(raw):
        del raw[n:]

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (cut_to(0), "no file of log-probabilities"),
        (put(0, "8s", b"GGUF____"), "no file of log-probabilities"),
        (cut_to(12), "ends in its header"),
        (put(8, "<i", 2), "makes no sense"),
        (put(12, "<i", 0), "makes no sense"),
        (put(16, "<i", -1), "makes no sense"),
        (put(16, "<i", 2**30), "ends before"),
        (cut_to(-1), "ends before"),
        (put(20, "<i", N_VOCAB), "outside its vocabulary"),
        (put(20, "<i", -1), "outside its vocabulary"),
    ],
)
def test_a_file_that_is_none_is_refused_when_it_is_opened(path, change, message):
    whole(path, change)
    with pytest.raises(GGUFError, match=message):
        BaseReader(path)


def test_log_probabilities_that_are_no_numbers_are_refused(path):
    whole(path, put(20 + TOKENS.nbytes, "<f", np.nan))
    with BaseReader(path) as reader, pytest.raises(GGUFError, match="not numbers"):
        reader.read(2)


def test_a_file_that_is_not_there_is_an_error_with_its_name(tmp_path):
    with pytest.raises(GGUFError, match=r"missing\.kld.*No such file"):
        BaseReader(tmp_path / "missing.kld")


def test_saving_changes_no_figure_and_the_file_holds_them(tmp_path):
    path = tmp_path / "base.kld"
    with open_context(write_model(tmp_path / "tiny.gguf"), n_ctx=99, n_seq_max=3) as context:
        windows = windows_of(context, n_chunks=4)
        plain = list(measure(context, windows, 3))
        np.testing.assert_array_equal(list(measure_and_save(context, windows, path, 3)), plain)
        with BaseReader(path) as reader:
            np.testing.assert_array_equal(reader.tokens, windows.tokens)
            for i, nll in enumerate(plain):
                packed = reader.read(windows.n_scored)
                np.testing.assert_allclose(-packed.logprobs(windows.targets(range(i, i + 1))), nll, atol=2e-4)


def test_a_run_that_is_stopped_leaves_no_file(tmp_path):
    with open_context(write_model(tmp_path / "tiny.gguf")) as context:
        run = measure_and_save(context, windows_of(context, n_chunks=4), tmp_path / "base.kld")
        next(run)
        run.close()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]
