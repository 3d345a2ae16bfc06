"""Captum's inputs: a template with values and baselines, and a text whose tokens are replaced by one id."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import InputError, OptionError
from ...core.types import Bools, Feature, Ints
from ...llm import Template
from ...models.causal.prompts import Rendered
from .logits_model import TokenizerLike, encoded


class ProductBaselines:
    """Baselines as a product of lists: slot -> its baselines, a tuple of slots -> tuples, or a list of lists.

    Calling it draws one combination, as in Captum; an attribution takes the mean over all of them.
    """

    def __init__(self, baseline_values: Mapping[Any, Sequence[Any]] | Sequence[Sequence[Any]]):
        given = baseline_values
        if isinstance(given, str) or not isinstance(given, Mapping | Sequence) or not given:
            raise InputError(f"ProductBaselines takes a list of lists, or a mapping to lists; not {given!r:.80}")
        self.baseline_values = given
        self.options: Any
        if isinstance(given, Mapping):
            self.options = {key: _listed(key, values, given) for key, values in given.items()}
        else:
            self.options = [_listed(i, values, dict(enumerate(given))) for i, values in enumerate(given)]

    def sample(self) -> list[Any] | dict[str, Any]:
        """One random combination: a list, or a mapping from slots."""
        if not isinstance(self.options, Mapping):
            return [random.choice(values) for values in self.options]
        out: dict[str, Any] = {}
        for key, values in self.options.items():
            chosen = random.choice(values)
            out |= dict(zip(key, chosen, strict=True)) if isinstance(key, tuple) else {key: chosen}
        return out

    def __call__(self) -> list[Any] | dict[str, Any]:
        return self.sample()


def _product(baselines: Any) -> Any:
    """Captum's own product of baselines as ours, of which all combinations count; anything else as it is."""
    if isinstance(baselines, ProductBaselines) or type(baselines).__name__ != "ProductBaselines":
        return baselines
    keys, values = baselines.dict_keys, baselines.baseline_values
    return ProductBaselines(dict(zip(keys, values, strict=True)) if keys else values)


def _listed(key: object, values: object, given: Mapping[Any, Any]) -> list[Any]:
    """The baselines of one slot, each of the type it has. A list among them is in Captum its text; a warning says so."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InputError(f"The baselines of {key!r} must be a list, not {values!r:.80}")
    if isinstance(key, tuple):
        return list(values)
    nested = next((one for one in values if isinstance(one, list | tuple | Mapping)), None)
    if nested is not None:
        shared = len({id(each) for each in given.values()}) < len(given)
        slip = " All slots share one list, as dict.fromkeys(slots, []) makes it." if shared else ""
        warnings.warn(
            f"A baseline of {key!r} is {str(nested)!r:.60}, a list and not a text: the prompt will hold it brackets and all. "
            f"Use baselines[{key!r}] = ['one', 'other'], a list of its own for each slot.{slip}",
            UserWarning,
            stacklevel=4,
        )
    return [str(one) if isinstance(one, list | tuple | Mapping) else one for one in values]


class TextTemplateInput:
    """A template, the values that fill it, and baselines that take their place; `mask` joins values into one feature."""

    def __init__(
        self,
        template: str | Callable[..., str],
        values: Sequence[str] | Mapping[str, str],
        baselines: object = None,
        mask: Sequence[int] | Mapping[str, int] | None = None,
    ):
        named, baselines = isinstance(values, Mapping), _product(baselines)
        if baselines is not None and not callable(baselines) and isinstance(baselines, Mapping) is not named:
            raise InputError("Values given as a mapping take baselines given as a mapping, and lists take lists.")
        if mask is not None and (isinstance(mask, Mapping) is not named or len(mask) != len(values)):
            raise InputError(f"`mask` must name a group for each of the {len(values)} values, in the same form.")
        slots = list(values) if isinstance(values, Mapping) else [str(i) for i in range(len(values))]
        ids = list(range(len(slots))) if mask is None else list(mask.values() if isinstance(mask, Mapping) else mask)
        if isinstance(mask, Mapping):
            ids = [mask[slot] for slot in slots]
        order = {group: i for i, group in enumerate(sorted(set(ids)))}
        self.groups = [order[group] for group in ids]  # of each value, its feature
        joined: dict[str, list[str]] = {}
        for slot, group in zip(slots, self.groups, strict=True):
            joined.setdefault(f"group {group}" if mask is not None else slot, []).append(slot)
        self.given = Template(template, values, baselines, groups={} if mask is None else joined)
        self.values = list(self.given.named.values())
        places = list(dict.fromkeys(self.groups))
        self._at = [places.index(group) for group in self.groups]  # where a value's feature is among the template's
        self.n_itp_features = len(order)

    def to_tensor(self) -> Tensor:
        """[1, features] of ones."""
        return torch.ones(1, self.n_itp_features)

    def to_model_input(self, perturbed_tensor: Tensor | None = None) -> str:
        """The prompt; features whose number is not 1 have their baseline (one of them, drawn, where there are several)."""
        told = torch.ones(self.n_itp_features) if perturbed_tensor is None else perturbed_tensor.reshape(-1)
        if len(told) != self.n_itp_features:
            raise InputError(f"One row of {self.n_itp_features} features is wanted, not {tuple(told.shape)}.")
        present = np.array([bool(told[i] == 1) for i in dict.fromkeys(self.groups)])
        [filled] = self.given.filled(None, present[None])
        return random.choice(filled).text if len(filled) > 1 else filled[0].text

    def format_attr(self, itp_attr: Tensor) -> Tensor:
        """[…, features] -> […, values]: every value has the number of its group."""
        return itp_attr[..., torch.as_tensor(self.groups, device=itp_attr.device)]

    def spread(self, scores: Tensor) -> Tensor:
        """[…, the template's features] -> […, values]."""
        return scores[..., torch.as_tensor(self._at)]


class TextTokenInput:
    """A text whose tokens are features; absent ones become the baseline id. `skip_tokens` (ids or tokens) always stay."""

    def __init__(
        self,
        text: str,
        tokenizer: TokenizerLike,
        baselines: int | str = 0,
        skip_tokens: Sequence[int] | Sequence[str] | None = None,
    ):
        ids = encoded(tokenizer, text)
        skipped = token_ids(tokenizer, skip_tokens)
        self.inp_tensor = torch.tensor([ids])
        self.itp_mask = torch.tensor([[i not in skipped for i in ids]])
        self.itp_tensor = self.inp_tensor[self.itp_mask][None]
        self.skip_tokens, self.text = skipped, text
        self.values = list(tokenizer.convert_ids_to_tokens(self.itp_tensor[0].tolist()))
        if not self.values:
            raise InputError("The text has no token that is not skipped: there is nothing to explain.")
        self.n_itp_features = len(self.values)
        [self.baselines] = token_ids(tokenizer, [baselines])
        if self.baselines < 0:
            raise OptionError(f"The baseline {baselines!r} is no token of this tokenizer.")
        self.given = Tokenised(self)

    def to_tensor(self) -> Tensor:
        """[1, features] of ones, whole numbers."""
        return torch.ones_like(self.itp_tensor)

    def to_model_input(self, perturbed_tensor: Tensor | None = None) -> Tensor:
        """[B, S] ids; positions whose number is not 1 have the baseline."""
        if perturbed_tensor is None:
            return self.inp_tensor
        rows = self.inp_tensor.repeat(len(perturbed_tensor), 1)
        put = torch.where(perturbed_tensor == 1, self.itp_tensor, torch.full_like(self.itp_tensor, self.baselines))
        rows[self.itp_mask.expand_as(rows)] = put.reshape(-1).to(rows)
        return rows

    def format_attr(self, itp_attr: Tensor) -> Tensor:
        """[…, features] as they are."""
        return itp_attr

    spread = format_attr


def token_ids(tokenizer: TokenizerLike, tokens: Sequence[int | str] | None) -> list[int]:
    """Ids, given as themselves or as tokens. Raises OptionError for a token that the tokenizer does not have."""
    out = []
    for token in tokens or ():
        known = tokenizer.convert_tokens_to_ids(token) if isinstance(token, str) else token  # type: ignore[attr-defined]
        if known is None:
            raise OptionError(f"{token!r} is no token of this tokenizer.")
        out.append(int(known))
    return out


class Tokenised:
    """The ids of a TextTokenInput as saywhy's features.

    `zero`: an absent token is the zero vector, not the baseline id. `kept`: features that are never absent.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, inp: TextTokenInput, zero: bool = False, kept: tuple[bool, ...] | None = None):
        self.inp, self.zero = inp, zero
        self.kept = np.zeros(inp.n_itp_features, dtype=bool) if kept is None else np.array(kept)
        self.features = tuple(Feature(label, part="token") for label in inp.values)

    @property
    def owner(self) -> Ints:
        """[S]: the feature of each position, -1 for one that is skipped."""
        mask = self.inp.itp_mask[0].numpy()
        return np.where(mask, mask.cumsum() - 1, -1).astype(np.int64)

    def filled(self, tokenizer: TokenizerLike | None, coalitions: Bools) -> list[list[Rendered]]:
        """One prompt of each coalition [N, n], as ids."""
        owner, ids = self.owner, self.inp.inp_tensor[0].numpy()
        gone = (owner >= 0) & ~(coalitions | self.kept)[:, owner]  # [N, S]
        if self.zero:
            whole = tuple(ids.tolist())
            return [[Rendered(self.inp.text, ids=whole, blank=tuple(row))] for row in gone.tolist()]
        rows = np.where(gone, self.inp.baselines, ids).tolist()
        return [[Rendered(self.inp.text, ids=tuple(row))] for row in rows]
