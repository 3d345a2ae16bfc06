"""The survey: every class in a process of its own that is ended when it takes too long, and the table of what came out."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from . import HEADINGS, Registered, registered
from .check import KINDS, Found, check

SECONDS = 60.0  # for one class
STARTING = 120.0  # for a fresh process to import what it needs, besides
GIGABYTES = 8  # of memory that the process may ask for, where the system can set that


def survey(names: Sequence[str] = (), seconds: float = SECONDS) -> Iterator[Found]:
    """What came out for each class, in transformers' own order; a class that crashes or takes too long is told so."""
    context = multiprocessing.get_context("spawn")
    worker, pipe, fresh = None, None, True
    try:
        for what in registered(names):
            if worker is None or pipe is None:
                pipe, theirs = context.Pipe()
                worker, fresh = context.Process(target=_work, args=(theirs,), daemon=True), True
                worker.start()
                theirs.close()
            found = _asked(pipe, what, seconds + (STARTING if fresh else 0.0))
            fresh = False
            if found is None:
                worker.kill()
                worker.join()
                worker = pipe = None
                found = Found(what.heading, what.name, unbuilt=f"took more than {seconds:.0f} s, or its process ended")
            yield found
    finally:
        if worker is not None:
            worker.kill()


def _asked(pipe: Connection, what: Registered, seconds: float) -> Found | None:
    try:
        pipe.send(what)
        answer: Found | None = pipe.recv() if pipe.poll(seconds) else None
    except (EOFError, OSError):
        return None
    return answer


def _work(pipe: Connection) -> None:
    """In the other process: check what comes, quietly, until the pipe closes."""
    import torch
    import transformers

    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, GIGABYTES << 30))
    torch.set_num_threads(1)
    named: Any = transformers.logging
    named.set_verbosity_error()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        while True:
            try:
                pipe.send(check(pipe.recv()))
            except EOFError:
                return


def counts(found: Sequence[Found]) -> str:
    """The survey in one paragraph."""
    asked = [each for each in found if each.asked]
    text = [each for each in asked if each.heading != "image classification"]

    def share(those: Sequence[Found], kind: str) -> str:
        good = sum(each.results.get(kind) == "yes" for each in those)
        return f"{good} ({good / max(1, len(those)):.1%})"

    parity = sum(each.prediction == "yes" for each in asked)
    whole = sum(each.complete for each in asked)
    return (
        f"Of {len(found)} classes that transformers registers for {len(HEADINGS)} tasks, {len(asked)} can be built tiny here and "
        f"asked with a text or an image alone. Of those the explained value is the model's own for {parity} "
        f"({parity / max(1, len(asked)):.1%}); methods that ask about subsets give a result for {share(asked, 'coalitions')}, "
        f"gradients for {share(asked, 'gradients')} (adding up to 1 % for {whole}), one pass under backward rules for "
        f"{share(asked, 'rules')}; attention rollout for {share(text, 'attention')} of the {len(text)} that read text."
    )


def page(found: Sequence[Found], version: str) -> str:
    """docs/architectures.md: the counts, each exception with its reason, and a table of every class."""
    lines = ["# Every architecture", "", INTRODUCTION.format(version=version), "", counts(found), ""]
    for heading in HEADINGS:
        mine = [each for each in found if each.heading == heading]
        if not mine:
            continue
        asked = [each for each in mine if each.asked]
        lines += [f"## {heading[0].upper()}{heading[1:]}: {len(asked)} of {len(mine)} asked", "", _HEAD, _RULE]
        lines += [_row(each) for each in asked]
        lines += [""]
    reasons = list(_reasons(found))
    lines += ["## Exceptions", "", "Each with its reason, and the classes it holds for.", ""]
    lines += [f"- {reason} — {', '.join(names)}" for reason, names in reasons] + [""]
    return "\n".join(lines)


INTRODUCTION = (
    "Written by `saywhy architectures -o docs/architectures.md`, with transformers {version}. Every class that transformers "
    "registers for these tasks is made from its default configuration with every size made small, with random weights, and "
    "explained: nothing is downloaded, and a class that transformers adds appears by itself. `prediction` says whether the "
    "explained value is that of a plain call of the model; `subsets` is occlusion, `gradients` integrated gradients, `add up` "
    "whether they do to 1 %, `rules` libra in one pass, `attention` attention rollout. A `-` has its reason below."
)
_HEAD = "| class | prediction | subsets | gradients | add up | rules | attention |"
_RULE = "| --- " * 7 + "|"


def _row(each: Found) -> str:
    cells = ["yes" if each.prediction == "yes" else "-"]
    marks = {kind: "yes" if each.results.get(kind) == "yes" else "-" for kind in KINDS}
    cells += [
        marks["coalitions"],
        marks["gradients"],
        "yes" if each.complete else "-",
        marks["rules"],
        marks["attention"],
    ]
    return f"| {each.name} | {' | '.join(cells)} |"


def _reasons(found: Iterable[Found]) -> Iterator[tuple[str, list[str]]]:
    """Each reason once, the most frequent first, with its classes; a reason that names the class is told without it."""
    held: dict[str, list[str]] = {}
    for each in found:
        for reason in dict.fromkeys(_why(each)):
            told = reason.replace(each.name, "The model").replace("|", "/")
            held.setdefault(told, []).append(f"{each.name} ({each.heading})")
    order = Counter({reason: len(names) for reason, names in held.items()})
    for reason, _ in order.most_common():
        yield reason, list(dict.fromkeys(held[reason]))


def _why(each: Found) -> Iterator[str]:
    if each.unbuilt:
        yield f"not built: {each.unbuilt}"
    elif each.unasked:
        yield f"not asked with a text or an image alone: {each.unasked}"
    elif not each.results:
        yield f"refused: {each.prediction}"
    else:
        if each.prediction != "yes":
            yield f"prediction: {each.prediction}"
        yield from (f"{kind}: {said}" for kind, said in each.results.items() if said != "yes")
        if each.note or (each.results.get("gradients") == "yes" and not each.complete):
            yield f"does not add up: {_general(each.note) or 'a gap without a note'}"


def _general(note: str) -> str:
    """A note without its own numbers."""
    if not note:
        return ""
    why = ", for" + note.split(", for", 1)[1] if ", for" in note else ""
    return f"integrated gradients did not converge within their budget{why}"
