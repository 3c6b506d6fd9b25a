"""Splitting rules: against the table of llama.cpp's, and by what they do to a text."""

from __future__ import annotations

import re
import time

import pytest

from llamakit.core.vocab import load_vocab
from llamakit.core.vocab.letters import LETTERS
from llamakit.core.vocab.pretokenizers import split_rule
from llamakit.errors import VocabError
from tests.core.vocab.vocabs import RULE_NAMES, SHARED, bpe_metadata, needs_shared

LATER = "lowercase=off"  # a matter of words, not of cutting them
# What llama.cpp does by code, or with letters of both cases as one, is another expression here.
OTHER_EXPRESSIONS = ("youtu", "tiny_aya", "cohere2moe", "kimi-k2", "superbpe", "afmoe")


@needs_shared
def test_every_rule_is_that_of_llama_cpp() -> None:
    lines = (SHARED / "spec/tokenizers.md").read_text(encoding="utf-8").split("\n")
    patterns: dict[str, list[str]] = {}
    for line in lines:
        if match := re.match(r"(R\d+)(\.\d+)? *$", line[:8]):
            patterns.setdefault(match[1], []).append(line[8:])
    checked = set()
    for line in lines:
        if not (match := re.match(r"\| ([^|]+) \| (R\d+) \| ([^|]*?) *\|$", line)):
            continue
        for name in match[1].split(", "):
            rule = split_rule(name)
            expressions = [
                re.sub(r"\(\?<!(\\s|\[.*?\])\)(?=\\s)", "", pattern.replace("、-。", "　-。"))
                for pattern in rule.patterns
            ]
            assert expressions == patterns[match[2]] or name in OTHER_EXPRESSIONS, name
            flags = {
                "ignore_merges=true": rule.ignore_merges,
                "add_bos=true": rule.add_bos,
                "add_sep=true": rule.add_sep,
                "bos=none": not rule.has_bos,
                "clean_spaces=false": not rule.clean_spaces,
                "escape_whitespaces=true": rule.escape_spaces,
                "raw UTF-8": rule.raw,
            }
            assert {flag for flag, is_set in flags.items() if is_set} == set(match[3].split(", ")) - {"", LATER}, name
            checked.add(name)
    assert len(checked) == 91


@pytest.mark.parametrize(
    "pre, text, pieces",
    [
        ("gpt-2", "I'm 12 x  y", ["I", "'m", " 12", " x", " ", " y"]),
        ("gpt-2", "a\n\n b", ["a", "\n\n", " b"]),
        ("smollm", "I'm 12 x", ["I", "'m", " ", "1", "2", " x"]),
        ("llama-bpe", "I'M 12345 x.\n\ny", ["I", "'M", " ", "123", "45", " x", ".\n\n", "y"]),
        ("qwen2", "I'm 12  x", ["I", "'m", " ", "1", "2", " ", " x"]),
        ("default", "a+1234", ["a", "+", "123", "4"]),
        ("deepseek-llm", "a  \nb  ", ["a", "  ", "\n", "b", "  "]),
    ],
)
def test_a_rule_cuts_a_text_into_pieces(pre: str, text: str, pieces: list[str]) -> None:
    """Seen from outside: everything inside a piece merges, nothing across."""
    vocab = load_vocab(bpe_metadata(_merges(pieces), pre=pre))
    assert [vocab.detokenize([token]).decode() for token in vocab.encode(text)] == pieces


def _merges(pieces: list[str]) -> list[str]:
    """Merges that build each piece from its letters, left to right."""
    spelt = ["".join(LETTERS[byte] for byte in piece.encode()) for piece in pieces]
    return list(dict.fromkeys(f"{piece[:k]} {piece[k]}" for piece in spelt for k in range(1, len(piece))))


def test_a_file_may_bring_its_own_rules() -> None:
    keys = {"llamakit.pre.regex": ["[0-9]{2}", r"\p{L}+"]}
    metadata = bpe_metadata(["1 2", "12 3", "a b", "ab c", "ab Ġ"], pre="some-new-one") | keys
    vocab = load_vocab(metadata)
    assert [vocab.texts[i] for i in vocab.encode("1234abc ab")] == ["12", "3", "4", "abc", "Ġ", "ab"]
    assert vocab.frame.clean_spaces
    metadata |= {"llamakit.pre.clean_spaces": False, "llamakit.pre.ignore_merges": True}
    metadata["tokenizer.ggml.merges"] = ["a b", "b c"]
    vocab = load_vocab(metadata)
    assert [vocab.texts[i] for i in vocab.encode("1234abc")] == ["12", "3", "4", "abc"]
    assert not vocab.frame.clean_spaces


def test_a_known_name_lends_its_settings_to_the_files_own_rules() -> None:
    metadata = bpe_metadata(["a b"], pre="llama-bpe") | {"llamakit.pre.regex": ["."]}
    del metadata["tokenizer.ggml.add_bos_token"]
    vocab = load_vocab(metadata)
    assert vocab.add_bos
    assert [vocab.texts[i] for i in vocab.encode("ab", add_special=False)] == ["a", "b"]


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"llamakit.pre.regex": "a"}, "llamakit.pre.regex must be an array of strings"),
        ({"llamakit.pre.regex": [1]}, "llamakit.pre.regex must be an array of strings"),
        ({"llamakit.pre.regex": ["(a"]}, "'(a' is no regular expression"),
        ({"llamakit.pre.regex": ["a"], "llamakit.pre.ignore_merges": 1}, "ignore_merges must be a boolean"),
        ({"llamakit.pre.regex": ["a"], "llamakit.pre.clean_spaces": "no"}, "clean_spaces must be a boolean"),
    ],
)
def test_fault_48_rules_that_are_none_are_rejected(keys: dict[str, object], message: str) -> None:
    with pytest.raises(VocabError, match=re.escape(message)):
        load_vocab(bpe_metadata() | keys)


@pytest.mark.parametrize("n_before", [0, 20_000])
def test_fault_48_a_catastrophic_rule_is_an_error(n_before: int, capfd: pytest.CaptureFixture[str]) -> None:
    vocab = load_vocab(bpe_metadata() | {"llamakit.pre.regex": ["(a|aa)+$"]})
    with pytest.raises(VocabError, match="gives up on this text"):
        vocab.encode("b" * n_before + "a" * 40 + "c")
    assert vocab.encode("b")
    capfd.readouterr()  # the library tells of it on stderr too


ONE_NAME_A_RULE = sorted({split_rule(name).patterns: name for name in sorted(RULE_NAMES)}.values())


@pytest.mark.parametrize("name", ONE_NAME_A_RULE)
def test_fault_59_every_rule_takes_linear_time(name: str) -> None:
    """Quadratic work on 50,000 characters would take seconds."""
    vocab = load_vocab(bpe_metadata(["a a", "Ġ Ġ", "Ċ Ċ", "1 1"], pre=name))
    for unit in ("a", "aA", " ", "\n", "1", "a1 ", "!", "\u0301", "中"):
        start = time.process_time()
        ids = vocab.encode(unit * (50_000 // len(unit)) + "x")
        assert time.process_time() - start < 1.5, unit
        assert ids


def test_fault_59_a_million_blanks_are_cut_in_linear_time_by_a_rule_that_counts_them() -> None:
    vocab = load_vocab(bpe_metadata(pre="jais-2"))
    start = time.process_time()
    vocab.encode(" " * 1_000_000)
    assert time.process_time() - start < 4
