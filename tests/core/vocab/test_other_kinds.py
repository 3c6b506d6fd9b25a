"""The rarer kinds: RWKV, PLaMo-2, DNA, words, hashes, and none."""

from __future__ import annotations

import pytest

from llamakit.core.vocab import load_vocab
from llamakit.core.vocab.trie import Trie
from llamakit.errors import VocabError
from tests.core.vocab.vocabs import BYTE, CONTROL, UNKNOWN, UNUSED, bpe_metadata, kind_metadata, texts_of

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def test_a_trie_finds_all_entries_at_a_place() -> None:
    trie = Trie([("a", 1), ("ab", 2), ("abcd", 3), ("b", 4), ("ab", 5), ("é", 6)])
    assert trie.matches("abcde", 0) == [(1, 1), (2, 5), (4, 3)]
    assert trie.matches("abc", 0) == [(1, 1), (2, 5)]
    assert (trie.matches("xab", 1), trie.matches("ax", 1), trie.matches("a", 0)) == ([(2, 1), (3, 5)], [], [(1, 1)])
    assert Trie([(b"\xff\xfe", 1)]).matches(b"a\xff\xfe\xfd", 1) == [(3, 1)]


def test_rwkv_takes_the_longest_bytes_and_reads_escapes() -> None:
    texts = ["<s>", "a", "ab", "\\n", "\\n\\n", "\\xe4\\xb8", "\\\\", "\\'", "é", "\\x00"]
    vocab = load_vocab(kind_metadata("rwkv", texts, [CONTROL]))
    ids = vocab.encode("abab\n\n\n中é\\'\0a")
    assert ids == [2, 2, 4, 3, 5, 0, 8, 6, 7, 9, 1]  # of 中 only two bytes are known
    assert vocab.detokenize(ids[:5]) == b"abab\n\n\n\xe4\xb8"
    assert vocab.encode("<s>")[0] == 0 and vocab.encode("<s>", parse_special=True) == [0]
    assert (vocab.bos_id, vocab.add_bos, vocab.newline_id) == (None, False, 3)


def test_rwkv_shows_unused_tokens_too() -> None:
    assert load_vocab(kind_metadata("rwkv", ["a", "b"], [UNUSED, UNUSED])).piece(1) == b"b"


@pytest.mark.parametrize(
    "scores, text, expected",
    [
        ({"a": -1.0, "b": -1.0, "ab": -1.5}, "ab", ["ab"]),
        ({"a": -1.0, "b": -1.0, "ab": -2.5}, "ab", ["a", "b"]),
        ({"a": -1.0, "b": -1.0, "ab": -2.0}, "ab", ["ab"]),  # of equal sums the longer token first
        ({"a": -1.0}, "aé", ["a", "<0xC3>", "<0xA9>"]),
        ({"a": -1.0}, "\ufeffa\ufeff", ["a", "<0xEF>", "<0xBB>", "<0xBF>"]),
        ({"a": -1.0, "aé": -1001.5}, "aé", ["a", "<0xC3>", "<0xA9>"]),
        ({"a": -1.0, "aé": -999.0}, "aé", ["aé"]),
        ({"a": -3000.0}, "a", ["<0x61>"]),
    ],
)
def test_plamo2_takes_the_best_sum_and_spells_the_rest(
    scores: dict[str, float], text: str, expected: list[str]
) -> None:
    metadata = kind_metadata("plamo2", ["<unk>", "<bos>", "<eos>", "<pad>", *BYTES, *scores])
    metadata["tokenizer.ggml.token_type"][:260] = [UNKNOWN, CONTROL, CONTROL, CONTROL] + [BYTE] * 256
    metadata["tokenizer.ggml.scores"] = [0.0] * 260 + list(scores.values())
    vocab = load_vocab(metadata)
    assert texts_of(vocab, vocab.encode(text)) == expected
    assert vocab.detokenize(vocab.encode(text)).decode() == text.removeprefix("\ufeff")


def test_plamo2_needs_all_bytes() -> None:
    with pytest.raises(VocabError, match="<0x2A> is missing"):
        load_vocab(kind_metadata("plamo2", [*BYTES[:42], *BYTES[43:]]))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("<dna>ACGTAC</dna>x", ["<dna>", "ACGTAC", "</dna>", "x"]),
        ("x<dna>acgtac", ["x", "<dna>", "ACGTAC"]),
        ("<dna>ACGTACGT</dna>", ["<dna>", "ACGTAC", "GTAAAA", "</dna>"]),  # the last one is filled with A
        ("<dna>NNNNNN</dna></dna>", ["<dna>", "<oov>", "</dna>", "<", "/", "d", "n", "a", ">"]),
        ("<dna></dna>", ["<dna>", "</dna>"]),
        ("ACGTAC", ["A", "C", "G", "T", "A", "C"]),
    ],
)
def test_dna_is_cut_in_sixes(text: str, expected: list[str]) -> None:
    metadata = bpe_metadata(model="hybriddna")
    tokens = ["<dna>", "</dna>", "<oov>", "ACGTAC\ue000", "GTAAAA\ue000"]
    metadata["tokenizer.ggml.tokens"] += tokens
    metadata["tokenizer.ggml.token_type"] += [1] * 5
    vocab = load_vocab(metadata)
    assert [vocab.texts[i] for i in vocab.encode(text)] == expected


def test_without_its_tokens_dna_is_text() -> None:
    plain, dna = load_vocab(bpe_metadata()), load_vocab(bpe_metadata(model="hybriddna"))
    assert dna.encode("<dna>ACGTAC</dna>") == plain.encode("<dna>ACGTAC</dna>")


@pytest.mark.parametrize("keys, expected", [({}, "B"), ({"normalizer.lowercase": True}, "b")])
def test_words_lose_their_white_space(keys: dict[str, bool], expected: str) -> None:
    texts = ["<unk>", "a", "b", "B", "ab", "<0xC3>"]
    vocab = load_vocab(kind_metadata("whitespace", texts, pre="whitespace", merges=["a b"], **keys))
    assert texts_of(vocab, vocab.encode(" ab\n\u3000 Bé\x85a")) == ["ab", expected, "<0xC3>", "a"]


def test_hashes_show_their_numbers() -> None:
    vocab = load_vocab(kind_metadata("test", [f"t{i}" for i in range(1000)], [CONTROL]))
    assert vocab.encode("abcdefg") == [h("abcde"), h("fg")]
    assert vocab.detokenize([17, 255]) == b"11ff"
    assert vocab.encode("t0fg", parse_special=True) == [0, h("fg")]


def h(chunk: str) -> int:
    value = 0
    for byte in chunk.encode():
        value = value * 31 + byte
    return value % 1000


def test_without_a_vocabulary_tokens_have_no_text() -> None:
    vocab = load_vocab({"tokenizer.ggml.model": "no_vocab", "general.architecture": "llama", "llama.vocab_size": 5})
    assert (vocab.n_tokens, vocab.piece(4), vocab.detokenize([0, 4]), vocab.newline_id) == (5, b"", b"", None)
    assert vocab.encode("") == []
    with pytest.raises(VocabError, match="takes token ids, not text"):
        vocab.encode("a")
    assert load_vocab({}).n_tokens == 0
    for size in (-1, 1 << 40, "5"):
        with pytest.raises(VocabError, match=r"llama\.vocab_size"):
            load_vocab({"general.architecture": "llama", "llama.vocab_size": size})
