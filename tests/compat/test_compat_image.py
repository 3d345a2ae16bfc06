"""transformers-interpret's image explainer: its names, shapes, errors and pictures, and the faults it does not have."""

from __future__ import annotations

import inspect
import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from pictures import photo, tiny
from saywhy.compat.transformers_interpret import ImageClassificationExplainer
from saywhy.compat.transformers_interpret.attribution_types import AttributionType
from saywhy.compat.transformers_interpret.explainers.vision.attribution_types import NoiseTunnelType

QUICK = {"n_steps": 8, "n_steps_noise_tunnel": 2, "noise_tunnel_n_samples": 2}


def explainer(name="vit", *args, **settings):
    return ImageClassificationExplainer(*tiny(name), *args, **settings)


def test_arguments_and_defaults():
    init = inspect.signature(ImageClassificationExplainer).parameters
    assert list(init) == ["model", "feature_extractor", "attribution_type", "custom_labels"]
    assert (init["attribution_type"].default, init["custom_labels"].default) == ("IGNT", None)
    call = inspect.signature(ImageClassificationExplainer.__call__).parameters
    assert {name: p.default for name, p in list(call.items())[2:]} == {
        "index": None, "class_name": None, "internal_batch_size": None, "n_steps": None, "n_steps_noise_tunnel": None,
        "noise_tunnel_n_samples": None, "noise_tunnel_type": "smoothgrad",
    }  # fmt: skip
    show = inspect.signature(ImageClassificationExplainer.visualize).parameters
    assert {name: p.default for name, p in list(show.items())[1:]} == {
        "save_path": None, "method": "overlay", "sign": "all", "outlier_threshold": 0.1,
        "use_original_image_pixels": True, "side_by_side": False,
    }  # fmt: skip
    x = explainer()
    assert (x.n_steps, x.n_steps_noise_tunnel, x.noise_tunnel_n_samples, x.internal_batch_size) == (50, 5, 10, None)
    assert (x.id2label, x.label2id) == (x.model.config.id2label, x.model.config.label2id)
    assert (x.device, x.attributions) == (torch.device("cpu"), None)


@pytest.mark.parametrize("name", ["vit", "swin", "convnext"])
@pytest.mark.parametrize("kind", ["IG", "IGNT", AttributionType.INTEGRATED_GRADIENTS])
def test_attributions_have_the_shape_of_the_models_input(name, kind):
    x = explainer(name, kind)
    found = x(photo(), **QUICK)
    assert str(found.shape) == "torch.Size([1, 3, 32, 32])"
    assert found is x.attributions
    assert np.isfinite(np.asarray(found)).all()
    assert x.selected_index == x.predicted_index == int(tiny(name)[0](**x.inputs).logits.argmax())
    assert torch.equal(x(photo(), **QUICK), found)
    assert (x.n_steps, x.n_steps_noise_tunnel, x.noise_tunnel_n_samples) == (8, 2, 2)


def test_the_class_asked_for_is_explained():
    x = explainer(attribution_type="IG")
    by_label = {label: x(photo(), class_name=label, n_steps=6) for label in x.label2id}
    assert not torch.equal(by_label["cat"], by_label["banana"])
    for index, label in x.id2label.items():
        assert torch.equal(x(photo(), index=index, n_steps=6), by_label[label])
        assert x.selected_index == index
    assert torch.equal(x(photo(), index=-1, n_steps=6), by_label["banana"])
    assert torch.equal(x(photo(), index=0, class_name="dog", n_steps=6), by_label["cat"])


def test_integrated_gradients_and_their_delta_are_captums():
    captum = pytest.importorskip("captum.attr")
    model, _ = tiny("vit")
    x = explainer(attribution_type="IG")
    found = x(photo(), index=1, n_steps=20)
    inputs = x.inputs["pixel_values"].requires_grad_()
    ig = captum.IntegratedGradients(lambda z: model(z).logits)
    theirs, delta = ig.attribute(inputs, target=1, n_steps=20, return_convergence_delta=True)
    torch.testing.assert_close(found, theirs.float().detach(), rtol=1e-4, atol=1e-6)
    assert float(x.delta) == pytest.approx(float(delta), abs=1e-4)


@pytest.mark.parametrize("kind", NoiseTunnelType)
def test_each_kind_of_noise(kind):
    x = explainer()
    found = x(photo(), noise_tunnel_type=kind.value, **QUICK)
    assert x.noise_tunnel_type == kind.value
    assert x.delta is None
    assert kind is NoiseTunnelType.SMOOTHGRAD or float(found.min()) >= 0
    assert x.explanation.options["noise"] * float(x.inputs["pixel_values"].std()) == pytest.approx(1)
    assert torch.equal(x(photo(), noise_tunnel_type=kind, **QUICK), found)


def test_batch_size_changes_nothing_and_one_sample_works():
    x = explainer()
    found = x(photo(), **QUICK)
    torch.testing.assert_close(x(photo(), internal_batch_size=1, **QUICK), found)
    assert x.internal_batch_size == 1
    assert x.explanation.cost.backwards >= 4
    assert x(photo(), n_steps_noise_tunnel=1, noise_tunnel_n_samples=1).shape == found.shape
    assert x.noise_tunnel_n_samples == 1


def test_errors():
    with pytest.raises(ValueError, match="IGNT"):
        explainer(attribution_type="lig")
    with pytest.raises(ValueError, match="2 custom labels"):
        explainer(custom_labels=["a", "b"])
    x = explainer(custom_labels=["a", "b", "c"])
    assert (x.id2label, x.label2id) == ({0: "a", 1: "b", 2: "c"}, {"a": 0, "b": 1, "c": 2})
    with pytest.raises(AttributeError, match="call the explainer"):
        x.visualize()
    with pytest.raises(ValueError, match="vargrad"):
        x(photo(), noise_tunnel_type="median")
    with pytest.raises(KeyError):
        x(photo(), class_name="cat", **QUICK)
    with pytest.raises(IndexError, match="3 labels"):
        x(photo(), index=3, **QUICK)
    x(photo(), class_name="b", **QUICK)
    assert x.explanation.target.label == "b"
    for settings in ({"method": "overlap"}, {"sign": "both"}):
        with pytest.raises(ValueError, match=r"overlay|positive"):
            x.visualize(**settings)


def test_every_method_sign_and_side_saves_a_picture(tmp_path):
    x = explainer("deit", "IG")
    x(photo(), n_steps=4)
    views = ("heatmap", "overlay", "masked_image", "alpha_scaling")
    signs = ("all", "positive", "negative", "absolute")
    for view, sign, side in itertools.product(views, signs, (False, True)):
        path = tmp_path / f"{view}-{sign}-{side}.png"
        if sign == "all" and view in views[2:]:
            with pytest.warns(UserWarning, match="positive"):
                shown, axes = x.visualize(str(path), method=view, sign=sign, side_by_side=side)
        else:
            shown, axes = x.visualize(str(path), method=view, sign=sign, side_by_side=side)
        assert type(shown).__name__ == "Figure"
        assert isinstance(axes, list) == side
        assert min(Image.open(io.BytesIO(path.read_bytes())).size) > 300
    x.visualize(use_original_image_pixels=False)


def test_two_classes_of_one_name(monkeypatch):
    """ImageNet has two cranes: label2id is shorter than id2label, and names of one's own may be as many as either."""
    x = explainer()
    monkeypatch.setattr(x.model.config, "id2label", {0: "crane", 1: "dog", 2: "crane"})
    monkeypatch.setattr(x.model.config, "label2id", {"crane": 2, "dog": 1})
    named = explainer(custom_labels=["a", "b"])
    assert named.label2id == {"a": 0, "b": 1}
    assert named(photo(), index=2, **QUICK).shape == x(photo(), index=2, **QUICK).shape
    assert named.explanation.target.label == "crane"
