"""Vocabularies in files of their own: RWKV's list, PLaMo's lines, XLM-RoBERTa's shifted SentencePiece model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.convert.vocabulary.lines import LINES
from llamakit.convert.vocabulary.tables import read_table
from llamakit.convert.vocabulary.world import WORLD
from llamakit.core.vocab.tokens import TokenType
from llamakit.errors import VocabError


def test_rwkvs_bytes_are_spelt_as_python_writes_them(tmp_path: Path) -> None:
    (tmp_path / WORLD).write_text("1 'a' 1\n2 b'\\xff' 1\n3 '\\n ä' 4\n", encoding="utf-8")
    table = read_table(TokenizerFiles(tmp_path), 6)
    assert table.kind == "rwkv" and table.scores is None
    assert table.texts == ["<s>", "a", r"\xff", r"\n \xc3\xa4", "[PAD4]", "[PAD5]"]
    assert table.types[0] == TokenType.CONTROL and table.types[-1] == TokenType.UNUSED


@pytest.mark.parametrize("line", ["1 'a' 2", "1 a 1", "1 __import__('os') 1", "1", "1 3 1"])
def test_a_line_that_is_no_token_is_refused_by_its_number(line: str, tmp_path: Path) -> None:
    (tmp_path / WORLD).write_text(f"1 'a' 1\n{line}\n")
    with pytest.raises(VocabError, match="line 2"):
        read_table(TokenizerFiles(tmp_path), None)


def test_plamos_lines_are_texts_scores_and_kinds(tmp_path: Path) -> None:
    lines = [
        ["<|plamo:unk|>", 0.0, "UNKNOWN"],
        ["<0x41>", 0.0, "BYTE"],
        ["ab", -1.5, "NORMAL"],
        ["<|plamo:x|>", 0, "NORMAL"],
    ]
    (tmp_path / LINES).write_text("\n".join(map(json.dumps, lines)) + "\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "ab"}))
    table = read_table(TokenizerFiles(tmp_path), 5)
    assert table.texts == ["<|plamo:unk|>", "<0x41>", "ab", "<|plamo:x|>", "[PAD1]"]
    wanted = [TokenType.UNKNOWN, TokenType.BYTE, TokenType.NORMAL, TokenType.CONTROL, TokenType.UNUSED]
    assert table.types == wanted
    assert table.extra["bos_token_id"] == 2


def test_a_line_that_is_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / LINES).write_text('["a", "b"]\n')
    with pytest.raises(VocabError, match="line 1"):
        read_table(TokenizerFiles(tmp_path), None)
