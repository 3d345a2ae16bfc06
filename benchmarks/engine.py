"""The engine: overhead over bare model passes, token removal against a loop, import time, and flat memory.

python -m benchmarks.engine --cache .cache
"""

from __future__ import annotations

import gc
import resource
import statistics
import subprocess
import sys
from typing import Any

import torch

import saywhy
import saywhy.extend
from benchmarks.common import arguments, paired, real, write
from benchmarks.demo_model import make
from saywhy.engine.batching import pack
from saywhy.models import demo


def bare_forwards(model: Any, tokenizer: Any, rows: list[list[int]]) -> None:
    """The same rows through the model with nothing around it: sorted by length, padded, in batches of the same size."""
    with torch.no_grad():
        for batch in pack([len(row) for row in rows], 4_096):
            width = max(len(rows[i]) for i in batch)
            ids = torch.tensor([rows[i] + [tokenizer.pad_token_id] * (width - len(rows[i])) for i in batch])
            model(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long())


def masked_rows(tokenizer: Any, explainer: saywhy.Explainer, texts: list[str]) -> list[list[int]]:
    """The rows that occlusion by words asks: everything, each word masked, nothing."""
    rows = []
    for text in texts:
        encoding = explainer.model.encode({"text": text}, saywhy.extend.EncodingOptions(absent="mask"))
        n = len(encoding.features)
        keep = torch.cat([torch.ones(1, n), 1 - torch.eye(n), torch.zeros(1, n)]).bool().numpy()
        rows += [row.ids.tolist() for row in encoding.at(keep)]
    return rows


def bare_gradients(model: Any, tokenizer: Any, texts: list[str], steps: int) -> None:
    """Forward and backward over `steps` interpolated copies of each text, in batches, with nothing around it."""
    table = model.get_input_embeddings()
    encoded = [tokenizer(text)["input_ids"] for text in texts]
    items = [i for i in range(len(texts)) for _ in range(steps)]
    for batch in pack([len(encoded[i]) for i in items], 4_096):
        width = max(len(encoded[items[b]]) for b in batch)
        ids = torch.tensor(
            [encoded[items[b]] + [tokenizer.pad_token_id] * (width - len(encoded[items[b]])) for b in batch]
        )
        points = table(ids).detach().requires_grad_(True)
        logits = model(inputs_embeds=points, attention_mask=(ids != tokenizer.pad_token_id).long()).logits
        torch.autograd.grad(logits[:, 1].sum(), points)


def removal_loop(model: Any, tokenizer: Any, text: str) -> None:
    """Each token removed in turn, the text put together and tokenised again, and sent alone."""

    def predict(variant: str) -> torch.Tensor:
        with torch.no_grad():
            return model(**tokenizer(variant, return_tensors="pt", truncation=True, padding=True)).logits.squeeze()

    tokens = tokenizer.tokenize(text)
    predict(text)
    for i in range(len(tokens)):
        predict(tokenizer.convert_tokens_to_string(tokens[:i] + tokens[i + 1 :]))


def removal(
    explainer: saywhy.Explainer, model: Any, tokenizer: Any, sentences: list[str], rounds: int
) -> dict[str, Any]:
    """The loop against one call, on the first sentence of 25 tokens."""
    text = next(t for t in sentences if len(tokenizer.tokenize(t)) == 25)
    return paired(
        lambda _: removal_loop(model, tokenizer, text),
        lambda _: explainer(text, method="occlusion", absent="drop", by="token").variants,
        rounds,
    )


def batching(model: Any, tokenizer: Any, rounds: int) -> dict[str, Any]:
    """What a batch alone can save here: 26 rows of 26 tokens one by one, and at once; nothing but the model."""
    ids = torch.randint(10, len(tokenizer), (26, 26), generator=torch.Generator().manual_seed(0))

    def at_once(rows: torch.Tensor) -> None:
        with torch.no_grad():
            model(input_ids=rows, attention_mask=torch.ones_like(rows))

    return paired(lambda _: [at_once(row[None]) for row in ids], lambda _: at_once(ids), rounds)


def import_seconds(rounds: int) -> dict[str, float]:
    """Median wall time of a fresh process that imports one thing; `everything` uses the names, so nothing is put off."""
    code = {"torch": "import torch", "saywhy": "import saywhy", "torch + saywhy": "import torch, saywhy; saywhy.Explainer",
            "torch + transformers": "import torch, transformers; transformers.AutoTokenizer; transformers.PreTrainedModel"}  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in code}
    for _ in range(rounds + 1):
        for name, line in code.items():
            script = f"import time; s = time.perf_counter(); {line}; print(time.perf_counter() - s)"
            out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
            found[name].append(float(out))
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def peak_growth(explainer: saywhy.Explainer, texts: list[str]) -> tuple[float, float]:
    """Peak resident MB after the first quarter of the texts, and after all of them, streamed."""
    peaks = []
    for i, _ in enumerate(explainer.stream(texts, method="occlusion")):
        if i in (len(texts) // 4, len(texts) - 1):
            gc.collect()
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return peaks[0], peaks[1]


def main() -> None:
    options = arguments(__doc__ or "")
    rounds = 2 if options.quick else 7
    model, tokenizer, sentences = real(options.cache)
    explainer = saywhy.Explainer(model, tokenizer)
    texts = sentences[: 10 if options.quick else 20]
    rows = masked_rows(tokenizer, explainer, texts)
    for p in model.parameters():
        p.requires_grad_(False)
    forwards = paired(
        lambda _: explainer(texts, method="occlusion", progress=False),
        lambda _: bare_forwards(model, tokenizer, rows),
        rounds,
    )
    plain = masked_rows(tokenizer, explainer, texts)[: 2 * len(texts)]
    backwards = paired(
        lambda _: explainer(texts, steps=10, target=1, progress=False),
        lambda _: (bare_gradients(model, tokenizer, texts, 10), bare_forwards(model, tokenizer, plain)),
        rounds,
    )
    small = make.load(demo.folder())
    removals = {
        "MiniLM": removal(explainer, model, tokenizer, sentences, rounds),
        "the package's model": removal(saywhy.Explainer(*small), *small, sentences, rounds),
    }
    imports = import_seconds(2 if options.quick else 5)
    first, last = peak_growth(explainer, sentences[: 40 if options.quick else 200])

    def line(name: str, found: dict[str, Any]) -> list[Any]:
        return [name, found["a"], found["b"], f"{found['ratio']:.2f} ({found['least']:.2f} to {found['most']:.2f})"]

    measured = [
        line(f"occlusion of {len(texts)} sentences / the same {len(rows)} rows bare", forwards),
        line(f"integrated gradients of {len(texts)} sentences, 10 steps / the same passes bare", backwards),
        *(
            line(f"removing each of 25 tokens, {name}: one-by-one loop / saywhy", found)
            for name, found in removals.items()
        ),
        *(
            line(f"the same 26 rows, {name}: one by one, bare / in one batch, bare", batching(*pair, rounds))
            for name, pair in {"MiniLM": (model, tokenizer), "the package's model": small}.items()
        ),
    ]
    if options.quick:
        print(*measured, imports, (first, last), sep="\n")
        return
    write(
        "engine",
        "The engine: overhead, removal, imports, memory",
        "A fine-tuned MiniLM (22 M parameters), held-out movie sentences. Ratios are medians of paired runs, with least and most.",
        {
            "forwards": forwards,
            "backwards": backwards,
            "removal": removals,
            "imports": imports,
            "memory": [first, last],
        },
        [
            ("What does explaining cost beyond the model?", ["a / b", "a, s", "b, s", "ratio"], measured),
            ("How long does importing take?", ["what", "seconds"], [[name, spent] for name, spent in imports.items()]),
            (
                "Does memory grow with the number of texts?",
                ["texts done", "peak MB"],
                [["first quarter of 200", first], ["all 200", last]],
            ),
        ],
    )


if __name__ == "__main__":
    main()
