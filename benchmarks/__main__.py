"""Runs the benchmarks one after the other, each in a process of its own, and writes the book.

    python -m benchmarks                      # all of them
    python -m benchmarks --only one_pass      # one of them; may be given several times
    python -m benchmarks --quick              # a small run of each, to see that it works; nothing is written
    python -m benchmarks --book               # the book again, from what was measured
    python -m benchmarks --list

`pip install -c constraints.txt -e ".[test]"` and `pip install --no-deps transformers-interpret==0.10.0 torchTextClassifiers`
install the peers. `--python` names the interpreter of another environment to run them in. What a script cannot find it says,
and the others go on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import book


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = book.scripts()
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="run this one")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="downloads and models, outside git")
    parser.add_argument("--quick", action="store_true", help="a small run of each; nothing is written")
    parser.add_argument("--book", action="store_true", help="only write the book")
    parser.add_argument("--list", action="store_true", help="the names and what each asks")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to run them with")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:22} {asks}" for name, asks in names.items()))
        return
    failed = [] if options.book else [name for name in options.only or names if not ran(name, options)]
    if not options.quick:
        for path, text in book.pages():
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    if failed:
        sys.exit(f"did not run: {', '.join(failed)}")


def ran(name: str, options: argparse.Namespace) -> bool:
    """Runs one script on one thread; did it end well?"""
    started = time.perf_counter()
    print(f"== {name}", flush=True)
    command = [options.python, "-m", f"benchmarks.{name}", "--cache", str(options.cache)]
    done = subprocess.run([*command, *(["--quick"] if options.quick else [])], env={"OMP_NUM_THREADS": "1", **os.environ}, check=False)  # fmt: skip
    print(f"== {name}: exit status {done.returncode} after {time.perf_counter() - started:.0f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
