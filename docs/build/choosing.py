"""The page about choosing a method: a decision table whose figures are read from the benchmark of faithfulness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .methods import measured

DOCS = Path(__file__).parent.parent

PAGE = """# Choosing a method

By default saywhy uses `integrated_gradients` where the model has gradients, and `kernel_shap` where it has none. Both add up to
value - base. With `absent="drop"` or `"hide"` the default becomes `kernel_shap`, because gradients cannot be computed for words that are cut out. The rest of this page is for when that is too slow, too coarse, or not your question.

## By question

| you want | take | because |
| --- | --- | --- |
| the default, for any text model | [integrated_gradients](methods/integrated_gradients.md) | adds up to 1 %, 9 to 25 passes, all labels from the same forwards |
| to explain a function, an API, a model without gradients | [kernel_shap](methods/kernel_shap.md) | needs nothing but answers; standard errors |
| Shapley values of a model with gradients from few rows, n / 2 to 4 n | [guided_shap](methods/guided_shap.md) | the regression of kernel_shap starts from four gradient passes ([measured](benchmarks/guided.md)) |
| exact shares of a few features (slots, sentences, up to 12) | [shapley_values](methods/shapley_values.md) | no estimate at all |
| which words belong together ("not" and "bad") | [kernel_shap](methods/kernel_shap.md) or [shapley_values](methods/shapley_values.md), then `e.pairs()` | the interaction of every two features, from the same rows |
| "what would it say without this word?" | [occlusion](methods/occlusion.md) with `absent="drop"` | the counterfactual itself, in `variants` |
| the best order, whatever it costs | [shapley_sampling](methods/shapley_sampling.md) | {shap_area} area, {shap_time} s a sentence |
| the best order for little time | [integrated_rules](methods/integrated_rules.md) | {rules_area} area, {rules_time} s; does not add up exactly |
| a million texts, one pass each | [libra](methods/libra.md) | {libra_area} area, {libra_time} s |
| where a classifier's label looks | [label_attention](methods/label_attention.md) | one forward for every label; where, not which way |
| to know whether any of these is right on your texts | `saywhy compare` ([tutorial](tutorials/comparing.md)) | figures on a page are of other texts |

## What was measured

Removal area: how much further the predicted logit falls when the words that score highest are masked first than when the lowest are.
Higher is better, 0 is chance. Seconds are processor time on one thread.

{table}

[All recipes, with intervals](benchmarks/faithfulness.md). What this can and cannot tell:

- The metric removes by the mask token, and so does integrated gradients with a mask baseline: they favour each other. From
  padding the same fifty steps reach {pad_area} on MiniLM.
- The package's model is nearly additive, so almost everything does well on it. Do not choose by it.
- {sentences} of one domain. Yours are others: `saywhy compare` gives the same numbers, with intervals, for your model and texts.
- `input_x_gradient`, the cheapest, is no better than chance on MiniLM ({gi_area} against {random_area}).

## By what the model can be asked

| the model is | can use |
| --- | --- |
| any function from strings to numbers | the coalition methods: `occlusion`, `kernel_shap`, `shapley_sampling`, `shapley_values`, `lime` |
| a Hugging Face model | those, and all gradient methods |
| a model with ordinary attention weights | those, and `raw_attention`, `attention_rollout`, `gradient_rollout` |
| a classifier of `saywhy.classifier` with label attention | those, and `label_attention` |
| quantised by torch (int8), or served elsewhere | the coalition methods |

[Every class of transformers, tried](architectures.md). What a model cannot be asked is refused before it is called, with what to use
instead.

## What stands in for a missing word

Every score compares a word's presence with its absence, and what takes its place when it is absent is part of the question. By default it
is the mask token, or padding where the model has none ([measured](benchmarks/absence.md)). Before you rely on an order of words, ask
twice, with two values of `absent`.

| `absent` | means | for |
| --- | --- | --- |
| `"mask"` | the mask token takes its place | encoders trained with it (default) |
| `"pad"` | the embedding of padding takes its place | decoders (default where there is no mask) |
| `"unk"` | the unknown token | word models |
| `"zero"` | a zero vector | comparing with older work |
| `"hide"` | hidden by the attention mask | coalition methods |
| `"drop"` | taken out, the rest moves together | coalition methods; callables (default) |
"""
SHOWN = {
    "shapley_sampling": "shapley_sampling, 16 orders",
    "integrated_rules": "integrated_rules, libra, 2",
    "integrated_gradients": "integrated_gradients, 50 steps",
    "attn_lrp": "attn_lrp",
    "libra": "libra",
    "detach_attention": "detach_attention",
    "occlusion": "occlusion",
    "gradient_rollout": "gradient_rollout",
    "attention_rollout": "attention_rollout",
    "input_x_gradient": "input_x_gradient",
    "random": "random",
}


def pages() -> Iterator[tuple[Path, str]]:
    """The page's place and text."""
    found = measured()
    real = found["teacher"]
    settings = {
        "table": "\n".join(_table(found)),
        "pad_area": f"{real['integrated_gradients, 50 steps from padding']['area']:.2f}",
        "sentences": "A hundred short sentences",
    }
    for name, label in {"shap": "shapley_sampling, 16 orders", "rules": "integrated_rules, libra, 2", "libra": "libra", "gi": "input_x_gradient", "random": "random"}.items():  # fmt: skip
        settings |= {f"{name}_area": f"{real[label]['area']:.2f}", f"{name}_time": f"{real[label]['seconds']:.2f}"}
    yield DOCS / "choosing.md", PAGE.format(**settings)


def _table(found: dict[str, Any]) -> Iterator[str]:
    names = {"teacher": "area, MiniLM", "package": "area, the package's model", "decoder": "area, a small decoder"}
    yield "| method | " + " | ".join(names[m] for m in found) + " | rows a sentence | s a sentence, MiniLM |"
    yield "| --- |" + " ---: |" * (len(found) + 2)
    for name, label in SHOWN.items():
        areas = [f"{found[m][label]['area']:.2f}" if label in found[m] else "" for m in found]
        one = found["teacher"][label]
        rows = f"{one['forwards']:.0f} F, {one['backwards']:.0f} B"
        yield f"| [{label}](methods/{name}.md) | {' | '.join(areas)} | {rows} | {one['seconds']:.3f} |"
