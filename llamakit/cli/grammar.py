"""`llamakit grammar FILE [TEXT]`: is a grammar sound, and is a text one of its own?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from llamakit.cli.options.grammar import GrammarText, JsonSchema, Regex, read_grammar
from llamakit.cli.options.shared import Verbose
from llamakit.errors import UsageError

SHOWN = 20  # of the characters that may follow


def grammar(
    file: Annotated[
        str | None, typer.Argument(help="File of GBNF, or of a JSON schema if its name ends in .json.")
    ] = None,
    text: Annotated[str | None, typer.Argument(help="File of a text to test; - reads standard input.")] = None,
    grammar: GrammarText = None,
    json_schema: JsonSchema = None,
    regex: Regex = None,
    verbose: Verbose = False,
) -> None:
    """Check a grammar, given as a file or by an option, and perhaps a text: exit code 1 if the text is none of its own.

    After an option that gives the grammar, the first file is the text.
    """
    if not any((grammar, json_schema, regex)):
        if file is None:
            raise UsageError("name a file with a grammar, or give one with --grammar, --json-schema or --regex")
        is_schema = file.endswith(".json")
        found = read_grammar(grammar_file=None if is_schema else file, json_schema_file=file if is_schema else None)
    elif text is not None:
        raise UsageError(f"{text}: only one text can be tested")
    else:
        found, text = read_grammar(grammar, json_schema=json_schema, regex=regex), file
    assert found is not None
    if text is None:
        print(f"The grammar is sound: {len(found.program.kinds)} steps.")
        return
    data = read_bytes(text)
    if found.matches(data) or found.matches(data.removesuffix(b"\n")):  # editors end a file with a line end
        print("The text is one of the grammar's.")
        return
    reading = found.explain(data)
    read, rest = data[: reading.n_bytes].decode(errors="ignore"), data[reading.n_bytes :].decode(errors="replace")
    line, column = read.count("\n") + 1, len(read) - read.rfind("\n")
    what = f"found {rest[:SHOWN]!r}" if rest else "the text ends"
    print(f"{text}: line {line}, column {column}: {what}, expected {describe(reading.follow, reading.is_complete)}")
    raise typer.Exit(1)


def read_bytes(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def describe(follow: bytes, may_end: bool) -> str:
    """Bytes for people: characters of ASCII by themselves, all beyond together."""
    names = [repr(chr(byte)) for byte in follow if byte < 0x80]
    if len(names) > SHOWN:
        names = [*names[:SHOWN], "..."]
    names += ["characters beyond ASCII"] * (max(follow, default=0) >= 0xC0)
    names += ["the rest of a character"] * any(0x80 <= byte < 0xC0 for byte in follow)
    return ", ".join(names + ["the end"] * may_end) or "nothing: no text of the grammar begins so"
