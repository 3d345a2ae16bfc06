"""Every peer's scores and ours under one protocol: which are faithful, which agree with people, and at what cost.

    pip install --no-deps transformers-interpret==0.10.0
    python -m benchmarks.proof --cache .cache [--quick]

Held-out movie sentences of 8 to 16 words, the fine-tuned MiniLM, the predicted label. Peers run by themselves, at their defaults
and, where those are not their best, at better settings; their scores are summed by word and judged by `saywhy.compare` as ours are, by
two ways of taking words away that none of them owns alone. People's view: words that the lexicon beside the sentences rates
at 1 or more in the direction of the prediction. Every text's numbers are kept in CACHE/proof.jsonl, from which a run goes on.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

import saywhy
import saywhy.extend
from benchmarks.common import arguments, real, write
from benchmarks.demo_model import make
from saywhy.comparison.wording import full

TEXTS = 30
METHODS = (
    "integrated_gradients",
    "integrated_gradients:absent=pad",
    "libra",
    "attn_lrp",
    "integrated_rules:rules=attn_lrp:steps=4",
    "input_x_gradient",
    "attention_rollout",
    "occlusion",
    "lime",
    "kernel_shap",
)
METRICS = (
    *("normalised_comprehensiveness", "removal_area", "sufficiency", "scaled_infidelity", "completeness_gap"),
    *("precision_at_one", "rationale_precision"),
)


def lexicon(cache: Path) -> dict[str, float]:
    """word -> the mean of ten people's ratings, -4 to 4."""
    with tarfile.open(fileobj=BytesIO(make.fetch(cache, make.SDIST))) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("/vader_lexicon.txt"))
        file = archive.extractfile(member)
        assert file is not None
        lines = file.read().decode("utf-8").splitlines()
    return {cells[0]: float(cells[1]) for line in lines if len(cells := line.split("\t")) > 1}


class Peers:
    """Other libraries' scores of the predicted label, by our words."""

    def __init__(self, explainer: saywhy.Explainer):
        self.explainer = explainer
        self.model, self.tokenizer = explainer.model.model.eval(), explainer.model.tokenizer
        import shap
        import transformers
        from transformers_interpret import SequenceClassificationExplainer

        self.theirs = SequenceClassificationExplainer(self.model, self.tokenizer)
        pipe = transformers.pipeline("text-classification", model=self.model, tokenizer=self.tokenizer, top_k=None)
        self.shap = shap.Explainer(pipe, silent=True)

    def words(self, text: str) -> tuple[Any, np.ndarray, int]:
        """The input as ids, the word of each position (-1: special), and the predicted label."""
        encoding = self.explainer.model.encode({"text": text}, saywhy.extend.EncodingOptions(absent="mask"))
        batch = self.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            label = int(self.model(**batch).logits.argmax())
        return batch, encoding.owner, label

    def by_word(self, positions: Sequence[float], owner: np.ndarray) -> np.ndarray:
        out = np.zeros(owner.max() + 1)
        np.add.at(out, owner[owner >= 0], np.asarray(positions, dtype=float)[owner >= 0])
        return out

    def transformers_interpret(self, text: str) -> np.ndarray:
        """Its defaults: integrated gradients of the probability, 50 steps from padding, normalised."""
        _, owner, _ = self.words(text)
        found = self.theirs(text)
        if len(found) != len(owner):
            raise ValueError(f"it read {len(found)} tokens, the model {len(owner)}: {text!r}")
        return self.by_word([score for _, score in found], owner)

    def captum_layer_ig(self, text: str, filler: str = "pad") -> np.ndarray:
        """Layer integrated gradients of the logit, 50 steps from padding (or masks) with the special tokens kept."""
        from captum.attr import LayerIntegratedGradients

        batch, owner, label = self.words(text)
        ids = batch["input_ids"]
        gone = {"pad": self.tokenizer.pad_token_id, "mask": self.tokenizer.mask_token_id}[filler]
        baseline = torch.where(torch.tensor(owner >= 0), torch.tensor(gone), ids)
        rest = {name: values for name, values in batch.items() if name != "input_ids"}

        def logit(ids: torch.Tensor) -> torch.Tensor:
            more = {name: values.expand(len(ids), -1) for name, values in rest.items()}
            return self.model(input_ids=ids, **more).logits[:, label]

        method = LayerIntegratedGradients(logit, self.model.get_input_embeddings())
        return self.by_word(method.attribute(ids, baseline, n_steps=50)[0].sum(-1).tolist(), owner)

    def _captum_words(self, name: str, text: str, **options: Any) -> np.ndarray:
        """A perturbation method of Captum over our words, masked; probabilities of the label as a function of presence."""
        import captum.attr

        encoding = self.explainer.model.encode({"text": text}, saywhy.extend.EncodingOptions(absent="mask"))
        _, _, label = self.words(text)
        n = len(encoding.features)

        def logit(present: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return self.explainer.model.forward(encoding.at(present.bool().numpy()))[:, label]

        method = getattr(captum.attr, name)(logit)
        torch.manual_seed(0)
        found = method.attribute(torch.ones(1, n), baselines=torch.zeros(1, n), **options)
        return found[0].double().numpy()

    def captum_kernel_shap(self, text: str) -> np.ndarray:
        return self._captum_words("KernelShap", text)  # 25 samples

    def captum_kernel_shap_many(self, text: str) -> np.ndarray:
        n = len(self.explainer.model.encode({"text": text}, saywhy.extend.EncodingOptions(absent="mask")).features)
        return self._captum_words("KernelShap", text, n_samples=16 * n + 64, perturbations_per_eval=32)

    def captum_ablation(self, text: str) -> np.ndarray:
        return self._captum_words("FeatureAblation", text, perturbations_per_eval=32)

    def shap_partition(self, text: str) -> np.ndarray:
        """The defaults over a pipeline (with every label asked for): probabilities, at most 500 evaluations."""
        _, owner, label = self.words(text)
        found = self.shap([text])
        names = list(found.output_names)
        column = names.index(self.model.config.id2label[label])
        values, pieces = found.values[0][:, column], found.data[0]
        if len(values) != len(owner):
            raise ValueError(f"shap read {len(values)} tokens, the model {len(owner)}: {pieces}")
        return self.by_word(values, owner)


PEERS: dict[str, Callable[[Peers, str], np.ndarray]] = {
    "transformers-interpret (default)": Peers.transformers_interpret,
    "captum LayerIG 50, padding": Peers.captum_layer_ig,
    "captum LayerIG 50, mask": lambda p, text: p.captum_layer_ig(text, "mask"),
    "captum FeatureAblation": Peers.captum_ablation,
    "captum KernelShap 25 (default)": Peers.captum_kernel_shap,
    "captum KernelShap 16 n + 64": Peers.captum_kernel_shap_many,
    "shap Partition 500 (default)": Peers.shap_partition,
}


def chosen(explainer: saywhy.Explainer, texts: list[str], ratings: dict[str, float], many: int) -> list[Any]:
    """(text, marks): sentences with at least one word that people rate in the direction of the prediction."""
    out = []
    for text in texts:
        if not 8 <= len(text.split()) <= 16:
            continue
        e = explainer(text, method="random", trust="none", progress=False)
        sign = 1 if e.prediction == "POSITIVE" else -1
        marks = [sign * ratings.get(word.lower(), 0.0) >= 1 for word in e.words]
        if any(marks):
            out.append((text, marks))
        if len(out) == many:
            break
    return out


def peers_scores(
    explainer: saywhy.Explainer, texts: list[str], file: Path
) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """name -> each text's scores, and name -> seconds a text; kept in a file as they come."""
    kept: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    peers = Peers(explainer)
    for text in texts:
        if text in kept:
            continue
        row: dict[str, Any] = {}
        for name, scores in PEERS.items():
            started = time.process_time()
            row[name] = [scores(peers, text).tolist(), time.process_time() - started]
        kept[text] = row
        file.write_text(json.dumps(kept))
    scores = {name: [kept[text][name][0] for text in texts] for name in PEERS}
    return scores, {name: sum(kept[text][name][1] for text in texts) / len(texts) for name in PEERS}


def main() -> None:
    options = arguments(__doc__ or "")
    model, tokenizer, texts = real(options.cache)
    explainer = saywhy.Explainer((model, tokenizer))
    pairs = chosen(explainer, texts, lexicon(options.cache), 4 if options.quick else TEXTS)
    sentences, marks = [text for text, _ in pairs], [marks for _, marks in pairs]
    suffix = "-quick" if options.quick else ""
    scores, seconds = peers_scores(explainer, sentences, options.cache / f"proof-peers{suffix}.json")
    c = saywhy.compare(
        explainer, sentences, METHODS, METRICS, scores=scores, rationales=marks, removals=("hide", "drop"),
        resume=options.cache / f"proof{suffix}.jsonl", announce=lambda cost: print(cost, flush=True), progress=False,
    )  # fmt: skip
    print(c)
    if options.quick:
        return
    rows = []
    shared = {p.method: p.rank for p in c.ranking("removal_area")}
    order = sorted(c.methods, key=lambda m: shared.get(m, 99))
    for method in order:
        spent = seconds.get(method, c.spent[c.methods.index(method)].seconds / len(c))
        cells = [full(c.estimate(method, metric)) for metric in METRICS]
        rows.append(
            [method, shared.get(method, "–"), *cells, f"{spent:.3f}" if method not in ("random", "oracle") else "–"]
        )
    about = (
        f"{len(c)} held-out movie sentences of 8 to 16 words, the fine-tuned MiniLM, the predicted label; scores by word. Means and 95 % "
        "bootstrap intervals over sentences; removal metrics are the mean over hiding words from attention and taking them out, two "
        "operators that none of these methods computes with. Ranks by removal area; methods share one where the interval of "
        "their difference, text by text, holds 0. Metrics in the logit's unit; peers that explain the probability are at no disadvantage "
        "in order metrics, but their gap is not ours to judge. Seconds are processor time a sentence, one thread. "
        "People: precision at 1 and area under precision and recall for the words that people rate in the prediction's direction. "
        f"All together asked {c.rows:,} rows; each method and metric for itself would have asked {c.rows_alone:,}."
    )
    heads = ["scores", "rank", *(m.replace("_", " ") for m in METRICS), "seconds"]
    results = {"records": c.records(), "seconds": seconds, "rows": c.rows, "rows_alone": c.rows_alone}
    write("proof", "Which scores to believe, peers' and ours", about, results, [("One protocol", heads, rows)])


if __name__ == "__main__":
    main()
