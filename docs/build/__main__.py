"""Writes every page that follows from the code or from what was measured.

    python -m docs.build            # what needs no model: methods, metrics, choosing, the book, notebooks
    python -m docs.build --run      # first runs the code in the tutorials and puts its output under it
    python -m docs.build --check    # writes nothing, and fails where a page is not what it would write

Run it in the repository's folder. `docs/pictures.py`, `docs/corpus_pictures.py`, `docs/bias_audit.py` and `saywhy architectures` write
what takes minutes, `python -m benchmarks` the measurements.
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from benchmarks import book

from . import choosing, examples, methods, metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the code of the pages that are run")
    parser.add_argument("--only", metavar="NAME", help="of those, only this one")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where something would change")
    options = parser.parse_args()
    for page in examples.executed_pages() if options.run else ():
        if options.only in (None, page.stem):
            print(f"running {page.name}", file=sys.stderr)
            page.write_text(examples.ran(page), encoding="utf-8")
    stale = []
    for path, text in chain(methods.pages(), metrics.pages(), choosing.pages(), book.pages(), examples.notebooks()):
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not options.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in stale:
        print(("out of date: " if options.check else "wrote ") + str(path), file=sys.stderr)
    if options.check and stale:
        sys.exit("python -m docs.build writes them")


if __name__ == "__main__":
    main()
