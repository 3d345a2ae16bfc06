"""One pass over many sentences: what explaining by a one-pass method costs beyond the bare batched forward and backward.

    python -m benchmarks.one_pass --cache .cache

On the fine-tuned MiniLM and one thread. Bare: the sentences sorted by length, padded, in batches of the same size, embeddings
in, one backward pass for the first logit; tokenising included. Sentences are taken 256 at a time, in turn with ours, and the ratio
is of processor time, slice by slice.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

import saywhy
from benchmarks.common import arguments, real, write
from saywhy.engine.batching import pack

SLICE = 256
FEW = 32  # sentences for fifty steps


def bare(model: Any, tokenizer: Any, texts: list[str], budget: int) -> None:
    """Forward and backward of each text once, with nothing around it."""
    table = model.get_input_embeddings()
    encoded = [tokenizer(text)["input_ids"] for text in texts]
    for batch in pack([len(ids) for ids in encoded], budget):
        width = max(len(encoded[i]) for i in batch)
        ids = torch.tensor([encoded[i] + [tokenizer.pad_token_id] * (width - len(encoded[i])) for i in batch])
        points = table(ids).detach().requires_grad_(True)
        logits = model(inputs_embeds=points, attention_mask=(ids != tokenizer.pad_token_id).long()).logits
        torch.autograd.grad(logits[:, 1].sum(), points)


def main() -> None:
    options = arguments(__doc__ or "")
    torch.set_num_threads(1)
    model, tokenizer, held_out = real(options.cache)
    model.requires_grad_(False)
    texts = held_out[: SLICE if options.quick else 3 * SLICE]
    count = len(texts)
    explainer = saywhy.Explainer(model, tokenizer)
    bare(model, tokenizer, texts[:20], explainer.model.batch_tokens)
    rows, results = [], {}
    for method in ("input_x_gradient", "libra", "attn_lrp"):
        ratios, ours, theirs = [], 0.0, 0.0
        for start in range(0, count, SLICE):
            some = texts[start : start + SLICE]
            a = time.process_time()
            bare(model, tokenizer, some, explainer.model.batch_tokens)
            b = time.process_time()
            explainer(some, method=method, target=1, trust="none", progress=False)
            c = time.process_time()
            ratios.append((c - b) / (b - a))
            ours, theirs = ours + c - b, theirs + b - a
        print(method, f"{ours:.1f} s against {theirs:.1f} s, {statistics.median(ratios):.2f}", flush=True)
        results[method] = {"saywhy": ours, "bare": theirs, "ratios": ratios}
        rows.append([method, ours, theirs, f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"])
    some = texts[:FEW]
    started = time.process_time()
    list(explainer.stream(some, method="integrated_gradients", target=1, steps=50))
    fifty = (time.process_time() - started) / FEW
    beside = [[m, 1000 * r["saywhy"] / count, fifty * count / r["saywhy"]] for m, r in results.items()]
    if not options.quick:
        write(
            "one_pass",
            "One pass over many sentences",
            f"{count:,} held-out movie sentences, a fine-tuned MiniLM, one thread, processor time. Bare is the batched forward and "
            "backward with nothing around it, 256 sentences at a time. Ours also tells the prediction, from the same forward, and the value "
            "with every word absent, a forward for each length that a call meets.",
            results,
            [
                ("What does explaining cost beyond the passes?", ["method", "saywhy, s", "bare, s", "ratio"], rows),
                (
                    f"And beside integrated gradients with fifty steps, {1000 * fifty:.0f} ms a sentence ({FEW} sentences)?",
                    ["method", "ms a sentence", "times faster"],
                    beside,
                ),
            ],
        )


if __name__ == "__main__":
    main()
