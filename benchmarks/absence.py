"""What should stand in for an absent token? Each choice, judged by removal under two other operators.

    python -m benchmarks.absence --cache .cache

Integrated gradients and occlusion are computed with each kind of absence, on the package's own model (BERT, which has a mask
token) and on a small decoder trained from scratch on the same movie snippets (GPT-2's architecture, no mask token). The order they give
is judged by the removal area: the mean target over removing words least-relevant-first less that over removing them
most-relevant-first; higher is better. Words are removed by really dropping their tokens and by zeroing their embeddings, so
that no choice is judged by its own operator alone. The random order is the control.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2ForSequenceClassification, PreTrainedTokenizerFast

import saywhy
from benchmarks.common import arguments, write
from benchmarks.demo_model import make
from saywhy.models.protocol import EncodingOptions

METHODS = {"integrated_gradients": {}, "occlusion": {}}
JUDGES = ("drop", "zero")


def decoder(cache: Path, epochs: int) -> tuple[Any, Any]:
    """A 4-layer GPT-2 classifier and its byte-level tokenizer, trained on the movie snippets; kept in the cache."""
    folder = cache / f"decoder-{epochs}"
    train, _ = make.movies(cache)
    if not (folder / "model.safetensors").exists():
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer, tokenizer.decoder = (
            pre_tokenizers.ByteLevel(add_prefix_space=True),
            decoders.ByteLevel(),
        )
        special = ["<|endoftext|>", "<pad>"]
        tokenizer.train_from_iterator(
            train.texts, trainers.BpeTrainer(vocab_size=4_000, special_tokens=special, show_progress=False)
        )
        names = {"unk_token": special[0], "eos_token": special[0], "bos_token": special[0], "pad_token": special[1]}
        wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=256, **names)
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=4_000, n_embd=128, n_layer=4, n_head=4, n_positions=256, pad_token_id=1, num_labels=2,
                            id2label=make.LABELS, bos_token_id=0, eos_token_id=0)  # fmt: skip
        made = make.Classifier(GPT2ForSequenceClassification(config), wrapped)
        labels, rng = torch.tensor(train.labels), random.Random(0)
        plan = [batch for _ in range(epochs) for batch in make.batches(train.texts, 32, rng)]

        def loss(batch: list[int]) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(
                make.forward(made, [train.texts[i] for i in batch]).logits, labels[batch]
            )

        make.fit(made.model, loss, plan, rate=5e-4, warmup=0.1)
        made.save(folder)
    return make.load(folder)


def removal(explainer: saywhy.Explainer, e: saywhy.Explanation, judge: str) -> float:
    """The area between least- and most-relevant-first removal of e's words, by this operator, on e's target."""
    encoding = explainer.model.encode(e.texts, EncodingOptions(absent=judge))
    order = np.argsort(-e.scores, kind="stable")
    n = len(order)
    keep = np.ones((2 * n, n), dtype=bool)
    for k in range(1, n + 1):
        keep[k - 1, order[:k]] = False  # most relevant first
        keep[n + k - 1, order[n - k :]] = False
    with torch.no_grad():
        numbers = explainer.model.forward(encoding.at(keep))[:, e.target.index[0]].double().numpy()
    return float(numbers[n:].mean() - numbers[:n].mean())


def judged(name: str, explainer: saywhy.Explainer, texts: list[str]) -> list[list[Any]]:
    rows = []
    jobs = [(method, absent, more) for method, more in METHODS.items() for absent in explainer.model.absences]
    jobs = [job for job in jobs if not (job[0] == "integrated_gradients" and job[1] == "drop")] + [("random", None, {})]
    for method, absent, more in jobs:
        found = explainer(texts, method=method, absent=absent, progress=False, **more)
        with explainer.model.frozen():
            areas = {judge: [removal(explainer, e, judge) for e in found] for judge in JUDGES}
        spread = {judge: 1.96 * float(np.std(a, ddof=1)) / len(a) ** 0.5 for judge, a in areas.items()}
        rows.append([name, method, absent or "", *(f"{np.mean(areas[j]):.2f} ± {spread[j]:.2f}" for j in JUDGES)])
        print(*rows[-1], flush=True)
    return rows


def main() -> None:
    options = arguments(__doc__ or "")
    count, epochs = (10, 1) if options.quick else (100, 6)
    small = decoder(options.cache, epochs)
    _, held_out = make.movies(options.cache)
    right = make.accuracy(small, held_out)
    print(f"decoder: held-out accuracy {right:.3f}", flush=True)
    texts = [text for text in held_out.texts if len(text.split()) >= 5][:count]
    rows = judged("the package's own", saywhy.Explainer(), texts)
    rows += judged("decoder", saywhy.Explainer(*small), texts)
    if options.quick:
        return
    write(
        "absence",
        "What should stand in for an absent token?",
        f"{count} held-out movie sentences; the package's own model, which has a mask token, and a small decoder without one (GPT-2's "
        f"architecture, 4 layers, trained from scratch, held-out accuracy {right:.2f}). Area between least- and most-relevant-first "
        "removal of words, on the logit, mean and 95 % interval; higher is better.",
        {"decoder accuracy": right, "rows": rows},
        [
            (
                "Which absence gives the order that removal confirms?",
                ["model", "method", "absent", *(f"judged by {j}" for j in JUDGES)],
                rows,
            )
        ],
    )


if __name__ == "__main__":
    main()
