"""Is a statement supported? By two checks that anyone can repeat: without its sources, and with its sources alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.types import Bools, Floats, Ints
from .search import MATTERS, Search

SUPPORTED, WEAK, NONE, JOINS = "supported", "weakly supported", "no source in these documents", "nothing to cite"
MOST_SOURCES = 5  # of one statement
# Where the lines are drawn, from SmolLM2-135M-Instruct on made contexts: docs/benchmarks/citations.md has what they give.
ENOUGH = 0.5  # of what the documents do, that the sources do: alone, when they are taken away, and the three strongest by score
AGAIN = 0.75  # of what the documents do, that a sentence does by itself which says again what others say
NATS = 2.5  # that the sources raise the log-probability by, at least, of a statement that has any
# The log-probability in nats, with all documents, of the tokens that they make likelier (`raised`):
DOUBTED = -1.25  # a statement below is supported weakly at most
UNLIKELY = -2.5  # and one below this has no source: the documents bring its subject nearer and do not say its words


@dataclass(frozen=True)
class Check:
    """What the two checks of one statement found, in nats."""

    sources: tuple[int, ...]  # the sentences, the strongest first
    whole: float  # the log-probability with all documents
    base: float  # with none of them
    without: float  # with all but the sources
    alone: float  # with the sources alone
    verdict: str
    tokens: int  # of the statement
    raised: float  # the log-probability, with all documents, of the tokens that they make likelier

    @property
    def necessity(self) -> float:
        """How far the log-probability falls when the sources are taken out."""
        return self.whole - self.without

    @property
    def sufficiency(self) -> float:
        """How far the log-probability rises over that with no document when there is nothing but the sources."""
        return self.alone - self.base


def shortlisted(scores: Floats, stderr: Floats, lost: Floats, gain: float) -> list[int]:
    """The candidates [m] that may carry a statement: those above a share of what the documents do, and above their own error.

    And those without which most of it is lost, `lost` [m], whatever they do alone: the first of two sentences that lead to it.
    """
    counts = scores >= np.maximum(max(MATTERS * gain, 1e-9), 2 * stderr)
    counts |= lost >= ENOUGH * max(gain, NATS)
    return [int(i) for i in np.argsort(-scores, kind="stable") if counts[i]][:MOST_SOURCES]


def sources_of(
    search: Search, candidates: Ints, lists: Sequence[Sequence[int]], whole: Floats, base: Floats
) -> list[list[int]]:
    """Of each statement's shortlist those that it takes, and those that say the same again.

    One more is taken while those that were taken do not do alone what all documents do, or where it does most of that by
    itself, or where most of it is lost without it. Cost: for each of a shortlist a short prompt, one for each of its beginnings,
    and the whole prompt without it.
    """
    asked: dict[tuple[int, ...], None] = {}
    for each in lists:
        asked.update(dict.fromkeys((i,) for i in each))
        asked.update(dict.fromkeys(tuple(sorted(each[: i + 1])) for i in range(len(each))))
    rows = np.zeros((len(asked), search.n), bool)
    for row, chosen in zip(rows, asked, strict=True):
        row[candidates[list(chosen)]] = True
    found = search.values(rows) - base if len(rows) else rows
    alone = dict(zip(asked, found, strict=True))
    needed = sorted({i for each in lists for i in each[1:]})
    missing = np.ones((len(needed), search.n), bool)
    missing[np.arange(len(needed)), candidates[needed]] = False
    lost = dict(zip(needed, whole - search.values(missing), strict=True)) if needed else {}
    out = []
    for k, each in enumerate(lists):
        gain, taken = max(float(whole[k] - base[k]), NATS), list(each[:1])
        for i in each[1:]:
            enough = alone[tuple(sorted(taken))][k] >= (1 - MATTERS) * gain
            if not enough or alone[(i,)][k] >= AGAIN * gain or lost[i][k] >= ENOUGH * gain:
                taken.append(i)  # what was passed over added nothing, so the beginning of the list tells of the taken
                alone.setdefault(tuple(sorted(taken)), alone[tuple(sorted(each[: each.index(i) + 1]))])
        out.append(taken)
    return out


def checked(
    search: Search,
    candidates: Ints,
    chosen: Sequence[Sequence[int]],
    scores: Floats,
    ends: tuple[Floats, Floats, Floats],
) -> list[Check]:
    """Each statement's two checks: two forwards a statement that has sources."""
    whole, base, raised = ends
    rows: list[Bools] = []
    for picked in chosen:
        kept = np.zeros(search.n, bool)
        kept[candidates[list(picked)]] = True
        rows += [~kept, kept]
    values = search.values(np.stack(rows)) if rows else np.zeros((0, 0))
    out = []
    for k, (picked, statement) in enumerate(zip(chosen, search.statements, strict=True)):
        without, alone = float(values[2 * k, k]), float(values[2 * k + 1, k])
        sources = tuple(int(candidates[i]) for i in picked)
        tokens = statement.tokens[1] - statement.tokens[0]
        told = Check(sources, float(whole[k]), float(base[k]), without, alone, "", tokens, float(raised[k]))
        verdict = JOINS if statement.joins else _verdict(told, scores[k][list(picked)][:3].sum())
        held = verdict in (SUPPORTED, WEAK)
        out.append(Check(sources if held else (), told.whole, told.base, without, alone, verdict, tokens, told.raised))
    return out


def _verdict(told: Check, strongest: float) -> str:
    """From the checks, and the sum of the three strongest scores."""
    moved = min(max(told.whole - told.base, told.necessity), told.sufficiency)
    if not told.sources or moved < NATS or told.raised < UNLIKELY:
        return NONE
    gain = max(told.whole - told.base, NATS)
    enough = min(told.necessity, told.sufficiency, strongest) >= ENOUGH * gain
    return SUPPORTED if enough and told.raised >= DOUBTED else WEAK
