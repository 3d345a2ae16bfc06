"""LIME for texts beside lime 0.2.0.1 through the same names: time, texts asked for, peak memory, and whether the weights are the same.

    python -m benchmarks.lime_text

`pip install lime==0.2.0.1 scikit-learn` installs the peer. Texts are of 20 words, 5,000 samples are drawn for each.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import arguments, paired, write

SAMPLES = 5_000
PACKAGES = {"lime": "lime.lime_text", "saywhy": "saywhy.compat.lime.lime_text"}
GOOD = ("amazing", "excellent", "fantastic", "great", "lovely", "wonderful")
BAD = ("awful", "broken", "cheap", "dreadful", "poor", "terrible")
OTHERS = (  # noqa: SIM905 - words to read
    "the a an of and to in that it was for on with as his they at be this from have or by one had not but what all were when we "
    "there can said each which she do how their if will up other about out many then them these so some her would make like him "
    "into time has look two more write go see number no way could people my than first water been call who oil its now find long "
    "down day did get come made may part film story plot cast scene music hour end world life show still never little"
).split()


def texts(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts of 20 different words, and their labels: more good words than bad ones."""
    draw = random.Random(seed)
    out, labels = [], []
    for _ in range(count):
        good, bad = draw.choice(((3, 1), (1, 3), (2, 1), (1, 2)))
        words = [*draw.sample(GOOD, good), *draw.sample(BAD, bad)]
        words += draw.sample(OTHERS, 20 - len(words))
        draw.shuffle(words)
        out.append(" ".join(words))
        labels.append(int(good > bad))
    return out, labels


def linear() -> Callable[[list[str]], Any]:
    """TF-IDF and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(*texts(2_000, 1)).predict_proba


def neural(batch: int | None) -> Callable[[list[str]], Any]:
    """The package's own model, `batch` texts at a time; None is all that it is given."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from saywhy.models.demo import folder

    model = AutoModelForSequenceClassification.from_pretrained(folder()).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder())

    def classify(given: list[str]) -> Any:
        out = []
        for start in range(0, len(given), batch or len(given)):
            rows = tokenizer(given[start : start + (batch or len(given))], padding=True, return_tensors="pt")
            with torch.no_grad():
                out.append(model(**rows).logits.softmax(-1))
        return torch.cat(out).numpy()

    return classify


CLASSIFIERS: dict[str, Callable[[], Callable[[list[str]], Any]]] = {
    "TF-IDF and logistic regression": linear,
    "the package's model, 64 texts at a time": lambda: neural(64),
    "the package's model, all that it is given": lambda: neural(None),
}


def explainer(package: str, text: str, classify: Callable[[list[str]], Any], seed: int) -> Any:
    from importlib import import_module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lime's own syntax
        module = import_module(PACKAGES[package])
    made = module.LimeTextExplainer(random_state=seed)
    return made.explain_instance(text, classify, num_samples=SAMPLES)


def compared(name: str, count: int) -> list[Any]:
    """One row: time by text in turn, texts asked for, and the largest difference of any weight."""
    classify, given = CLASSIFIERS[name](), texts(count, 2)[0]
    asked: list[int] = []

    def counting(batch: list[str]) -> Any:
        asked.append(len(batch))
        return classify(batch)

    found = paired(
        lambda i: explainer("lime", given[i], classify, i),
        lambda i: explainer("saywhy", given[i], classify, i),
        count,
        clock=time.process_time,
    )
    apart, rows = 0.0, {}
    for i in range(min(count, 20)):
        weights = []
        for package in PACKAGES:
            asked.clear()
            weights.append(dict(explainer(package, given[i], counting, i).as_list()))
            rows.setdefault(package, []).append(sum(asked))
        apart = max(apart, *(abs(weights[0][word] - weights[1][word]) for word in weights[0]))
    return [
        name, count, f"{found['a'] * 1e3:.0f}", f"{found['b'] * 1e3:.0f}",
        f"{found['ratio']:.2f} ({found['least']:.2f} to {found['most']:.2f})",
        f"{np.mean(rows['lime']):,.0f}", f"{np.mean(rows['saywhy']):,.0f}", f"{apart:.1e}",
    ]  # fmt: skip


def peak(package: str, name: str) -> float:
    """Megabytes that one explanation takes beyond what was there before it, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.lime_text", "--worker", package, name],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(json.loads(done.stdout.splitlines()[-1]))


def worker(package: str, name: str) -> None:
    classify, given = CLASSIFIERS[name](), texts(1, 2)[0]
    explainer(package, given[0][:30], classify, 0)
    before = memory("VmRSS")
    explainer(package, given[0], classify, 0)
    print(json.dumps(memory("VmHWM") - before))


def memory(field: str) -> float:
    """VmRSS, or at its peak VmHWM, of this process, in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
        return
    options = arguments(__doc__ or "")
    counts = [2, 1, 1] if options.quick else [200, 200, 5]
    timed = [compared(name, count) for name, count in zip(CLASSIFIERS, counts, strict=True)]
    memory = [[name, *(f"{peak(package, name):,.0f}" for package in PACKAGES)] for name in CLASSIFIERS]
    for row in (*timed, *memory):
        print(row)
    if not options.quick:
        write(
            "lime_text",
            "LIME for texts beside lime",
            "lime 0.2.0.1 and `saywhy.compat.lime` with the same code, the same random states and lime's defaults (10 features, highest "
            "weights, cosine kernel of width 25). Draws and fits are the same, so the error is the same and what differs is the cost: "
            "saywhy asks for a text that was drawn twice once, and for at most 512 texts at a time. Of 20 words few subsets come "
            "twice, so most of a neural model's rows remain.",
            {"timed": timed, "memory": memory},
            [
                (
                    "What does an explanation cost?",
                    ["classifier", "texts", "lime, ms of processor time", "saywhy, ms", "lime / saywhy (least to most)",
                     "texts asked for by lime", "by saywhy", "largest difference of a weight"],
                    timed,
                ),
                ("How much memory beyond the classifier's own, MB at the peak?", ["classifier", *PACKAGES], memory),
            ],
        )  # fmt: skip


if __name__ == "__main__":
    main()
