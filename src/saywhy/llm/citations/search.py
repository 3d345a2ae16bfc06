"""Which sentences carry a statement, found with few forwards: where gradients point first, else documents, then their sentences.

The number of a statement is its log-probability after the prompt and what the answer said before it. Where a model has gradients,
one backward pass says which sentences to look at; they are taken if a statement does with them alone, and is lost without them.
Else groups of sentences are asked about, each twice: the prompt without it, and the prompt with it alone. The mean of both
changes is the group's Shapley value where no more than two groups act together, and it sees a fact that stands in two places,
which taking out one does not. Groups that matter are cut into smaller ones, down to sentences. Those that may count are the
features of `kernel_shap`, in rounds, until it is settled which of them do. What does not matter is left out of the prompts where
that changes nothing of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...core.types import Bools, Encoding, Floats, Ints, Problem, Target
from ...engine.batching import BoundProblem, OutputCache
from ...engine.engine import Engine
from ...methods.surrogates import MOST, kernel_shap
from .saliency import saliency
from .statements import Spoken

CANDIDATES = 24  # features of the regression, at most
FEW = 4  # sentences up to which all coalitions are asked at once
RUNS = 8  # into which a group is cut that is looked at more closely
DOUBT = 0.5  # of that share, from which a sentence by itself is a feature of the regression, which decides
MATTERS = 0.15  # of what the documents do to a statement: with less, a group or a sentence is no source
ENOUGH = 0.5  # of what the documents do: so much must be lost without the sentences that gradients point to
LOST = 0.25  # of what the documents do: so much may be lost without a group among all sentences and not among a few
CHECKS = 15  # forwards that a statement's sources are checked by, at most
SPOKEN_AGAINST = 1.0  # nats by which the documents lower a token's log-probability that they speak against, which
PLAUSIBLE = -4.6  # was at least so without them: one in a hundred
GAIN = 0.5  # nats: where the documents do less, no source is looked for
POINTED = (3, 6, 12)  # sentences that a gradient points to, of each statement: more are taken until they carry it
GUIDING = 1 + 2 * len(POINTED)  # forwards that this takes at most


class Ends(NamedTuple):
    """What is known of each statement from two forwards, [K] each."""

    whole: Floats  # the log-probability with all sentences
    base: Floats  # with none
    raised: Floats  # of its tokens with all sentences, the mean, each weighted by how far the documents raise it: near zero where
    # they tell the very words, low where they only bring the subject nearer
    against: Floats  # of the least likely token that the documents speak against, with all; 0 where there is none


@dataclass(eq=False)
class Search:
    """A prompt with its answer, and what has been asked about it so far."""

    engine: Engine
    encoding: Encoding  # features are the sentences; rows have one number for each token of the answer
    statements: Sequence[Spoken]
    budget: int | None  # the most forwards
    confidence: float  # in standard errors, by which it must be settled whether a sentence counts
    cache: OutputCache = field(default_factory=OutputCache)

    @property
    def n(self) -> int:
        return len(self.encoding.features)

    @property
    def spent(self) -> int:
        """Forwards so far."""
        return self.cache.cost.rows

    def left(self) -> int:
        """Forwards that may still be spent, with those kept that every statement's sources are checked by."""
        return MOST if self.budget is None else self.budget - self.spent - CHECKS * len(self.statements)

    def score(self, outputs: Tensor) -> Tensor:
        """[N, T] log-probabilities of tokens -> [N, K] of statements."""
        return torch.stack([outputs[:, slice(*s.tokens)].sum(-1) for s in self.statements], dim=-1)

    def values(self, present: Bools) -> Floats:
        """[N, K]: the log-probability of every statement with these sentences present, bool [N, n]."""
        [outputs] = self.engine.outputs([(self.encoding, self.cache, torch.as_tensor(present))])
        found: Floats = self.score(outputs).numpy()
        return found

    def both_ends(self) -> Ends:
        """The numbers with all sentences and with none."""
        ends = torch.stack([torch.ones(self.n, dtype=torch.bool), torch.zeros(self.n, dtype=torch.bool)])
        [outputs] = self.engine.outputs([(self.encoding, self.cache, ends)])
        change = outputs[0] - outputs[1]
        raised = change.clamp(min=0)
        weighed = self.score((raised * outputs[0])[None])[0] / self.score(raised[None])[0].clamp(min=1e-9)
        fallen = torch.where((change <= -SPOKEN_AGAINST) & (outputs[1] >= PLAUSIBLE), outputs[0], 0.0)
        against = torch.stack([fallen[slice(*s.tokens)].amin() for s in self.statements])
        whole, base = self.score(outputs).numpy()
        return Ends(whole, base, weighed.numpy(), against.numpy())

    # ---- groups --------------------------------------------------------------------------------------------------------

    def groups(self, groups: Sequence[Ints], around: Bools, whole: Floats, base: Floats) -> tuple[Floats, Floats]:
        """[G, K] each: the mean of what a group adds to nothing and of what is lost without it; and the latter by itself.

        `around` [n] is all there is, and `whole` the number with all of that present.
        """
        alone = np.stack([self._only(group) for group in groups])
        added, left = np.split(self.values(np.concatenate([alone, around & ~alone])), 2)
        lost = whole - left
        return (added - base + lost) / 2, lost

    def pointed_to(self, whole: Floats, gain: Floats, counts: Bools) -> Ints | None:
        """The sentences [m] that gradients point to, if they carry every statement that counts; None where it is not so.

        A statement must do with them alone, and next to all of what the documents do must be lost without them, for otherwise
        others say the same. Half of it is enough where it is no more without twice as many: a model that is left without the
        sentence guesses among what else it reads.
        """
        which = np.flatnonzero(counts)
        if self.n <= FEW or self.left() < GUIDING + 2 * RUNS + 4:
            return None
        lengths = saliency(self.engine, self.encoding, self.cache, self.score, which.tolist())
        if lengths is None or not np.isfinite(lengths).all() or not lengths.any(1).all():
            return None
        order = np.argsort(-lengths, axis=1, kind="stable")
        many, gains = np.full(len(which), POINTED[0]), gain[which]
        carried, stood, before = (np.zeros(len(which), kind) for kind in (bool, bool, float))
        for most in POINTED:
            tried = np.where(carried, many, most)
            there = self._pointed(order, tried)
            if there.sum() > self.room():
                return None
            alone, without = self.values(np.stack([there, ~there]))[:, which]
            stands, lost = whole[which] - alone <= MATTERS * gains, whole[which] - without
            no_more = stood & (before >= ENOUGH * gains) & (lost - before <= MATTERS * gains)
            carried |= stands & (lost >= (1 - MATTERS) * gains)
            many = np.where(no_more & ~carried, many, tried)
            carried |= no_more
            if carried.all():
                return np.flatnonzero(self._pointed(order, many))
            stood, before = stands, lost
        return None

    def _pointed(self, order: Ints, many: Ints) -> Bools:
        """[n]: of each statement's sentences, in their order [K, n], so many."""
        return self._only(np.concatenate([each[:m] for each, m in zip(order, many, strict=True)]))

    def candidates(
        self, documents: Sequence[Ints], whole: Floats, base: Floats, narrow: bool = True
    ) -> tuple[Ints, Floats | None]:
        """The sentences [m] that are worth a look of their own: those of groups that matter to some statement.

        And what is lost without each, [m, K], where there are forwards left to ask that. Where `narrow`, what does not matter is
        left out of the prompts as long as that hides nothing; if it did, all is asked again with everything there.
        """
        groups = [each for each in documents if len(each)]
        alive, around, here, lost = np.arange(self.n), np.ones(self.n, bool), whole, None
        gain = whole - base
        counts = gain >= GAIN
        if not counts.any():
            return alive[:0], None
        pointed = self.pointed_to(whole, gain, counts) if narrow else None
        if pointed is not None:
            alive, groups = pointed, [pointed[i : i + 1] for i in range(len(pointed))]
        elif len(groups) == 1:
            groups = _runs(groups)
        while len(alive) > FEW and 2 * len(groups) + 4 <= self.left():
            scores, lost = self.groups(groups, around, here, base)
            single = all(len(group) == 1 for group in groups)
            # what is lost without a group counts, whatever it does alone
            effects = np.maximum(scores, np.minimum(lost, gain))
            order = _mattering(effects[:, counts], gain[counts], DOUBT * MATTERS if single else MATTERS)
            groups, lost = [groups[g] for g in order], lost[order]
            alive = np.sort(np.concatenate(groups))
            if all(len(group) == 1 for group in groups):
                break
            if narrow and len(groups) + 5 <= self.left() and self._stand_alone(groups, lost, whole, gain):
                # then the prompts can be short from here on
                around, here = self._only(alive), self.values(self._only(alive)[None])[0]
            groups, lost = _runs(groups), None
        found = np.concatenate(groups)[: self.room()]  # where more is left, what came out strongest
        if not around.all() and self.left() > 2 * len(found) + 2:
            passed_over = around & ~self._only(found)
            [left] = self.values(~passed_over[None])
            if (whole - left > np.maximum(LOST * gain, GAIN))[counts].any() and self.left() >= 8 * RUNS:
                return self.candidates(documents, whole, base, narrow=False)
        by_place = np.argsort(found, kind="stable")
        found, lost = found[by_place], None if lost is None else lost[: len(found)][by_place]
        if lost is None and 3 * len(found) + 2 <= self.left():
            lost = whole - self.values(~np.stack([self._only(found[i : i + 1]) for i in range(len(found))]))
        return found, lost

    def room(self) -> int:
        """How many sentences there are forwards for to ask about one by one."""
        return max(1, min(CANDIDATES, (self.left() - 2) // 2))

    # ---- sentences -----------------------------------------------------------------------------------------------------

    def sentences(
        self, candidates: Ints, lost: Floats | None, whole: Floats, base: Floats
    ) -> tuple[Floats, Floats, bool]:
        """Scores and standard errors of the candidates, [K, m] each, and whether it is settled which of them count."""
        m = len(candidates)
        gain = np.maximum(whole - base, GAIN)
        alone = [candidates[i : i + 1] for i in range(m)]
        affordable = 3 * m + 3 <= self.left()  # where it is not, all others stay: right as well, and longer
        rest = m < self.n and not (affordable and self._stand_alone(alone, lost, whole, whole - base))
        budget = 2 * m + 2
        while True:
            scores, stderr = self._shapley(candidates, budget, rest)
            close = np.abs(scores - MATTERS * gain[:, None]) <= self.confidence * stderr
            settled = not (close & (stderr > 0.02 * gain[:, None])).any()
            more = min(2 * budget, 4 * m + 32)
            if settled or 2**m <= budget or more <= budget or more - budget > self.left():
                return scores, stderr, settled
            budget = more

    def _stand_alone(self, groups: Sequence[Ints], lost: Floats | None, whole: Floats, gain: Floats) -> bool:
        """Do these groups do without the others what they do among them? Then the others can be left out of the prompts.

        All of them together must tell a statement as well; and where one is lost without a group among all sentences, it must be
        lost without it among these alone. (Of two sentences that tell it together one may be enough where nothing else is
        left to mistake for it.) Statements to which the documents do nothing have no say.
        """
        counts = gain >= GAIN
        there = self._only(np.concatenate(groups))
        rows = [there] if lost is None else [there, *(there & ~self._only(group) for group in groups)]
        with_all, *without = self.values(np.stack(rows))
        if (np.abs(with_all - whole) > MATTERS * gain)[counts].any():
            return False
        if lost is None:
            return True
        needed = np.minimum(lost, gain)
        return not (needed - (with_all - np.stack(without)) > np.maximum(LOST * gain, GAIN))[:, counts].any()

    def _only(self, sentences: Ints) -> Bools:
        """[n]: these and no others."""
        there = np.zeros(self.n, bool)
        there[sentences] = True
        return there

    def _shapley(self, candidates: Ints, budget: int, rest: bool) -> tuple[Floats, Floats]:
        """Shapley values of the candidates, [K, m], all other sentences being present (`rest`) or absent."""
        encoding = self.encoding

        def at(present: Bools) -> Sequence[object]:
            every = np.full((len(present), self.n), rest)
            every[:, candidates] = present
            return encoding.at(every)

        features = tuple(encoding.features[i] for i in candidates)
        targets = tuple(Target(s.text, (k,), "log-prob") for k, s in enumerate(self.statements))
        bound = BoundProblem(
            Problem(features, targets), replace(encoding, features=features, at=at), self.score, self.cache
        )
        [found] = self.engine.run([(bound, kernel_shap(bound.problem, budget=budget, pairs=False))])
        stderr = torch.zeros_like(found.values) if found.stderr is None else found.stderr
        return found.values.numpy(), stderr.numpy()


def _mattering(effects: Floats, gain: Floats, share: float) -> list[int]:
    """The groups, of effects [G, K], that make up such a share of what the documents do to a statement; the strongest first."""
    kept = effects >= share * gain
    kept[effects.argmax(0), np.arange(effects.shape[1])] = True
    most = np.where(kept, effects / gain, 0).max(1)
    return [int(g) for g in np.argsort(-most, kind="stable") if kept[g].any()]


def _runs(groups: Sequence[Ints]) -> list[Ints]:
    """Each group in up to RUNS runs of neighbours."""
    return [run for group in groups for run in np.array_split(group, min(RUNS, len(group)))]
