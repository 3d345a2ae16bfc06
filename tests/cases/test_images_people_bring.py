"""Images in the forms in which people have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pictures
import saywhy
from conftest import tiny
from saywhy.core.errors import ModelError


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


@pytest.mark.parametrize("name", ["BertForMultipleChoice", "SegformerForSemanticSegmentation"])
def test_a_class_whose_answer_no_task_reads_is_refused_by_its_name(name: str) -> None:
    import transformers

    small = {"num_encoder_blocks": 1, "depths": [1], "hidden_sizes": [8], "num_attention_heads": [1], "patch_sizes": [3],
             "strides": [2], "sr_ratios": [1], "mlp_ratios": [1], "decoder_hidden_size": 8}  # fmt: skip
    text, tokenizer = tiny("bert")
    choice = name == "BertForMultipleChoice"
    model = getattr(transformers, name)(text.config if choice else transformers.SegformerConfig(**small))
    with pytest.raises(
        ModelError, match=f"{name} answers in a way that none of the tasks here reads: text-classification"
    ):
        saywhy.Explainer(model, tokenizer if choice else pictures.tiny("vit")[1])


def test_a_model_of_images_and_texts_is_refused_in_words_and_so_is_its_pipeline() -> None:
    import transformers

    _, tokenizer = tiny("bert")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": len(tokenizer), "eos_token_id": 3},
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    model = transformers.CLIPModel(config).eval()
    with pytest.raises(ModelError, match="is a CLIPModel, and fails when it is asked about texts alone"):
        saywhy.Explainer(model, tokenizer)
    made = transformers.pipeline(
        "zero-shot-image-classification", model=model, tokenizer=tokenizer, image_processor=pictures.tiny("vit")[1]
    )
    with pytest.raises(ModelError, match="does what a pipeline for zero-shot-image-classification does"):
        saywhy.Explainer(made)
