"""Every area of the attack with a long budget.

python -m benchmarks.attack                   # some 2,000 trials of each area
python -m benchmarks.attack --trials 200 --only command
"""

from __future__ import annotations

import argparse
import sys

from . import AREAS, tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=list(AREAS), metavar="AREA", help="this one; may be repeated"
    )
    parser.add_argument("--trials", type=int, default=2_000, help="the most of each area")
    parser.add_argument("--shown", type=int, default=5, help="how many failures of each area are shown")
    chosen = parser.parse_args()
    bad = 0
    print("| area | trials | failed |\n| --- | --- | --- |", flush=True)
    for name in chosen.only or AREAS:
        count, failed = tried(AREAS[name], chosen.trials)
        bad += len(failed)
        print(f"| {name} | {count:,} | {len(failed):,} |", flush=True)
        for trial, error in failed[: chosen.shown]:
            print(f"  {trial!r:.160}: {type(error).__name__}: {error!s:.240}", file=sys.stderr, flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
