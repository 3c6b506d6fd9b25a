"""Curves as pictures: whole, well-formed, and by themselves."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from llamakit.errors import UsageError
from llamakit.tools.perplexity.plot import Curve, bounds, save, svg, ticks

CURVE = Curve('A "model" & <more>', "chunks", "perplexity", [13.0, 21.5, 22.6, 22.9], [90.0, 3.1, 2.6, 2.3], [13, 30])
SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_holds_curve_band_and_dots():
    root = ElementTree.fromstring(svg(CURVE))
    points = root.find(f"{SVG}polyline").get("points").split()
    assert len(points) == 4 and len(root.find(f"{SVG}polygon").get("points").split()) == 8
    heights = [float(p.split(",")[1]) for p in points]
    assert heights == sorted(heights, reverse=True)  # the higher, the further up
    assert [t.text for t in root.iter(f"{SVG}title")] == ["1: 13.0000", "2: 30.0000"]
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert 'A "model" & <more>' in texts and "22.9000 ± 2.3000" in texts


def test_everything_lies_within_the_picture():
    root = ElementTree.fromstring(svg(CURVE))
    _, _, width, height = map(float, root.get("viewBox").split())
    numbers = " ".join(root.find(f"{SVG}{name}").get("points") for name in ("polyline", "polygon")).split()
    assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in (n.split(",") for n in numbers))


def test_the_errors_of_the_first_values_do_not_stretch_the_picture():
    low, high = bounds(CURVE)
    assert (low, high) == (13, 30)


@pytest.mark.parametrize("values", [[5.0], [2.0, 2.0], [0.0, 0.0, 0.0]])
def test_few_or_equal_values_are_drawn_too(values):
    ElementTree.fromstring(svg(Curve("t", "x", "y", values, [0.0] * len(values))))


@pytest.mark.parametrize("low, high", [(0, 1), (13, 30), (-0.2, 0.31), (1e-6, 3e-6), (400, 100000)])
def test_ticks_are_round_and_span_what_is_drawn(low, high):
    found = ticks(low, high)
    assert found[0] <= low + 1e-12 and found[-1] >= high - 1e-12 and 3 <= len(found) <= 9


@pytest.mark.parametrize("name, begin", [("a.svg", "<svg"), ("a.html", "<!doctype html>"), ("A.SVG", "<svg")])
def test_the_file_is_a_picture_or_a_page_by_its_name(tmp_path, name, begin):
    save(tmp_path / name, CURVE)
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert text.startswith(begin) and "<polyline" in text and "http" not in text.replace(SVG[1:-1], "")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"NAME\.svg or NAME\.html"):
        save(tmp_path / "a.png", CURVE)
