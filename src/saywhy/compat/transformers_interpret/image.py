"""transformers-interpret's image explainer: a score for each channel of each pixel, and four ways to draw it."""

from __future__ import annotations

import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.errors import unknown
from ...core.explanation import Explanation
from ...explain.explainer import Explainer
from ...models.image.pixels import read_image
from ...render.picture import ONE_SIDED, figure
from ...tasks.protocol import OutputIndex
from .attribution_types import AttributionType, NoiseTunnelType
from .explainer import custom_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL.Image import Image
    from transformers import BaseImageProcessor, PreTrainedModel

_OF = {"smoothgrad": "mean", "smoothgrad_sq": "square", "vargrad": "variance"}


class ImageClassificationExplainer:
    """Explains an image classifier's logit by integrated gradients ("IG"), or those averaged under noise ("IGNT").

    The path starts at the image whose every input to the model is zero. The noise has a standard deviation of 1 in the
    model's input; an odd number of samples is made even, since each draw comes with its negative. `explanation` is saywhy's
    own, of the last call.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        feature_extractor: BaseImageProcessor,
        attribution_type: str = AttributionType.INTEGRATED_GRADIENTS_NOISE_TUNNEL.value,
        custom_labels: list[str] | None = None,
    ):
        self.model, self.feature_extractor = model, feature_extractor
        self.attribution_type = _value(attribution_type, AttributionType, "attribution_type")
        self.id2label, self.label2id = custom_names(model.config, custom_labels)
        self.device = next(model.parameters()).device
        names = list((custom_names(model.config, None)[0] | self.id2label).values())
        self.why = Explainer(model, feature_extractor, task="image-classification", labels=names)
        self.internal_batch_size: int | None = None
        self.n_steps, self.n_steps_noise_tunnel, self.noise_tunnel_n_samples = 50, 5, 10
        self.noise_tunnel_type = NoiseTunnelType.SMOOTHGRAD.value
        self.attributions: Tensor | None = None
        self.explanation: Explanation | None = None
        self.delta: Tensor | None = None

    def __call__(
        self,
        image: Image | Tensor | NDArray[Any] | str | Path,
        index: int | None = None,
        class_name: str | None = None,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
        n_steps_noise_tunnel: int | None = None,
        noise_tunnel_n_samples: int | None = None,
        noise_tunnel_type: str = NoiseTunnelType.SMOOTHGRAD.value,
    ) -> Tensor:
        """[1, C, H, W]: what each channel of each pixel of the model's input adds to the class's logit.

        The class is `index`, else `class_name`, else the predicted one. Raises KeyError for an unknown name, IndexError for
        an index out of range, ValueError for an unknown kind of noise.
        """
        self.noise_tunnel_type = _value(noise_tunnel_type, NoiseTunnelType, "noise_tunnel_type")
        self.n_steps = n_steps or self.n_steps
        self.n_steps_noise_tunnel = n_steps_noise_tunnel or self.n_steps_noise_tunnel
        self.noise_tunnel_n_samples = noise_tunnel_n_samples or self.noise_tunnel_n_samples
        self.internal_batch_size = internal_batch_size or self.internal_batch_size
        self.inputs = self.feature_extractor(images=read_image(image), return_tensors="pt")
        pixels: Tensor = self.inputs["pixel_values"]
        with self.why.model.frozen(), torch.no_grad():
            self.predicted_index = int(self.model(pixel_values=pixels.to(self.device)).logits.argmax())
        self.selected_index = self._selected(index, class_name)
        self.why.batch_tokens = self.internal_batch_size and self.internal_batch_size * pixels.numel()
        method, options = self._method(float(pixels.std()))
        zero = "mean" if getattr(self.feature_extractor, "do_normalize", False) else "black"
        self.explanation = self.why(
            image,
            method=method,
            target=OutputIndex(self.selected_index),
            by="channel",
            absent=zero,
            trust="none",
            **options,
        )
        self.attributions = torch.tensor(self.explanation.scores, dtype=torch.float32).reshape(pixels.shape)
        self.delta = torch.tensor([-self.explanation.gap]) if method == "integrated_gradients" else None
        return self.attributions

    def _selected(self, index: int | None, class_name: str | None) -> int:
        if index is None:
            return self.predicted_index if class_name is None else int(self.label2id[class_name])
        many = len(self.why.model.labels)
        if not -many <= index < many:
            raise IndexError(f"The index {index} is out of range: the model has {many} labels.")
        return index % many

    def _method(self, spread: float) -> tuple[str, dict[str, Any]]:
        """The method and its options; `spread` is the standard deviation of the model's input."""
        if self.attribution_type == AttributionType.INTEGRATED_GRADIENTS.value:
            return "integrated_gradients", {"steps": self.n_steps}
        samples = self.noise_tunnel_n_samples + self.noise_tunnel_n_samples % 2
        options = {"samples": samples, "steps": self.n_steps_noise_tunnel, "of": _OF[self.noise_tunnel_type]}
        return "noisy_integrated_gradients", {**options, "noise": 1 / max(spread, 1e-12)}

    def visualize(
        self,
        save_path: str | Path | None = None,
        method: str = "overlay",
        sign: str = "all",
        outlier_threshold: float = 0.1,
        use_original_image_pixels: bool = True,
        side_by_side: bool = False,
    ) -> tuple[Figure, Any]:
        """(Figure, Axes) of the last call, with a list of Axes if `side_by_side`; written to `save_path` if there is one.

        Raises AttributeError before the first call, ValueError for an unknown method or sign.
        """
        if self.explanation is None:
            raise AttributeError("There is nothing to visualize yet: call the explainer with an image first.")
        if sign == "all" and method in ONE_SIDED:
            warnings.warn(
                f"sign='all' is not supported for method={method!r}; sign='positive' is used.",
                UserWarning,
                stacklevel=2,
            )
            sign = "positive"
        drawn = figure(
            self.explanation,
            method,
            sign=sign,
            outlier=min(outlier_threshold, 0.999),
            on="original" if use_original_image_pixels else "input",
            side_by_side=side_by_side,
            title=f"{method}, {self.attribution_type}. Prediction: {self.why.model.labels[self.predicted_index]}",
        )
        if save_path is not None:
            drawn[0].savefig(save_path)
        if "IPython" in sys.modules:  # in a notebook a figure is shown at once
            _show(drawn[0])
        return drawn


def _show(shown: Figure) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        display(shown)


def _value(given: str, kinds: type[Enum], what: str) -> str:
    """The value of one of the kinds, given as itself or by its value."""
    allowed = [str(kind.value) for kind in kinds]
    value = given.value if isinstance(given, Enum) else given
    if value not in allowed:
        raise unknown(what, given, allowed)
    return str(value)
