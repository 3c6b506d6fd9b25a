"""Byte-level BPE: merges by rank, leftovers, and the tokenizers library as a second engine."""

from __future__ import annotations

import json
import random

import pytest

from llamakit.core.vocab import load_vocab
from llamakit.core.vocab.letters import LETTERS
from llamakit.errors import VocabError
from tests.core.vocab.vocabs import SHARED, bpe_metadata, engine, needs_shared, texts_of

ENGINES = pytest.mark.parametrize("name", ["own", "library"])


@ENGINES
@pytest.mark.parametrize(
    "merges, text, expected",
    [
        ([], "ab", ["a", "b"]),
        (["a b", "b c"], "abc", ["ab", "c"]),
        (["b c", "a b"], "abc", ["a", "bc"]),
        (["a a"], "aaaaa", ["aa", "aa", "a"]),  # ties go to the left
        (["a a", "aa a"], "aaaaa", ["aa", "aaa"]),
        (["a b", "b c", "a b"], "abc", ["ab", "c"]),  # of equal merges the first counts
        (["Ġ a", "Ġa b"], "ab ab", ["a", "b", "Ġab"]),
        (["Ã ©"], "é", ["Ã©"]),
    ],
)
def test_merges_apply_by_rank(name: str, merges: list[str], text: str, expected: list[str]) -> None:
    vocab = load_vocab(bpe_metadata(merges))
    with engine(name):
        assert texts_of(vocab, vocab.encode(text)) == expected


@ENGINES
def test_a_byte_without_token_vanishes_and_nothing_merges_across_it(name: str) -> None:
    vocab = load_vocab(bpe_metadata(["a b"], drop="x"))
    with engine(name):
        assert texts_of(vocab, vocab.encode("axb ab")) == ["a", "b", "Ġ", "ab"]


@ENGINES
def test_a_merged_symbol_that_is_no_token_falls_apart_into_ascii_letters(name: str) -> None:
    metadata = bpe_metadata(["a b", "Ġ ab"])
    i = metadata["tokenizer.ggml.tokens"].index("Ġab")
    del metadata["tokenizer.ggml.tokens"][i], metadata["tokenizer.ggml.token_type"][i]
    vocab = load_vocab(metadata)
    with engine(name):
        assert texts_of(vocab, vocab.encode("ab ab")) == ["ab", "a", "b"]


@ENGINES
def test_ignore_merges_emits_a_piece_that_is_a_token(name: str) -> None:
    metadata = bpe_metadata(["a b", "b c", "ab c"])
    metadata["tokenizer.ggml.merges"] = ["a b", "b c"]  # "abc" is a token that no merge reaches
    with engine(name):
        for pre, expected in [("gpt-2", ["ab", "c"]), ("llama-bpe", ["abc"])]:
            vocab = load_vocab(metadata | {"tokenizer.ggml.pre": pre})
            assert texts_of(vocab, vocab.encode("abc")) == expected


def test_both_engines_agree_on_random_vocabularies() -> None:
    rng = random.Random(3)
    for _ in range(60):
        symbols = [LETTERS[byte] for byte in b"abc \xc3\xa9\n1"]
        merges = []
        for _ in range(rng.randrange(40)):
            left, right = rng.choices(symbols, k=2)
            merges.append(f"{left} {right}")
            if len(left + right) < 6:
                symbols.append(left + right)
        vocab = load_vocab(bpe_metadata(merges, pre=rng.choice(["gpt-2", "smollm", "qwen2", "default"])))
        for _ in range(5):
            text = "".join(rng.choices("aabbc é😀\n1", k=20))
            with engine("own"):
                own = vocab.encode(text)
            with engine("library"):
                assert vocab.encode(text) == own, (merges, text)


@needs_shared
@pytest.mark.parametrize("folder, pre", [("gpt-oss", "gpt-2"), ("llama3-rope", "llama-bpe"), ("qwen2", "qwen2")])
def test_ids_are_those_of_the_hugging_face_tokenizer(folder: str, pre: str) -> None:
    from tokenizers import Tokenizer

    path = SHARED / "golden/hf" / folder / "tokenizer.json"
    oracle = Tokenizer.from_file(str(path))
    model = json.loads(path.read_text())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    metadata = bpe_metadata(merges, pre=pre)
    metadata["tokenizer.ggml.tokens"] = sorted(oracle.get_vocab(), key=oracle.get_vocab().__getitem__)
    del metadata["tokenizer.ggml.token_type"]
    vocab = load_vocab(metadata)
    for text in [
        "Hello, world!",
        "It's 2024: don't  stop\n\n now",
        "naïve café Ünïcode",
        "日本語 한국어 😀 ١٢٣",
        " \t x ",
    ]:
        assert vocab.encode(text, add_special=False) == oracle.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    "text, expected",
    [("Ġa", b" a"), ("Ã©", "é".encode()), ("ðŁ", b"\xf0\x9f"), ("▁a", b"[UNK_BYTE_0xe29681\xe2\x96\x81a]a")],
)
def test_a_piece_is_decoded_letter_by_letter(text: str, expected: bytes) -> None:
    metadata = bpe_metadata()
    metadata["tokenizer.ggml.tokens"][10] = text
    assert load_vocab(metadata).piece(10) == expected


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    vocab = load_vocab(bpe_metadata())
    assert vocab.detokenize(vocab.encode(b"a\xff\xe2\x82b")).decode() == "a\ufffd\ufffd\ufffdb"


def test_spaces_before_punctuation_are_cleaned_up_where_the_rule_says_so() -> None:
    text = "Hi , you 're right ! ' x ' , don 't"
    for pre, expected in [("gpt-2", "Hi, you're right!'x ', don 't"), ("smollm", text)]:
        vocab = load_vocab(bpe_metadata(pre=pre))
        assert vocab.detokenize(vocab.encode(text)) == expected.encode()


def test_a_missing_pre_tokenizer_means_the_default_rules_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    metadata = bpe_metadata()
    del metadata["tokenizer.ggml.pre"]
    assert load_vocab(metadata).encode("a1") == load_vocab(bpe_metadata(pre="default")).encode("a1")
    assert "names no pre-tokenizer" in caplog.text


def test_an_unknown_pre_tokenizer_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(VocabError, match=r"'nonesuch' is not supported.*llama-bpe.*qwen2.*smollm"):
        load_vocab(bpe_metadata(pre="nonesuch"))
