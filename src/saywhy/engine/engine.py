"""The engine: answers the questions of many methods about many inputs at once, with as few model calls as they need."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import MethodError
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
from .batching import WINDOW, Batches, attribute_cost, grouped, pack, parts, pieces, to_cpu_rows
from .cache import BoundProblem, OutputCache, finite, whole
from .gradients import Group, RetainedGraph, RetainedGraphs, backward, blank, started
from .rules import under

if TYPE_CHECKING:
    from ..models.protocol import Model


class Engine:
    """One model, ready to answer. Lives for one call; holds the batch size that has proved to fit."""

    def __init__(self, model: Model, batch_tokens: int | None = None, tick: Callable[[int], None] | None = None):
        self.model = model
        self.batches = Batches(model, batch_tokens or model.batch_tokens, tick or (lambda rows: None))
        self.kept = RetainedGraphs()
        self.baseline_outputs: dict[
            Hashable, Tensor
        ] = {}  # outputs of rows with everything absent: inputs of one length share them

    def run(self, jobs: Sequence[tuple[BoundProblem, MethodGenerator]]) -> list[Scores]:
        """Drive all the methods to their end, each answered together with the others; their scores, in order."""
        for _, asking in jobs:
            if not isinstance(asking, Generator):
                got = type(asking).__name__
                raise MethodError(
                    f"A method is a generator function: it yields questions, and returns Scores. Not {got}."
                )
        return [_checked(found, bound.problem) for found, (bound, _) in zip(self.drive(jobs), jobs, strict=True)]

    def drive(self, jobs: Sequence[tuple[BoundProblem, Generator[Question, Any, Any]]]) -> list[Any]:
        """Drive all that asks to its end, each answered together with the others; what they return, in order."""
        found: list[Any] = [None] * len(jobs)
        asked: dict[int, Question] = {}

        def advance(i: int, answer: Any) -> None:
            try:
                asked[i] = jobs[i][1].send(answer)
            except StopIteration as end:
                found[i] = end.value

        try:
            for i in range(len(jobs)):
                advance(i, None)
            while asked:
                questions, asked = asked, {}
                for i, answer in self._answers({i: (jobs[i][0], question) for i, question in questions.items()}):
                    advance(i, answer)
        finally:
            for _, asking in jobs:
                asking.close()
            self.kept = RetainedGraphs()  # what nobody asked about holds memory
        return found

    def _answers(self, asked: Mapping[int, tuple[BoundProblem, Question]]) -> Iterator[tuple[int, Any]]:
        values = {i: (bound, q) for i, (bound, q) in asked.items() if isinstance(q, Values)}
        gradients = {i: (bound, q) for i, (bound, q) in asked.items() if isinstance(q, Gradients)}
        for _, question in asked.values():
            if not isinstance(question, Values | Gradients | LabelAttentions | AttentionMaps):
                raise MethodError(
                    f"A method yields Values, Gradients, LabelAttentions or AttentionMaps, not {type(question).__name__}."
                )
        yield from zip(values, self.values([(bound, q.coalitions) for bound, q in values.values()]), strict=True)
        yield from zip(gradients, self.gradients(list(gradients.values())), strict=True)
        for kind in ATTENTION_ANSWERS:
            attention = {i: pair for i, pair in asked.items() if isinstance(pair[1], kind)}
            yield from zip(attention, self.attention(kind, list(attention.values())) if attention else [], strict=True)

    # ---- values: what the model says about subsets ------------------------------------------------------------------

    def values(self, asked: Sequence[tuple[BoundProblem, Tensor]]) -> list[Tensor]:
        """For each: bool [N, n] -> float64 [N, K]. Every distinct row goes through the model once."""
        outputs = self.outputs([(bound.encoding, bound.cache, coalitions) for bound, coalitions in asked])
        out = []
        for (bound, _), rows in zip(asked, outputs, strict=True):
            numbers = bound.score(rows)
            finite(bound, numbers)
            out.append(numbers)
        return out

    def outputs(self, asked: Sequence[tuple[Encoding, OutputCache, Tensor]]) -> list[Tensor]:
        """For each: bool [N, n] -> what is kept of the outputs, float64 [N, ...]; of a row with parts [N, parts, ...]."""
        found: list[list[Tensor]] = [[] for _ in asked]
        for piece in pieces([len(coalitions) for _, _, coalitions in asked]):
            rows: dict[Hashable, Any] = {}
            wanted: dict[Hashable, list[OutputCache]] = {}
            keys: list[tuple[int, Any]] = []
            for j, start, end in piece:
                encoding, cache, coalitions = asked[j]
                for row in encoding.at(coalitions[start:end].cpu().numpy()):
                    named = [(self.model.key(part), part) for part in parts(row)]
                    keys.append((j, [name for name, _ in named] if isinstance(row, tuple) else named[0][0]))
                    for name, part in named:
                        if name not in cache.outputs and cache not in wanted.setdefault(name, []):
                            rows[name] = part
                            wanted[name].append(cache)
            self._forward(rows, wanted)
            for j, key in keys:
                kept = asked[j][1].outputs
                found[j].append(torch.stack([kept[name] for name in key]) if isinstance(key, list) else kept[key])
        return [torch.stack(each) for each in found]

    def _forward(self, rows: dict[Hashable, Any], wanted: dict[Hashable, list[OutputCache]]) -> None:
        names = list(rows)
        sizes = [self.model.size(rows[name]) for name in names]

        def send(batch: Sequence[int]) -> None:
            started = time.perf_counter()
            with torch.no_grad():
                answers = to_cpu_rows(self.model.forward([rows[names[b]] for b in batch]))
            spent = time.perf_counter() - started
            for b, answer in zip(batch, answers, strict=True):
                for cache in wanted[names[b]]:
                    cache.outputs[names[b]] = answer if cache.keep is None else cache.keep(answer)
            attribute_cost([(wanted[names[b]], sizes[b]) for b in batch], spent, backward=0)

        bundled = getattr(self.model, "bundles", None)
        self.batches.send(sizes, send, bundled and bundled(list(rows.values()), self.batches.budget))

    # ---- gradients: how the targets change with the embeddings ----------------------------------------------------------

    def retain(self, asked: Sequence[tuple[Encoding, OutputCache]], rules: str | None) -> None:
        """Send inputs with everything present, and keep the way back for a question about gradients there.

        As many as make a batch, the longest first; none where even that is too much for the memory. Rows with parts are not sent.
        """
        self.kept = RetainedGraphs()
        rows = [whole(e) for e, _ in asked]
        single = [i for i, row in enumerate(rows) if not isinstance(row, tuple)]
        sizes = [self.model.size(rows[i]) for i in single]

        def send(batch: Sequence[int]) -> None:
            begun = time.perf_counter()
            mine = [single[b] for b in batch]
            with torch.no_grad():
                points = started([self.model.embed(rows[i]) for i in mine])
            with torch.inference_mode(False), torch.enable_grad(), under(rules):
                outputs = self._answered([rows[i] for i in mine], points)
            caches = [asked[i][1] for i in mine]
            for i, cache, output in zip(mine, caches, to_cpu_rows([o.detach() for o in outputs]), strict=True):
                cache.outputs[self.model.key(rows[i])] = output
            self.kept.add(RetainedGraph(rules, points, outputs), caches)
            attribute_cost(
                [([cache], len(p)) for cache, p in zip(caches, points, strict=True)], time.perf_counter() - begun, 0
            )

        for batch in self._packed(sizes)[:1]:
            with self.model.frozen():
                self.batches.once(batch, sizes, send)

    def _packed(self, sizes: Sequence[int]) -> list[list[int]]:
        return pack(sizes, self.batches.budget, self.model.most_rows, self.model.uniform)

    def portions(self, encodings: Sequence[Encoding]) -> list[list[int]]:
        """The inputs in portions whose ways back can be kept at once: each is a batch. Last those whose rows have parts."""
        rows = [whole(e) for e in encodings]
        single = [i for i, row in enumerate(rows) if not isinstance(row, tuple)]
        sizes = [self.model.size(rows[i]) for i in single]
        rest = [i for i, row in enumerate(rows) if isinstance(row, tuple)]
        together = [rest[start : start + WINDOW] for start in range(0, len(rest), WINDOW)]
        return [[single[b] for b in batch] for batch in self._packed(sizes)] + together

    def gradients(self, asked: Sequence[tuple[BoundProblem, Gradients]]) -> list[tuple[Tensor, Tensor]]:
        """For each: points [B, S, D] -> values [B, K] and gradients [K, B, S], float64 on the CPU."""
        with torch.inference_mode(False):  # what gradients are kept in must not be an inference tensor
            answers = [blank(q, len(bound.problem.targets)) for bound, q in asked]
        bases = [whole(bound.encoding) for bound, _ in asked]
        for rules in dict.fromkeys(q.rules for _, q in asked):
            self._slopes_under(rules, asked, bases, answers)
        return answers

    def _slopes_under(
        self,
        rules: str | None,
        asked: Sequence[tuple[BoundProblem, Gradients]],
        bases: Sequence[Any],
        answers: Sequence[tuple[Tensor, Tensor]],
    ) -> None:
        """Fill in the answers to the questions with these backward rules."""

        def send(batch: Sequence[int]) -> None:
            begun = time.perf_counter()
            chosen = sorted(items[i] for i in batch)
            with torch.inference_mode(False), torch.enable_grad(), under(rules):
                points = started([asked[j][1].points[b] for j, b in chosen])
                outputs = self._answered([bases[j] for j, _ in chosen], points)
            _back(asked, answers, chosen, points, outputs, begun)

        done = self._followed(rules, asked, answers)
        items = [
            (j, b) for j, (_, q) in enumerate(asked) if q.rules == rules and j not in done for b in range(len(q.points))
        ]
        self.batches.send([asked[j][1].points.shape[1] for j, _ in items], send)

    def _followed(
        self,
        rules: str | None,
        asked: Sequence[tuple[BoundProblem, Gradients]],
        answers: Sequence[tuple[Tensor, Tensor]],
    ) -> set[int]:
        """The questions that a kept way back has answered; where memory ran out on it, it is dropped and they are not."""
        done: set[int] = set()
        taken = self.kept.take(rules, asked)
        while taken:
            ready, questions = taken.pop()

            def go(
                _: Sequence[int], ready: RetainedGraph = ready, questions: Sequence[tuple[int, int]] = questions
            ) -> None:
                points, outputs = ([each[place] for _, place in questions] for each in (ready.points, ready.outputs))
                _back(asked, answers, [(j, 0) for j, _ in questions], points, outputs, time.perf_counter(), rows=0)

            with self.model.frozen():
                if self.batches.fits(range(len(questions)), [len(point) for point in ready.points], go):
                    done.update(j for j, _ in questions)
            del ready, go
        return done

    def _answered(self, rows: Sequence[Any], points: Sequence[Tensor]) -> list[Tensor]:
        """The output of each row at its point; a row with parts has its point cut along them, and their outputs stacked."""
        lengths = [[self.model.size(part) for part in parts(row)] for row in rows]
        flat = [part for row in rows for part in parts(row)]
        cut: list[Tensor] = []
        for point, each in zip(points, lengths, strict=True):
            cut += [point] if len(each) == 1 else torch.split(point, each)
        outputs: dict[int, Tensor] = {}
        sizes = [size for each in lengths for size in each]  # of parts, which not every model may see together
        for batch in pack(sizes, len(sizes) * max(sizes), self.model.most_rows, self.model.uniform):
            found = self.model.forward([flat[i] for i in batch], [cut[i] for i in batch])
            outputs.update(zip(batch, found, strict=True))
        whole, start = [], 0
        for row, each in zip(rows, lengths, strict=True):
            own = [outputs[i] for i in range(start, start + len(each))]
            whole.append(torch.stack(own) if isinstance(row, tuple) else own[0])
            start += len(each)
        return whole

    # ---- attention: where the model looks ----------------------------------------------------------------------------

    def attention(self, kind: type, asked: Sequence[tuple[BoundProblem, Question]]) -> list[Any]:
        """The answers to questions of one kind, LabelAttentions or AttentionMaps, from one forward."""
        rows = [whole(bound.encoding) for bound, _ in asked]
        answers: dict[int, Any] = {}

        def send(batch: Sequence[int]) -> None:
            started = time.perf_counter()
            found, backwards = ATTENTION_ANSWERS[kind](self.model, [asked[i] for i in batch], [rows[i] for i in batch])
            answers.update(zip(batch, found, strict=True))
            paid = [([asked[i][0].cache], self.model.size(rows[i])) for i in batch]
            attribute_cost(paid, time.perf_counter() - started, backwards)

        self.batches.send([sum(self.model.size(part) for part in parts(row)) for row in rows], send)
        return [answers[i] for i in range(len(asked))]


def _back(
    asked: Sequence[tuple[BoundProblem, Gradients]],
    answers: Sequence[tuple[Tensor, Tensor]],
    chosen: Sequence[tuple[int, int]],
    points: Sequence[Tensor],
    outputs: Sequence[Tensor],
    begun: float,
    rows: int = 1,
) -> None:
    """The backward pass from the outputs of these (question, point): numbers and gradients go to the answers."""
    with torch.inference_mode(False), torch.enable_grad():
        groups = [Group(*asked[j], slots, places, outputs, answers[j]) for j, slots, places in grouped(chosen)]
        backwards = backward(groups, points)
    for group in groups:
        group.keep_values()
        finite(group.bound, group.values[group.places])
    paid = [([asked[j][0].cache], len(point)) for (j, _), point in zip(chosen, points, strict=True)]
    attribute_cost(paid, time.perf_counter() - begun, backwards, rows=rows)


def _checked(scores: object, problem: Problem) -> Scores:
    """What a method returned, if it is Scores of the right shape."""
    if not isinstance(scores, Scores) or tuple(scores.values.shape) != (len(problem.targets), problem.n):
        got = tuple(scores.values.shape) if isinstance(scores, Scores) else type(scores).__name__
        raise MethodError(
            f"A method returns Scores of shape ({len(problem.targets)}, {problem.n}) [targets, features], not {got}."
        )
    return scores
