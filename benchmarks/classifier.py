"""The trainable classifier against torchTextClassifiers: the same code with two imports, each question in its own process.

``pip install torchTextClassifiers scikit-learn captum`` first; ``python -m benchmarks.classifier --cache DIR``.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

PEERS = {"saywhy": "saywhy.compat.torch_text_classifiers", "torchTextClassifiers": "torchTextClassifiers"}
EPOCHS, MANY, EXPLAINED, TOP = 2, 100_000, 200, 2


def trained(package: str, texts: list[str], labels: list[int], epochs: int) -> tuple[Any, float]:
    """A WordPiece classifier with label attention, and the seconds its training took."""
    import lightning.pytorch  # noqa: F401  importing is not training
    import torch

    torch.manual_seed(0)
    top, tokenizers = import_module(package), import_module(f"{package}.tokenizers")
    tokenizer = tokenizers.WordPieceTokenizer(vocab_size=8000)
    tokenizer.train(texts)
    made = top.torchTextClassifiers(
        tokenizer, top.ModelConfig(embedding_dim=96, num_classes=2, n_heads_label_attention=4)
    )
    config = top.TrainingConfig(
        num_epochs=epochs, batch_size=64, lr=1e-3, raw_categorical_inputs=False, raw_labels=False, num_workers=0,
        patience_early_stopping=99, accelerator="cpu",
    )  # fmt: skip
    held = len(texts) // 10
    x, y = np.array(texts), np.array(labels)
    started = time.perf_counter()
    made.train(x[held:], y[held:], config, X_val=x[:held], y_val=y[:held])
    return made, time.perf_counter() - started


def worker(package: str, question: str, cache: Path, quick: bool) -> dict[str, Any]:
    """The answer to one question, measured in this process."""
    import torch

    from benchmarks.demo_model.make import movies

    learn, held_out = movies(cache)
    few = None if question == "training" else 2_000
    texts, labels = list(learn.texts[:few]), list(learn.labels[:few])
    epochs = 1 if quick or question != "training" else EPOCHS
    made, seconds = trained(package, texts, labels, epochs)
    if question == "training":
        said = made.predict(np.array(held_out.texts))["prediction"][:, 0].numpy()
        return {"seconds an epoch": seconds / epochs, "accuracy": float((said == np.array(held_out.labels)).mean())}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if question == "prediction":
        count = 10_000 if quick else MANY
        short = np.array([" ".join(texts[i % len(texts)].split()[:8]) for i in range(count)])
        started = time.perf_counter()
        made.predict(short)
    else:
        count = 8 if quick else EXPLAINED
        chosen = np.array(held_out.texts[:count])
        started = time.perf_counter()
        result = made.predict(chosen, top_k=TOP, explain_with_captum=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer = {"seconds": seconds, "rows": count, "MB beyond the trained model": after - before}
    if question == "explaining":
        out = made.tokenizer.tokenize(chosen.tolist())
        codes = torch.empty(count, 0)
        blank = 0 if package == "torchTextClassifiers" else made.tokenizer.inner.unknown
        with torch.no_grad():
            full = made.pytorch_model(out.input_ids, out.attention_mask, codes)
            base = made.pytorch_model(torch.full_like(out.input_ids, blank), out.attention_mask, codes)
        scores = result["captum_attributions"]
        gap = ((full - base).gather(1, result["prediction"]) - scores.sum(-1)).abs() / scores.abs().sum(-1)
        answer["worst gap"] = float(gap.max())
    return answer


def asked(package: str, question: str, cache: Path, quick: bool) -> dict[str, Any]:
    """`worker` in a process of its own, in a folder of its own: one of the two writes where it runs."""
    command = [sys.executable, "-m", "benchmarks.classifier", "--cache", str(cache.resolve()), package, question]
    root = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join([root, *(path for path in sys.path if path)])
        done = subprocess.run(
            command + ["--quick"] * quick,
            cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Request all questions of both, or one of one."""
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("package", nargs="?")
    parser.add_argument("question", nargs="?", choices=("training", "prediction", "explaining"))
    options = parser.parse_args()
    if options.package is not None:
        logging.disable(logging.CRITICAL)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            answer = worker(options.package, options.question, options.cache, options.quick)
        print(json.dumps(answer))
        return
    results: dict[str, dict[str, Any]] = {}
    tables = []
    for question in ("training", "prediction", "explaining"):
        found = {name: asked(package, question, options.cache, options.quick) for name, package in PEERS.items()}
        results[question] = found
        head = ["", *found["saywhy"]]
        tables.append((question.capitalize(), head, [[name, *answer.values()] for name, answer in found.items()]))
        print(question, found, flush=True)
    if not options.quick:
        from benchmarks.common import write

        about = (
            f"The movie snippets, WordPiece of 8,000, width 96, label attention with 4 heads, batches of 64, no worker processes: "
            f"the same code with two imports, each in its own process. Training: {EPOCHS} epochs with validation after each, "
            f"accuracy on 1,000 held-out snippets. Prediction: {MANY:,} texts of at most 8 words. Explaining: integrated "
            f"gradients of {EXPLAINED} held-out snippets, top {TOP} classes; the gap is what the scores leave unexplained, over "
            "the sum of their sizes, of the worst row."
        )
        write("classifier", "The trainable classifier", about, results, tables)


if __name__ == "__main__":
    main()
