"""The engine: answers the questions of many methods about many inputs at once, with as few model calls as they need."""

from __future__ import annotations

import time
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import MethodError
from ..core.progress import Tick
from ..core.types import (
    AttentionMaps,
    Encoding,
    Gradients,
    LabelAttentions,
    MethodGenerator,
    Problem,
    Question,
    Scores,
    Values,
)
from .attention import ATTENTION_ANSWERS
from .batching import Batches, BoundProblem, OutputCache, attribute_cost, parts, pieces, refuse_non_finite, to_cpu_rows
from .gradients import GradientAnswers

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float, Float64
    from ..models.protocol import Model


class Engine:
    """One model, ready to answer. Lives for one call; holds the batch size that has proved to fit.

    `tick` is told how many more (inputs, rows) are done.
    """

    def __init__(self, model: Model[Any], batch_tokens: int | None = None, tick: Tick = None):
        self.model = model
        self.batches = Batches(model, batch_tokens or model.batch_tokens, tick)
        self.gradients = GradientAnswers(model, self.batches)
        # what the model says of rows with everything absent: inputs of one length share them
        self.baseline_outputs: dict[Hashable, Float64[Tensor, "*_"]] = {}

    def run(self, jobs: Sequence[tuple[BoundProblem, MethodGenerator]]) -> list[Scores]:
        """Drive all the methods to their end, each answered together with the others; their scores, in order."""
        for _, generator in jobs:
            if not isinstance(generator, Generator):
                got = type(generator).__name__
                raise MethodError(
                    f"A method is a generator function: it yields questions, and returns Scores. Not {got}."
                )
        return [_checked(scores, bound.problem) for scores, (bound, _) in zip(self.drive(jobs), jobs, strict=True)]

    def drive(self, jobs: Sequence[tuple[BoundProblem, Generator[Question, Any, Any]]]) -> list[Any]:
        """Drive all generators to their end, each answered together with the others; what they return, in order."""
        returned: list[Any] = [None] * len(jobs)
        asked: dict[int, Question] = {}

        def advance(i: int, answer: object) -> None:
            try:
                asked[i] = jobs[i][1].send(answer)
            except StopIteration as end:
                returned[i] = end.value

        try:
            for i in range(len(jobs)):
                advance(i, None)
            while asked:
                questions, asked = asked, {}
                for i, answer in self._answers({i: (jobs[i][0], question) for i, question in questions.items()}):
                    advance(i, answer)
        finally:
            for _, generator in jobs:
                generator.close()
            self.gradients.forget()
        return returned

    def _answers(self, asked: Mapping[int, tuple[BoundProblem, Question]]) -> Iterator[tuple[int, Any]]:
        values = {i: (bound, q) for i, (bound, q) in asked.items() if isinstance(q, Values)}
        gradients = {i: (bound, q) for i, (bound, q) in asked.items() if isinstance(q, Gradients)}
        for _, question in asked.values():
            if not isinstance(question, Values | Gradients | LabelAttentions | AttentionMaps):
                raise MethodError(
                    f"A method yields Values, Gradients, LabelAttentions or AttentionMaps, not {type(question).__name__}."
                )
        yield from zip(values, self.values([(bound, q.coalitions) for bound, q in values.values()]), strict=True)
        if gradients:
            yield from zip(gradients, self.gradients.answer(list(gradients.values())), strict=True)
        for kind in ATTENTION_ANSWERS:
            attention = {i: pair for i, pair in asked.items() if isinstance(pair[1], kind)}
            yield from zip(attention, self.attention(kind, list(attention.values())) if attention else [], strict=True)

    def values(self, asked: Sequence[tuple[BoundProblem, Bool[Tensor, "_ _"]]]) -> list[Float[Tensor, "_ _"]]:
        """For each: bool [N, n] -> float64 [N, K]. Every distinct row goes through the model once."""
        outputs = self.outputs([(bound.encoding, bound.cache, coalitions) for bound, coalitions in asked])
        out = []
        for (bound, _), rows in zip(asked, outputs, strict=True):
            numbers = bound.score(rows)
            if not bool(torch.isfinite(numbers).all()):
                refuse_non_finite(bound, numbers)
            out.append(numbers)
        return out

    def outputs(
        self, asked: Sequence[tuple[Encoding, OutputCache, Bool[Tensor, "_ _"]]]
    ) -> list[Float64[Tensor, "_ ..."]]:
        """For each: bool [N, n] -> what is kept of the outputs, float64 [N, ...]; of a row with parts [N, parts, ...]."""
        found: list[list[Tensor]] = [[] for _ in asked]
        for piece in pieces([len(coalitions) for _, _, coalitions in asked]):
            rows: dict[Hashable, Any] = {}
            wanted: dict[Hashable, list[OutputCache]] = {}
            keys: list[tuple[int, Any]] = []
            for j, start, end in piece:
                encoding, cache, coalitions = asked[j]
                made = encoding.at(coalitions[start:end].cpu().numpy())
                flat = [part for row in made for part in (row if isinstance(row, tuple) else (row,))]
                names = self.model.keys(flat)
                for name, part in zip(names, flat, strict=True):
                    if name not in cache.outputs and cache not in wanted.setdefault(name, []):
                        rows[name] = part
                        wanted[name].append(cache)
                at = 0
                for row in made:
                    many = len(row) if isinstance(row, tuple) else 1
                    keys.append((j, names[at : at + many] if isinstance(row, tuple) else names[at]))
                    at += many
            self._forward(rows, wanted)
            for j, key in keys:
                kept = asked[j][1].outputs
                found[j].append(torch.stack([kept[name] for name in key]) if isinstance(key, list) else kept[key])
        return [torch.stack(each) for each in found]

    def _forward(self, rows: dict[Hashable, Any], wanted: dict[Hashable, list[OutputCache]]) -> None:
        names, each = list(rows), list(rows.values())
        if not names:
            return
        sizes = self.model.sizes(each)

        def send(batch: Sequence[int]) -> None:
            started = time.perf_counter()
            with torch.no_grad():
                answers = to_cpu_rows(self.model.forward([each[b] for b in batch]))
            spent = time.perf_counter() - started
            for b, answer in zip(batch, answers, strict=True):
                for cache in wanted[names[b]]:
                    cache.outputs[names[b]] = answer if cache.keep is None else cache.keep(answer)
            attribute_cost([(wanted[names[b]], sizes[b]) for b in batch], spent, backward=0)

        bundles = self.model.bundles(each, self.batches.budget) if self.model.prefix_sharing else None
        self.batches.send(sizes, send, bundles)

    def attention(self, kind: type, asked: Sequence[tuple[BoundProblem, Question]]) -> list[Any]:
        """The answers to questions of one kind, LabelAttentions or AttentionMaps, from one forward."""
        rows = [bound.encoding.whole for bound, _ in asked]
        sizes = [sum(self.model.sizes(parts(row))) for row in rows]
        answers: dict[int, Any] = {}

        def send(batch: Sequence[int]) -> None:
            started = time.perf_counter()
            found, backwards = ATTENTION_ANSWERS[kind](self.model, [asked[i] for i in batch], [rows[i] for i in batch])
            answers.update(zip(batch, found, strict=True))
            paid = [([asked[i][0].cache], sizes[i]) for i in batch]
            attribute_cost(paid, time.perf_counter() - started, backwards)

        self.batches.send(sizes, send)
        return [answers[i] for i in range(len(asked))]


def _checked(scores: object, problem: Problem) -> Scores:
    """What a method returned, if it is Scores of the right shape."""
    shape = (len(problem.targets), len(problem.features))
    if not isinstance(scores, Scores) or tuple(scores.values.shape) != shape:
        got = tuple(scores.values.shape) if isinstance(scores, Scores) else type(scores).__name__
        raise MethodError(f"A method returns Scores of shape {shape} [targets, features], not {got}.")
    return scores
