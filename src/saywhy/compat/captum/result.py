"""What an attribution returns, in Captum's shapes, with the explanations it was read off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...core.explanation import Explanations
    from .attribution import AnyInput


class LLMAttributionResult:
    """Scores of F inputs for a continuation of T tokens: `seq_attr` [F], `token_attr` [T, F] or None, `output_probs` [T].

    `explanations` has the same as saywhy's own: the whole continuation first, then its tokens; values, baselines, notes, cost.
    Lengths are checked when it is made and when a member is set (AssertionError).
    """

    def __init__(
        self,
        *,
        input_tokens: list[str],
        output_tokens: list[str],
        seq_attr: ArrayLike | Tensor,
        token_attr: ArrayLike | Tensor | None = None,
        output_probs: ArrayLike | Tensor | None = None,
        inp: AnyInput | None = None,
        explanations: Explanations | None = None,
    ):
        self.input_tokens, self.output_tokens = list(input_tokens), list(output_tokens)
        self.inp, self.explanations = inp, explanations
        self.seq_attr = seq_attr
        self.token_attr = token_attr
        self.output_probs = output_probs

    @property
    def seq_attr(self) -> Tensor:
        """[F]: of the whole continuation."""
        return self._seq_attr

    @seq_attr.setter
    def seq_attr(self, given: ArrayLike | Tensor) -> None:
        made = _tensor(given)
        _sized(made, (len(self.input_tokens),), "seq_attr")
        self._seq_attr = made

    @property
    def token_attr(self) -> Tensor | None:
        """[T, F]: of each token of the continuation."""
        return self._token_attr

    @token_attr.setter
    def token_attr(self, given: ArrayLike | Tensor | None) -> None:
        made = None if given is None else _tensor(given)
        if made is not None:
            _sized(made, (len(self.output_tokens), len(self.input_tokens)), "token_attr")
        self._token_attr = made

    @property
    def output_probs(self) -> Tensor | None:
        """[T]: the probability of each token after the prompt and the tokens before it."""
        return self._output_probs

    @output_probs.setter
    def output_probs(self, given: ArrayLike | Tensor | None) -> None:
        made = None if given is None else _tensor(given)
        if made is not None:
            _sized(made, (len(self.output_tokens),), "output_probs")
        self._output_probs = made

    @property
    def seq_attr_dict(self) -> dict[str, float]:
        """input -> score; an input that comes again has its count with it, so none is lost."""
        names: dict[str, int] = {}
        out = {}
        for token, score in zip(self.input_tokens, self.seq_attr.tolist(), strict=True):
            names[token] = names.get(token, 0) + 1
            name = token if names[token] == 1 else f"{token} ({names[token]})"
            while name in out:
                name += "'"
            out[name] = score
        return out

    def plot_token_attr(self, show: bool = False) -> tuple[Figure, Axes] | None:
        """A heatmap, tokens of the continuation by inputs: (figure, axes), or None once shown. ValueError without tokens."""
        from .plots import heatmap, shown

        if self.token_attr is None:
            raise ValueError("There are no scores of single tokens (token_attr is None): use plot_seq_attr.")
        return shown(heatmap(self.token_attr, self.input_tokens, self.output_tokens), show)

    def plot_seq_attr(self, show: bool = False) -> tuple[Figure, Axes] | None:
        """Bars, one an input: (figure, axes), or None once shown."""
        from .plots import bars, shown

        return shown(bars(self.seq_attr, self.input_tokens), show)

    def _repr_html_(self) -> str:
        """The continuation token by token, with the prompt as each token sees it."""
        from ...llm.context import context_of

        return "" if self.explanations is None else context_of(self.explanations)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)}" for name in ("input_tokens", "output_tokens", "seq_attr"))
        return f"LLMAttributionResult({told})"


def _tensor(given: ArrayLike | Tensor) -> Tensor:
    return given if isinstance(given, Tensor) else torch.as_tensor(np.asarray(given), dtype=torch.float32)


def _sized(made: Tensor, shape: tuple[int, ...], name: str) -> None:
    if tuple(made.shape) != shape:
        raise AssertionError(f"{name} must have the shape {shape}, not {tuple(made.shape)}.")
