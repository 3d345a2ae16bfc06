"""Explained images as pictures: every view and sign, scales and keys, pages, the terminal."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import saywhy
from pictures import photo, tiny
from saywhy.core.errors import InputError, OptionError
from saywhy.core.explanation import Explanation, Explanations
from saywhy.core.types import Feature, Picture, Target
from saywhy.render import html, picture, terminal
from saywhy.render import picture as axes
from saywhy.storage.explanations import content


def png(image):
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def made(scores, rows, columns, size=(90, 60), view=None):
    """An explanation with these scores on an even grid over what the model sees."""
    left, top, right, bottom = view or (0, 0, *size)
    xs, ys = np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1)
    boxes = [(xs[c], ys[r], xs[c + 1], ys[r + 1]) for r in range(rows) for c in range(columns)]
    features = tuple(Feature(f"f{i}", None, "image", tuple(map(float, box))) for i, box in enumerate(boxes))
    seen = photo().crop((left, top, right, bottom)).resize((32, 32))
    image = Picture(png(photo().resize(size)), size, png(seen), (left, top, right, bottom))
    return Explanation(features, scores, Target("cat <b>", (0,)), "occlusion", 1.0, 0.5, image=image)


CROPPED = made([4.0, -4.0, 0.0, 1.0], 2, 2, view=(10, 0, 70, 60))


@pytest.fixture(scope="module")
def real():
    torch.set_num_threads(1)
    return saywhy.Explainer(tiny("deit"))(photo(), method="occlusion", by=(4, 4))


def at(image, x, y):
    """The colour at a place given in shares of width and height."""
    rgb = np.asarray(image.convert("RGB"), int)
    return rgb[int(y * rgb.shape[0]), int(x * rgb.shape[1])]


def test_colours_are_where_the_scores_are():
    heat = picture.heatmap(CROPPED)
    assert heat.size == (360, 240)
    up, down, zero, weak, outside = (
        at(heat, *p) for p in ((0.3, 0.2), (0.6, 0.2), (0.3, 0.8), (0.6, 0.8), (0.95, 0.5))
    )
    assert tuple(up) == (0x18, 0x6B, 0xC5)
    assert tuple(down) == (0xC4, 0x53, 0x0F)
    assert tuple(zero) == (255, 255, 255)
    assert up[2] < weak[2] or weak[0] > up[0]
    assert weak[2] > weak[0]
    assert tuple(outside) == (0xE1, 0xE4, 0xE8)
    over = picture.overlay(CROPPED)
    assert at(over, 0.3, 0.2)[2] > at(over, 0.3, 0.2)[0] + 60
    assert at(over, 0.6, 0.2)[0] > at(over, 0.6, 0.2)[2] + 60
    assert np.ptp(at(over, 0.3, 0.8)) <= 1


def test_each_sign_shows_its_own():
    def strength(sign, x, y):
        return 255 - at(picture.heatmap(CROPPED, sign=sign), x, y).min()

    left, right = (0.3, 0.2), (0.6, 0.2)
    assert strength("positive", *left) > 200 > strength("positive", *right) == 0
    assert strength("negative", *right) > 200 > strength("negative", *left) == 0
    assert strength("absolute", *right) == strength("absolute", *left) > 150
    assert strength("all", *right) > 150 < strength("all", *left)


def test_masks_and_transparency():
    masked, scaled = picture.masked_image(CROPPED), picture.alpha_scaling(CROPPED)
    ground = picture.ground(CROPPED)
    np.testing.assert_array_equal(at(masked, 0.3, 0.2), at(ground, 0.3, 0.2))
    assert at(masked, 0.6, 0.2).max() == 0
    assert scaled.mode == "RGBA"
    alpha = np.asarray(scaled)[..., 3]
    assert (alpha[48, 108], alpha[48, 216], alpha[192, 216]) == (255, 0, 64)
    for draw in (picture.masked_image, picture.alpha_scaling):
        with pytest.raises(OptionError, match="positive"):
            draw(CROPPED, sign="all")


def test_on_the_models_input_the_scores_fill_the_picture():
    heat = picture.heatmap(CROPPED, on="input")
    assert heat.size == (320, 320)
    assert tuple(at(heat, 0.02, 0.02)) == tuple(at(heat, 0.48, 0.48)) == (0x18, 0x6B, 0xC5)
    assert tuple(at(heat, 0.98, 0.02)) == (0xC4, 0x53, 0x0F)


def test_outliers_are_clipped():
    scores = np.r_[np.full(99, 1.0), 100.0]
    e = made(scores, 10, 10)
    assert picture.end(e, outlier=0.0) == 100
    assert picture.end(e, outlier=0.6) == 1
    assert tuple(at(picture.heatmap(e, outlier=0.6), 0.01, 0.01)) == (0x18, 0x6B, 0xC5)
    assert at(picture.heatmap(e, outlier=0.0), 0.01, 0.01).min() > 240


def test_channels_of_a_pixel_add_up():
    e = made([1.0, 2.0], 1, 2)
    double = replace(e, features=(*e.features, *e.features), scores=np.array([1.0, 2.0, 3.0, -2.0]))
    assert picture.end(double, outlier=0) == 4
    heat = picture.heatmap(double)
    assert tuple(at(heat, 0.2, 0.5)) == (0x18, 0x6B, 0xC5)
    assert tuple(at(heat, 0.8, 0.5)) == (255, 255, 255)


@pytest.mark.parametrize("view", picture.VIEWS)
def test_every_view_is_drawn_into_every_file(real, view, tmp_path):
    for ending in ("png", "svg", "html"):
        path = real.save(tmp_path / f"why.{ending}", view=view)
        assert path.read_bytes() == content(real, f".{ending}", view)
    drawn = np.asarray(Image.open(io.BytesIO((tmp_path / "why.png").read_bytes())).convert("RGB"))
    assert drawn.shape[1] == 1300
    text = (tmp_path / "why.svg").read_text()
    assert text.count("<image") == 2
    assert "http://www.w3.org" in text
    assert not re.search(r'href="(?!#|data:)', text)


@pytest.mark.parametrize("view", picture.VIEWS)
@pytest.mark.parametrize("sign", picture.SIGNS)
@pytest.mark.parametrize("side_by_side", [False, True])
def test_figures_have_axes(real, view, sign, side_by_side):
    if view in picture.ONE_SIDED and sign == "all":
        return
    for on in picture.GROUNDS:
        shown, found = axes.figure(real, view, sign=sign, side_by_side=side_by_side, on=on)
        assert isinstance(found, list) == side_by_side
        assert len(shown.axes) == 1 + side_by_side + (view not in picture.ONE_SIDED)


def test_bad_drawings_are_refused(real):
    for settings in ({"sign": "both"}, {"on": "paper"}, {"outlier": 1.5}):
        with pytest.raises(OptionError):
            picture.overlay(real, **settings)
    for draw in (lambda: axes.figure(real, "overlai"), lambda: content(real, ".png", "overlai")):
        with pytest.raises(OptionError, match="overlay"):
            draw()
    with pytest.raises(InputError, match="not of an image"):
        picture.overlay(replace(real, image=None))


def test_a_page_holds_its_images_and_loads_nothing(real):
    page = html.page(CROPPED)
    assert "img-src data:" in page
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == 2
    for source in sources:
        assert source.startswith("data:image/png;base64,")
        assert Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).size == (360, 240)
    assert "<b>" not in page
    assert "cat &lt;b&gt;" in page
    assert "f0: +4 logit" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "img-src" not in html.page(replace(real, image=None))
    assert page.count("saywhy-patch") > 4
    assert "washed out" in page


def test_several_targets_and_several_images_are_kept_apart(real):
    other = made([1.0, 2.0, 3.0, -4.0], 2, 2)
    targets = Explanations((CROPPED, replace(CROPPED, target=Target("dog", (1,)), scores=-CROPPED.scores / 2)))
    page = html.page(targets)
    assert page.count("<img") == 3 + 2 * 2
    assert "in its image" in page
    assert "2 inputs" in html.page(Explanations((CROPPED, other)))
    assert "2 inputs" in terminal.plain(Explanations((CROPPED, other)))


def test_a_terminal_shows_the_grid():
    said = terminal.plain(CROPPED)
    assert "the image, 90 x 60 pixels" in said
    grid = [line.split() for line in said.splitlines()[5:7]]
    assert grid == [["++", "--"], ["·", "+"]]
    many = terminal.plain(made(np.sin(np.arange(60 * 90)), 60, 90))
    rows = [line.split() for line in many.splitlines() if set(line.split()) <= {"++", "+", "·", "-", "--"} and line]
    assert [len(row) for row in rows] == [24] * 16
    flat = terminal.plain(made(np.zeros(4), 2, 2))
    assert "++" not in flat
