"""Options that make a grammar: llama.cpp's spellings, one at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.api.grammar import LlamaGrammar
from llamakit.cli.options import grammar as g
from llamakit.cli.parsing.call import read_and_call
from llamakit.core.grammar.errors import GrammarError
from llamakit.errors import UsageError

YES = 'root ::= "yes"'


def grammar_of(*args: str) -> LlamaGrammar | None:
    """What a command with these options gets."""
    found: list[LlamaGrammar | None] = []

    def command(
        grammar: g.GrammarText = None,
        grammar_file: g.GrammarFile = None,
        json_schema: g.JsonSchema = None,
        json_schema_file: g.JsonSchemaFile = None,
        regex: g.Regex = None,
    ) -> None:
        found.append(g.read_grammar(grammar, grammar_file, json_schema, json_schema_file, regex))

    read_and_call("test", command, args)
    return found[0]


@pytest.mark.parametrize(
    "args, good, bad",
    [
        (["--grammar", YES], "yes", "no"),
        (["--grammar-file", "yes.gbnf"], "yes", "no"),
        (["-j", "{}"], '[1, "a"]', "a"),
        (["--json-schema", '{"type": "integer"}'], "12", '"a"'),
        (["-jf", "schema.json"], "true", "1"),
        (["--json-schema-file", "schema.json"], "true", "1"),
        (["--regex", "[0-9]{3}"], "123", "12"),
    ],
)
def test_each_option_makes_its_grammar(
    args: list[str], good: str, bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("yes.gbnf").write_bytes(b"\xef\xbb\xbf" + YES.encode())
    Path("schema.json").write_text('{"type": "boolean"}')
    found = grammar_of(*args)
    assert found is not None and found.matches(good) and not found.matches(bad)


def test_without_options_there_is_no_grammar() -> None:
    assert grammar_of() is grammar_of("--grammar", "") is None


def test_options_that_make_no_grammar_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--grammar and --json-schema: a text can follow only one of them"):
        grammar_of("--grammar", YES, "-j", "{}")
    with pytest.raises(UsageError, match=r"none\.gbnf: No such file"):
        grammar_of("--grammar-file", str(tmp_path / "none.gbnf"))
    (tmp_path / "latin.gbnf").write_bytes(b"root ::= \xe9")
    with pytest.raises(UsageError, match=r"latin\.gbnf: byte 9 is not UTF-8"):
        grammar_of("--grammar-file", str(tmp_path / "latin.gbnf"))
    with pytest.raises(GrammarError, match="line 1, column 6: ::= is expected"):
        grammar_of("--grammar", "root = 5")
    with pytest.raises(GrammarError, match="JSON schema, at /type: a type is one of"):
        grammar_of("-j", '{"type": "text"}')
    (tmp_path / "wrong.gbnf").write_text("root ::= other")
    with pytest.raises(GrammarError, match=r"wrong\.gbnf: GBNF, line 1, column 10: the rule other is not defined"):
        grammar_of("--grammar-file", str(tmp_path / "wrong.gbnf"))
