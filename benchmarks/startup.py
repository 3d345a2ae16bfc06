"""Start-up: importing saywhy, its help, and `saywhy explain` to its first output, against importing what it needs and one call.

    python -m benchmarks.startup

Each line is a process of its own, and pairs are run in turn: seconds of processor time and of the clock, and their ratios.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.common import arguments, write
from saywhy.models import demo

TEXT = "I love you, I like you, I also kinda dislike you"
BARE = f"""
import torch, transformers
model = transformers.AutoModelForSequenceClassification.from_pretrained({str(demo.folder())!r})
tokenizer = transformers.AutoTokenizer.from_pretrained({str(demo.folder())!r})
with torch.inference_mode():
    print(model(**tokenizer({TEXT!r}, return_tensors="pt")).logits)
"""
COMMAND = [sys.executable, "-m", "saywhy"]
LINES = {
    "python, nothing": [sys.executable, "-c", "pass"],
    "import saywhy": [sys.executable, "-c", "import saywhy"],
    "import torch": [sys.executable, "-c", "import torch"],
    "saywhy --help": [*COMMAND, "--help"],
    "saywhy methods": [*COMMAND, "methods"],
    "bare: import torch and transformers, load the model, one call": [sys.executable, "-c", BARE],
    "saywhy explain": [*COMMAND, "explain", TEXT],
    "saywhy explain --trust none": [*COMMAND, "explain", TEXT, "--trust", "none"],
}
YARDSTICK = "bare: import torch and transformers, load the model, one call"


def spent(command: list[str]) -> tuple[float, float]:
    """Processor seconds and clock seconds of one process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - started


def main() -> None:
    options = arguments(__doc__ or "")
    rounds = 1 if options.quick else 7
    for command in LINES.values():  # files into memory, and modules compiled
        spent(command)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LINES}
    for _ in range(rounds):
        for name, command in LINES.items():
            found[name].append(spent(command))
    rows: list[list[Any]] = []
    for name, times in found.items():
        ratios = [ours[0] / bare[0] for ours, bare in zip(times, found[YARDSTICK], strict=True)]
        clock = [ours[1] / bare[1] for ours, bare in zip(times, found[YARDSTICK], strict=True)]
        rows.append([name, f"{statistics.median(t[0] for t in times):.2f}", f"{statistics.median(t[1] for t in times):.2f}",
                     *(f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in (ratios, clock))])  # fmt: skip
        print(rows[-1], flush=True)
    if not options.quick:
        write(
            "startup",
            "Start-up",
            f"Medians of {rounds} rounds in turn, each line a process of its own, one thread, files already in memory. `bare` is what "
            "any explanation must wait for: importing torch and transformers, loading the package's model and its tokenizer, one call. "
            "What saywhy adds to it is some 66 small modules of its own, rich, and typer with its pydantic. What it saves is that its "
            "commands collect no garbage until the model is there. `saywhy methods` takes as long as importing torch.",
            {"seconds": found},
            [("How long to the first result?", ["process", "processor, s", "clock, s", "processor, bare = 1", "clock, bare = 1"], rows)],
        )  # fmt: skip


if __name__ == "__main__":
    main()
