"""LLMAttribution and LLMGradientAttribution: Captum's calls, answered by an Explainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import InputError, OptionError, unknown
from ...core.explanation import Explanation, Explanations
from ...core.types import Target
from ...explain.explainer import Explainer
from .inputs import TextTemplateInput, TextTokenInput, Tokenised
from .methods import checked_arguments, way_of
from .result import LLMAttributionResult

UNITS = {"log_prob": "log-prob", "prob": "prob"}


class LLMAttribution:
    """Which parts of a prompt made a language model give a continuation its probability, by replacing them."""

    def __init__(self, attr_method: Any, tokenizer: Any, attr_target: str = "log_prob"):
        if attr_target not in UNITS:
            raise unknown("attr_target", attr_target, UNITS)
        self.attr_method, self.tokenizer, self.attr_target = attr_method, tokenizer, attr_target
        self.name, self._way = way_of(attr_method, False, type(self).__name__)
        self.model = attr_method.forward_func
        self._explainer = self._made()

    def _made(self) -> Explainer:
        return Explainer(self.model, self.tokenizer, task="text-generation")

    def attribute(
        self,
        inp: Any,
        target: str | Tensor | Sequence[int] | None = None,
        num_trials: int = 1,
        gen_args: Mapping[str, Any] | None = None,
        use_cached_outputs: bool = True,
        _inspect_forward: Any = None,
        forward_in_tokens: bool = True,
        **kwargs: Any,
    ) -> LLMAttributionResult:
        """The scores of every value or token of the input, for the whole continuation and for each token of it.

        Without a `target` the model writes one (`gen_args` go to its generate). `num_trials` averages over as many seeds.
        `use_cached_outputs`, `forward_in_tokens` and `perturbations_per_eval` change nothing: one batched pass serves all.
        """
        if not isinstance(inp, TextTemplateInput | TextTokenInput):
            raise InputError(f"The input must be a TextTemplateInput or a TextTokenInput, not {type(inp).__name__}.")
        if _inspect_forward is not None:
            raise OptionError("`_inspect_forward` is not called here: result.explanations has values, bases and costs.")
        if not isinstance(num_trials, int) or num_trials < 1:
            raise OptionError(f"`num_trials` must be at least 1, not {num_trials!r}.")
        checked_arguments(self.name, self._way, kwargs)
        goal = _goal(self._explainer, inp.given, target, gen_args)
        trials = num_trials if self._way.seeded else 1
        found = [self._once(inp, goal, kwargs, trial) for trial in range(trials)]
        return _result(inp, found, _device(self.model))

    def _once(self, inp: Any, goal: Any, kwargs: Mapping[str, Any], trial: int) -> Explanations:
        features = len(inp.given.features)
        method, options = self._way.method(features, int(kwargs.get("n_samples", self._way.samples)))
        if self._way.seeded and method != "shapley_values":
            options["seed"] = int(kwargs.get("seed", 0)) + trial
        shown = True if kwargs.get("show_progress") else None
        unit = UNITS[self.attr_target]
        return _explained(
            self._explainer, inp.given, goal, {"method": method, "unit": unit, "progress": shown, **options}
        )

    def attribute_future(self) -> None:
        """Not there, as in Captum."""
        raise NotImplementedError("attribute_future is not implemented.")


class LLMGradientAttribution:
    """Which tokens of a prompt made a language model give a continuation its probability, by gradients at the embeddings."""

    def __init__(self, attr_method: Any, tokenizer: Any):
        self.attr_method, self.tokenizer = attr_method, tokenizer
        self.name, self._way = way_of(attr_method, True, type(self).__name__)
        self.model = attr_method.forward_func
        self._explainer = Explainer(self.model, tokenizer, task="text-generation")
        tables = getattr(self._explainer.model, "tables", ())
        if not any(attr_method.layer is table for table in tables[:1]):
            raise OptionError(
                "`layer` must be the model's input embedding, model.get_input_embeddings(): gradients stop there."
            )

    def attribute(
        self,
        inp: Any,
        target: str | Tensor | Sequence[int] | None = None,
        gen_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> LLMAttributionResult:
        """The scores of every token, for the whole continuation and each token of it, from the same forwards."""
        if not isinstance(inp, TextTokenInput):
            raise InputError(f"Gradients need a TextTokenInput, not {type(inp).__name__}.")
        checked_arguments(self.name, self._way, kwargs)
        given = Tokenised(inp, zero=self.name == "LayerGradientXActivation")
        goal = _goal(self._explainer, given, target, gen_args)
        told = kwargs.get("n_steps", kwargs.get("n_samples", self._way.samples))
        method, options = self._way.method(inp.n_itp_features, int(told))
        if self._way.seeded:
            options["seed"] = int(kwargs.get("seed", 0))
        tokens = _explained(self._explainer, given, goal, {"method": method, **options}, whole=False)
        return _result(inp, [Explanations((_summed(tokens.items), *tokens.items))], _device(self.model))


def _goal(explainer: Explainer, given: Any, target: Any, gen_args: Mapping[str, Any] | None) -> Any:
    """The continuation: a text or ids as given, or what the model writes."""
    if target is None:
        from ...models.causal.prompts import Prompt

        model: Any = explainer.model
        settings = dict(gen_args or {})
        most = int(settings.pop("max_new_tokens", 25))
        return model.generate(Prompt(given, (None,)), most, settings)
    if gen_args is not None:
        raise OptionError("`gen_args` say how the model writes a target; here a target was given.")
    if isinstance(target, str):
        return target
    if isinstance(target, Tensor) and target.dim() != 1:
        raise InputError(f"A target tensor has one dimension, ids [T]; not the shape {tuple(target.shape)}.")
    if not isinstance(target, Tensor | list | tuple):
        raise TypeError(f"target must be a str, a Tensor of ids or a list of ids, not {type(target).__name__}.")
    ids = tuple(int(i) for i in target)
    if not ids:
        raise InputError("The target is empty: give the text or the ids whose probability is to be explained.")
    return ids


def _explained(explainer: Explainer, given: Any, goal: Any, asked: dict[str, Any], whole: bool = True) -> Explanations:
    """The whole continuation first (if `whole`), then each of its tokens."""
    model: Any = explainer.model
    wanted = [*([None] if whole else []), *range(model.count(goal))]
    return explainer.each_target({"prompt": given, "continuation": goal}, wanted, trust="none", **asked)


def _summed(tokens: Sequence[Explanation]) -> Explanation:
    """The whole continuation: gradients of a sum of log-probabilities are the sum of theirs, and need no pass of their own."""
    label = tokens[0].texts.get("continuation", "".join(e.target.label for e in tokens))
    return replace(
        tokens[0],
        scores=np.sum([e.scores for e in tokens], axis=0),
        target=Target(label, (0,), tokens[0].target.unit),
        value=sum(e.value for e in tokens),
        base=sum(e.base for e in tokens),
        stderr=None,
    )


def _result(inp: Any, found: Sequence[Explanations], device: Any) -> LLMAttributionResult:
    scores = torch.stack([torch.as_tensor(each.matrix.copy()) for each in found]).mean(0).float()  # [1 + T, F]
    scores = inp.spread(scores).to(device)
    labels = [e.target.label for e in found[0].items[1:]]
    exact = [e.value if e.target.unit == "prob" else float(torch.tensor(e.value).exp()) for e in found[0].items[1:]]
    return LLMAttributionResult(
        input_tokens=list(inp.values),
        output_tokens=list(labels),
        seq_attr=scores[0],
        token_attr=scores[1:],
        output_probs=torch.tensor(exact, device=device),
        inp=inp,
        explanations=found[0],
    )


def _device(model: Any) -> Any:
    told = getattr(model, "device", None)
    return told if told is not None else next((p.device for p in model.parameters()), "cpu")
