"""The parts of the network: self-attention blocks, pooling, label attention, categorical variables.

Axis letters: B rows, T tokens, D width, H heads, C classes, V variables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import OptionError, unknown

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
