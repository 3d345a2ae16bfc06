"""Four explainers side by side with transformers-interpret 0.10: time, error, peak memory.

    pip install --no-deps transformers-interpret==0.10.0
    python -m benchmarks.tasks --cache .cache

Both explain the same inputs with the same model through the same names, each with its defaults, and transformers-interpret
also with the fewest steps that hold saywhy's worst error (where it takes steps). The error of a target is what its raw scores
leave of the rise of the target from the padded to the whole input, over the sum of |scores|. The sentence classifier is a
MiniLM fine-tuned on movie snippets; the other heads are random ones on its body, for no trained one is at hand: their time
is real, their errors those of a smooth function.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers_interpret as theirs
from transformers import BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification
from transformers_interpret import attributions as inner

from benchmarks.common import arguments, paired, real, write
from saywhy.compat import transformers_interpret as ours
from saywhy.models.text.embedding import embedded

NER = "Emmanuel visited Paris and met Ada in the old library"
STEPS = (5, 10, 20, 50)


def models(cache: Path) -> tuple[dict[str, Any], Any, list[str]]:
    """task -> model; the classifier is the fine-tuned one, the others have its body and a random head."""
    classifier, tokenizer, texts = real(cache)
    made: dict[str, Any] = {"sequence classification": classifier}
    heads = {"multi-label, 7 labels": (BertForSequenceClassification, 7), "token classification": (BertForTokenClassification, 9),
             "question answering": (BertForQuestionAnswering, 2)}  # fmt: skip
    for name, (kind, labels) in heads.items():
        torch.manual_seed(0)
        config = classifier.config.__class__(
            **{**classifier.config.to_dict(), "id2label": {i: f"B-{i}" for i in range(labels)}}
        )
        model = kind(config)
        model.bert.load_state_dict(classifier.bert.state_dict(), strict=False)
        with torch.no_grad():
            for head in ("classifier", "qa_outputs"):
                if hasattr(model, head):
                    getattr(model, head).weight.normal_(std=0.2)
        made[name] = model.eval()
    return made, tokenizer, texts


def calls(library: Any, made: dict[str, Any], tokenizer: Any, texts: list[str]) -> dict[str, Callable[..., Any]]:
    """task -> f(i, **options): the explanation of the i-th input by this library."""
    seq = library.SequenceClassificationExplainer(made["sequence classification"], tokenizer)
    multi = library.MultiLabelClassificationExplainer(made["multi-label, 7 labels"], tokenizer)
    ner = library.TokenClassificationExplainer(made["token classification"], tokenizer)
    answer = library.QuestionAnsweringExplainer(made["question answering"], tokenizer)
    many = library is ours  # it takes a list; the other one text at a time
    group = [texts[i : i + 20] for i in range(0, len(texts) - 19, 20)]
    return {
        "sequence classification": lambda i, **o: seq(group[i], **o) if many else [seq(t, **o) for t in group[i]],
        "multi-label, 7 labels": lambda i, **o: multi(texts[i], **o),
        "token classification": lambda i, **o: ner(NER, **o),
        "question answering": lambda i, **o: answer("What is it about?", texts[i], **o),
    }


def errors_of_theirs(work: Callable[[], Any]) -> list[float]:
    """The error of each target that transformers-interpret explains while `work` runs."""
    found: list[float] = []
    original = inner.LIGAttributions.__init__

    def watched(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        others = [x for x in (self.token_type_ids, self.position_ids) if x is not None]
        target = () if self.target is None else (self.target,)
        with torch.no_grad():
            table = self.embeddings
            start = table(self.ref_input_ids) if isinstance(table, torch.nn.Embedding) else None
            whole = self.custom_forward(self.input_ids, *others, self.attention_mask)
            with embedded("word", (table,), self.input_ids, start):
                blank = self.custom_forward(self.input_ids, *others, self.attention_mask)
        if start is not None:
            rise = (whole - blank)[(slice(None), *target)].reshape(-1)[0]
            scores = self._attributions.sum(-1)
            found.append(float((rise - scores.sum()).abs() / scores.abs().sum()))

    inner.LIGAttributions.__init__ = watched
    try:
        work()
    finally:
        inner.LIGAttributions.__init__ = original
    return found


def errors_of_ours(work: Callable[[], Any]) -> list[float]:
    found: list[float] = []
    original = ours.LIGAttributions.of.__func__

    def watched(cls: Any, explanation: Any, tokens: Any, scores: Any) -> Any:
        found.append(abs(explanation.gap) / abs(explanation.scores).sum())
        return original(cls, explanation, tokens, scores)

    ours.LIGAttributions.of = classmethod(watched)
    try:
        work()
    finally:
        ours.LIGAttributions.of = classmethod(original)
    return found


def peak(library: str, task: str, cache: Path) -> float:
    """MB that a process needs above what it holds with the model loaded, to do one task with one library."""
    command = [sys.executable, "-m", "benchmarks.tasks", "--cache", str(cache), "--one", library, task]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def one(library: str, task: str, cache: Path) -> None:
    made, tokenizer, texts = models(cache)
    work = calls(ours if library == "saywhy" else theirs, made, tokenizer, texts)[task]
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark begins anew
    before = _megabytes("VmRSS")
    for i in range(2):
        work(i)
    print(_megabytes("VmHWM") - before)


def _megabytes(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) / 1024


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if "--one" in sys.argv:
        at = sys.argv.index("--one")
        library, task = sys.argv[at + 1 : at + 3]
        del sys.argv[at : at + 3]
        one(library, task, arguments(__doc__ or "").cache)
        return
    options = arguments(__doc__ or "")
    made, tokenizer, texts = models(options.cache)
    us, them = calls(ours, made, tokenizer, texts), calls(theirs, made, tokenizer, texts)
    rows, results = [], {}
    for task in us:
        rounds = 1 if options.quick else 3 if task.startswith("seq") else 5
        our_errors = errors_of_ours(lambda: [us[task](i) for i in range(rounds)])  # noqa: B023
        their_errors = errors_of_theirs(lambda: [them[task](i) for i in range(rounds)])  # noqa: B023
        timed = paired(lambda i: them[task](i), lambda i: us[task](i), rounds, time.process_time)  # noqa: B023
        result: dict[str, Any] = {"saywhy errors": our_errors, "their errors": their_errors, "time": timed}
        row = [task, timed["b"], f"{timed['ratio']:.2f} ({timed['least']:.2f} to {timed['most']:.2f})",
               f"{max(our_errors):.2%}", f"{max(their_errors):.2%}" if their_errors else "no common measure"]  # fmt: skip
        row.append(equal(task, us[task], them[task], max(our_errors), rounds, result))
        if not options.quick:
            memory = [peak(name, task, options.cache) for name in ("saywhy", "theirs")]
            result["peak MB"] = memory
            row.append(f"{memory[0]:.0f} / {memory[1]:.0f}")
        rows.append(row)
        results[task] = result
        print(row, flush=True)
    if options.quick:
        return
    head = ["task", "saywhy, CPU seconds", "transformers-interpret, saywhy = 1", "saywhy, worst error", "theirs, worst error",
            "theirs at the fewest steps as exact, saywhy = 1", "MB above the loaded model, saywhy / theirs"]  # fmt: skip
    about = (
        "One thread, CPU time of the process. Defaults of both (saywhy: steps as needed; transformers-interpret: 50 steps). Sequence classification is three groups of 20 "
        "held-out movie sentences on a fine-tuned MiniLM; the other heads are random, on the same body: seven labels of "
        "a sentence, a sentence of 12 tokens with every token explained, and a question about a sentence (there the peer moves "
        "the whole embedding module, so its error has no common measure with ours)."
    )
    write(
        "tasks",
        "The tasks of transformers-interpret",
        about,
        results,
        [("How long, how exact, how big?", head, rows)],
    )


def equal(task: str, us: Any, them: Any, worst: float, rounds: int, result: dict[str, Any]) -> str:
    """The peer's time at the fewest steps whose worst error is no greater than ours, where it takes steps and has errors."""
    if task.startswith(("multi", "question")):
        return "takes no steps" if task.startswith("multi") else "no common measure"
    if max(result["their errors"]) > worst:
        return "not within 50 steps"
    for steps in STEPS:
        found = errors_of_theirs(lambda: [them(i, n_steps=steps) for i in range(rounds)])  # noqa: B023
        if max(found) <= worst:
            timed = paired(lambda i: them(i, n_steps=steps), us, rounds, time.process_time)  # noqa: B023
            result["time at equal error"] = {"steps": steps, **timed}
            return f"{timed['ratio']:.2f} ({timed['least']:.2f} to {timed['most']:.2f}), {steps} steps"
    return f"not within {STEPS[-1]} steps"


if __name__ == "__main__":
    main()
