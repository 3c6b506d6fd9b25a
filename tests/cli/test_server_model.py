"""What the server's options say of a model, and what of them makes no sense."""

from __future__ import annotations

import pytest

from llamakit.cli.app import run
from llamakit.cli.options.server import SPEC_TYPES
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.cli.server_presets import settings_of


@pytest.mark.parametrize(
    "args, message",
    [
        (["-np", "0"], "--parallel: 0 requests at once serve nobody; -1 stands for the usual number"),
        (["-c", "-5"], "--ctx-size: -5 is less than 0"),
        (["--reranking", "--pooling", "mean"], "--reranking needs --pooling rank, not mean"),
        (["--spec-type", "ngram-foo"], f"'ngram-foo' is not {', '.join(SPEC_TYPES[:-1])} or {SPEC_TYPES[-1]}"),
    ],
)
def test_what_makes_no_sense_is_said(args, message):
    with pytest.raises(InvalidArgument, match=message):
        settings_of(args)


def test_the_help_lists_the_kinds_of_guesses_that_are_taken(capsys):
    assert run(["server", "--help"]) == 0
    assert ", ".join(SPEC_TYPES) in " ".join(capsys.readouterr().out.split()).replace("- ", "-")
    for kind in SPEC_TYPES:
        settings_of(["-md", "d.gguf", "--spec-type", kind])
