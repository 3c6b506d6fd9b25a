"""Options that say what a model may write, and the grammar they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from llamakit.cli.options.shared import SAMPLING, option
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.grammar import LlamaGrammar
    from llamakit.core.grammar.rules import Rules

GrammarText = Annotated[
    str | None, option("--grammar", panel=SAMPLING, metavar="GBNF", help="Write only what this grammar allows.")
]
GrammarFile = Annotated[
    str | None, option("--grammar-file", panel=SAMPLING, metavar="FILE", help="The same, from a file; see grammars/.")
]
JsonSchema = Annotated[
    str | None,
    option(
        "-j", "--json-schema", panel=SAMPLING, metavar="SCHEMA", help="Write only JSON that fits this; {}: any JSON."
    ),
]
JsonSchemaFile = Annotated[
    str | None, option("-jf", "--json-schema-file", panel=SAMPLING, metavar="FILE", help="The same, from a file.")
]
Regex = Annotated[
    str | None, option("--regex", panel=SAMPLING, metavar="PATTERN", help="Write only what this pattern matches.")
]


def read_grammar(
    grammar: str | None = None,
    grammar_file: str | None = None,
    json_schema: str | None = None,
    json_schema_file: str | None = None,
    regex: str | None = None,
) -> LlamaGrammar | None:
    """The grammar that the options ask for, None if none does; `.matcher(vocab)` makes it a Sampler's constraint.

    Raises as `read_rules`, and GrammarError for rules that cannot be compiled.
    """
    rules = read_rules(grammar, grammar_file, json_schema, json_schema_file, regex)
    if rules is None:
        return None
    from llamakit.api.grammar import LlamaGrammar

    return LlamaGrammar(rules)


def read_rules(
    grammar: str | None = None,
    grammar_file: str | None = None,
    json_schema: str | None = None,
    json_schema_file: str | None = None,
    regex: str | None = None,
) -> Rules | None:
    """Its rules, which need no compiler.

    Raises UsageError for more than one of them or a file that cannot be read, GrammarError for one that is wrong.
    """
    given = {
        "--grammar": grammar,
        "--grammar-file": grammar_file,
        "--json-schema": json_schema,
        "--json-schema-file": json_schema_file,
        "--regex": regex,
    }
    named = {name: text for name, text in given.items() if text}
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)}: a text can follow only one of them")
    return make_rules(*named.popitem()) if named else None


def make_rules(name: str, text: str) -> Rules:
    """The rules of one option's text."""
    from llamakit.core.grammar.errors import GrammarError
    from llamakit.core.grammar.gbnf import parse_gbnf
    from llamakit.core.grammar.regex_rules import regex_rules
    from llamakit.core.grammar.schema_rules import schema_rules
    from llamakit.tools.text_file import read_text

    path = text if name.endswith("-file") else None
    text = text if path is None else read_text(path)
    try:
        if name.startswith("--json-schema"):
            return schema_rules(text)
        return regex_rules(text) if name == "--regex" else parse_gbnf(text)
    except GrammarError as error:
        raise GrammarError(f"{path}: {error}" if path else str(error)) from None
