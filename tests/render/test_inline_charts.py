"""Charts within a page; what they show is read back from the SVG and held against the explanations."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

import saywhy
from saywhy.render import inline_charts
from saywhy.render.aligned import aligned
from saywhy.render.points import strongest

TEXTS = ["good good film", "bad film", "a Good story", "a bad bad bad story", "fine", "no <b>", "so good"]


def tone(texts):
    return [[t.lower().count("good") - 2.0 * t.lower().count("bad"), float(len(t.split()))] for t in texts]


@pytest.fixture(scope="module")
def found():
    return saywhy.Explainer(tone, labels=["tone", "length"])(TEXTS, target="tone", trust="none")


def drawn(markup):
    """The svg of a figure, and its texts."""
    svg = ElementTree.fromstring(re.search(r"<svg.*?</svg>", markup, re.S)[0].replace("&nbsp;", " "))
    return svg, ["".join(each.itertext()) for each in svg.iter("text")]


def test_bars_are_as_long_as_the_mean_scores(found):
    of = aligned(list(found))
    svg, texts = drawn(inline_charts.bars(of, strongest(of, 2)))
    summary = found.summary()
    lengths = [float(each.get("width")) for each in svg.iter("rect")]
    rest = sum(row.size for row in summary.rows[2:])
    sizes = [row.size for row in summary.rows[:2]] + [rest]
    for length, size in zip(lengths, sizes, strict=True):
        assert length == pytest.approx(max(0.5, lengths[0] / sizes[0] * size), abs=0.2)
    assert [each.get("class") for each in svg.iter("rect")] == ["saywhy-down", "saywhy-up", "saywhy-rest"]
    assert texts[:2] == ["bad", f"{summary['bad'].size:.3f} (−)"]
    assert "(−)" in svg.get("aria-label")


def test_points_stand_where_the_scores_are(found):
    of = aligned(list(found))
    order = strongest(of, 2)
    svg, texts = drawn(inline_charts.beeswarm(of, order))
    zero = float(
        re.match(r"M([\d.]+) 0V", next(p.get("d") for p in svg.iter("path") if p.get("class") == "saywhy-axis"))[1]
    )
    dots = [
        (p.get("class"), re.findall(r"M([\d.]+) ([\d.]+)h0", p.get("d")))
        for p in svg.iter("path")
        if "dots" in p.get("class")
    ]
    assert [kind for kind, _ in dots] == ["saywhy-dots saywhy-down", "saywhy-dots saywhy-up"]
    bad, good = (np.sort([float(x) for x, _ in points]) for _, points in dots)
    unit = (good.max() - zero) / 2  # "good good" scores 2
    np.testing.assert_allclose(bad, np.sort(zero + unit * np.array([-6, -2])), atol=0.2)
    np.testing.assert_allclose(good, zero + unit * np.array([1, 1, 2]), atol=0.2)
    assert texts[:2] == ["bad (2)", "good (3)"]


def test_a_thousand_points_keep_to_their_lines_and_are_small():
    texts = [f"good {'bad ' * (i % 3)}w{i % 7}" for i in range(1_000)]
    many = saywhy.Explainer(tone, labels=["tone", "length"])(texts, target="tone", trust="none", method="occlusion")
    of = aligned(list(many))
    markup = inline_charts.beeswarm(of, strongest(of, 5))
    assert len(markup) < 60_000
    svg, _ = drawn(markup)
    high = float(svg.get("viewBox").split()[3])
    lines = [
        [float(y) for _, y in re.findall(r"M([\d.]+) ([\d.]+)h0", p.get("d"))]
        for p in svg.iter("path")
        if "dots" in p.get("class")
    ]
    assert sum(map(len, lines)) == int((of.counts[:, strongest(of, 5)] > 0).sum())
    assert all(max(each) - min(each) < 22 and min(each) > 0 and max(each) < high for each in lines)


def test_pale_points_are_low_values_of_a_column():
    pytest.importorskip("pandas")
    explainer = saywhy.Explainer(lambda frame: frame["age"] - 20.0, labels=["worth"], background={"age": 10.0})
    rows = explainer([{"age": 20.0 + i} for i in range(8)], trust="none")
    of = aligned(list(rows))
    svg, _ = drawn(inline_charts.beeswarm(of, [0]))
    shades = {
        float(p.get("stroke-opacity", 1)): [float(x) for x, _ in re.findall(r"M([\d.]+) ([\d.]+)h0", p.get("d"))]
        for p in svg.iter("path")
        if "dots" in p.get("class")
    }
    assert len(shades) == 4
    assert all(
        max(shades[a]) < min(shades[b]) for a, b in pairwise(sorted(shades))
    )  # the older the further to the right


def test_a_waterfall_goes_from_base_to_value(found):
    e = found[3]
    svg, texts = drawn(inline_charts.waterfall(e, top=2))
    bars = [(float(r.get("x")), float(r.get("x")) + float(r.get("width"))) for r in svg.iter("rect")]
    assert len(bars) == 3
    assert bars[0][0] == pytest.approx(bars[1][1], abs=0.2)  # each lowers further
    dot = float(next(svg.iter("circle")).get("cx"))
    assert dot == pytest.approx(bars[-1][0], abs=0.6)
    assert "3 more together" in texts
    assert texts[-2] == "value"


def test_a_page_of_many_has_charts_and_one_of_few_has_none(found, tmp_path):
    page = found.save(tmp_path / "many.html").read_text("utf-8")
    assert page.count('<figure class="saywhy-chart">') == 2
    assert "&lt;" in page
    assert "no <b>" not in page
    assert "<script" not in page
    assert "saywhy-chart" not in found[:3].save(tmp_path / "few.html").read_text("utf-8")
    each = saywhy.Explainer(tone, labels=["tone", "length"]).each_target(TEXTS[0], trust="none")
    assert '<figure class="saywhy-chart">' not in each.save(tmp_path / "targets.html").read_text("utf-8")


def test_long_and_wide_names_are_cut_and_told_whole():
    assert inline_charts._cut("a" * 40).endswith("…")
    assert inline_charts._cut("漢" * 30 + " (12)").endswith("… (12)")
    assert len(inline_charts._cut("漢" * 30 + " (12)")) < 16
    assert "<title>" in inline_charts._name(0, "b" * 60)
    assert inline_charts._cut("price = 3") == "price = 3"
