"""The network: token embeddings, attention blocks, pooling or label attention, categorical variables, one logit a class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.checks import one_of, plain, several, whole_number, yes_or_no
from ..core.errors import ModelError, OptionError, unknown

POOLINGS = ("mean", "first", "last")
JOININGS = ("sum", "average", "concatenate")


def pooled(x: Tensor, mask: Tensor, how: str) -> Tensor:
    """[B, T, D] -> [B, D]: the mean of the real tokens, or the first or last of them."""
    mask = mask.bool()
    if how == "mean":
        weights = mask.to(x.dtype)[..., None]
        return (x * weights).sum(1) / weights.sum(1).clamp(min=1)
    places = torch.arange(x.shape[1], device=x.device).expand(mask.shape)
    if how == "first":
        at = places.masked_fill(~mask, x.shape[1]).min(1).values.clamp(max=x.shape[1] - 1)
    elif how == "last":
        at = places.masked_fill(~mask, 0).max(1).values
    else:
        raise unknown("pooling", how, POOLINGS)
    return x[torch.arange(len(x), device=x.device), at]


def rotated(x: Tensor) -> Tensor:
    """[B, H, T, d] turned by position, d even. Source: Su et al. 2021 (rotary positions)."""
    half = x.shape[-1] // 2
    speeds = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)[:, None] * speeds
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def normed(x: Tensor) -> Tensor:
    """x over the root of its mean square along the last axis. Source: Zhang & Sennrich 2019."""
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


class Block(nn.Module):
    """Self-attention and a feed-forward step, each added to what it read: [B, T, D] -> [B, T, D].

    Queries and keys are normed, positions rotary, padding hidden; the last matrices start at zero, so a fresh block changes
    nothing. `kv_heads` below `heads` shares keys and values. Source: Vaswani et al. 2017; Henry et al. 2020; So et al. 2021.
    """

    def __init__(self, width: int, heads: int, kv_heads: int | None = None, rotary: bool = True):
        super().__init__()
        kv_heads = kv_heads or heads
        checked_heads(width, heads, kv_heads, rotary)
        self.heads, self.kv_heads, self.rotary, self.size = heads, kv_heads, rotary, width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, kv_heads * self.size, bias=False)
        self.value = nn.Linear(width, kv_heads * self.size, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.out(self._attended(normed(x), mask))
        step: Tensor = self.down(F.relu(self.up(normed(x))).square())
        return x + step

    def _attended(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (-1, self.size)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        q, k = normed(q), normed(k)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        if self.kv_heads != self.heads:
            k, v = (part.repeat_interleave(self.heads // self.kv_heads, dim=1) for part in (k, v))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.bool()[:, None, None, :])
        return seen.transpose(1, 2).flatten(2)


def checked_heads(width: int, heads: int, kv_heads: int, rotary: bool) -> None:
    """Refuses heads that do not divide the width, or that rotary positions cannot turn."""
    if heads < 1 or width % heads:
        raise OptionError(f"The width {width} is not a multiple of {heads} heads.")
    if kv_heads < 1 or heads % kv_heads:
        raise OptionError(f"{heads} heads cannot share {kv_heads} heads of keys and values: give a divisor.")
    if rotary and (width // heads) % 2:
        raise OptionError(
            f"Rotary positions turn pairs: the head size {width} / {heads} = {width // heads} must be even."
        )


class LabelAttention(nn.Module):
    """A text for each class: every class attends to the tokens on its own. Source: Mullenbach et al. 2018; several heads.

    forward: [B, T, D] -> [B, C, D]. `weights`: [B, H, C, T], each row sums to 1 over real tokens and is 0 on padding.
    """

    def __init__(self, width: int, classes: int, heads: int):
        super().__init__()
        checked_heads(width, heads, heads, rotary=False)
        self.heads, self.size = heads, width // heads
        self.queries = nn.Parameter(torch.randn(classes, width) / math.sqrt(self.size))
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, self.size).transpose(-3, -2)  # [..., H, n, d]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q = self._split(self.queries).expand(len(x), -1, -1, -1)
        k, v = self._split(self.key(x)), self._split(self.value(x))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.bool()[:, None, None, :])
        return seen.transpose(1, 2).flatten(2)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, H, C, T]: how much each class looks at each token."""
        agreed = self._split(self.queries) @ self._split(self.key(x)).transpose(-1, -2) / math.sqrt(self.size)
        return agreed.masked_fill(~mask.bool()[:, None, None, :], float("-inf")).softmax(-1)


class Variables(nn.Module):
    """Categorical variables beside the text: an embedding table each; code -1 is absent and adds nothing.

    `joining`: "sum" adds them to the text (tables as wide as it), "average" puts their mean beside it, "concatenate" puts each
    beside it. `join` takes text [B, D] or [B, C, D] and codes [B, V]; the width that comes out is `width`.
    """

    def __init__(
        self, sizes: Sequence[int], text: int, joining: str = "sum", widths: Sequence[int] | int | None = None
    ):
        super().__init__()
        if joining not in JOININGS:
            raise unknown("`joining` of categorical variables", joining, JOININGS)
        if joining == "sum":
            widths = text
        each = [widths or 16] * len(sizes) if widths is None or isinstance(widths, int) else list(widths)
        if len(each) != len(sizes):
            raise OptionError(f"{len(each)} widths were given for {len(sizes)} categorical variables.")
        if joining == "average" and len(set(each)) > 1:
            raise OptionError(f"Variables that are averaged need one width, not {each}.")
        self.joining, self.sizes = joining, tuple(sizes)
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size, width in zip(sizes, each, strict=True))
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.1)  # type: ignore[arg-type]
        self.width = {"sum": text, "average": text + each[0], "concatenate": text + sum(each)}[joining]

    def vectors(self, codes: Tensor) -> list[Tensor]:
        """A vector [B, width of the variable] for each variable; zero where it is absent."""
        codes = codes.long()
        there = (codes >= 0)[..., None]
        return [table(codes[:, v].clamp(min=0)) * there[:, v] for v, table in enumerate(self.tables)]

    def forward(self, codes: Tensor) -> Tensor:
        """[B, own width]: all variables as one vector."""
        each = self.vectors(codes)
        if self.joining == "concatenate":
            return torch.cat(each, dim=-1)
        total = torch.stack(each).sum(0)
        return total if self.joining == "sum" else total / len(each)

    def join(self, text: Tensor, codes: Tensor) -> Tensor:
        """The text with its variables: [B, width], or [B, C, width] for a text for each class."""
        beside: Tensor = self(codes)
        if text.dim() == 3:
            beside = beside[:, None].expand(-1, text.shape[1], -1)
        return text + beside if self.joining == "sum" else torch.cat([text, beside], dim=-1)


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
        for name, least in (("width", 1), ("layers", 0), ("heads", 1), ("label_heads", 1)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least, most=1_000_000))
        if self.kv_heads is not None:
            object.__setattr__(self, "kv_heads", whole_number("kv_heads", self.kv_heads, least=1))
        object.__setattr__(self, "rotary", yes_or_no("rotary", self.rotary))
        one_of("pooling", self.pooling, ("label", *POOLINGS))
        one_of("`joining` of categorical variables", self.joining, JOININGS)
        if self.layers:
            checked_heads(self.width, self.heads, self.kv_heads or self.heads, self.rotary)
        if self.pooling == "label":
            checked_heads(self.width, self.label_heads, self.label_heads, rotary=False)
        widths = plain(self.variable_widths)
        if widths is not None:
            sizes = (
                [widths] if not isinstance(widths, Iterable) else several("variable_widths", widths, "whole numbers")
            )
            known = tuple(whole_number("variable_widths", each, least=1) for each in sizes)
            object.__setattr__(self, "variable_widths", known if isinstance(widths, Iterable) else known[0])


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


def side_by_side(logits: object) -> Tensor:
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
    own = getattr(network, "has_label_attention", None)
    return hasattr(network, "attended") if own is None else bool(own)
