"""A classifier as a model of the ordinary line: rows of ids and codes in, logits out, embeddings in their place, attention."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import InputError, MethodError, ModelError, OptionError
from ..core.features import Span, own
from ..core.types import Array, Bools, Encoding, Feature, Ints
from ..models.lock import frozen
from ..models.protocol import EncodingOptions, Model
from ..models.text.model import together
from ..models.text.tokens import Absence, without
from .batches import padded
from .encoders import Values
from .network import Variables, attended, has_attention, side_by_side
from .prediction import device_of, rows_at_once
from .tokenizers import NGrams, Tokens

if TYPE_CHECKING:
    from .classifier import TextClassifier


@dataclass(frozen=True, eq=False)
class Row:
    """One input: the ids of its tokens and the codes of its categorical values, -1 for an absent one."""

    ids: Ints  # [T]
    codes: Ints  # [V]

    def only(self, kept: slice | Array) -> Row:
        """The row of these tokens alone, with all its codes."""
        return replace(self, ids=self.ids[kept])


class ClassifierModel(Model[Row]):
    """Positions are the tokens, then the categorical variables. The classifier stays as it was."""

    head = "labels"
    uniform = False

    def __init__(self, classifier: TextClassifier):
        if len(classifier.levels) > 1:
            names = ", ".join(repr(level.column) for level in classifier.levels)
            raise OptionError(
                f"This classifier has the levels {names}: explain one, Explainer(classifier.level(name))."
            )
        self.classifier, self.network = classifier, classifier.network
        self.tokenizer = classifier.tokenizer
        self.name = type(classifier).__name__
        self.labels = classifier.levels[0].names
        self.columns = tuple(variable.column for variable in classifier.variables)  # parts that hold a value
        self.has_label_attention = has_attention(classifier.network)
        self.kind = "sigmoid" if classifier.problem == "multi-label" else "softmax"
        self.most_rows: int | None = rows_at_once(classifier)
        self.batch_tokens = 4_096 if self.device.type == "cpu" else 32_768
        self.table, self.beside = self._tables()
        self.differentiable = self.table is not None
        self.embeddings: tuple[str, ...] = ("word",) if self.differentiable else ()
        ways = {"mask": self.tokenizer.mask, "pad": self.tokenizer.padding, "unk": self.tokenizer.unknown}
        self.fillers: dict[str, int] = {name: way for name, way in ways.items() if way is not None}
        self.absences = (*self.fillers, "drop")

    @property
    def device(self) -> torch.device:
        return device_of(self.network)

    # ---- the input -------------------------------------------------------------------------------------------------

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: object = None) -> Encoding:
        """The text and its categorical values as rows and features; a value is a feature whose part is its column."""
        if held is not None or options.overlong == "window":
            raise OptionError("A text classifier reads a text whole: it has no windows, and no parts that always stay.")
        wanted = ["text", *(variable.column for variable in self.classifier.variables)]
        if set(texts) != set(wanted):
            raise InputError(f"This classifier reads {wanted}, given as a mapping; here are {list(texts)}.")
        tokens = self.tokenizer.encode([texts["text"]])[0]
        found, owner = own(texts["text"], spans(tokens, self.tokenizer, options), options.by)
        if not found:
            raise InputError(f"The tokenizer finds no token in {texts['text']!r:.80}: there is nothing to explain.")
        codes = [_code(variable, texts[variable.column]) for variable in self.classifier.variables]
        features = [*found, *(Feature(texts[name], (0, len(texts[name])), name) for name in wanted[1:])]
        row = Row(np.array(tokens.ids, dtype=np.int64), np.array(codes, dtype=np.int64))
        holders = np.concatenate([owner, np.arange(len(found), len(features))])
        blank = self.fillers.get("unk", self.tokenizer.padding)
        absence = Absence(options.absent, blank, self.fillers.get(options.absent))

        def at(coalitions: Bools) -> list[Row]:
            gone = (holders >= 0) & ~coalitions[:, holders]
            words, values = gone[:, : len(row.ids)], gone[:, len(row.ids) :]
            left = [np.where(each, -1, row.codes) for each in values]
            return [replace(each, codes=codes) for each, codes in zip(without(row, words, absence), left, strict=True)]

        read = max((end for _, end in tokens.spans), default=0)
        cut = texts["text"][read:].strip()
        notes = (f"the tokenizer cuts this text after {read} characters",) if cut else ()
        return Encoding(texts, tuple(features), at, holders, notes, labels=self.labels)

    # ---- the model -------------------------------------------------------------------------------------------------

    def sizes(self, rows: Sequence[Row]) -> list[int]:
        return [len(row.ids) + len(row.codes) for row in rows]

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [(row.ids.tobytes(), row.codes.tobytes()) for row in rows]

    def forward(self, rows: Sequence[Row], points: Sequence[Tensor] | None = None) -> Tensor:
        ids, mask, codes = self._collated(rows)
        with self._swapped(ids, rows, points):
            logits = side_by_side(self.network(ids, mask, codes))
        if logits.shape != (len(rows), len(self.labels)):
            raise ModelError(
                f"The network answered {tuple(logits.shape)} for {len(rows)} texts and {len(self.labels)} labels."
            )
        return logits.float()

    def label_attention(self, rows: Sequence[Row]) -> list[Tensor]:
        """For each row its label attention [H, labels, S]; a categorical variable gets none. MethodError where there is none."""
        ids, mask, codes = self._collated(rows)
        try:
            _, weights = attended(self.network, ids, mask, codes)
        except ModelError as error:
            raise MethodError(f"{error} Train with Architecture(pooling='label'), or use another method.") from None
        short = [each[..., : len(row.ids)].float() for row, each in zip(rows, weights, strict=True)]
        return [nn.functional.pad(each, (0, len(row.codes))) for row, each in zip(rows, short, strict=True)]

    def embed(self, row: Row) -> Tensor:
        """[S, D]: the tokens' vectors, then the values' own, filled up with zeros to one width."""
        if self.table is None:
            raise MethodError(f"{type(self.network).__name__} has no embedding layer to look into.")
        out = [self.table(torch.as_tensor(row.ids, device=self.device))]
        if self.beside is not None:
            out += self.beside.vectors(torch.as_tensor(row.codes, device=self.device)[None])
        width = max(part.shape[-1] for part in out)
        return torch.cat([nn.functional.pad(part, (0, width - part.shape[-1])) for part in out]).float()

    def frozen(self) -> AbstractContextManager[None]:
        return frozen(self.network)

    def _collated(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor | None]:
        ids, mask = padded([row.ids for row in rows], self.tokenizer.padding)
        codes = torch.as_tensor(np.stack([row.codes for row in rows])) if self.classifier.variables else None
        return ids.to(self.device), mask.to(self.device), None if codes is None else codes.to(self.device)

    @contextmanager
    def _swapped(self, ids: Tensor, rows: Sequence[Row], points: Sequence[Tensor] | None) -> Iterator[None]:
        """While inside, look-ups of these ids and of the codes answer the points instead; the hooks are always removed."""
        if points is None or self.table is None:
            yield
            return
        width = self.table.embedding_dim
        cut = [point[: len(row.ids), :width] for row, point in zip(rows, points, strict=True)]
        vectors = together(cut)

        def swap(_: object, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            return vectors.to(output.dtype) if _same(args[0], ids) else None

        with ExitStack() as hooks:
            hooks.callback(self.table.register_forward_hook(swap).remove)
            for v, table in enumerate(self.beside.tables if self.beside is not None else ()):
                places = [len(row.ids) + v for row in rows]
                own = torch.stack([point[at] for point, at in zip(points, places, strict=True)])
                hooks.callback(table.register_forward_hook(_answering(own)).remove)
            yield

    def _tables(self) -> tuple[nn.Embedding | None, Variables | None]:
        """The one table that the ids are looked up in, and the categorical part; (None, None) where they cannot be told."""
        some = list(range(min(7, self.tokenizer.size)))
        row = Row(np.array(some), np.zeros(len(self.classifier.variables), np.int64))
        found: list[nn.Embedding] = []
        ids, mask, codes = self._collated([row])

        def watch(module: nn.Module, args: tuple[Tensor, ...], _: object) -> None:
            if isinstance(module, nn.Embedding) and module not in found and _same(args[0], ids):
                found.append(module)

        with ExitStack() as hooks, self.frozen(), torch.no_grad():
            for module in self.network.modules():
                hooks.callback(module.register_forward_hook(watch).remove)
            self.network(ids, mask, codes)
        parts = [module for module in self.network.modules() if isinstance(module, Variables)]
        if len(found) != 1 or len(parts) != bool(self.classifier.variables):
            return None, None
        return found[0], parts[0] if parts else None


def spans(tokens: Tokens, tokenizer: object, options: EncodingOptions) -> list[Span | None]:
    """Each token's span for telling whose it is; an n-gram that crosses words counts to the word it begins with."""
    if not isinstance(tokenizer, NGrams) or options.by == "token":
        return [None if word is None else span for span, word in zip(tokens.spans, tokens.words, strict=True)]
    whole: dict[int | None, Span] = {}
    for span, word in zip(tokens.spans, tokens.words, strict=True):
        whole.setdefault(word, span)  # a word comes before its pieces
    return [None if word is None else whole[word] for word in tokens.words]


def _code(variable: Values, value: object) -> int:
    """A value's code; a number or bool may be given as it is written."""
    if value not in variable.known and value in variable.names:
        return variable.names.index(value)
    return variable.code(value)


def _same(given: object, ids: Tensor) -> bool:
    return isinstance(given, Tensor) and given.shape == ids.shape and bool((given == ids).all())


def _answering(vectors: Tensor) -> Callable[[nn.Module, object, Tensor], Tensor]:
    return lambda module, args, output: vectors[:, : output.shape[-1]].to(output.dtype)
