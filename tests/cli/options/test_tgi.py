"""Limits of /generate, as TGI's launcher has them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from llamakit.cli.options.tgi import GenerateOptions, generate_limits
from llamakit.cli.parsing.reader import InvalidArgument

limits = pytest.importorskip("llamakit.server.tgi.limits")


def test_without_options_the_limits_are_the_launchers():
    assert generate_limits(GenerateOptions(), None, None) == limits.GenerateLimits()


def test_options_are_named_as_the_limits():
    assert {f.name for f in fields(GenerateOptions)} <= {f.name for f in fields(limits.GenerateLimits)}
    made = generate_limits(GenerateOptions(max_best_of=5, has_grammar=False), 10, 20)
    assert (made.max_best_of, made.has_grammar) == (5, False)
    assert (made.max_input_tokens, made.max_total_tokens) == (10, 20)


@pytest.mark.parametrize(
    "options, lengths, message",
    [
        (GenerateOptions(max_best_of=0), (None, None), "--max-best-of"),
        (GenerateOptions(max_stop_sequences=-1), (None, None), "--max-stop-sequences"),
        (GenerateOptions(watermark_gamma=1.0), (None, None), "--watermark-gamma"),
        (GenerateOptions(), (0, None), "--max-input-tokens"),
        (GenerateOptions(), (None, 0), "--max-total-tokens"),
        (GenerateOptions(), (20, 20), "must be less than --max-total-tokens"),
    ],
)
def test_limits_that_leave_no_room_are_refused(options, lengths, message):
    with pytest.raises(InvalidArgument, match=message):
        generate_limits(options, *lengths)
