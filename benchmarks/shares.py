"""Where does the time go? The share of the model's own passes in explaining a short text, a long one, many, and a template.

    python -m benchmarks.shares

Processor time on one thread, of whole calls after a warm-up. The model's own is what passes inside its forward and inside
torch.autograd.grad; the rest is tokenising, packing, the method's arithmetic and putting the answer together. The models are
the smallest there are, so the rest looks as large here as it can get.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

import saywhy
from benchmarks.applicants import PROMPT, applicants
from benchmarks.common import arguments, write
from saywhy.llm import Template

SHORT = "I love you, I like you, I also kinda dislike you"
LONG = " ".join(f"The {word} part is {how}, and nobody knows why it was made." for word in ("first", "second", "last") * 8 for how in ("dull", "lovely"))  # fmt: skip
BEFORE = (
    "Holding the model still used to set every module's flag at each of some hundred entries; it now leaves alone what is in "
    "eval mode already. Before that, on the same day, the shares were 64, 65, 79, 95, 55 and 29 %, in the order of the table."
)
VALUES = {"day": "Monday", "name": "Ahmed", "country": "Togo", "job": "teacher"}
OTHERS = {"day": ["Tuesday"], "name": ["Georg", "Maria"], "country": ["Germany", "Brazil"], "job": ["nurse", "lawyer"]}


@contextmanager
def watched(module: Any) -> Iterator[list[float]]:
    """The processor seconds inside the module's forward and inside autograd, while inside."""
    spent, began, grad = [0.0], [0.0], torch.autograd.grad

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return grad(*args, **kwargs)
        finally:
            spent[0] += time.process_time() - start

    def before(*_: Any) -> None:
        began[0] = time.process_time()

    def after(*_: Any) -> None:
        spent[0] += time.process_time() - began[0]

    hooks = [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    torch.autograd.grad = timed
    try:
        yield spent
    finally:
        torch.autograd.grad = grad
        for hook in hooks:
            hook.remove()


def cases() -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """What is asked, the module that answers, and the call."""
    classifier = saywhy.Explainer()
    module = classifier.model.model
    for trust in ("none", "quick"):
        yield f"a short text, trust={trust}", module, lambda t=trust: classifier(SHORT, trust=t)
    yield "a short text, kernel_shap", module, lambda: classifier(SHORT, method="kernel_shap")
    yield f"a text of {len(LONG.split())} words, in windows", module, lambda: classifier(LONG, overlong="window")
    many = [f"{SHORT} {word}" for word in LONG.split()[:200]]
    yield f"{len(many)} texts", module, lambda: classifier(many, progress=False)
    model, tokenizer = applicants(20)
    template, language = Template(PROMPT, VALUES, OTHERS), saywhy.Explainer(model, tokenizer)
    yield "a template of four slots", model, lambda: language(template, target=" rejected", method="shapley_values")


def main() -> None:
    options = arguments(__doc__ or "")
    torch.set_num_threads(1)
    rows, results = [], {}
    for name, module, call in cases():
        call()
        times = []
        for _ in range(1 if options.quick else 5):
            with watched(module) as spent:
                start = time.process_time()
                call()
                times.append((time.process_time() - start, spent[0]))
        whole, inside = (statistics.median(t[i] for t in times) for i in (0, 1))
        shares = [b / a for a, b in times]
        rows.append([name, f"{whole * 1e3:.0f}", f"{inside * 1e3:.0f}", f"{statistics.median(shares):.0%} ({min(shares):.0%} to {max(shares):.0%})"])  # fmt: skip
        results[name] = times
        print(rows[-1], flush=True)
    if not options.quick:
        about = " ".join((__doc__ or "").split("\n\n")[2].split())
        head = ["asked", "ms in all", "ms in the model", "the model's share"]
        write("shares", "Where the time goes", f"Medians of five calls. {about} {BEFORE}", results, [("How much of it is the model?", head, rows)])  # fmt: skip


if __name__ == "__main__":
    main()
