"""Methods that ask how the targets change with the embeddings: gradients at a point, under noise, and along a path."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import MethodError, OptionError, unknown
from ..core.types import EmbeddingPath, Gradients, MethodGenerator, Problem, Scores

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float, Float64


def embedding_path(problem: Problem) -> EmbeddingPath:
    """The differentiable face of the problem, or a MethodError that says what to use instead."""
    if problem.path is None:
        raise MethodError(
            "This problem has no gradients (a black box, a model without embeddings, or absent='drop'). "
            "Use a coalition method: 'occlusion', 'kernel_shap', 'shapley_sampling', 'shapley_values' or 'lime'."
        )
    return problem.path


def saliency(problem: Problem) -> MethodGenerator:
    """The L2 norm of the gradient at each feature's embeddings: how sensitive, not which way. Always >= 0.

    1 forward, 1 backward a target. Source: Simonyan, Vedaldi & Zisserman 2014; the norm as in Atanasova et al. 2020.
    """
    embedding = embedding_path(problem)
    _, gradients = yield Gradients(embedding.input[None], direction="norm")  # [K, 1, S]
    return Scores(embedding.fold(gradients[:, 0]))


def input_x_gradient(problem: Problem) -> MethodGenerator:
    """The gradient dotted with (input - baseline): the change that a straight line through the point predicts.

    1 forward, 1 backward a target. Source: Shrikumar et al. 2016, with the difference from the baseline in place of the input.
    """
    embedding = embedding_path(problem)
    _, gradients = yield Gradients(embedding.input[None], direction=embedding.input - embedding.baseline)
    return Scores(embedding.fold(gradients[:, 0]))


def smoothgrad(
    problem: Problem, *, samples: int = 16, noise: float = 0.1, of: str = "mean", seed: int = 0
) -> MethodGenerator:
    """Input x gradient averaged over noisy copies of the embeddings, with standard errors. `samples` forwards and backwards.

    `noise` is the standard deviation of the noise in units of the embeddings' own; each draw comes with its negative. `of`
    the scores under noise gives the "mean", the mean "square" (SmoothGrad-squared) or the "variance" (VarGrad).
    Source: Smilkov et al. 2017; the others from Hooker et al. 2019 and Adebayo et al. 2018.
    """
    embedding = embedding_path(problem)
    points = embedding.input + _paired(embedding, samples, noise, seed)
    return (yield from _averaged(embedding, points, embedding.input - embedding.baseline, of, pairs=True))


def noisy_integrated_gradients(
    problem: Problem, *, samples: int = 10, noise: float = 0.1, steps: int = 5, of: str = "mean", seed: int = 0
) -> MethodGenerator:
    """Integrated gradients averaged over noisy copies of the embeddings. samples * steps forwards and backwards.

    Each copy is integrated along its own straight path from the baseline, by the Gauss-Legendre rule with `steps` points.
    `noise` and `of` as in smoothgrad. Source: Smilkov et al. 2017 around Sundararajan, Taly & Yan 2017.
    """
    embedding = embedding_path(problem)
    if steps < 1:
        raise OptionError(f"`steps` must be at least 1, not {steps}.")
    places, weights = _rule(steps)
    direction = embedding.input + _paired(embedding, samples, noise, seed) - embedding.baseline  # [samples, S, D]
    points = embedding.baseline + places.to(direction)[None, :, None, None] * direction[:, None]
    return (
        yield from _averaged(embedding, points.flatten(0, 1), direction.repeat_interleave(steps, 0), of, True, weights)
    )


def gradient_shap(problem: Problem, *, samples: int = 16, noise: float = 0.0, seed: int = 0) -> MethodGenerator:
    """Expected gradients: input x gradient averaged over random places on the path from the baseline, with standard errors.

    One place is drawn in each of `samples` equal pieces of the path; `noise` as in smoothgrad. `samples` forwards and
    backwards. Source: Lundberg & Lee 2017 (GradientExplainer); Erion et al. 2021.
    """
    embedding = embedding_path(problem)
    if samples < 2 or noise < 0:
        raise OptionError(f"gradient_shap needs samples >= 2 and noise >= 0, not {samples} and {noise}.")
    draw = torch.Generator().manual_seed(seed)
    place = (torch.arange(samples) + torch.rand(samples, generator=draw)) / samples
    points = _on_path(embedding, place)
    if noise:
        points = points + _noise(embedding, samples, noise, seed + 1)
    return (yield from _averaged(embedding, points, embedding.input - embedding.baseline))


def _paired(embedding: EmbeddingPath, samples: int, noise: float, seed: int) -> Float[Tensor, "{samples} S D"]:
    """Half of them drawn, then the negative of each."""
    if samples < 2 or samples % 2 or noise <= 0:
        raise OptionError(
            f"`samples` must be an even number (each draw comes with its negative) and `noise` > 0, not {samples} and {noise}."
        )
    half = _noise(embedding, samples // 2, noise, seed)
    return torch.cat([half, -half])


def _noise(embedding: EmbeddingPath, samples: int, noise: float, seed: int) -> Float[Tensor, "{samples} S D"]:
    """Gaussian noise on the positions that belong to a feature."""
    draw = torch.Generator().manual_seed(seed)
    owned = torch.as_tensor(embedding.owner >= 0)
    scale = noise * embedding.input.detach()[owned.to(embedding.input.device)].std()
    eps = torch.randn(samples, *embedding.input.shape, generator=draw) * owned[:, None]
    return eps.to(embedding.input) * scale


OF = ("mean", "square", "variance")
NARROW = 2.0**-18  # of the way from the baseline: what float32 embeddings hardly tell apart


def _averaged(
    embedding: EmbeddingPath,
    points: Float[Tensor, "B S D"],
    direction: Float[Tensor, "S D"] | Float[Tensor, "B S D"],
    of: str = "mean",
    pairs: bool = False,
    weights: Float64[Tensor, " steps"] | None = None,
) -> MethodGenerator:
    """The mean over samples, or what else `of` says; with `weights` each sample is the weighted sum of so many points."""
    if of not in OF:
        raise unknown("value of `of`", of, OF)
    _, gradients = yield Gradients(points, direction=direction)
    each = embedding.fold(gradients)  # [K, B, n]
    if weights is not None:
        each = torch.einsum(
            "kbwn,w->kbn", each.reshape(each.shape[0], -1, len(weights), each.shape[2]), weights.to(each)
        )
    if of == "variance":
        return Scores(each.var(1, correction=0), notes=("scores are variances, in the unit squared",))
    notes: tuple[str, ...] = ()
    if of == "square":
        each, notes = each**2, ("scores are mean squares, in the unit squared",)
    if pairs:
        each = each.reshape(each.shape[0], 2, -1, each.shape[2]).mean(1)
    error = each.std(1) / math.sqrt(each.shape[1]) if each.shape[1] > 1 else None
    return Scores(each.mean(1), stderr=error, notes=notes)


def _on_path(embedding: EmbeddingPath, places: Float[Tensor, " B"]) -> Float[Tensor, "B S D"]:
    """Places in 0..1 -> the points there, 0 at the baseline and 1 at the point."""
    return embedding.baseline + places.to(embedding.input.dtype).to(embedding.input.device)[:, None, None] * (
        embedding.input - embedding.baseline
    )


def integrated_gradients(
    problem: Problem, *, tolerance: float = 0.01, budget: int = 200, steps: int | None = None
) -> MethodGenerator:
    """The gradient integrated along the straight path from baseline to input; the scores add up to value - base.

    Adaptive: each piece of the path knows its true integral from the values at its ends, so its error is known exactly, and
    only pieces that are off are cut, until the errors together are within `tolerance` x sum(|scores|) or `budget` points
    were asked; the note says so if it did not converge. Usually 9 to 25 forwards and backwards. `steps` gives the fixed
    Gauss-Legendre rule with that many points instead. Source: Sundararajan, Taly & Yan 2017.
    """
    embedding = embedding_path(problem)
    if steps is not None:
        return (yield from fixed_path(embedding, steps))
    if not 0 < tolerance < 1 or budget < 9:
        raise OptionError(
            f"integrated_gradients needs 0 < tolerance < 1 and a budget of at least 9, not {tolerance} and {budget}."
        )
    path = _Path(embedding, len(problem.targets))
    yield from path.ask([0, 0.25, 0.5, 0.75, 1])
    if embedding.precision in ("float16", "bfloat16"):
        return (yield from _by_halving(embedding, path, tolerance, budget))
    pieces = [(0.0, 0.5), (0.5, 1.0)]
    done = torch.zeros(len(problem.targets), embedding.n, dtype=torch.float64)
    while True:
        integrals, errors = path.simpson(pieces)  # [P, K, S], [P, K], of the targets still open
        found = embedding.fold(integrals.sum(0))
        allowed = tolerance * found.abs().sum(-1)  # [K]
        off = errors.sum(0) > allowed
        done[list(path.open)] = found
        if not off.any() or len(path.places) + 2 > budget:
            break
        path.close(off)
        halved = yield from path.cut(pieces, errors[:, off], allowed[off], budget)
        if len(halved) == len(pieces):
            break
        pieces = halved
    notes = () if not off.any() else (_unconverged(errors, allowed, tolerance, pieces, len(path.places)),)
    return Scores(done, notes=notes)


def _by_halving(embedding: EmbeddingPath, path: _Path, tolerance: float, budget: int) -> MethodGenerator:
    """The integral of a model in half precision, whose values are rounded too coarsely to say what a piece should add up to.

    Twice as many pieces until the scores hardly change any more; how far they changed last is then what is known of the error.
    """
    before, many = None, 1
    while True:
        places = [i / (2 * many) for i in range(2 * many + 1)]
        yield from path.ask(places)
        found = embedding.fold(path.simpson(list(zip(places[:-1:2], places[2::2], strict=True)))[0].sum(0))
        if before is not None:
            changed = ((found - before).abs().sum(-1) / found.abs().sum(-1).clamp(min=1e-300)).max()
            if changed <= tolerance or 4 * many + 1 > budget:
                break
        before, many = found, 2 * many
    rounding = (
        4 * torch.finfo(getattr(torch, embedding.precision)).eps
    )  # of the gradients; several operations each round
    note = (
        f"the model computes in {embedding.precision}: the scores are good to about {float(changed) + rounding:.1%} of sum "
        "|scores|, and the gap says more of its rounding than of them"
    )
    return Scores(found, notes=(note,))


class _Path:
    """The straight path from baseline (0) to input (1), and what is known at each place on it: values [K], gradients [K, S].

    Of the open targets: one that is exact enough is closed, and costs no further backward pass.
    """

    def __init__(self, embedding: EmbeddingPath, targets: int):
        self.embedding = embedding
        self.open = tuple(range(targets))
        self.places: dict[float, tuple[Tensor, Tensor]] = {}

    def close(self, off: Bool[Tensor, " open"]) -> None:
        """Keep only the targets that are still off."""
        self.open = tuple(k for k, frozen in zip(self.open, off.tolist(), strict=True) if frozen)
        self.places = {p: (values[off], gradients[off]) for p, (values, gradients) in self.places.items()}

    def ask(self, places: Sequence[float]) -> Generator[Gradients, Any, None]:
        new = sorted({float(p) for p in places} - self.places.keys())
        points = _on_path(self.embedding, torch.tensor(new, dtype=torch.float64))
        values, gradients = yield Gradients(
            points, direction=self.embedding.input - self.embedding.baseline, only=self.open
        )
        self.places.update((p, (values[b, list(self.open)], gradients[:, b])) for b, p in enumerate(new))

    def simpson(self, pieces: Sequence[tuple[float, float]]) -> tuple[Float64[Tensor, "P K S"], Float64[Tensor, "P K"]]:
        """Each piece's integral by Simpson's rule, and how far its sum is off the rise of the target."""
        known = [[self.places[p] for p in (a, (a + b) / 2, b)] for a, b in pieces]
        width = torch.tensor([b - a for a, b in pieces], dtype=torch.float64)[:, None, None]
        start, middle, end = (torch.stack([k[j][1] for k in known]) for j in range(3))
        integrals = (start + 4 * middle + end) * width / 6
        rises = torch.stack([k[2][0] - k[0][0] for k in known])
        return integrals, (integrals.sum(-1) - rises).abs()

    def cut(
        self,
        pieces: Sequence[tuple[float, float]],
        errors: Float64[Tensor, "P K"],
        allowed: Float64[Tensor, " K"],
        budget: int,
    ) -> Generator[Gradients, Any, list[tuple[float, float]]]:
        """Halve the worst pieces, as many as must go for the rest to be within half of what is allowed; none that is NARROW."""
        share = (errors / allowed.clamp(min=1e-300)).max(1).values  # [P]
        narrow = torch.tensor([b - a <= NARROW * b for a, b in pieces])
        share[narrow] = 0
        if not share.any() or bool((errors[narrow].sum(0) > allowed).all()):  # a jump: finer pieces do not help
            return list(pieces)
        order = share.argsort(descending=True).tolist()
        rest = share[order].flip(0).cumsum(0).flip(0)  # what stays when all before are cut
        most = (budget - len(self.places)) // 2
        worst = set(order[: max(1, min(most, int((rest > 0.5).sum())))])
        halves = [(a, b) if j not in worst else None for j, (a, b) in enumerate(pieces)]
        out = []
        for (a, b), kept in zip(pieces, halves, strict=True):
            out += [kept] if kept else [(a, (a + b) / 2), ((a + b) / 2, b)]
        yield from self.ask([(a + b) / 2 for a, b in out])
        return out


def _unconverged(
    errors: Float64[Tensor, "P K"],
    allowed: Float64[Tensor, " K"],
    tolerance: float,
    pieces: Sequence[tuple[float, float]],
    points: int,
) -> str:
    jumps = any(b - a <= NARROW * b for a, b in pieces)
    why = ", for the model jumps on the path (it picks experts by rank, or hashes)" if jumps else ""
    worst = float((errors.sum(0) / allowed.clamp(min=1e-300)).max()) * tolerance
    return f"integrated gradients did not converge: the error is up to {worst:.1%} of sum |scores| after {points} points{why}"


def fixed_path(embedding: EmbeddingPath, steps: int, rules: str | None = None) -> MethodGenerator:
    """The gradient, under backward rules where some are named, integrated by the Gauss-Legendre rule of so many steps."""
    if steps < 1:
        raise OptionError(f"`steps` must be at least 1, not {steps}.")
    places, weights = _rule(steps)
    _, gradients = yield Gradients(
        _on_path(embedding, places), direction=embedding.input - embedding.baseline, rules=rules
    )
    return Scores(embedding.fold(torch.einsum("b,kbs->ks", weights.to(gradients), gradients)))


def _rule(steps: int) -> tuple[Float64[Tensor, " {steps}"], Float64[Tensor, " {steps}"]]:
    """Places in 0..1 and weights of the Gauss-Legendre rule."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return torch.as_tensor((nodes + 1) / 2), torch.as_tensor(weights / 2)
