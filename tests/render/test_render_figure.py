"""The pictures: always the same, true to the numbers, and drawn without touching anybody's matplotlib."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from render_samples import ALL, LONG, NOTHING, ODD, ONE, SCORES, ZERO, explained
from saywhy.core.errors import InputError, MissingError
from saywhy.core.explanation import Explanation, Explanations
from saywhy.core.types import Feature
from saywhy.render import figure
from saywhy.render import theme as colors

pytestmark = pytest.mark.filterwarnings("error")
every = pytest.mark.parametrize("what", ALL)


@every
def test_svg_is_xml_without_addresses(what: Explanation | Explanations) -> None:
    source = figure.svg(what)
    ET.fromstring(source)
    assert not re.search("https?:", re.sub(r'xmlns(:\w+)?="[^"]+"', "", source))


def test_a_picture_is_always_the_same_and_changes_no_setting() -> None:
    code = """
import sys, matplotlib
sys.path.insert(0, sys.argv[1])
from render_samples import ONE
from saywhy.render import figure
first, image = figure.svg(ONE), figure.png(ONE)
assert "matplotlib.pyplot" not in sys.modules
matplotlib.rcParams.update({"text.usetex": True, "svg.fonttype": "none", "font.size": 40, "savefig.bbox": "tight"})
before = dict(matplotlib.rcParams)
assert figure.svg(ONE) == first and figure.png(ONE) == image
assert dict(matplotlib.rcParams) == before
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(Path(__file__).parents[1])], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def boxes(source: str, kind: str) -> dict[int, tuple[float, float, str]]:
    found = re.findall(rf'<g id="{kind}-0-(\d+)">\s*<path d="([^"]+)"[^>]*?style="([^"]+)"', source)
    xs = {int(i): [float(x) for x in re.findall(r"[ML] (\S+) ", path)] for i, path, _ in found}
    return {int(i): (min(xs[int(i)]), max(xs[int(i)]), style) for i, _, style in found}


def test_bars_and_whiskers_are_as_long_as_their_numbers() -> None:
    source = figure.svg(ONE)
    bars, errors = boxes(source, "bar"), boxes(source, "error")
    assert set(bars) == {i for i, score in enumerate(SCORES) if score}
    assert set(errors) == set(range(10))
    zero = bars[1][0]
    scale = (bars[1][1] - zero) / SCORES[1]
    for i, (left, right, style) in bars.items():
        assert (left - zero) / scale == pytest.approx(min(SCORES[i], 0), abs=1e-3)
        assert (right - zero) / scale == pytest.approx(max(SCORES[i], 0), abs=1e-3)
        assert f"fill: {colors.LIGHT.strong_up if SCORES[i] > 0 else colors.LIGHT.strong_down}" in style
        assert "stroke: none" in style or "stroke" not in style  # no edge: a small bar is not hollow
    assert ONE.stderr is not None
    for i, (left, right, _) in errors.items():
        assert (right - left) / 2 / scale == pytest.approx(ONE.stderr[i], abs=1e-3)
    assert len(boxes(figure.svg(LONG), "bar")) == 20
    assert not boxes(figure.svg(ZERO), "word")


def test_letters_that_no_font_has_are_boxes_and_said_so() -> None:
    drawn = {what: " ".join(re.findall("<!-- (.*?) -->", figure.svg(what))) for what in (ODD, ONE)}
    assert "□ stands for a letter that no font here has." in drawn[ODD]
    assert "\u0378" not in drawn[ODD]
    assert "□" not in drawn[ONE]


def test_a_dollar_is_a_dollar() -> None:
    formula = r"$\frac$"  # as mathematics it is an error
    drawn = figure.svg(explained(formula, [1.0], features=(Feature(formula, (0, 7)),), label=formula, notes=(formula,)))
    assert re.findall("<!-- (.*?) -->", drawn).count(formula) >= 4  # sentence, what is explained, text, bar, note


def test_png_grows_with_its_resolution() -> None:
    small, large = (np.frombuffer(figure.png(ONE, dpi)[16:24], ">u4") for dpi in (50, 100))
    assert figure.png(ONE).startswith(b"\x89PNG")
    assert small[0] == 325
    assert np.abs(large - 2 * small).max() <= 2


def test_a_picture_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for what in (NOTHING, Explanations((ZERO,) * 25)):
        with pytest.raises(InputError, match=rf"1 to 24 explanations; {len(what)} were given"):
            figure.svg(what)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingError, match=r"Saving a picture needs .* pip install 'matplotlib>="):
        figure.png(ONE)
