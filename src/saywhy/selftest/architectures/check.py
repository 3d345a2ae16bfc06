"""One class of model at a time: is it explained as it answers, and by which kinds of methods?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import SaywhyError
from ...core.explanation import Explanation
from ...explain.explainer import Explainer
from . import HEADINGS, Registered
from .build import CONTEXT, TEXT, pixels, tiny, words

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedModel, PreTrainedTokenizerBase

# one method of each kind, with options that keep it cheap
KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "coalitions": ("occlusion", {}),
    "gradients": ("integrated_gradients", {}),
    "rules": ("libra", {}),
    "attention": ("attention_rollout", {}),
}
NEAR = 1e-5  # of the prediction's size, or of 1 where that is less
ZERO = "scores that are all zero"
GOAL = "good"  # the continuation that language models are asked about


@dataclass(frozen=True)
class Found:
    """What came out for one class."""

    heading: str
    name: str
    unbuilt: str = ""  # why it was not built
    unasked: str = ""  # why it cannot be asked with a text (or an image) alone: what its own forward said
    prediction: str = ""  # "yes" where the value is the model's own, else how far off or why not
    results: Mapping[str, str] = field(default_factory=dict)  # kind of method -> "yes" or why not
    gap: float | None = None  # of integrated gradients, over the sum of the scores' sizes
    note: str = ""  # what integrated gradients say of a gap

    @property
    def asked(self) -> bool:
        return not self.unbuilt and not self.unasked

    @property
    def complete(self) -> bool:
        """Do integrated gradients add up, to the 1 % that they promise?"""
        return self.gap is not None and self.gap <= 0.0101


def check(what: Registered) -> Found:
    """Builds the class, asks it plainly, and explains it by one method of each kind. Never raises."""
    heading, name = what.heading, what.name
    warnings.simplefilter("ignore")
    try:
        model = tiny(what.kind, name, heading)
        reader = pixels(model) if heading == "image classification" else words(heading)
    except Exception as error:
        return Found(heading, name, unbuilt=_short(error))
    given, target = _given(heading)
    try:
        with torch.no_grad():
            plain = _PLAIN[heading](model, reader)
            if not bool(torch.isfinite(plain[0]).all()):
                raise ValueError("its own answer is not finite")
    except Exception as error:
        return Found(heading, name, unasked=_short(error))
    try:
        explainer = Explainer(model, reader, task=HEADINGS[heading].task)
        first = explainer(given, method="random", target=target)
    except Exception as error:
        return Found(heading, name, prediction=_short(error))
    off = abs(first.value - plain[1](first)) / max(1.0, abs(first.value))
    prediction = "yes" if off <= NEAR else f"off by {off:.1e}"
    results, gap, note = {}, None, ""
    for kind, (method, options) in KINDS.items():
        try:
            e = explainer(given, method=method, target=target, **options)
            results[kind] = _judged(e)
            if kind == "gradients":
                gap = max(0.0, abs(e.gap) - 1e-6 * max(1.0, abs(e.value))) / max(float(np.abs(e.scores).sum()), 1e-9)
                note = next((n for n in e.notes if "converge" in n), "")
        except Exception as error:
            results[kind] = _short(error)
    if results["coalitions"] == ZERO:  # the answer does not depend on the words, and zero is right
        results = {kind: "yes" if said == ZERO else said for kind, said in results.items()}
    return Found(heading, name, prediction=prediction, results=results, gap=gap, note=note)


def _judged(e: Explanation) -> str:
    if not np.isfinite(e.scores).all():
        return "scores that are not finite"
    return "yes" if np.abs(e.scores).max() > 1e-7 * max(1.0, abs(e.value)) else ZERO


def _given(heading: str) -> tuple[Any, Any]:
    """The input that models of this kind are explained on, and the target."""
    if heading == "image classification":
        from PIL import Image

        draw = np.random.default_rng(0)
        return Image.fromarray(draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)), 0
    if heading == "question answering":
        return {"question": "Who wrote it", "context": CONTEXT}, None
    if heading == "masked LM":
        return TEXT.replace("good", "[MASK]"), None
    if heading in ("causal LM", "seq2seq LM"):
        return TEXT.split(" good")[0], GOAL
    return TEXT, (1, 0) if heading == "token classification" else 0


Read = Callable[[Explanation], float]


def _labels(model: nn.Module, reader: PreTrainedTokenizerBase) -> tuple[Tensor, Read]:
    logits = model(**reader(TEXT, return_tensors="pt")).logits[0]
    return logits, lambda e: float(logits[e.target.index[0]])


def _tokens(model: nn.Module, reader: PreTrainedTokenizerBase) -> tuple[Tensor, Read]:
    logits = model(**reader(TEXT, return_tensors="pt")).logits[0]
    return logits, lambda e: float(logits[e.target.index[0], e.target.index[1]])


def _span(model: nn.Module, reader: PreTrainedTokenizerBase) -> tuple[Tensor, Read]:
    given = _given("question answering")[0]
    out = model(**reader(given["question"], given["context"], return_tensors="pt"))
    ends = torch.stack([out.start_logits[0], out.end_logits[0]], -1)
    return ends, lambda e: float(
        sum(ends[i, k] for i, k in zip(e.target.index[::2], e.target.index[1::2], strict=True))
    )


def _blanks(model: nn.Module, reader: PreTrainedTokenizerBase) -> tuple[Tensor, Read]:
    row = reader(_given("masked LM")[0], return_tensors="pt")
    at = int((row["input_ids"][0] == reader.mask_token_id).nonzero()[0])
    logits = model(**row).logits[0]
    return logits, lambda e: float(logits[at, e.target.index[1]])


def _next(model: PreTrainedModel, reader: PreTrainedTokenizerBase) -> tuple[Tensor, Read]:
    prompt, goal = _given("causal LM")
    before = reader(prompt)["input_ids"]
    mask = torch.ones(1, len(before), dtype=torch.long)
    after = reader(goal, add_special_tokens=False)["input_ids"]
    if model.config.is_encoder_decoder:
        start = [c for c in (model.config.decoder_start_token_id, model.config.bos_token_id) if c is not None][:1]
        lead = start + [c for c in (getattr(model.config, "forced_bos_token_id", None),) if c is not None]
        row = {"input_ids": torch.tensor([before]), "attention_mask": mask}
        logits = model(**row, decoder_input_ids=torch.tensor([lead + after[:-1]])).logits[0, len(lead) - 1 :]
    else:
        row = {"input_ids": torch.tensor([before + after[:-1]]), "attention_mask": mask}
        logits = model(**row).logits[0, len(before) - 1 :]
    told = logits.float().log_softmax(-1).gather(-1, torch.tensor(after)[:, None])
    return logits, lambda e: float(told.sum())


def _image(model: PreTrainedModel, reader: BaseImageProcessor) -> tuple[Tensor, Read]:
    logits = model(**reader(_given("image classification")[0], return_tensors="pt")).logits[0]
    return logits, lambda e: float(logits[e.target.index[0]])


_PLAIN: Mapping[str, Callable[[Any, Any], tuple[Tensor, Read]]] = {
    "sequence classification": _labels,
    "token classification": _tokens,
    "question answering": _span,
    "masked LM": _blanks,
    "causal LM": _next,
    "seq2seq LM": _next,
    "image classification": _image,
}


def _short(error: Exception) -> str:
    """An error in one line; ours says what to do instead and stays whole."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, SaywhyError):
        return said
    return f"{type(error).__name__}: {said}"[:160]
