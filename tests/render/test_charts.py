"""Summaries, charts and shap's own plots over many explanations; right values computed here from the explanations."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest

import saywhy
from saywhy.extend import FileError, InputError, OptionError
from saywhy.render import headline
from saywhy.render.theme import DARK, LIGHT

TEXTS = ["good good film", "bad film", "a Good story", "a bad bad bad story"]


def tone(texts):
    return [[t.lower().count("good") - 2.0 * t.lower().count("bad"), float(len(t.split()))] for t in texts]


@pytest.fixture(scope="module")
def found():
    return saywhy.Explainer(tone, labels=["tone", "length"])(TEXTS, target="tone", trust="none")


@pytest.fixture(scope="module")
def rows():
    pytest.importorskip("pandas")

    def worth(frame):
        return frame["age"] / 10 + frame["note"].str.count("good") + (frame["city"] == "Rome") * 2.0

    data = [{"age": 20.0 + 3 * i, "note": TEXTS[i % 4], "city": "Rome" if i % 2 else "Oslo"} for i in range(12)]
    explainer = saywhy.Explainer(worth, labels=["worth"], background={"age": 30.0, "note": "", "city": "Oslo"})
    return explainer(data, by={"note": "word"}, trust="none")


def test_a_summary_of_words(found):
    summary = found.summary()
    assert [row.name for row in summary.rows[:2]] == ["bad", "good"]
    good, bad = summary["good"], summary["bad"]
    assert (good.inputs, bad.inputs) == (2, 2)  # without regard to case
    assert good.size == pytest.approx((2 + 1) / 4, abs=1e-9)
    assert good.mean == pytest.approx(1.5, abs=1e-9)
    assert bad.mean == pytest.approx((-2 - 6) / 2, abs=1e-9)
    assert bad.spread == pytest.approx(np.std([-2, -6], ddof=1), abs=1e-9)
    assert "of tone" in str(summary)
    with pytest.raises(KeyError, match="bad"):
        summary["nothing"]


def test_a_summary_and_its_charts_begin_with_the_sentence_and_the_badge(rows):
    """In the summary's text, and over each chart; of inputs that were not checked the badge says so."""
    found = saywhy.Explainer(tone, labels=["tone", "length"])(TEXTS, target="tone")
    summary, levels = found.summary(), [e.trust.level for e in found]
    high, low = (f"{levels.count(level) / 4:.0%}" for level in ("high", "low"))
    size = max(float(np.abs(found.values[:, i]).mean()) for i in range(found.values.shape[1]))
    first, second = str(summary).splitlines()[:2]
    assert first.startswith(f"On average 'bad' moves tone most, by {size:.3f} ")
    assert first.endswith(f"trust: high in {high} of checked inputs, low in {low}")
    assert second.startswith("4 inputs, ")
    assert str(rows.summary()).splitlines()[0].endswith("  ? trust: not checked")
    pytest.importorskip("matplotlib")
    for axes, sentence, badge in (
        (found.plot("bar"), first.split("  ")[0], first.split("  ")[1]),
        (rows.plot("beeswarm"), rows.summary().sentence, "? trust: not checked"),
        (found[0].plot("waterfall"), headline.headline(found[0]), headline.badge(found[0]).text),
    ):
        shown = axes.figure.get_suptitle()
        assert " ".join(shown.split()) == headline.spoken(sentence)
        assert axes.get_title(loc="left").startswith(f"{badge} · ")


def test_the_arrays_that_users_of_shap_know(found):
    names = list(found.feature_names)
    assert found.values.shape == found.data.shape == (4, len(names))
    np.testing.assert_allclose(found.values.sum(1), [e.value - e.base for e in found], atol=1e-9)
    np.testing.assert_allclose(found.base_values, 0.0, atol=1e-9)
    assert found.data[3, names.index("bad")] == 3
    assert found[0].values.tolist() == found[0].scores.tolist()
    assert found[0].data == found[0].words


def test_columns_and_their_words(rows):
    whole, cut = rows.summary(by="column"), rows.summary()
    assert {row.name for row in whole.rows} == {"age", "note", "city"}
    assert whole["note"].mean == pytest.approx(
        np.mean([2, 0, 0, 0] * 3), abs=1e-9
    )  # "Good" is not "good" to this function
    assert cut["good"].inputs == 6
    ages = np.array([20.0 + 3 * i for i in range(12)])
    assert whole["age"].size == pytest.approx(np.abs(ages - 30).mean() / 10, abs=1e-9)
    at = rows.feature_names.index("age")
    assert rows.data[:, at].tolist() == ages.tolist()


def test_a_summary_becomes_a_frame(found):
    pandas = pytest.importorskip("pandas")
    frame = found.summary().to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame) == ["name", "inputs", "size", "mean", "spread"]


def test_what_has_nothing_in_common_is_not_put_together(found):
    with pytest.raises(InputError, match="no explanations"):
        found[:0].summary()
    with pytest.raises(OptionError, match="column"):
        found.summary(by="columns")
    with pytest.raises(InputError, match=r"found\[0\]"):
        found.plot("waterfall")
    with pytest.raises(OptionError, match="beeswarm"):
        found.plot("beeswarms")


def test_bars_are_mean_sizes_and_colours_are_signs(found):
    pytest.importorskip("matplotlib")
    axes = found.plot("bar", top=2)
    widths = [patch.get_width() for patch in axes.patches]
    summary = found.summary()
    assert widths[:2] == pytest.approx([row.size for row in summary.rows[:2]])
    assert widths[2] == pytest.approx(sum(row.size for row in summary.rows[2:]), abs=1e-9)
    from matplotlib.colors import to_hex

    assert [to_hex(patch.get_facecolor()) for patch in axes.patches[:2]] == [LIGHT.strong_down, LIGHT.strong_up]
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["bad", "good"]


def test_a_beeswarm_has_a_point_an_input(rows):
    pytest.importorskip("matplotlib")
    axes = rows.plot("beeswarm", dark=True)
    points = {
        label.get_text(): np.asarray(drawn.get_offsets())
        for label, drawn in zip(axes.get_yticklabels(), axes.collections, strict=True)
    }
    assert len(points["age (12)"]) == 12
    at = rows.feature_names.index("age")
    np.testing.assert_allclose(np.sort(points["age (12)"][:, 0]), np.sort(rows.values[:, at]))
    assert all(np.abs(each[:, 1] - round(float(each[:, 1].mean()))).max() < 0.5 for each in points.values())
    assert axes.figure.get_facecolor()[:3] == pytest.approx([int(DARK.paper[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_a_beeswarm_of_a_thousand_rows_keeps_its_lines_apart():
    pytest.importorskip("matplotlib")
    texts = [f"good {'bad ' * (i % 3)}w{i % 7}" for i in range(1_000)]
    found = saywhy.Explainer(tone, labels=["tone", "length"])(texts, target="tone", trust="none", method="occlusion")
    axes = found.plot("beeswarm", top=6)
    for place, drawn in enumerate(axes.collections):
        assert np.abs(np.asarray(drawn.get_offsets())[:, 1] - place).max() <= 0.4


def test_a_waterfall_goes_from_base_to_value(found):
    pytest.importorskip("matplotlib")
    e = found[3]
    axes = e.plot("waterfall", top=2)
    ends = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    assert ends[0][0] == pytest.approx(e.base)
    assert ends[-1][1] == pytest.approx(e.value)
    assert all(one[1] == pytest.approx(other[0]) for one, other in pairwise(ends))
    assert "3 more together" in [label.get_text() for label in axes.get_yticklabels()]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_charts_are_saved(found, ending, tmp_path):
    pytest.importorskip("matplotlib")
    one, other = (found.plot("beeswarm").save(tmp_path / f"{name}.{ending}") for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size > 2_000
    with pytest.raises(FileError, match=r"\.svg"):
        found.plot().save(tmp_path / "a.gif")


def test_names_with_signs_of_mathematics_are_drawn_as_they_are(tmp_path):
    pytest.importorskip("matplotlib")
    e = saywhy.Explainer(tone, labels=["tone", "length"])(r"good $x_1$ \frac{1} 5%", target="tone", trust="none")
    assert e.plot().save(tmp_path / "a.png").is_file()


@pytest.mark.parametrize("kind", ["bar", "beeswarm", "waterfall"])
def test_shap_draws_ours(rows, found, kind):
    """Text and columns in one explanation, in the plots that users of shap know."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    import matplotlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shap = pytest.importorskip("shap")
        before = matplotlib.get_backend()
        matplotlib.use("agg")
        try:
            for each in (rows, found):
                given = each[0].to_shap() if kind == "waterfall" else each.to_shap()
                assert isinstance(given, shap.Explanation)
                getattr(shap.plots, kind)(given, show=False)
                shown = [label.get_text() for label in pyplot.gca().get_yticklabels()]
                assert any(name in " ".join(shown) for name in ("good", "age")), shown
                pyplot.close("all")
        finally:
            matplotlib.use(before)


def test_shap_has_the_same_numbers(found):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("shap")
        given = found.to_shap()
    np.testing.assert_array_equal(given.values, found.values)
    np.testing.assert_allclose(given.base_values + given.values.sum(1), [e.value for e in found], atol=1e-9)
