"""Integrated gradients: error and time against Captum's LayerIntegratedGradients, at the steps that hold the same worst case.

    python -m benchmarks.integrated_gradients --cache .cache

Both integrate from the mask baseline to the sentence, on a MiniLM fine-tuned on movie snippets. The error of a text is
|value - base - sum of scores| / sum of |scores|. Captum's steps are doubled until the worst of all texts is within 1 %, each
text being run again only while it is off; then both are timed on the same groups of five texts, in turn.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from captum.attr import LayerIntegratedGradients

import saywhy
from benchmarks.common import arguments, paired, real, write

TOLERANCE = 0.01
GROUP = 5  # texts timed together
UNITS = ("logit", "prob")


class Captums:
    """Captum on one text: the same ids, the same mask baseline, the same target."""

    def __init__(self, model: Any, tokenizer: Any, unit: str):
        self.model, self.tokenizer, self.unit = model, tokenizer, unit
        self.method = LayerIntegratedGradients(self.number, model.get_input_embeddings())

    def number(self, ids: torch.Tensor, mask: torch.Tensor, label: int) -> torch.Tensor:
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        return (logits.softmax(-1) if self.unit == "prob" else logits)[:, label]

    def error(self, text: str, label: int, steps: int) -> float:
        encoded = self.tokenizer(text, return_special_tokens_mask=True, return_tensors="pt")
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        base = torch.where(encoded["special_tokens_mask"].bool(), ids, self.tokenizer.mask_token_id)
        scores = self.method.attribute(ids, base, additional_forward_args=(mask, label), n_steps=steps).sum(-1)[0]
        with torch.no_grad():
            rise = self.number(ids, mask, label) - self.number(base, mask, label)
        return float((rise - scores.sum()).abs() / scores.abs().sum())


def steps_needed(peer: Captums, texts: list[str], labels: list[int]) -> tuple[int, dict[int, list[float]]]:
    """The steps at which every text is within the tolerance (1,600 at most), and all errors at 50 steps."""
    left = list(range(len(texts)))
    worst: dict[int, list[float]] = {}
    steps = 50
    while left and steps <= 1_600:
        errors = {i: peer.error(texts[i], labels[i], steps) for i in left}
        worst[steps] = list(errors.values())
        left = [i for i in left if errors[i] > TOLERANCE]
        print(
            f"{peer.unit}: {steps} steps leave {len(left)} of {len(texts)} texts off by more than {TOLERANCE:.0%}",
            flush=True,
        )
        steps = steps * 2 if left else steps
    return steps, worst


def main() -> None:
    options = arguments(__doc__ or "")
    count, rounds = (20, 1) if options.quick else (200, 3)
    model, tokenizer, sentences = real(options.cache)
    texts = sentences[:count]
    explainer = saywhy.Explainer(model, tokenizer)
    rows, results = [], {}
    for unit in UNITS:
        ours = explainer(texts, unit=unit, progress=False)
        labels = [e.target.index[0] for e in ours]
        errors = [abs(e.gap) / abs(e.scores).sum() for e in ours]
        points = [e.cost.backward_rows for e in ours]
        peer = Captums(model, tokenizer, unit)
        steps, theirs = steps_needed(peer, texts, labels)
        groups = [range(i * GROUP, i * GROUP + GROUP) for i in range(rounds)]
        timed = paired(
            lambda i: [peer.error(texts[j], labels[j], steps) for j in groups[i]],  # noqa: B023
            lambda i: explainer([texts[j] for j in groups[i]], unit=unit, progress=False),  # noqa: B023
            rounds,
        )
        default = paired(
            lambda i: [peer.error(texts[j], labels[j], 50) for j in groups[i]],  # noqa: B023
            lambda i: explainer([texts[j] for j in groups[i]], unit=unit, progress=False),  # noqa: B023
            rounds,
        )
        results[unit] = {"saywhy errors": errors, "saywhy points": points, "captum errors": theirs, "steps": steps,
                         "time at equal worst case": timed, "time at captum's default": default}  # fmt: skip
        rows += [
            [unit, "saywhy, default (1 %)", f"{statistics.mean(points):.1f} (most {max(points)})", f"{statistics.median(errors):.2%}",
             f"{max(errors):.2%}", timed["b"] / GROUP, 1.0],
            [unit, "Captum, default", 50, f"{statistics.median(theirs[50]):.2%}", f"{max(theirs[50]):.2%}", default["a"] / GROUP,
             f"{default['ratio']:.2f} ({default['least']:.2f} to {default['most']:.2f})"],
            [unit, "Captum, same worst case", steps, "", f"{max(theirs[max(theirs)]):.2%}", timed["a"] / GROUP,
             f"{timed['ratio']:.2f} ({timed['least']:.2f} to {timed['most']:.2f})"],
        ]  # fmt: skip
    if options.quick:
        print(*rows, sep="\n")
        return
    head = [
        "target",
        "method",
        "points (F + B) a text",
        "median error",
        "worst error",
        "seconds a text",
        "time, saywhy = 1",
    ]
    write(
        "integrated_gradients",
        "Integrated gradients: error and time",
        f"{count} held-out movie sentences, a fine-tuned MiniLM (22 M parameters), tokens of words, mask baseline. The error of a "
        "text is what its scores leave unexplained, over the sum of their sizes. Captum runs text by text with all its steps in "
        "one batch, saywhy with the texts together; times are medians over groups of five texts run in turn, ratios pair by pair.",
        results,
        [("How many points hold every text within 1 %?", head, rows)],
    )


if __name__ == "__main__":
    main()
