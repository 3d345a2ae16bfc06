"""One pass over many sentences: what explaining by a one-pass method costs beyond the bare batched forward and backward.

    python -m benchmarks.one_pass --cache .cache

On the fine-tuned MiniLM and one thread. Bare: the sentences sorted by length, padded, in batches of the same size, embeddings
in, one backward pass for the first logit; tokenising included. Sentences are taken 64 at a time, in turn with ours, which is one
stream, and the ratio is of processor time, window by window.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

import saywhy
from benchmarks.common import arguments, real, write
from saywhy.packing import pack

WINDOW = 64
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
    texts = held_out[: 2 * WINDOW if options.quick else 8 * WINDOW]
    count = len(texts)
    explainer = saywhy.Explainer(model, tokenizer)
    bare(model, tokenizer, texts[:20], explainer.model.batch_tokens)
    rows, results = [], {}
    for method in ("input_x_gradient", "libra", "attn_lrp"):
        ratios, ours, theirs = [], 0.0, 0.0
        stream = explainer.stream(iter(texts), method=method, target=1)
        for start in range(0, count, WINDOW):
            some = texts[start : start + WINDOW]
            a = time.process_time()
            bare(model, tokenizer, some, explainer.model.batch_tokens)
            b = time.process_time()
            for _ in some:
                next(stream)
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
            "backward with nothing around it, 64 sentences at a time. Ours also tells the prediction, from the same forward, and the value "
            "with every word absent, which sentences of one length share: the first windows, which meet most lengths, cost most.",
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
