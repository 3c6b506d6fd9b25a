"""`llamakit tokenize`: the tokens of a text, as lines, ids, JSON, or in colour."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.console import has_colour, is_terminal, progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.options.prompt import read_file, unescape_bytes
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.cli.parsing.reader import InvalidArgument, OptionalWord

if TYPE_CHECKING:
    from llamakit.tools.tokenize import Token

COLOURS, CONTROL, PLAIN = ("\x1b[30;46m", "\x1b[30;42m", "\x1b[30;43m", "\x1b[30;45m"), "\x1b[97;41m", "\x1b[0m"


def tokenize(
    *,
    source: NamedModelOptions,
    prompt: Annotated[str | None, option("-p", "--prompt", panel=OUTPUT, help="Text to cut into tokens.")] = None,
    file: Annotated[str | None, option("-f", "--file", panel=OUTPUT, help="File with the text, taken whole.")] = None,
    stdin: Annotated[bool, option("--stdin", panel=OUTPUT, help="Read the text from standard input.")] = False,
    ids: Annotated[bool, option("--ids", panel=OUTPUT, help="Only the ids, as [1, 2, 3].")] = False,
    json: Annotated[bool, option("--json", panel=OUTPUT, help="One object with ids and pieces.")] = False,
    color: Annotated[
        str,
        OptionalWord(),
        option("-co", "--color", panel=OUTPUT, help="Show the text with each token in a colour: on, off or auto."),
    ] = "auto",
    bos: Annotated[bool, option("--bos/--no-bos", panel=OUTPUT, help="Add BOS where the model wants it.")] = True,
    escape: o.Escape = True,
    parse_special: Annotated[
        bool,
        option(
            "--parse-special/--no-parse-special", panel=OUTPUT, help="Read texts of control tokens as these tokens."
        ),
    ] = True,
    show_count: Annotated[bool, option("--show-count", panel=OUTPUT, help="Tell the number of tokens.")] = False,
    log_disable: o.LogDisable = False,
    verbose: o.Verbose = False,
) -> None:
    """Show how a model's vocabulary cuts a text. Only the vocabulary of the file is read.

    In a terminal each token has a colour, control tokens are red; in a pipe there is a line for each.
    """
    from llamakit.tools import tokenize as t

    text = read_text(prompt, file, stdin)
    text = unescape_bytes(text) if escape else text
    with progress() as report, warnings(not log_disable):
        vocab = t.open_vocab(source.path(report))
        tokens = t.tokenize(vocab, text, add_special=bos, parse_special=parse_special)
    screen = is_terminal(sys.stdout)
    if json:
        from json import dump

        dump(t.as_json(tokens, vocab), sys.stdout, ensure_ascii=False)
        print()
        return
    if ids:
        print([token.id for token in tokens])
    elif has_colour(color, sys.stdout):
        print(coloured(tokens))
    else:
        write_lines(tokens, screen)
    if show_count:
        print(f"Total number of tokens: {len(tokens)}")


@contextmanager
def warnings(shown: bool) -> Iterator[None]:
    """Whether what the vocabulary warns of is told on stderr."""
    if not shown:
        logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def read_text(prompt: str | None, file: str | None, stdin: bool) -> bytes:
    """The text of the one source that is given, as llama-tokenize wants it."""
    if stdin + (file is not None) + (prompt is not None) > 1:
        raise InvalidArgument("--stdin, --file and --prompt are mutually exclusive: give one of them")
    if stdin:
        return sys.stdin.buffer.read()
    if file is not None:
        return read_file(file)
    if prompt is None:
        raise InvalidArgument("there is no text: give one with --prompt, --file or --stdin")
    return prompt.encode("utf-8", errors="surrogateescape")


def write_lines(tokens: Sequence[Token], screen: bool) -> None:
    """A line for each token, bytes as they are but for a screen, which control characters would upset."""
    sys.stdout.flush()
    out = sys.stdout.buffer
    for token in tokens:
        piece = visible(token.piece).encode() if screen else token.piece
        out.write(b"%6d -> '%b'\n" % (token.id, piece))
    out.flush()


def coloured(tokens: Sequence[Token]) -> str:
    """The text of the tokens, each on a colour of its own that the next one has not."""
    return "".join(painted(tokens))


def painted(tokens: Sequence[Token]) -> Iterator[str]:
    for i, token in enumerate(tokens):
        colour = CONTROL if token.is_control else COLOURS[i % len(COLOURS)]
        # A line ends without colour, which would run on to the edge of the screen.
        for part in visible(token.piece).splitlines(keepends=True):
            line = part.rstrip("\n")
            yield f"{colour}{line}{PLAIN}{part[len(line) :]}"


def visible(piece: bytes) -> str:
    r"""A piece for a screen: newlines as ↵ and a newline, other control characters and stray bytes as \xHH."""
    text = piece.decode("utf-8", errors="backslashreplace")
    return "".join(
        "↵\n" if c == "\n" else "→\t" if c == "\t" else c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in text
    )
