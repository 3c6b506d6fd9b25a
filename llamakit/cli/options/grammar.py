"""Options that say what a model may write, and the grammar they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from llamakit.cli.options.shared import SAMPLING, option
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.grammar import LlamaGrammar

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
    if not named:
        return None
    return make_grammar(*named.popitem())


def make_grammar(name: str, text: str) -> LlamaGrammar:
    """The grammar of one option's text."""
    from llamakit.api.grammar import LlamaGrammar
    from llamakit.core.grammar.errors import GrammarError
    from llamakit.tools.text_file import read_text

    path = text if name.endswith("-file") else None
    text = text if path is None else read_text(path)
    try:
        if name.startswith("--json-schema"):
            return LlamaGrammar.from_json_schema(text)
        return LlamaGrammar.from_regex(text) if name == "--regex" else LlamaGrammar.from_string(text)
    except GrammarError as error:
        raise GrammarError(f"{path}: {error}" if path else str(error)) from None
