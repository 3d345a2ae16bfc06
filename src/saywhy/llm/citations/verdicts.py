"""Is a statement supported? By two checks that anyone can repeat: without its sources, and with its sources alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.types import Bools, Floats, Ints
from .search import MATTERS, Ends, Search

SUPPORTED, WEAK, NONE, JOINS = "supported", "weakly supported", "no source in these documents", "nothing to cite"
MOST_SOURCES = 5  # of one statement
# Where the lines are drawn, from SmolLM2-135M-Instruct on made contexts: docs/benchmarks/citations.md has what they give.
ENOUGH = 0.5  # of what the documents do, that the sources do: alone, when they are taken away, and the three strongest by score
LEADS = (
    0.25  # of what the documents do, and NATS at least, that is lost without a sentence that leads to what another says
)
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
    against: float = 0.0  # and of the least likely one that they speak against

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

    And those without which much of it is lost, `lost` [m], whatever they do alone: the first of two sentences that lead to it.
    """
    counts = scores >= np.maximum(max(MATTERS * gain, 1e-9), 2 * stderr)
    counts |= lost >= max(LEADS * gain, NATS)
    return [int(i) for i in np.argsort(-scores, kind="stable") if counts[i]][:MOST_SOURCES]


def sources_of(
    search: Search, candidates: Ints, lists: Sequence[Sequence[int]], whole: Floats, base: Floats
) -> list[list[int]]:
    """Of each statement's shortlist those that it takes, and those that say the same again.

    One more is taken while those that were taken do not do alone what all documents do, or where it does most of that by
    itself, or where half of it is lost without it, or a quarter where it does nothing by itself. Cost: for each of a shortlist a
    short prompt, one for each of its beginnings, and the whole prompt without it.
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
            by_itself = alone[(i,)][k]
            # one that does nothing by itself, and without which much is lost, leads to what another says
            line = max(LEADS * gain, NATS) if by_itself < MATTERS * gain else ENOUGH * gain
            if not enough or by_itself >= AGAIN * gain or lost[i][k] >= line:
                taken.append(i)  # what was passed over added nothing, so the beginning of the list tells of the taken
                alone.setdefault(tuple(sorted(taken)), alone[tuple(sorted(each[: each.index(i) + 1]))])
        out.append(taken)
    return out


def checked(
    search: Search,
    candidates: Ints,
    chosen: Sequence[Sequence[int]],
    scores: Floats,
    ends: Ends,
) -> list[Check]:
    """Each statement's two checks: two forwards a statement that has sources."""
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
        whole, base, raised, against = (float(each[k]) for each in ends)
        told = Check(sources, whole, base, without, alone, "", tokens, raised, against)
        verdict = JOINS if statement.joins else _verdict(told, scores[k][list(picked)][:3].sum())
        held = verdict in (SUPPORTED, WEAK)
        out.append(replace(told, sources=sources if held else (), verdict=verdict))
    return out


def _verdict(told: Check, strongest: float) -> str:
    """From the checks, and the sum of the three strongest scores."""
    moved = min(max(told.whole - told.base, told.necessity), told.sufficiency)
    against = told.against < UNLIKELY  # a word of it that the documents speak against
    if not told.sources or moved < NATS or told.raised < (DOUBTED if against else UNLIKELY):
        return NONE
    gain = max(told.whole - told.base, NATS)
    enough = min(told.necessity, told.sufficiency, strongest) >= ENOUGH * gain
    return SUPPORTED if enough and told.raised >= DOUBTED and not against else WEAK
