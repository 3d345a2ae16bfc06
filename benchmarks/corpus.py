"""A corpus: throughput beside the bare passes, memory by rows, the cost of resuming, kills, and a loop over transformers-interpret.

    python -m benchmarks.corpus --cache .cache [--only throughput,memory,resume,kills,loop,workers,report]

Every part writes its own result as it comes, so a run that is cut off loses nothing, and parts can be run one by one.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import saywhy
from benchmarks.common import DOCS, arguments, real, seconds, write
from benchmarks.demo_model import make
from benchmarks.one_pass import bare
from benchmarks.planted import SHORTCUTS, rated, trained
from saywhy import corpus
from saywhy.corpus.plan import MANIFEST

# The peak of this process alone, MB: what getrusage says begins with that of the process that started it.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
"""
MEMORY = """
import sys
import torch
torch.set_num_threads(1)
import saywhy
from saywhy import corpus
from saywhy.core.types import Scores
def nothing(problem):
    return Scores(torch.zeros(1, problem.n, dtype=torch.float64))
    yield
count, method = int(sys.argv[4]), nothing
explainer = saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["length"])
if sys.argv[5] == "tiny BERT":
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
    tokenizer, method = AutoTokenizer.from_pretrained(sys.argv[1]), "input_x_gradient"
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    explainer = saywhy.Explainer(BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **small)).eval(), tokenizer)
corpus.run(explainer, sys.argv[2], sys.argv[3], method=method, trust="none", limit=count, progress=False)
print(peak())
"""
KILLED = """
import sys
import torch
torch.set_num_threads(1)
import saywhy
from saywhy import corpus
explainer = saywhy.Explainer()
print("ready", flush=True)
corpus.run(explainer, sys.argv[1], sys.argv[2], method="libra", shard_rows=12, progress=False)
"""
REPORT = """
import sys, time
from saywhy import corpus
began = time.process_time()
corpus.report(sys.argv[1]).save(sys.argv[2])
print(time.process_time() - began, peak())
"""


CASES = (("input_x_gradient", "none"), ("libra", "none"), ("attn_lrp", "none"), ("libra", "quick"))  # method, trust


def throughput(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """Texts by the second of processor time, beside the bare batched forward and backward of the same texts, in slices.

    The bare passes of a slice are timed before the corpora of it and after them.
    """
    model, tokenizer, _ = real(cache)
    model.requires_grad_(False)
    texts = [text for text, _, _ in rated(cache)][: 60 if quick else int(os.environ.get("ROWS", "10000"))]
    explainer = saywhy.Explainer(model, tokenizer)
    bare(model, tokenizer, texts[:20], explainer.model.batch_tokens)
    out: dict[str, Any] = {"texts": len(texts), "cases": []}
    slices = max(1, len(texts) // 2_000)
    plain, ours = [], {case: [] for case in CASES}  # seconds, slice by slice

    def passes() -> float:
        return seconds(lambda: bare(model, tokenizer, some, explainer.model.batch_tokens), time.process_time)

    for part in range(slices):
        some = texts[part::slices]
        before = passes()
        for method, trust in CASES:
            began = time.process_time()
            corpus.run(
                explainer,
                some,
                folder / f"{method}-{trust}-{part}",
                method=method,
                target=1,
                trust=trust,
                progress=False,
            )
            ours[method, trust].append(time.process_time() - began)
        plain.append((before + passes()) / 2)
        print(part, plain[-1], {case: spent[-1] / plain[-1] for case, spent in ours.items()}, flush=True)
    for (method, trust), spent in ours.items():
        ratios = [a / b for a, b in zip(spent, plain, strict=True)]
        out["cases"].append(
            {"method": method, "trust": trust, "seconds": sum(spent), "bare": sum(plain), "ratios": ratios}
        )
    return out


def numbered(path: Path, count: int, cache: Path) -> Path:
    """A CSV of so many different sentences."""
    texts = [text for text, _, _ in rated(cache)]
    with path.open("w", encoding="utf-8") as file:
        file.write("text,n\n")
        for i in range(count):
            text = " ".join(texts[i % len(texts)].split()[:8]).replace('"', "")
            file.write(f'"{text} {i}",{i}\n')
    return path


def memory(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """The peak of a process, MB, by the number of rows: a function, asked nothing, so that all but the model is measured."""
    return _memory("function", (100, 300) if quick else (1_000, 10_000, 100_000), cache, folder)


def memory_of_a_model(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """The same with a tiny BERT and a method that follows gradients."""
    return _memory("tiny BERT", (100, 300) if quick else (1_000, 10_000), cache, folder)


def _memory(kind: str, counts: tuple[int, ...], cache: Path, folder: Path) -> dict[str, Any]:
    make.teacher(cache)
    source = numbered(folder / "many.csv", max(counts), cache)
    found = {}
    for count in counts:
        script = [
            sys.executable,
            "-c",
            PEAK + MEMORY,
            str(cache / "teacher"),
            str(source),
            str(folder / str(count)),
            str(count),
        ]
        began = time.monotonic()
        done = subprocess.run([*script, kind], check=True, capture_output=True, text=True)
        found[str(count)] = {"MB": float(done.stdout.split()[-1]), "seconds": time.monotonic() - began}
        print(count, found[str(count)], flush=True)
    script = [sys.executable, "-c", PEAK + REPORT, str(folder / str(max(counts))), str(folder / "report.html")]
    spent, peak = map(float, subprocess.run(script, check=True, capture_output=True, text=True).stdout.split()[-2:])
    found["report"] = {"MB": peak, "seconds": spent, "rows": max(counts)}
    return found


def resume(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """What it costs to find that all is done: seconds of processor time, the model loaded. The method asks nothing."""
    explainer = saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["length"])
    count = 2_000 if quick else 10_000
    source = numbered(folder / "many.csv", count, cache)

    def nothing(problem: Any) -> Any:
        from saywhy.core.types import Scores

        return Scores(torch.zeros(1, problem.n, dtype=torch.float64))
        yield

    def run() -> float:
        began = time.process_time()
        corpus.run(explainer, source, folder / "o", method=nothing, absent="drop", progress=False, trust="none")
        return time.process_time() - began

    first = run()
    again = run()
    return {"rows": count, "first": first, "again": again}


def kills(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """Kills at random moments of runs over 220 sentences by the model in the package; is the result identical each time?"""
    texts = [text for text, _, _ in rated(cache)][: 100 if quick else 200]
    texts += texts[:: len(texts) // 20]
    source = folder / "in.jsonl"
    source.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    whole = corpus.run(None, source, folder / "whole", method="libra", shard_rows=12, progress=False).to_arrow()
    command = [sys.executable, "-c", KILLED, str(source)]
    draw, same, hit = random.Random(0), [], 0
    while hit < (2 if quick else 20):
        out = folder / f"o{len(same)}"
        while not (out / MANIFEST).exists() or not corpus.load(out).complete:
            running = subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL, stdout=subprocess.PIPE)
            running.stdout.readline()
            enough = len(list(out.glob("shard-*"))) + draw.randrange(3)  # kill so many shards later, and a moment
            while running.poll() is None and len(list(out.glob("shard-*"))) < enough:
                time.sleep(0.005)
            try:
                running.wait(draw.uniform(0, 0.5))
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                hit += 1
                print(hit, end=" ", flush=True)
            running.wait()
        same.append(corpus.load(out).to_arrow().equals(whole))
        print(f"{hit} kills, {len(same)} runs, same: {all(same)}", flush=True)
    rounds = len(same)
    return {"rows": len(texts), "kills": hit, "runs": rounds, "identical": all(same)}


def loop(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """Texts of a corpus against a loop over transformers-interpret's default call, the same model, processor time."""
    from transformers_interpret import SequenceClassificationExplainer

    warnings.simplefilter("ignore")
    model, tokenizer, _ = real(cache)
    texts = [text for text, _, _ in rated(cache)][: 6 if quick else int(os.environ.get("LOOP", "60"))]
    theirs = SequenceClassificationExplainer(model, tokenizer)
    began = time.process_time()
    for text in texts:
        theirs(text)
    them = time.process_time() - began
    explainer = saywhy.Explainer(model, tokenizer)
    out: dict[str, Any] = {"texts": len(texts), "transformers-interpret": them}
    for method in ("input_x_gradient", "libra", "integrated_gradients"):
        began = time.process_time()
        corpus.run(explainer, texts, folder / method, method=method, trust="none", progress=False)
        out[method] = time.process_time() - began
        print(method, out[method], "against", them, flush=True)
    return out


def workers(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """The command as a whole, wall seconds: one process with all cores, and a process for each core."""
    make.teacher(cache)
    count, cores = 64 if quick else 4_096, os.cpu_count() or 1
    source = numbered(folder / "many.csv", count, cache)
    command = [
        sys.executable,
        "-m",
        "saywhy",
        "corpus",
        str(source),
        "--text",
        "text",
        "--model",
        str(cache / "teacher"),
    ]
    command += ["--method", "libra", "--trust", "none", "--shard-rows", str(max(16, count // 16))]
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    out: dict[str, Any] = {"rows": count, "cores": cores}
    for many in (1, cores):
        began = time.monotonic()
        run = [*command, "-o", str(folder / f"o{many}"), "--workers", str(many)]
        subprocess.run(run, check=True, env=free, capture_output=True)
        out[str(many)] = time.monotonic() - began
        print(many, out[str(many)], flush=True)
    return out


def report(cache: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """Shortcuts that were planted, each in a copy of its own: the first suspects of each."""
    out: dict[str, Any] = {"rows": 0, "suspects": []}
    for shortcut in SHORTCUTS[: 1 if quick else None]:
        model, source = trained(cache, shortcut)
        done = corpus.run(
            str(model), source, folder / shortcut.word, method="libra", limit=100 if quick else None, progress=False
        )
        found = corpus.report(done, label="label", by_columns=["source"])
        found.save(cache / f"report-{shortcut.word}.html")
        said = f"{shortcut.word}, {shortcut.share:.0%} of {make.LABELS[shortcut.label]}"
        first = [(s.word.label, label, s.word.count, s.word.mean, s.suspicion) for label, s in found.suspects[:3]]
        out["suspects"] += [[said if not i else "", *suspect] for i, suspect in enumerate(first)]
        out["rows"] = found.whole.n
        print(first, flush=True)
    return out


PARTS: dict[str, Callable[[Path, Path, bool], dict[str, Any]]] = {
    f.__name__: f for f in (throughput, memory, memory_of_a_model, resume, kills, loop, workers, report)
}


MEASURED = {"memory": "a function", "memory_of_a_model": "tiny BERT"}


def main() -> None:
    torch.set_num_threads(1)
    wanted = list(PARTS)
    if "--only" in sys.argv:
        at = sys.argv.index("--only")
        wanted = sys.argv[at + 1].split(",")
        del sys.argv[at : at + 2]
    options = arguments(__doc__ or "")
    path = DOCS / "corpus.json"
    for name in wanted:
        folder = Path(tempfile.mkdtemp())
        try:
            found = PARTS[name](options.cache, folder, options.quick)
        finally:
            shutil.rmtree(folder)
        print(name, found, flush=True)
        if not options.quick:
            results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            results.pop("machine", None)
            written({**results, name: found})


def written(results: dict[str, Any]) -> None:
    """The page, of what is known so far."""
    tables: list[tuple[str, list[str], list[list[Any]]]] = []
    if "throughput" in results:
        r = results["throughput"]
        checked = {"none": "none", "quick": "a hundredth of the texts"}
        rows = [
            [c["method"], checked[c["trust"]], r["texts"] / c["seconds"], r["texts"] / c["bare"],
             f"{statistics.median(c['ratios']):.2f} ({min(c['ratios']):.2f} to {max(c['ratios']):.2f})"]
            for c in r["cases"]
        ]  # fmt: skip
        tables.append((f"What does a corpus of {r['texts']:,} sentences cost beyond the bare passes?",
                       ["method", "checked against removal", "texts a second", "bare forward and backward", "time, bare = 1"], rows))  # fmt: skip
    found = {kind: results[part] for part, kind in MEASURED.items() if part in results}
    if found:
        rows = [
            [kind, f"{int(n):,}", f"{v['MB']:.0f}"] for kind, r in found.items() for n, v in r.items() if n != "report"
        ]
        tables.append(("Does memory grow with the rows?", ["model", "rows", "peak of the process, MB"], rows))
        costs = [r["report"] for r in found.values() if "report" in r]
        rows = [[f"{cost['rows']:,}", cost["seconds"], f"{cost['MB']:.0f}"] for cost in costs]
        tables.append(("What does the report cost?", ["rows", "CPU seconds", "peak, MB"], rows))
    if "resume" in results:
        r = results["resume"]
        tables.append(
            (
                "What does it cost to go on, beyond loading the model?",
                ["rows that are done", "CPU seconds"],
                [[f"{r['rows']:,}", r["again"]]],
            )
        )
    if "kills" in results:
        r = results["kills"]
        tables.append(("Is it the same after kills at random moments?", ["rows", "kills", "runs", "identical to an uninterrupted run"],
                       [[f"{r['rows']:,}", r["kills"], r["runs"], "yes, every time" if r["identical"] else "no"]]))  # fmt: skip
    if "loop" in results:
        r = results["loop"]
        them = r["transformers-interpret"]
        rows = [[m, r[m], f"{them / r[m]:.1f}"] for m in r if m not in ("texts", "transformers-interpret")]
        tables.append((f"How much less than a loop over transformers-interpret ({r['texts']} texts, {them:.0f} s at its 50 steps)?",
                       ["method", "CPU seconds", "times less"], rows))  # fmt: skip
    if "workers" in results:
        r = results["workers"]
        rows = [[n, r[n], r["1"] / r[n]] for n in ("1", str(r["cores"]))]
        question = f"Do several processes pay ({r['rows']:,} sentences of at most nine words, libra, {r['cores']} cores, the whole command)?"
        tables.append((question, ["workers", "wall seconds", "times faster"], rows))
    if "report" in results:
        heads = ["planted", "first suspects", "class", "times", "mean push", "suspicion"]
        tables.append(("Is the planted word the first suspect?", heads, results["report"]["suspects"]))
    about = (
        "Movie, product and tweet sentences, a MiniLM (22 M parameters) fine-tuned on movie snippets, one thread, processor time; memory with "
        "sentences of at most nine words, kills on the model in the package."
    )
    write("corpus", "A corpus", about, results, tables)


if __name__ == "__main__":
    main()
