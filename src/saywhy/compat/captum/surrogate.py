"""Captum's Lime by its own numbers: features kept by a coin, a kernel on the cosine distance, and a Lasso of alpha 0.01.

The method of `saywhy` that is called lime is another one (see its page): it draws how many features are absent, and does not
shrink.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...core.errors import OptionError
from ...core.types import MethodGenerator, Problem, Scores, Values
from .methods import AttributionMethod

if TYPE_CHECKING:
    from .attribution import AnyInput

ALPHA = 0.01  # of Captum's Lime, by default
WIDTH = 1.0  # of its exponential kernel


def surrogate(
    method: AttributionMethod, inp: AnyInput, samples: int, trials: int, seed: int | None
) -> Callable[[Problem], MethodGenerator]:
    """Captum's Lime as a method: the mean over `trials` fits to `samples` subsets each.

    `method` may bring `interpretable_model`, `similarity_func` and `perturb_func`. Subsets are drawn as torch's global
    generator would draw them, from a copy: after torch.manual_seed they are Captum's, and the generator stays as it was.
    """
    places = list(
        dict.fromkeys(getattr(inp, "groups", range(inp.n_itp_features)))
    )  # Captum's place of each of our features

    def lime(problem: Problem) -> MethodGenerator:
        original = inp.to_tensor()
        draws = _draws(method, original, samples, seed)
        fits = []
        for _ in range(trials):
            drawn = _taken(draws, samples)
            if len(drawn) < 2:
                raise OptionError("`perturb_func` gave fewer than two subsets: a linear model needs more.")
            values = yield Values(torch.stack(drawn)[:, places].bool())  # [N, K]
            weights = torch.tensor([_similarity(method, original, subset) for subset in drawn], dtype=torch.float64)
            design = torch.stack(drawn).double()
            columns = [_fitted(method, design, values[:, k], weights) for k in reversed(range(values.shape[1]))]
            fits.append(
                torch.stack(columns[::-1])
            )  # the whole continuation last, so that its fit is what is left in the model
        return Scores(torch.stack(fits).mean(0)[:, places])

    return lime


def _draws(method: AttributionMethod, original: Tensor, samples: int, seed: int | None) -> Iterator[Tensor]:
    """Subsets [F], one after the other: by the caller's function, or each feature kept by a coin; `samples` for each fit."""
    count = original.shape[1]
    perturb = getattr(method, "perturb_func", None)
    if perturb is None or getattr(perturb, "__name__", "") == "default_perturb_func":
        generator = torch.Generator()
        generator.set_state(torch.get_rng_state()) if seed is None else generator.manual_seed(seed)
        while True:
            for _ in range(samples):
                yield torch.bernoulli(torch.ones(1, count) * 0.5, generator=generator)[0].long()
            # Captum's fit takes numbers of the same generator: one for its DataLoader, F + 1 to initialise a linear layer.
            torch.empty((), dtype=torch.int64).random_(generator=generator)
            torch.rand(count + 1, generator=generator)
    settings = {"num_interp_features": count, "feature_mask": None, "baselines": None}
    if inspect.isgeneratorfunction(perturb):
        yield from (subset.reshape(-1).cpu().long() for subset in perturb(original, **settings))
        return
    while True:
        yield perturb(original, **settings).reshape(-1).cpu().long()


def _taken(draws: Iterator[Tensor], samples: int) -> list[Tensor]:
    out = []
    for subset in draws:
        out.append(subset)
        if len(out) == samples:
            return out
    warnings.warn(
        f"perturb_func ended after {len(out)} of {samples} subsets; those are used.", UserWarning, stacklevel=2
    )
    return out


def _similarity(method: AttributionMethod, original: Tensor, subset: Tensor) -> float:
    """The weight of a subset, by the caller's function or exp(-d² / 2) of the cosine distance d to everything present."""
    ask = getattr(method, "similarity_func", None)
    if ask is None or getattr(ask, "__name__", "") == "default_exp_kernel":
        distance = 1.0 - float(subset.double().mean().sqrt())
        return float(np.exp(-(distance**2) / (2 * WIDTH**2)))
    weight = ask(original, subset[None].to(original), subset[None])
    return float(weight)


def _fitted(method: AttributionMethod, design: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """[F]: the coefficients of the caller's linear model, or of a Lasso.

    A model is Captum's (`fit(DataLoader)` of features, values and weights, then `representation()`) or scikit-learn's
    (`fit(X, y, sample_weight=…)`, then `coef_`).
    """
    chosen = getattr(method, "interpretable_model", None)
    if chosen is None:
        return lasso(design, values, weights, ALPHA)
    if callable(getattr(chosen, "representation", None)):
        from torch.utils.data import DataLoader, TensorDataset

        data = TensorDataset(design.float(), values.float(), weights.float())
        chosen.fit(DataLoader(data, batch_size=len(data), generator=torch.Generator()))  # not the caller's generator
        return torch.as_tensor(chosen.representation()).detach().reshape(-1).double()
    if not callable(getattr(chosen, "fit", None)):
        raise OptionError(
            f"`interpretable_model` must be a linear model with fit() and representation(), or scikit-learn's; not "
            f"{type(chosen).__name__}."
        )
    chosen.fit(design.numpy(), values.numpy(), sample_weight=weights.numpy())
    return torch.as_tensor(chosen.coef_).reshape(-1).double()


def lasso(design: Tensor, values: Tensor, weights: Tensor, alpha: float) -> Tensor:
    """[F] float64: the b that minimises sum(w (y - a - X b)²) / (2 sum(w)) + alpha |b|, by coordinate descent.

    Source: Friedman, Hastie & Tibshirani 2010; the weights as scikit-learn takes them.
    """
    share = (weights / weights.sum()).double()
    centred = design.double() - share @ design.double()
    target = values.double() - share @ values.double()
    gram = centred.T @ (share[:, None] * centred)
    link = centred.T @ (share * target)
    out = torch.zeros(design.shape[1], dtype=torch.float64)
    for _ in range(10_000):
        largest = 0.0
        for j, size in enumerate(gram.diagonal().tolist()):
            if size <= 1e-15:
                continue  # the feature never changes: nothing is known of it
            pull = float(link[j] - gram[j] @ out) + size * float(out[j])
            new = np.sign(pull) * max(abs(pull) - alpha, 0.0) / size
            largest = max(largest, abs(new - float(out[j])))
            out[j] = new
        if largest < 1e-10:
            break
    return out
