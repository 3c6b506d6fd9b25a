"""llama.cpp's own vocabulary tests: texts and the ids they must give."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.vocab import Vocab, load_vocab
from tests.core.vocab.vocabs import SHARED, engine, needs_shared

pytestmark = needs_shared
FOLDER = SHARED / "golden/vocabs"
FILES = sorted(FOLDER.glob("*.gguf"))


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem.removeprefix("ggml-vocab-"))
def golden(request: pytest.FixtureRequest) -> tuple[Vocab, list[str], list[list[int]]]:
    path: Path = request.param
    with path.with_suffix(".gguf.inp").open(encoding="utf-8", newline="") as file:
        texts = file.read().removesuffix("\n__ggml_vocab_test__\n").split("\n__ggml_vocab_test__\n")
    lines = path.with_suffix(".gguf.out").read_text().split("\n")
    return (
        load_vocab(GGUFReader(path).metadata),
        texts,
        [[int(i) for i in line.split()] for line in lines[: len(texts)]],
    )


@pytest.mark.parametrize("name", ["own", "library"])
def test_ids_are_those_of_llama_cpp(golden: tuple[Vocab, list[str], list[list[int]]], name: str) -> None:
    vocab, texts, expected = golden
    assert len(texts) >= 46
    with engine(name):
        for text, ids in zip(texts, expected, strict=True):
            assert vocab.encode(text, add_special=False) == ids, repr(text)


def test_a_text_survives_the_round_trip(golden: tuple[Vocab, list[str], list[list[int]]]) -> None:
    vocab, texts, expected = golden
    if vocab.kind == "bert":
        pytest.skip("words lose their case and accents")
    lead = b" " if vocab.frame.add_space_prefix else b""
    for text, ids in zip(texts, expected, strict=True):
        pieces = b"".join(map(vocab.piece, ids))
        assert pieces == (lead + text.encode() if ids else b""), repr(text)
