"""The network: token embeddings, blocks if wanted, pooling or label attention, categorical variables, one number a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError, OptionError, unknown
from .parts import JOININGS, POOLINGS, Block, LabelAttention, Variables, checked_heads, pooled


@dataclass(frozen=True)
class Architecture:
    """The choices of a network. Plain data: it is saved with the weights."""

    width: int = 128
    layers: int = 0  # self-attention blocks
    heads: int = 4  # of each block
    kv_heads: int | None = None
    rotary: bool = True
    pooling: str = "label"  # or "mean", "first", "last"
    label_heads: int = 4  # of the label attention
    joining: str = "sum"  # of categorical variables; or "average", "concatenate"
    variable_widths: tuple[int, ...] | int | None = None  # of their vectors; None is 16, or the text's for "sum"

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 0:
            raise OptionError(f"A network needs width >= 1 and layers >= 0, not {self.width} and {self.layers}.")
        if self.pooling not in ("label", *POOLINGS):
            raise unknown("pooling", self.pooling, ("label", *POOLINGS))
        if self.joining not in JOININGS:
            raise unknown("`joining` of categorical variables", self.joining, JOININGS)
        if self.layers:
            checked_heads(self.width, self.heads, self.kv_heads or self.heads, self.rotary)
        if self.pooling == "label":
            checked_heads(self.width, self.label_heads, self.label_heads, rotary=False)
        if isinstance(self.variable_widths, Sequence):
            object.__setattr__(self, "variable_widths", tuple(self.variable_widths))


class Network(nn.Module):
    """ids [B, T], mask [B, T] and codes [B, V] to logits [B, C]; several levels stand side by side in C.

    The same text answers the same alone and in any batch. Padding is wherever the mask is 0. `embedding` is looked up with
    exactly the ids, so gradients can be taken with respect to it.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        vocabulary: int,
        padding: int,
        classes: Sequence[int],
        variables: Sequence[int] = (),
    ):
        super().__init__()
        a = self.architecture = architecture
        self.vocabulary, self.padding = vocabulary, padding
        self.classes, self.variables = tuple(classes), tuple(variables)
        self.embedding = nn.Embedding(vocabulary, a.width, padding_idx=padding)
        with torch.no_grad():
            self.embedding.weight.normal_(std=0.1)
            self.embedding.weight[padding] = 0
        self.blocks = nn.ModuleList(Block(a.width, a.heads, a.kv_heads, a.rotary) for _ in range(a.layers))
        total = sum(self.classes)
        self.label_attention = LabelAttention(a.width, total, a.label_heads) if a.pooling == "label" else None
        self.beside = Variables(self.variables, a.width, a.joining, a.variable_widths) if self.variables else None
        width = self.beside.width if self.beside is not None else a.width
        self.head = nn.Linear(width, total)

    def forward(self, ids: Tensor, mask: Tensor, codes: Tensor | None = None) -> Tensor:
        return self._answered(self._read(ids, mask), mask, codes)

    def attended(self, ids: Tensor, mask: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The logits [B, C] and the label attention [B, H, C, T]. Raises ModelError where the network has none."""
        if self.label_attention is None:
            raise ModelError("This network has no label attention: it was made with another pooling.")
        x = self._read(ids, mask)
        return self._answered(x, mask, codes), self.label_attention.weights(x, mask)

    def _read(self, ids: Tensor, mask: Tensor) -> Tensor:
        x: Tensor = self.embedding(ids)
        for block in self.blocks:
            x = block(x, mask)
        return x

    def _answered(self, x: Tensor, mask: Tensor, codes: Tensor | None) -> Tensor:
        text = (
            pooled(x, mask, self.architecture.pooling)
            if self.label_attention is None
            else self.label_attention(x, mask)
        )
        if self.beside is not None:
            if codes is None:
                raise ModelError(f"This network reads {len(self.variables)} categorical variables beside the text.")
            text = self.beside.join(text, codes)
        if text.dim() == 2:
            out: Tensor = self.head(text)
            return out
        return (text * self.head.weight).sum(-1) + self.head.bias

    def settings(self) -> dict[str, Any]:
        """Plain data from which `from_settings` makes a network of the same shape."""
        kept = {"vocabulary": self.vocabulary, "padding": self.padding}
        lists = {"classes": list(self.classes), "variables": list(self.variables)}
        return {"architecture": asdict(self.architecture), **kept, **lists}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Network:
        """A network of the shape that `settings` described, with fresh weights."""
        rest = {name: value for name, value in settings.items() if name != "architecture"}
        return cls(Architecture(**settings["architecture"]), **rest)


class Part(nn.Module):
    """One level of a network: the logits [B, stop - start] and attention of its own classes."""

    def __init__(self, whole: nn.Module, start: int, stop: int):
        super().__init__()
        self.whole, self.start, self.stop = whole, start, stop

    def forward(self, ids: Tensor, mask: Tensor, codes: Tensor | None = None) -> Tensor:
        return side_by_side(self.whole(ids, mask, codes))[:, self.start : self.stop]

    def attended(self, ids: Tensor, mask: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As the whole network's, for this level's classes."""
        logits, attention = attended(self.whole, ids, mask, codes)
        return logits[:, self.start : self.stop], attention[:, :, self.start : self.stop]


def side_by_side(logits: Any) -> Tensor:
    """[B, C]: what a network answered, its levels side by side."""
    if isinstance(logits, Tensor):
        return logits
    if isinstance(logits, list | tuple) and logits and all(isinstance(one, Tensor) for one in logits):
        return torch.cat(list(logits), dim=1)
    raise ModelError(f"A network answers logits [B, C] or a list of them, not {type(logits).__name__}.")


def attended(network: nn.Module, ids: Tensor, mask: Tensor, codes: Tensor | None) -> tuple[Tensor, Tensor]:
    """(logits [B, C], label attention [B, H, C, T]) of any network that has it; ModelError otherwise."""
    ask = getattr(network, "attended", None)
    if ask is None:
        raise ModelError(f"{type(network).__name__} has no label attention: it lacks `attended(ids, mask, codes)`.")
    logits, attention = ask(ids, mask, codes)
    return side_by_side(logits), attention


def has_attention(network: nn.Module) -> bool:
    """Does the network have label attention to tell of?"""
    if isinstance(network, Part):
        return has_attention(network.whole)
    if isinstance(network, Network):
        return network.label_attention is not None
    own = getattr(network, "attends", None)
    return hasattr(network, "attended") if own is None else bool(own)
