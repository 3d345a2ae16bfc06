"""Images: what the model is shown, features and their boxes, every method, bad input, files, the command."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import saywhy
from pictures import LABELS, NAMES, logits, photo, tiny
from saywhy.core.errors import FileError, InputError, MethodError, MissingError, ModelError, OptionError
from saywhy.methods import METHODS
from saywhy.models.image.framing import framed, processed
from saywhy.models.image.pixels import read_image
from saywhy.models.protocol import EncodingOptions


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small are slower on several threads, above all on a machine that is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def explainer(name="vit"):
    return saywhy.Explainer(tiny(name))


def pixels(image, name="vit"):
    return tiny(name)[1](image, return_tensors="pt")["pixel_values"][0]


def bytes_of(image, ending="PNG", **settings):
    out = io.BytesIO()
    image.save(out, format=ending, **settings)
    return out.getvalue()


# ---- what the model is shown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_predictions_are_the_models_and_the_pipelines(name):
    model, processor = tiny(name)
    pipe = transformers.pipeline("image-classification", model=model, image_processor=processor)
    for given in (saywhy.Explainer((model, processor)), saywhy.Explainer(pipe)):
        assert given.task.name == "image-classification"
        e = given(photo(), method="random", unit="prob")
        said = pipe(photo(), top_k=3)
        assert e.prediction == said[0]["label"] == e.target.label
        assert e.probability == pytest.approx(said[0]["score"], abs=1e-6)
        assert e.value == pytest.approx(float(logits(name, photo()).softmax(-1).max()), abs=1e-6)
        assert given.predict([photo()])[0] == (e.prediction, e.probability)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_what_the_processor_makes(name):
    why = explainer(name)
    for size in ((90, 60), (32, 32), (40, 130)):
        encoding = why.task.encode(why.model, photo(*size), EncodingOptions("patch", "mean"))
        n = len(encoding.features)
        everything, nothing = encoding.at(np.array([[True] * n, [False] * n]))
        assert torch.equal(everything.shown(), pixels(photo(*size), name))
        assert not nothing.shown().any()
        one = np.ones((1, n), dtype=bool)
        one[0, n // 2] = False
        gone = encoding.at(one)[0].shown() != everything.shown()
        owned = torch.as_tensor(encoding.owner == n // 2).reshape(gone.shape[1:])
        assert (gone.any(0) <= owned).all()


def test_a_folder_is_loaded_without_torchvision(tmp_path):
    model, processor = tiny("vit")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    why = saywhy.Explainer(str(tmp_path))
    assert why.task.name == "image-classification"
    assert why(photo(), method="random", target="dog").value == pytest.approx(
        float(logits("vit", photo())[1]), abs=1e-6
    )
    with pytest.raises(ModelError, match="image-classification"):
        saywhy.Explainer(str(tmp_path), task="text-classification")


def test_all_kinds_of_images_are_read_right(tmp_path):
    image = photo()
    colours, grey = np.asarray(image), image.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    clear = image.copy()
    clear.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 90).astype(np.uint8), (60, 1))))
    share = np.asarray(clear)[..., 3:] / 255
    on_white = Image.fromarray(np.rint(colours * share + 255 * (1 - share)).astype(np.uint8))
    image.save(tmp_path / "image.png")
    palette = image.quantize(16)
    cases = [
        (image, image),
        (str(tmp_path / "image.png"), image),
        (tmp_path / "image.png", image),
        (bytes_of(image), image),
        (bytes_of(image, "JPEG"), Image.open(io.BytesIO(bytes_of(image, "JPEG")))),
        (colours, image),
        (colours.transpose(2, 0, 1), image),
        (torch.tensor(colours).permute(2, 0, 1), image),
        (colours / 255, image),
        ((colours / 255).astype(np.float32), image),
        (colours.astype(np.uint16) * 257, image),
        (colours.astype(np.int64), image),
        (np.asarray(grey), grey.convert("RGB")),
        (np.asarray(grey)[..., None], grey.convert("RGB")),
        (np.asarray(grey) > 128, Image.fromarray(np.asarray(grey) > 128).convert("RGB")),
        (grey, grey.convert("RGB")),
        (deep, grey.convert("RGB")),
        (bytes_of(deep), grey.convert("RGB")),
        (Image.fromarray(np.asarray(grey).astype(np.int32) * 257), grey.convert("RGB")),
        (Image.fromarray((np.asarray(grey) / 255).astype(np.float32)), grey.convert("RGB")),
        (image.convert("CMYK"), image.convert("CMYK").convert("RGB")),
        (bytes_of(image.convert("CMYK"), "JPEG"), Image.open(io.BytesIO(bytes_of(image.convert("CMYK"), "JPEG")))),
        (palette, palette.convert("RGB")),
        (clear, on_white),
        (np.asarray(clear), on_white),
        (image.convert("1"), image.convert("1").convert("RGB")),
        (image.convert("YCbCr"), image.convert("YCbCr").convert("RGB")),
    ]
    for given, expected in cases:
        found = read_image(given)
        assert (found.mode, found.size) == ("RGB", (90, 60))
        np.testing.assert_allclose(np.asarray(found, int), np.asarray(expected.convert("RGB"), int), atol=1)


def test_a_turned_photo_is_upright():
    turned = Image.Exif()
    turned[0x0112] = 6
    stored = photo().transpose(Image.Transpose.ROTATE_90)
    found = read_image(bytes_of(stored, "PNG", exif=turned))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(photo()))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"not an image", "cannot be read"),
        (b"", "cannot be read"),
        (bytes_of(photo())[:300], "cannot be read"),
        (7, "not an image but int"),
        (None, "not an image but NoneType"),
        ((photo(), photo()), "One image at a time"),
        (np.zeros((2, 3, 4, 5)), "shape"),
        (np.zeros((60, 90, 2)), "shape"),
        (np.zeros((0, 5, 3)), "no pixels"),
        (np.full((5, 5), 3.0), "from 3 to 3"),
        (np.full((5, 5), np.nan), "nan"),
        (np.full((5, 5), -1), "from -1"),
        (np.zeros((5, 5), dtype=complex), "complex"),
        (np.array([["a"]]), "not an image"),
        ("http://example.org/cat.jpg", "nothing is fetched"),
    ],
)
def test_what_is_not_an_image_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        explainer()(given)


def test_files_that_are_no_images_are_refused(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match=r"text\.png"):
        explainer()(tmp_path / "text.png")
    with pytest.raises(FileError, match="no image file"):
        explainer()(str(tmp_path / "nothing.png"))
    with pytest.raises(InputError, match="Input 1 of 2"):
        explainer()([photo(), b"nothing"])


def test_what_is_no_image_model_is_refused():
    model, processor = tiny("vit")
    with pytest.raises(OptionError, match="image_processor"):
        saywhy.Explainer(model)
    with pytest.raises(OptionError, match="image processor"):
        saywhy.Explainer((model, lambda images: images))
    with pytest.raises(ModelError, match="can do image-classification"):
        saywhy.Explainer((model, processor), task="fill-mask")


def test_without_pillow_the_extra_is_named(monkeypatch):
    e = explainer()(photo(), method="random", by=(2, 2))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingError, match=r"pip install 'pillow"):
        explainer()(np.zeros((8, 8)))
    assert "row 1, column 1" in str(e)
    with pytest.raises(MissingError, match=r"pip install 'pillow"):
        e._repr_html_()


@pytest.mark.parametrize("name", NAMES)
def test_tiny_images_work(name):
    for size in ((1, 1), (2, 3), (3, 1)):
        image = Image.new("RGB", size, (200, 30, 90))
        e = explainer(name)(image, method="occlusion", by=(2, 2))
        assert e.value == pytest.approx(float(pixels_say(name, image).max()), abs=1e-5)
        assert e.image.size == size
        for f in e.features:
            assert f.box is None or (f.box[2] <= size[0] and f.box[3] <= size[1])


def pixels_say(name, image):
    model, processor = tiny(name)
    with torch.no_grad():
        return model(pixel_values=processed(processor, image)[None]).logits[0]


# ---- features and their boxes ----------------------------------------------------------------------------------------


def test_features_are_patches_pixels_or_a_grid():
    def encoded(name, by):
        why = explainer(name)
        return why.task.encode(why.model, photo(), EncodingOptions(by, "mean"))

    assert [len(encoded(name, "patch").features) for name in NAMES] == [16, 16, 64, 64, 11 * 17]
    assert len(encoded("vit", "pixel").features) == 32 * 32
    assert len(encoded("vit", "channel").features) == 3 * 32 * 32
    grid = encoded("vit", (3, 5))
    assert [f.label for f in grid.features][:6] == [*(f"row 1, column {c}" for c in range(1, 6)), "row 2, column 1"]
    assert {f.part for f in grid.features} == {"image"}
    assert np.bincount(grid.owner).min() >= 6 * 10
    for given in ("word", "pach", "focus", (0, 3), (3,), (33, 2), [(0, 3)], (True, 2), 5):
        with pytest.raises(OptionError, match=r"by|granularity|rows"):
            explainer()(photo(), by=given)


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("vit", (0, 0, 90, 60)),
        ("deit", (9, 6, 81, 54)),  # 40 x 40, and of that the middle 32 x 32
        ("swin", (0, 0, 90, 60)),
        ("convnext", (11 / 54 * 90, 2 / 36 * 60, 43 / 54 * 90, 34 / 36 * 60)),  # 54 x 36, the middle 32 x 32
        ("resnet", (0, 0, 90, 60)),
    ],
)
def test_boxes_are_in_the_image_as_it_was_given(name, view):
    for times in (1, 20):
        image = photo().resize((90 * times, 60 * times))
        e = explainer(name)(image, method="random", by=(4, 4))
        assert np.abs(np.array(e.image.view) / times - view).max() < 0.25
        boxes = np.array([f.box for f in e.features]).reshape(4, 4, 4)
        assert (boxes[:, :-1, 2] == boxes[:, 1:, 0]).all()
        assert (boxes[:-1, :, 3] == boxes[1:, :, 1]).all()
        assert boxes.min() >= 0
        assert (boxes[..., 2] <= 90 * times).all()
        assert e.notes == ()


@pytest.mark.parametrize("name", NAMES)
def test_what_changes_in_a_box_changes_its_feature(name):
    why, image = explainer(name), photo().resize((900, 600))
    encoding = why.task.encode(why.model, image, EncodingOptions((4, 4), "mean"))
    for i in (0, 6, 15):
        left, top, right, bottom = map(round, encoding.features[i].box)
        changed = image.copy()
        changed.paste((255, 0, 255), (left + 30, top + 30, right - 30, bottom - 30))
        moved = (pixels(changed, name) - pixels(image, name)).abs().sum(0).reshape(-1).numpy()
        share = np.bincount(encoding.owner, moved) / moved.sum()
        assert share[i] > 0.97


def test_boxes_are_in_the_models_input_where_the_framing_is_not_known():
    model, processor = tiny("vit")

    class Mirrored(type(processor)):
        def __call__(self, images, **settings):
            batch = super().__call__(images, **settings)
            batch["pixel_values"] = torch.cat([batch["pixel_values"][..., :16].flip(-1)] * 2, -1)
            return batch

    e = saywhy.Explainer((model, Mirrored(size={"height": 32, "width": 32})))(photo(), method="random", by=(2, 2))
    assert e.image.size == (32, 32)
    assert e.features[3].box == (16, 16, 32, 32)
    assert "model's input" in e.notes[0]


def test_padding_shows_nothing_of_the_image():
    class Padded(type(tiny("vit")[1])):
        def __call__(self, images, **settings):
            batch = super().__call__(images, **settings)
            batch["pixel_values"] = torch.nn.functional.pad(batch["pixel_values"], (0, 32))
            return batch

    framing = framed(Padded(size={"height": 32, "width": 32}), (90, 60), (3, 32, 64))
    np.testing.assert_allclose(framing.view, (0, 0, 180, 60), atol=0.5)


class QuartersForImageClassification(torch.nn.Module):
    """Says how bright each quarter of its input is."""

    def __init__(self):
        super().__init__()
        self.config = transformers.PretrainedConfig(id2label=dict(enumerate(("nw", "ne", "sw", "se"))))
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, pixel_values):
        quarters = torch.nn.functional.adaptive_avg_pool2d(pixel_values.mean(1, keepdim=True), 2).flatten(1)
        return transformers.modeling_outputs.ImageClassifierOutput(logits=quarters * self.scale)


@pytest.mark.parametrize(
    ("method", "by"),
    [
        *((method, by) for method in ("occlusion", "input_x_gradient") for by in ((2, 2), "patch", (4, 6))),
        *(("kernel_shap", (4, 6)), ("shapley_values", (2, 2)), ("integrated_gradients", "patch"), ("lime", (2, 2))),
    ],
)
def test_the_scores_lie_where_the_model_looks(method, by):
    why = saywhy.Explainer((QuartersForImageClassification(), tiny("deit")[1]))
    for label, right, low in (("nw", False, False), ("ne", True, False), ("se", True, True)):
        e = why(photo(), target=label, method=method, by=by, absent="black")
        assert abs(e.gap) < (1e-5 if method != "lime" else 1e-2)
        assert e.value - e.base > 0.1
        for f, score in zip(e.features, e.scores, strict=True):
            inside = ((f.box[0] + f.box[2]) / 2 > 45) == right and ((f.box[1] + f.box[3]) / 2 > 30) == low
            assert score > 1e-4 if inside else abs(score) < (1e-6 if method != "lime" else 1e-2)
    assert len(e.features) == {(2, 2): 4, (4, 6): 24}.get(by, 196)


# ---- methods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.family != "attention"])
def test_every_method_explains_images(method):
    options = {"steps": 40} if method == "integrated_gradients" else {}
    e = explainer()(photo(), method=method, by=(3, 3), target="dog", **options)
    assert e.scores.shape == (9,)
    assert np.isfinite(e.scores).all()
    if e.complete:
        assert abs(e.gap) <= 0.02 * np.abs(e.scores).sum() + 1e-6
    if method in ("shapley_values", "occlusion", "kernel_shap"):
        assert e.base == pytest.approx(float(pixels_say_zeros("vit")[1]), abs=1e-5)
    if method == "occlusion":
        assert len(e.variants) == 9
        assert e.variants[0].text.startswith("the image without row")


def pixels_say_zeros(name):
    with torch.no_grad():
        return tiny(name)[0](pixel_values=torch.zeros(1, 3, 32, 32)).logits[0]


@pytest.mark.parametrize("name", NAMES)
def test_several_images_are_explained_as_each_alone(name):
    images = [photo(), photo(64, 64), photo(40, 70)]
    for method in ("occlusion", "input_x_gradient"):
        together = explainer(name)(images, method=method, by=(3, 2))
        for image, e in zip(images, together, strict=True):
            alone = explainer(name)(image, method=method, by=(3, 2))
            np.testing.assert_allclose(e.scores, alone.scores, atol=1e-5 * max(1, np.abs(alone.scores).max()))
            assert (e.target, e.features, e.image) == (alone.target, alone.features, alone.image)


@pytest.mark.parametrize("absent", ["mean", "black", "white", "blur"])
def test_what_stands_in_for_what_is_absent(absent):
    e = explainer()(photo(), method="occlusion", by=(2, 2), absent=absent, target=0)
    plain = {"black": (0, 0, 0), "white": (255, 255, 255)}
    if absent in plain:
        expected = pixels_say("vit", Image.new("RGB", (90, 60), plain[absent]))[0]
        assert e.base == pytest.approx(float(expected), abs=1e-5)
    assert e.options["absent"] == absent
    gradients = explainer()(photo(), method="gradient_shap", by=(2, 2), absent=absent, target=0)
    assert gradients.base == pytest.approx(e.base, abs=1e-5)
    with pytest.raises(OptionError, match="blur"):
        explainer()(photo(), absent="drop")


def test_too_many_features_for_asking_one_by_one():
    big = np.zeros((80, 80, 3), np.uint8)
    model, _ = tiny("resnet")
    why = saywhy.Explainer((model, type(tiny("vit")[1])(size={"height": 80, "width": 80})))
    with pytest.raises(MethodError, match=r"6,400 .* saliency"):
        why(big, by="pixel", method="occlusion")
    assert why(big, by="pixel", method="saliency").scores.shape == (6400,)


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_gradients_equal_captums(name):
    captum = pytest.importorskip("captum.attr")
    model, _ = tiny(name)
    inputs = pixels(photo(), name)[None].requires_grad_()
    ig = captum.IntegratedGradients(lambda x: model(x).logits).attribute(inputs, target=1, n_steps=8)[0].detach()
    by_channel = explainer(name)(photo(), method="integrated_gradients", steps=8, by="channel", target=1)
    np.testing.assert_allclose(by_channel.scores, ig.reshape(-1).numpy(), rtol=1e-4, atol=1e-6)
    by_pixel = explainer(name)(photo(), method="integrated_gradients", steps=8, by="pixel", target=1)
    np.testing.assert_allclose(by_pixel.scores, ig.sum(0).reshape(-1).numpy(), rtol=1e-4, atol=1e-6)
    simple = captum.InputXGradient(lambda x: model(x).logits).attribute(inputs, target=2)[0]
    ours = explainer(name)(photo(), method="input_x_gradient", by="pixel", target=2)
    np.testing.assert_allclose(ours.scores, simple.sum(0).detach().reshape(-1).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("of", ["mean", "square", "variance"])
def test_noise_of_each_kind_against_the_gradients_of_each_copy(of):
    model, _ = tiny("vit")
    x = pixels(photo())
    half = torch.randn(2, 32 * 32, 3, generator=torch.Generator().manual_seed(5)) * 0.3 * x.flatten(1).T.std()
    each = []
    for eps in torch.cat([half, -half]):
        point = x + eps.T.reshape(x.shape)
        total = torch.zeros_like(x)
        for node, weight in zip(*np.polynomial.legendre.leggauss(3), strict=True):
            at = ((node + 1) / 2 * point).float()[None].requires_grad_()
            total += weight / 2 * torch.autograd.grad(model(pixel_values=at).logits[0, 1], at)[0][0]
        each.append((total * point).sum(0).reshape(-1).double())
    each = torch.stack(each)
    expected = {"mean": each.mean(0), "square": (each**2).mean(0), "variance": each.var(0, correction=0)}[of]
    settings = {"samples": 4, "noise": 0.3, "seed": 5, "of": of, "by": "pixel", "target": 1}
    e = explainer()(photo(), method="noisy_integrated_gradients", steps=3, **settings)
    np.testing.assert_allclose(e.scores, expected.numpy(), atol=1e-5)
    assert bool(e.notes) == (of != "mean")
    path = explainer()(photo(), method="smoothgrad", **settings)
    assert path.scores.min() >= 0 or of == "mean"


def test_each_label_from_the_same_forwards():
    found = explainer().each_target(photo(), method="occlusion", by=(2, 2))
    assert [e.target.label for e in found] == list(LABELS.values())
    assert found[0].cost.rows == explainer()(photo(), method="occlusion", by=(2, 2)).cost.rows
    against = explainer()(photo(), target="cat", against="dog", method="occlusion", by=(2, 2))
    np.testing.assert_allclose(against.scores, found["cat"].scores - found["dog"].scores, atol=1e-6)


def test_the_callers_model_and_processor_stay_as_they_were():
    model, processor = tiny("vit")
    settings, hooks = processor.to_dict(), [len(m._forward_hooks) for m in model.modules()]
    model.train()
    try:
        a, b = (explainer()(photo(), method="input_x_gradient") for _ in range(2))
        assert model.training
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
    finally:
        model.eval()
    np.testing.assert_array_equal(a.scores, b.scores)
    assert processor.to_dict() == settings
    assert hooks == [len(m._forward_hooks) for m in model.modules()]


def test_half_precision_and_other_labels():
    import copy

    model = copy.deepcopy(tiny("vit")[0]).to(torch.bfloat16)
    e = saywhy.Explainer((model, tiny("vit")[1]), labels=["a", "b", "c"])(photo(), method="occlusion", by=(2, 2))
    assert e.prediction in "abc"


# ---- files and the command ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def occluded():
    return explainer("deit")(photo(), method="occlusion", by=(4, 4))


def test_explanations_of_images_come_back_from_files(occluded, tmp_path):
    back = saywhy.load(occluded.save(tmp_path / "why.json"))
    assert (back.image, back.features) == (occluded.image, occluded.features)
    assert back.to_dict() == occluded.to_dict()
    data = json.loads((tmp_path / "why.json").read_text())
    data["explanations"][0]["image"]["png"] = "bm90IGFuIGltYWdl"
    (tmp_path / "bad.json").write_text(json.dumps(data))
    with pytest.raises(FileError, match="PNG"):
        saywhy.load(tmp_path / "bad.json")
    del data["explanations"][0]["image"], data["explanations"][0]["features"][0]["box"]
    (tmp_path / "old.json").write_text(json.dumps(data))
    old = saywhy.load(tmp_path / "old.json")
    assert (old.image, old.features[0].box) == (None, None)
    table = occluded.to_arrow().to_pydict()
    assert (table["left"][0], table["bottom"][-1]) == (occluded.features[0].box[0], occluded.features[-1].box[3])


def test_the_picture_kept_is_small_and_the_input_is_what_the_model_sees():
    e = explainer("deit")(photo().resize((1800, 1200)), method="random")
    kept, seen = (Image.open(io.BytesIO(data)) for data in (e.image.png, e.image.seen))
    assert (kept.size, e.image.size, seen.size) == ((512, 341), (1800, 1200), (32, 32))
    crop = photo().resize((1800, 1200)).crop((180, 120, 1620, 1080)).resize((32, 32))
    assert np.abs(np.asarray(seen, int) - np.asarray(crop, int)).mean() < 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("image-model")
    for part in tiny("vit"):
        part.save_pretrained(path)
    photo().save(path / "photo.png")
    return path


def saywhy_(*args):
    command = [sys.executable, "-m", "saywhy", "image", *map(str, args)]
    return subprocess.run(command, capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL)


def test_the_command(folder, tmp_path):
    done = saywhy_(folder / "photo.png", "--model", folder, "--method", "occlusion", "--by", "3x3", "--target", "dog")
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    assert "row 1, column" in done.stdout.decode()
    assert "+ raise" in done.stdout.decode()
    out = tmp_path / "why.png"
    done = saywhy_(folder / "photo.png", "--model", folder, "--method", "saliency", "--view", "heatmap", "-o", out)
    assert done.returncode == 0, done.stderr
    assert Image.open(io.BytesIO(out.read_bytes())).size[0] > 1000


def test_bad_use_of_the_command(folder):
    for args, said in (
        ((folder / "photo.png",), b"no image model in the package"),
        ((folder / "config.json", "--model", folder), b"cannot be read as an image"),
        ((folder / "nothing.png", "--model", folder), b"does not exist"),
    ):
        done = saywhy_(*args)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        assert b"Traceback" not in done.stderr
