"""How a request says that tokens are guessed."""

from __future__ import annotations

from typing import Any

import pytest

from llamakit.server.generation.field import FieldError
from llamakit.server.generation.speculative import Speculative, read_speculative


@pytest.mark.parametrize(
    ("body", "types", "expected"),
    [
        ({}, "none", Speculative()),
        ({}, "ngram-simple", Speculative("ngram-simple")),
        ({"speculative.n_max": 3, "speculative.n_min": 2}, "draft-simple", Speculative("draft-simple", 3, 2)),
        ({"speculative.n_max": 0, "speculative.n_min": 2}, "draft-simple", Speculative("none", 0, 2)),
        ({"speculative.types": "none"}, "draft-simple", Speculative()),
        ({"speculative.type": "draft-simple"}, "draft-simple", Speculative("draft-simple")),
        ({"speculative.types": "ngram-mod, ngram-simple"}, "ngram-simple", Speculative("ngram-simple")),
        ({"speculative.p_min": 0.5}, "none", Speculative()),
    ],
)
def test_what_holds(body: dict[str, Any], types: str, expected: Speculative) -> None:
    assert read_speculative(body, types) == expected
    assert expected.is_on is (expected.types != "none")


@pytest.mark.parametrize(
    ("body", "param", "reason"),
    [
        ({"speculative.n_max": -1}, "speculative.n_max", "between 0"),
        ({"speculative.n_min": -1}, "speculative.n_min", "between 0"),
        ({"speculative.n_min": 3, "speculative.n_max": 2}, "speculative.n_min", "at most"),
        ({"speculative.p_min": 1.5}, "speculative.p_min", "between 0"),
        ({"speculative.types": "medusa"}, "speculative.types", "no way to guess 'medusa'"),
        ({"speculative.types": "draft-simple"}, "speculative.types", "cannot guess by 'draft-simple'"),
        ({"speculative.types": 1}, "speculative.types", "must be a text"),
    ],
)
def test_what_makes_no_sense_is_refused(body: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(FieldError, match=reason) as caught:
        read_speculative(body, "ngram-simple")
    assert caught.value.param == param
