"""How the engine answers questions about gradients, and forward passes whose graph is kept until a method asks.

A method that asks for gradients at the input itself then needs no second forward.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from ..core.errors import MethodError, ModelError
from ..core.types import Encoding, Gradients
from .batching import (
    WINDOW,
    Batches,
    BoundProblem,
    OutputCache,
    attribute_cost,
    grouped,
    pack,
    refuse_non_finite,
    to_cpu_rows,
)
from .rules import under

if TYPE_CHECKING:
    from ..core.shapes import Float, Float64
    from ..models.protocol import Model

Asked = Sequence[tuple[BoundProblem, Gradients]]
Answer: TypeAlias = (
    'tuple[Float64[Tensor, "B K"], Float64[Tensor, "wanted B S"]]'  # values and gradients of one question
)


@dataclass(eq=False)
class RetainedGraph:
    """One batch's forward pass: the points it started from, and the outputs with the graph between."""

    rules: str | None
    points: Sequence[Float[Tensor, "_ D"]]  # leaves
    outputs: Sequence[Float[Tensor, "*_"]]


class GradientAnswers:
    """The part of an engine that answers questions about gradients."""

    def __init__(self, model: Model[Any], batches: Batches):
        self.model, self.batches = model, batches
        self._retained: dict[int, tuple[RetainedGraph, int]] = {}  # id of a cache -> its graph, and its place there

    def forget(self) -> None:
        """Let go of the graphs that nobody has asked about: they hold memory."""
        self._retained = {}

    def retain(self, asked: Sequence[tuple[Encoding, OutputCache]], rules: str | None) -> None:
        """Send inputs with everything present, and keep their graph for a question about gradients there.

        As many as make a batch, the longest first; none where even that is too much for the memory. Rows with parts are not sent.
        """
        self.forget()
        rows = [encoding.whole for encoding, _ in asked]
        single = [i for i, row in enumerate(rows) if not isinstance(row, tuple)]
        sizes = self.model.sizes([rows[i] for i in single])

        def send(batch: Sequence[int]) -> None:
            started = time.perf_counter()
            mine = [single[b] for b in batch]
            with torch.no_grad():
                points = _leaves([self.model.embed(rows[i]) for i in mine])
            outputs = self._outputs([rows[i] for i in mine], points, rules)
            caches = [asked[i][1] for i in mine]
            graph = RetainedGraph(rules, points, outputs)
            keys = self.model.keys([rows[i] for i in mine])
            finished = to_cpu_rows([output.detach() for output in outputs])
            for place, (cache, key, output) in enumerate(zip(caches, keys, finished, strict=True)):
                cache.outputs[key] = output
                self._retained[id(cache)] = (graph, place)
            paid = [([cache], len(point)) for cache, point in zip(caches, points, strict=True)]
            attribute_cost(paid, time.perf_counter() - started, 0)

        for batch in self._packed(sizes)[:1]:
            with self.model.frozen():
                self.batches.once(batch, sizes, send)

    def portions(self, encodings: Sequence[Encoding]) -> list[list[int]]:
        """The inputs in portions whose graphs can be kept at once: each is a batch. Last those whose rows have parts."""
        rows = [encoding.whole for encoding in encodings]
        single = [i for i, row in enumerate(rows) if not isinstance(row, tuple)]
        rest = [i for i, row in enumerate(rows) if isinstance(row, tuple)]
        together = [rest[start : start + WINDOW] for start in range(0, len(rest), WINDOW)]
        sizes = self.model.sizes([rows[i] for i in single])
        return [[single[b] for b in batch] for batch in self._packed(sizes)] + together

    def answer(self, asked: Asked) -> list[tuple[Float64[Tensor, "_ _"], Float64[Tensor, "_ _ _"]]]:
        """For each: points [B, S, D] -> values [B, K] and gradients [K or those wanted, B, S], on the CPU."""
        with torch.inference_mode(False):  # what gradients are kept in must not be an inference tensor
            answers = [_room(q, len(bound.problem.targets)) for bound, q in asked]
        for rules in dict.fromkeys(q.rules for _, q in asked):
            self._answer_under(rules, asked, answers)
        return answers

    def _answer_under(self, rules: str | None, asked: Asked, answers: Sequence[Answer]) -> None:
        """Fill in the answers to the questions with these backward rules."""
        rows = [bound.encoding.whole for bound, _ in asked]

        def send(batch: Sequence[int]) -> None:
            started = time.perf_counter()
            chosen = sorted(items[i] for i in batch)
            points = _leaves([asked[j][1].points[b] for j, b in chosen])
            outputs = self._outputs([rows[j] for j, _ in chosen], points, rules)
            _backward(asked, answers, chosen, points, outputs, started)

        done = self._answer_retained(rules, asked, answers)
        items = [
            (j, b) for j, (_, q) in enumerate(asked) if q.rules == rules and j not in done for b in range(len(q.points))
        ]
        self.batches.send([asked[j][1].points.shape[1] for j, _ in items], send)

    def _answer_retained(self, rules: str | None, asked: Asked, answers: Sequence[Answer]) -> set[int]:
        """The questions that a retained graph has answered; where memory ran out on it, it is dropped and they are not."""
        done: set[int] = set()
        taken = self._take(rules, asked)
        while taken:
            graph, questions = taken.pop()

            def go(
                _: Sequence[int], graph: RetainedGraph = graph, questions: Sequence[tuple[int, int]] = questions
            ) -> None:
                points, outputs = ([each[place] for _, place in questions] for each in (graph.points, graph.outputs))
                chosen = [(j, 0) for j, _ in questions]
                _backward(asked, answers, chosen, points, outputs, time.perf_counter(), rows=0)

            with self.model.frozen():
                if self.batches.fits(range(len(questions)), [len(point) for point in graph.points], go):
                    done.update(j for j, _ in questions)
            del graph, go
        return done

    def _take(self, rules: str | None, asked: Asked) -> list[tuple[RetainedGraph, list[tuple[int, int]]]]:
        """The graphs that answer some of these questions: for each, (question, place) in the order of the questions."""
        found: dict[int, tuple[RetainedGraph, list[tuple[int, int]]]] = {}
        for j, (bound, question) in enumerate(asked):
            graph, place = self._retained.get(id(bound.cache), (None, 0))
            if graph is None or graph.rules != rules or question.rules != rules or len(question.points) != 1:
                continue
            if torch.equal(question.points[0], graph.points[place].detach()):
                del self._retained[id(bound.cache)]
                found.setdefault(id(graph), (graph, []))[1].append((j, place))
        return list(found.values())

    def _packed(self, sizes: Sequence[int]) -> list[list[int]]:
        return pack(sizes, self.batches.budget, self.model.most_rows, self.model.uniform)

    def _outputs(
        self, rows: Sequence[Any], points: Sequence[Float[Tensor, "_ D"]], rules: str | None
    ) -> list[Float[Tensor, "*_"]]:
        """The output of each row at its point; a row with parts has its point cut along them, and their outputs stacked."""
        flat = [part for row in rows for part in (row if isinstance(row, tuple) else (row,))]
        sizes = self.model.sizes(flat)
        cut = torch.split(torch.cat(list(points)), sizes) if len(flat) > len(rows) else points
        outputs: dict[int, Tensor] = {}
        with torch.inference_mode(False), torch.enable_grad(), nullcontext() if rules is None else under(rules):
            # parts are not of one length, and not every model may see those together
            for batch in pack(sizes, len(sizes) * max(sizes), self.model.most_rows, self.model.uniform):
                found = self.model.forward([flat[i] for i in batch], [cut[i] for i in batch])
                outputs.update(zip(batch, found, strict=True))
            stacked, at = [], 0
            for row in rows:
                many = len(row) if isinstance(row, tuple) else 1
                own = [outputs[i] for i in range(at, at + many)]
                stacked.append(torch.stack(own) if isinstance(row, tuple) else own[0])
                at += many
        return stacked


def _leaves(points: Sequence[Float[Tensor, "_ D"]]) -> list[Float[Tensor, "_ D"]]:
    """Leaves that gradients can be asked of, with the values of these embeddings."""
    with torch.inference_mode(False), torch.enable_grad():
        return [point.detach().clone().requires_grad_() for point in points]


def _room(question: Gradients, targets: int) -> tuple[Float64[Tensor, "B {targets}"], Float64[Tensor, "wanted B S"]]:
    """Room for the answer: values and gradients, of all targets or those wanted."""
    many, length = question.points.shape[:2]
    wanted = targets if question.only is None else len(question.only)
    gradients = torch.empty(wanted, many, length, dtype=torch.float64)
    return torch.empty(many, targets, dtype=torch.float64), gradients


class _Group:
    """The rows of one question within a batch: their numbers, and where the answer goes."""

    def __init__(
        self,
        bound: BoundProblem,
        question: Gradients,
        rows: slice,
        places: list[int],
        outputs: Sequence[Float[Tensor, "*_"]],
        answer: Answer,
    ):
        self.bound, self.question, self.rows, self.places = bound, question, rows, places
        keep = bound.cache.keep
        mine = outputs[rows]
        self.numbers = bound.score(torch.stack([output if keep is None else keep(output) for output in mine]))  # [b, K]
        self.wanted = range(self.numbers.shape[1]) if question.only is None else question.only
        self.values, self.gradients = answer

    def keep_values(self) -> None:
        self.values[self.places] = self.numbers.detach().cpu().double()
        numbers = self.values[self.places]
        if not bool(torch.isfinite(numbers).all()):
            refuse_non_finite(self.bound, numbers)

    def keep_gradients(self, k: int, gradients: Sequence[Float[Tensor, "_ D"]]) -> None:
        direction = self.question.direction
        gradient = torch.stack(list(gradients[self.rows]))  # [b, S, D]
        if not isinstance(direction, Tensor):
            folded = gradient.norm(dim=-1)
        else:
            directions = direction[self.places] if direction.dim() == 3 else direction[None]
            folded = (gradient * directions.to(gradient)).sum(-1)
        if not bool(torch.isfinite(folded).all()):
            raise ModelError(
                "The gradient is not finite here. Load the model in float32 or bfloat16 (float16 overflows), take another "
                "`absent`, or use a coalition method: 'kernel_shap' or 'occlusion'."
            )
        self.gradients[k, self.places] = folded.cpu().double()


def _backward(
    asked: Asked,
    answers: Sequence[Answer],
    chosen: Sequence[tuple[int, int]],
    points: Sequence[Float[Tensor, "_ D"]],
    outputs: Sequence[Float[Tensor, "*_"]],
    started: float,
    rows: int = 1,
) -> None:
    """The backward passes from the outputs of these (question, point): one a target, for all rows of the batch together."""
    with torch.inference_mode(False), torch.enable_grad():
        groups = [_Group(*asked[j], slots, places, outputs, answers[j]) for j, slots, places in grouped(chosen)]
        passes = max(len(group.wanted) for group in groups)
        for k in range(passes):
            having = [group for group in groups if len(group.wanted) > k]
            total = torch.stack([group.numbers[:, group.wanted[k]].sum() for group in having]).sum()
            gradients = _gradients(total, points, keep=k + 1 < passes)
            for group in having:
                group.keep_gradients(k, gradients)
    for group in groups:
        group.keep_values()
    paid = [([asked[j][0].cache], len(point)) for (j, _), point in zip(chosen, points, strict=True)]
    attribute_cost(paid, time.perf_counter() - started, passes, rows=rows)


def _gradients(
    total: Float[Tensor, ""], points: Sequence[Float[Tensor, "_ D"]], keep: bool
) -> Sequence[Float[Tensor, "_ D"]]:
    """How the sum of some targets changes with each point. Raises MethodError where the model has no backward pass."""
    try:
        found: Sequence[Tensor] = torch.autograd.grad(
            total, points, retain_graph=keep, allow_unused=True, materialize_grads=True
        )
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
            raise
        # what quantised layers say, which compute forwards only, and layers that refuse a backward pass in eval mode
        message = " ".join(str(error).split())[:200]
        raise MethodError(
            "This model has no gradients from its output to its embeddings (its layers are quantised, or refuse a backward "
            f"pass outside training): {message} Use a coalition method: 'kernel_shap', 'shapley_sampling' or 'occlusion'."
        ) from error
    return found
