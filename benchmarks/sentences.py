"""Sentences: where they end, by hand, against pysbd and syntok, and how fast they are found.

    python -m benchmarks.sentences

`pip install pysbd==0.3.4 syntok==1.4.4` installs the peers. A case is wrong if any of its sentences is.
"""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysbd
import syntok.segmenter

from benchmarks.common import arguments, paired, write
from saywhy.core.features import sentences

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from sentence_cases import BOOKS, CASES, LATER

Cutter = Callable[[str, str], list[str]]
SEGMENTERS: dict[str, Any] = {}


def ours(text: str, language: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def by_pysbd(text: str, language: str) -> list[str]:
    """With the rules of the text's own language where pysbd has them, else of English."""
    known = language if language in pysbd.languages.LANGUAGE_CODES else "en"
    if known not in SEGMENTERS:
        SEGMENTERS[known] = pysbd.Segmenter(language=known, clean=False)
    return [part.strip() for part in SEGMENTERS[known].segment(text) if part.strip()]


def by_syntok(text: str, language: str) -> list[str]:
    found = [list(sentence) for paragraph in syntok.segmenter.analyze(text) for sentence in paragraph]
    return [text[tokens[0].offset : tokens[-1].offset + len(tokens[-1].value)] for tokens in found if tokens]


CUTTERS: dict[str, Cutter] = {"saywhy": ours, "pysbd": by_pysbd, "syntok": by_syntok}


def parts(case: str) -> list[str]:
    return [part.strip() for part in case.split("|") if part.strip()]


def plain(found: list[str]) -> list[str]:
    """White space inside a sentence does not count."""
    return [" ".join(part.split()) for part in found]


def wrong(cutter: Cutter, language: str, cases: tuple[str, ...]) -> int:
    return sum(plain(cutter(case.replace("|", ""), language)) != plain(parts(case)) for case in cases)


def book(width: int | None) -> str:
    """The paragraphs of BOOKS, each on a line or broken at a width."""
    texts = [case.replace("|", "") for case in BOOKS]
    return "\n\n".join(textwrap.fill(t, width, break_on_hyphens=False) if width else t for t in texts)


def missed(cutter: Cutter, width: int | None) -> tuple[int, int]:
    """How many sentences of the book are not found, and how many are found that are none."""
    found, expected = plain(cutter(book(width), "en")), [part for case in BOOKS for part in parts(case)]
    return len([e for e in expected if e not in found]), len([f for f in found if f not in expected])


def speed(rounds: int) -> list[list[Any]]:
    text = " ".join(book(None).split()) + " "
    long = text * (200_000 // len(text))
    short = long[:20_000]  # for the peers, which take longer
    rows: list[list[Any]] = []
    for name, cutter in CUTTERS.items():
        if name != "saywhy":
            found = paired(
                lambda i, f=cutter: f(short, "en"), lambda i: ours(short, "en"), rounds, clock=time.process_time
            )
            rows.append([name, "20,000 characters of the books", f"{len(short) / found['a']:,.0f}",
                         f"{found['ratio']:.1f} ({found['least']:.1f} to {found['most']:.1f})"])  # fmt: skip
    for name, each in (("the books", long), ("full stops", "." * 50_000), ("full stops and blanks", ". " * 25_000),
                       ("initials", "J. " * 17_000), ("flags", "🇩🇪" * 25_000)):  # fmt: skip
        times = []
        for _ in range(rounds):
            started = time.process_time()
            ours(each, "en")
            times.append(time.process_time() - started)
        rows.append(
            ["saywhy", f"{len(each):,} characters of {name}", f"{len(each) / sorted(times)[len(times) // 2]:,.0f}", ""]
        )
    return rows


def main() -> None:
    options = arguments(__doc__ or "")
    groups = {**CASES, "en, later": LATER}
    by_language = [
        [name, len(cases), *(wrong(cutter, name.split(",")[0], cases) for cutter in CUTTERS.values())]
        for name, cases in groups.items()
    ]
    by_language.append(["all", *(sum(row[i] for row in by_language) for i in range(1, 5))])
    read = [
        ["one line a paragraph" if width is None else f"broken at {width}",
         *(f"{a} missed, {b} made up" for a, b in (missed(cutter, width) for cutter in CUTTERS.values()))]
        for width in (None, 60, 72, 80)
    ]  # fmt: skip
    timed = speed(1 if options.quick else 5)
    for row in (*by_language, *read, *timed):
        print(row)
    if not options.quick:
        write(
            "sentences",
            "Sentences",
            "Cases cut by hand, by the hand that wrote our rules: that ours are right on them says that the rules do what was meant; that "
            "peers are not says where they mean something else. pysbd 0.3.4 is given the text's language where it has it; syntok 1.4.4 "
            "knows English, Spanish and German. `en, later` was written when the rules were done; at first sight we had 6 of its first 64 "
            "wrong, pysbd 11, syntok 13, and five of the six were mended afterwards, as was one sentence of the books and their paragraphs of two lines. pysbd ends sentences at every "
            "line end and keeps what a pair of quotes holds together; among the cases lists and headings end at lines, and sentences "
            "inside quotes count.",
            {"languages": by_language, "books": read, "speed": timed},
            [
                ("How many cases are cut wrongly?", ["language", "cases", *CUTTERS], by_language),
                (
                    f"And sentences in {len(BOOKS)} paragraphs of Austen, Carroll, Dickens, Doyle and Lincoln?",
                    ["lines", *CUTTERS],
                    read,
                ),
                ("How fast?", ["", "text", "characters a second of processor time", "time, saywhy = 1"], timed),
            ],
        )


if __name__ == "__main__":
    main()
