from __future__ import annotations

import pytest

from llamakit.core.sampling.order import (
    DEFAULT_ORDER,
    LETTERS,
    STAGE_NAMES,
    order_of_letters,
    order_of_names,
    with_tail_free,
)


def test_the_default_order_is_that_of_2026():
    want = "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature"
    assert ";".join(DEFAULT_ORDER) == want
    assert order_of_letters("edskypmxt") == (DEFAULT_ORDER, [])


@pytest.mark.parametrize(
    "text, names",
    [
        ("top_k;top-p;minp", "top_k top_p min_p"),
        ("nucleus;temp;typ;typical;typical_p;typ-p", "top_p temperature typ_p typ_p typ_p typ_p"),
        ("Top-K; XTC ;topnsigma;top-n-sigma;adaptive-p", "top_k xtc top_n_sigma top_n_sigma adaptive_p"),
        ("tfs_z;tfs;top_k;top_k", "tfs_z tfs_z top_k top_k"),
        ("", ""),
    ],
)
def test_names_have_several_spellings(text, names):
    assert order_of_names(text.split(";") if text else []) == (tuple(names.split()), [])


def test_unknown_ones_are_told_and_left_out():
    assert order_of_names(["top_k", "top_q", ""]) == (("top_k",), ["top_q", ""])
    assert order_of_letters("kzt") == (("top_k", "temperature"), ["z"])


def test_every_stage_has_a_letter_and_2024s_sequence_is_read():
    assert set(LETTERS.values()) == set(STAGE_NAMES)
    want = ("top_k", "tfs_z", "typ_p", "top_p", "min_p", "temperature")
    assert order_of_letters("kfypmt") == (want, [])


def test_tail_free_sampling_comes_behind_top_k():
    assert with_tail_free(("penalties", "top_k", "top_p")) == ("penalties", "top_k", "tfs_z", "top_p")
    assert with_tail_free(("top_p",)) == ("tfs_z", "top_p")
    assert with_tail_free(("tfs_z", "top_k")) == ("tfs_z", "top_k")
