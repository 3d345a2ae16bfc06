"""LLMAttribution and LLMGradientAttribution: Captum's calls, answered by an Explainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import InputError, ModelError, OptionError, unknown
from ...core.explanation import Explanation, Explanations
from ...core.types import MethodGenerator, Problem, Target
from ...explain.explainer import Explainer
from ...models.causal.model import LanguageModel
from ...models.causal.prompts import Filling, Goal, Prompt, filled_whole
from ...models.protocol import Model
from .inputs import TextTemplateInput, TextTokenInput, Tokenised, token_ids
from .logits_model import LogitsModel, TokenizerLike, encoded, joined
from .methods import AttributionMethod, LayerMethod, checked_arguments, way_of
from .result import LLMAttributionResult
from .segments import TextSegmentInput
from .surrogate import surrogate

UNITS = {"log_prob": "log-prob", "prob": "prob"}
WITHOUT_TOKENS = ("Lime", "KernelShap")  # whose token_attr is None in Captum; `explanations` has their tokens
AnyInput: TypeAlias = "TextTemplateInput | TextTokenInput | TextSegmentInput"
InspectForward: TypeAlias = "Callable[[str, str, list[float]], object]"


class LLMAttribution:
    """Which parts of a prompt made a language model give a continuation its probability, by replacing them."""

    def __init__(self, attr_method: AttributionMethod, tokenizer: TokenizerLike, attr_target: str = "log_prob"):
        if attr_target not in UNITS:
            raise unknown("attr_target", attr_target, UNITS)
        self.attr_method, self.tokenizer, self.attr_target = attr_method, tokenizer, attr_target
        self.name, self._way = way_of(attr_method, False, type(self).__name__)
        self.model = attr_method.forward_func
        self._explainer = self._made()

    def _made(self) -> Explainer:
        return explainer_of(self.model, self.tokenizer)

    def attribute(
        self,
        inp: AnyInput,
        target: str | Tensor | Sequence[int] | None = None,
        num_trials: int = 1,
        gen_args: Mapping[str, Any] | None = None,
        use_cached_outputs: bool = True,
        _inspect_forward: InspectForward | None = None,
        forward_in_tokens: bool = True,
        *,
        skip_tokens: Sequence[int] | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> LLMAttributionResult:
        """The scores of every value or token of the input, for the whole continuation and for each token of it.

        Without a `target` the model writes one (`gen_args` go to its generate). Tokens of the target that are in `skip_tokens`
        (ids or tokens) are left out of it, as in Captum 0.8. `num_trials` averages over as many seeds. `_inspect_forward` is
        called with (prompt, continuation, its probability and its tokens') for every distinct prompt.
        `use_cached_outputs`, `forward_in_tokens` and `perturbations_per_eval` change nothing: one batched pass serves all.
        """
        if not isinstance(inp, TextTemplateInput | TextTokenInput | TextSegmentInput):
            raise InputError(
                f"The input must be a TextTemplateInput, a TextTokenInput or a TextSegmentInput, not {type(inp).__name__}."
            )
        if not isinstance(num_trials, int) or num_trials < 1:
            raise OptionError(f"`num_trials` must be at least 1, not {num_trials!r}.")
        checked_arguments(self.name, self._way, kwargs)
        goal = _goal(self._explainer, self.tokenizer, inp.given, target, gen_args, skip_tokens)
        with _inspected(self._explainer.model, self.tokenizer, _inspect_forward):
            if self.name == "Lime":
                samples, seed = int(kwargs.get("n_samples", self._way.samples)), kwargs.get("seed")
                method = surrogate(self.attr_method, inp, samples, num_trials, None if seed is None else int(seed))
                found = [self._once(inp, goal, method, {}, kwargs)]
            else:
                trials = num_trials if self._way.seeded else 1
                found = [self._trial(inp, goal, kwargs, trial) for trial in range(trials)]
        return _result(inp, found, _device(self.model), tokens=self.name not in WITHOUT_TOKENS)

    def _trial(self, inp: AnyInput, goal: Goal, kwargs: Mapping[str, Any], trial: int) -> Explanations:
        method, options = self._way.method(len(inp.given.features), int(kwargs.get("n_samples", self._way.samples)))
        if self._way.seeded and method != "shapley_values":
            options["seed"] = int(kwargs.get("seed", 0)) + trial
        return self._once(inp, goal, method, options, kwargs)

    def _once(
        self,
        inp: AnyInput,
        goal: Goal,
        method: str | Callable[[Problem], MethodGenerator],
        options: dict[str, Any],
        kwargs: Mapping[str, Any],
    ) -> Explanations:
        settings = {"method": method, "unit": UNITS[self.attr_target], "progress": kwargs.get("show_progress") or None}
        return _explained(self._explainer, inp.given, goal, settings | options)

    def attribute_future(self) -> None:
        """Not there, as in Captum."""
        raise NotImplementedError("attribute_future is not implemented.")


class LLMGradientAttribution:
    """Which tokens of a prompt made a language model give a continuation its probability, by gradients at the embeddings."""

    def __init__(self, attr_method: LayerMethod, tokenizer: TokenizerLike):
        self.attr_method, self.tokenizer = attr_method, tokenizer
        self.name, self._way = way_of(attr_method, True, type(self).__name__)
        self.model = attr_method.forward_func
        self._explainer = explainer_of(self.model, tokenizer, attr_method.layer)
        model = self._explainer.model
        tables = (attr_method.layer,) if isinstance(model, LogitsModel) else getattr(model, "tables", ())[:1]
        if not any(attr_method.layer is table for table in tables):
            raise OptionError(
                "`layer` must be the model's input embedding, model.get_input_embeddings(): gradients stop there."
            )

    def attribute(
        self,
        inp: TextTokenInput,
        target: str | Tensor | Sequence[int] | None = None,
        gen_args: Mapping[str, Any] | None = None,
        *,
        skip_tokens: Sequence[int] | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> LLMAttributionResult:
        """The scores of every token, for the whole continuation and each token of it, from the same forwards.

        `baselines` is a row [1, F] as in Captum: a token with 1 stays at both ends of the path, any other is the input's
        baseline token at its beginning.
        """
        if not isinstance(inp, TextTokenInput):
            raise InputError(f"Gradients need a TextTokenInput, not {type(inp).__name__}.")
        checked_arguments(self.name, self._way, kwargs)
        kept = _kept(kwargs.get("baselines"), inp.n_itp_features)
        given = Tokenised(inp, zero=self.name == "LayerGradientXActivation", kept=kept)
        goal = _goal(self._explainer, self.tokenizer, given, target, gen_args, skip_tokens)
        count = kwargs.get("n_steps", kwargs.get("n_samples", self._way.samples))
        method, options = self._way.method(inp.n_itp_features, int(count))
        if self._way.seeded:
            options["seed"] = int(kwargs.get("seed", 0))
        tokens = _explained(self._explainer, given, goal, {"method": method, **options}, whole=False)
        return _result(inp, [Explanations((_summed(tokens.items), *tokens.items))], _device(self.model))


def explainer_of(model: Callable[..., Any], tokenizer: TokenizerLike, layer: nn.Module | None = None) -> Explainer:
    """The explainer of a language model: transformers' own, or any that answers logits, with any tokenizer.

    A model of transformers that sees what it is to predict is refused; of others each token is scored by a call of its own.
    """
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    if isinstance(tokenizer, PreTrainedTokenizerBase):
        try:
            return Explainer(model, tokenizer, task="text-generation")
        except (ModelError, OptionError):
            if isinstance(model, PreTrainedModel) or not callable(model):
                raise
    return Explainer(LogitsModel(model, tokenizer, layer), task="text-generation")


def _kept(baselines: Tensor | Sequence[Tensor] | None, count: int) -> tuple[bool, ...] | None:
    """Which tokens Captum's `baselines` of a gradient method keep: those with 1."""
    if baselines is None:
        return None
    row = baselines[0] if isinstance(baselines, tuple | list) and len(baselines) == 1 else baselines
    if not isinstance(row, Tensor) or row.numel() != count:
        raise OptionError(
            f"`baselines` is one row [1, {count}] of 1 for tokens that stay and 0 for others, not {row!r:.80}."
        )
    return tuple(bool(each == 1) for each in row.reshape(-1).tolist())


def _goal(
    explainer: Explainer,
    tokenizer: TokenizerLike,
    given: Filling,
    target: str | Tensor | Sequence[int] | None,
    gen_args: Mapping[str, Any] | None,
    skip_tokens: Sequence[int] | Sequence[str] | None,
) -> Goal:
    """The continuation: a text or ids as given, or what the model writes; without the tokens to be skipped."""
    goal: Goal
    if target is None:
        settings = dict(gen_args or {})
        model, longest = explainer.model, settings.pop("max_length", None)
        most = int(
            settings.pop("max_new_tokens", 25 if longest is None else longest - _before(model, given, tokenizer))
        )
        if most < 1:
            raise OptionError(f"`gen_args` leave no room for an answer: max_length={longest} counts the prompt too.")
        ended = (
            {"with_end": True} if isinstance(model, LanguageModel) else {}
        )  # what ends it is scored too, as in Captum
        goal = model.generate(Prompt(given, (None,)), most, settings, **ended)
    elif gen_args is not None:
        raise OptionError("`gen_args` say how the model writes a target; here a target was given.")
    elif isinstance(target, str):
        goal = target
    elif isinstance(target, Tensor) and target.dim() != 1:
        raise InputError(f"A target tensor has one dimension, ids [T]; not the shape {tuple(target.shape)}.")
    elif not isinstance(target, Tensor | list | tuple):
        raise TypeError(f"target must either be str or Tensor of ids (or a list of them), not {type(target).__name__}.")
    else:
        goal = tuple(int(i) for i in target)
    skipped = token_ids(tokenizer, skip_tokens)
    if skipped:
        ids = encoded(tokenizer, goal, special=False) if isinstance(goal, str) else goal or ()
        goal = tuple(i for i in ids if i not in skipped)
    if not isinstance(goal, str) and not goal:
        raise InputError("The target is empty: give the text or the ids whose probability is to be explained.")
    return goal


def _before(model: Model[Any], given: Filling, tokenizer: TokenizerLike) -> int:
    """How many tokens stand before what a model writes: those of the prompt, with everything present, or of a decoder's start."""
    if isinstance(model, LanguageModel) and model.decodes:
        return len(model.decoder_prefix)
    full = filled_whole(given, tokenizer)
    return len(encoded(tokenizer, full.text) if full.ids is None else full.ids)


@contextmanager
def _inspected(model: Model[Any], tokenizer: TokenizerLike, call: InspectForward | None) -> Iterator[None]:
    """While inside, `call` is told of every row that the model answers."""
    if call is None:
        yield
        return
    forward = model.forward

    def reporting(rows: Sequence[Any], points: Sequence[Tensor] | None = None) -> Tensor | Sequence[Tensor]:
        answers = forward(rows, points)
        for row, logp in zip(rows, answers, strict=True):
            if isinstance(getattr(row, "prompt", None), str):
                prompt, response = row.prompt, row.target
            else:
                prompt, response = (joined(tokenizer, each.tolist()) for each in (row.ids, row.goal))
            logp = logp[: len(row.goal)] if hasattr(row, "goal") else logp
            call(prompt, response, [float(logp.sum().exp()), *logp.exp().tolist()])
        return answers

    adapter: Any = model  # ours alone, never the caller's model
    adapter.forward = reporting
    try:
        yield
    finally:
        del adapter.forward


def _explained(
    explainer: Explainer, given: Filling, goal: Goal, settings: dict[str, Any], whole: bool = True
) -> Explanations:
    """The whole continuation first (if `whole`), then each of its tokens."""
    model: Any = explainer.model
    targets = [*([None] if whole else []), *range(model.count(goal))]
    return explainer.each_target({"prompt": given, "continuation": goal}, targets, trust="none", **settings)


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


def _result(
    inp: AnyInput, found: Sequence[Explanations], device: torch.device | str, tokens: bool = True
) -> LLMAttributionResult:
    scores = torch.stack([torch.as_tensor(each.matrix.copy()) for each in found]).mean(0).float()  # [1 + T, F]
    scores = inp.spread(scores).to(device)
    each = found[0].items[1:]
    exact = [e.value if e.target.unit == "prob" else float(torch.tensor(e.value).exp()) for e in each]
    return LLMAttributionResult(
        input_tokens=list(inp.values),
        output_tokens=_output_names(each),
        seq_attr=scores[0],
        token_attr=scores[1:] if tokens else None,
        output_probs=torch.tensor(exact, device=device),
        inp=inp,
        explanations=found[0],
    )


def _output_names(each: Sequence[Explanation]) -> list[str]:
    """The tokens of the continuation; one that comes again has the same name, without the count that tells targets apart."""
    out: list[str] = []
    for label in (e.target.label for e in each):
        name, _, count = label.rpartition(" (")
        again = count[:-1].isdigit() and out.count(name) == int(count[:-1]) - 1 > 0
        out.append(name if again else label)
    return out


def _device(model: object) -> torch.device | str:
    device: torch.device | str | None = getattr(model, "device", None)
    if device is not None:
        return device
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))
