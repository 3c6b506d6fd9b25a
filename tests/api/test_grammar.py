"""LlamaGrammar's constructors, as llama-cpp-python's programs call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit import LlamaGrammar


@pytest.mark.parametrize("verbose", [True, False])
def test_all_constructors_take_verbose(verbose: bool, tmp_path: Path) -> None:
    (tmp_path / "cat.gbnf").write_text('root ::= "cat"')
    for grammar in (
        LlamaGrammar.from_string('root ::= "cat"', verbose=verbose),
        LlamaGrammar.from_file(tmp_path / "cat.gbnf", verbose=verbose),
        LlamaGrammar.from_regex("cat", verbose=verbose),
    ):
        assert grammar.matches("cat") and not grammar.matches("cats")
    assert LlamaGrammar.from_json_schema('{"const": "cat"}', verbose=verbose).matches('"cat"')
