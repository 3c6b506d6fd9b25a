"""The search on a tiny model: the target is kept, the mix is better than a standard one, nothing is done twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llamakit.core.engine.load import load_model
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError
from llamakit.tools.measured import search as module
from llamakit.tools.measured.report import page
from llamakit.tools.measured.search import Search, Target, cut_evenly, divide
from llamakit.tools.quantize.plan import Options
from tests.tools.measured.model import SMALL, TEXT, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with load_model(write_model(tmp_path_factory.mktemp("models") / "tiny.gguf")) as model:
        yield model


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "measured"
    monkeypatch.setattr("llamakit.tools.measured.notebook.cache_folder", lambda: folder)


@pytest.fixture(scope="module")
def outcome(model):
    with Search(model, TEXT, Options(), SMALL, is_cached=False) as search:
        return search.run(Target(bpw=5.5))


def test_the_budget_is_kept_and_nearly_used(outcome):
    bits = 8 * outcome.mix.n_bytes / outcome.n_weights
    assert 5.3 < bits <= 5.5
    assert outcome.mix.n_bytes == sum(c.find(outcome.mix.types[c.name]).n_bytes for c in outcome.choices)


def test_damage_of_the_mix_is_about_the_sum_of_its_parts(outcome):
    assert outcome.mix.damage == pytest.approx(sum(outcome.damages.values()))
    assert 0.4 < outcome.additivity < 2.5


def test_no_standard_mix_of_the_size_is_expected_to_do_less_damage(outcome):
    smaller = [mix for _, mix in outcome.standard if mix.n_bytes <= outcome.mix.n_bytes]
    assert smaller and all(outcome.mix.damage <= mix.damage for mix in smaller)


def test_the_frontier_passes_below_every_standard_mix(outcome):
    sizes, damages = zip(*outcome.frontier, strict=True)
    for _, mix in outcome.standard:
        fitting = [d for size, d in zip(sizes, damages, strict=True) if size <= mix.n_bytes]
        assert not fitting or min(fitting) <= 1.25 * mix.damage


def test_a_second_search_measures_only_what_is_new(model):
    with Search(model, TEXT, Options(), SMALL) as search:
        first = search.run(Target(bpw=5.5))
    with Search(model, TEXT, Options(), SMALL) as search:
        second = search.run(Target(bpw=5.5))
    assert first.n_measured > 10 and second.n_measured == 0
    assert second.mix == first.mix


def test_an_interrupted_search_goes_on(model):
    settings = replace(SMALL, n_imatrix_chunks=3)  # conditions of its own
    done = []

    def interrupt(stage: str, n: int, total: int) -> None:
        done.append(stage)
        if done.count("damage by tensor") == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Search(model, TEXT, Options(), settings, report=interrupt) as search:
        search.run(Target(bpw=5.5))
    with Search(model, TEXT, Options(), settings) as search:
        assert sum(map(len, search.notebook.damages.values())) == 4
        n_tensors = sum(len(c.candidates) > 1 for c in search.choices)
        assert search.run(Target(bpw=5.5)).n_measured >= n_tensors - 4


def test_a_target_in_bytes_leaves_room_for_the_header(model):
    with Search(model, TEXT, Options(), SMALL) as search:
        whole = search.run(Target(n_bytes=200_000))
        assert whole.mix.n_bytes <= 200_000 - search.n_header_bytes()


@pytest.mark.parametrize("target", [Target(n_bytes=1000), Target(bpw=1.0)])
def test_a_target_out_of_reach_says_what_can_be_reached(model, target):
    with Search(model, TEXT, Options(), SMALL) as search, pytest.raises(UsageError, match="smallest types it takes"):
        search.run(target)


def test_a_generous_target_keeps_the_source(model):
    with Search(model, TEXT, Options(), SMALL) as search:
        found = search.run(Target(bpw=40))
    assert {found.mix.types[c.name] for c in found.choices if len(c.candidates) > 1} == {GGMLType.F16}
    assert found.held_out.kld == 0


def test_too_short_a_text_is_refused(model):
    with pytest.raises(UsageError, match="at least"):
        Search(model, TEXT[:500], Options(), SMALL, is_cached=False)


def test_what_is_held_out_is_never_measured_on():
    seen, held_out = divide(list(range(1000)), SMALL)
    assert len(held_out) == 200 and not set(seen) & set(held_out)


@pytest.mark.parametrize(
    "n, starts", [(1, [45]), (2, [0, 90]), (4, [0, 30, 60, 90]), (99, [10 * i for i in range(10)])]
)
def test_windows_are_spread_over_the_text(n, starts):
    assert cut_evenly(np.arange(100), n, 10)[:, 0].tolist() == starts


def test_the_page_stands_alone_and_names_every_mix(outcome):
    html = page(outcome, "a <model>")
    assert "a &lt;model&gt;" in html and "<svg" in html and "<polyline" in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "") and "<script" not in html
    for _, mix in outcome.standard:
        assert (mix.name in html) == (mix.damage > 0)
    assert module.HELD_OUT == 5 and "held out" in html
