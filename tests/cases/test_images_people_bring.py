"""Images in the forms in which people have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pictures
import saywhy


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels_first", [True, False])
def test_a_tensor_of_any_type_is_an_image(dtype: torch.dtype, channels_first: bool) -> None:
    image = pictures.photo()
    levels = torch.tensor(np.asarray(image))
    given = levels if dtype is torch.uint8 else (levels.double() / 255).to(dtype)
    explainer = saywhy.Explainer(*pictures.tiny("vit"))
    e = explainer(given.permute(2, 0, 1) if channels_first else given, method="occlusion", trust="none", target=0)
    right = float(pictures.logits("vit", image)[0])
    assert e.value == pytest.approx(right, abs=0.02 if dtype is torch.bfloat16 else 2e-3)
