"""From texts to ids, once: what the tokenizer says of every position, what features own it, and what is left when they go."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np

from ...core.errors import InputError
from ...core.features import Span, own, unspaced
from ...core.types import Array, Bools, Feature, Held, Ints, Token
from ..protocol import EncodingOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


OVERLAP = 4  # neighbouring windows share one part in so many of what they hold


@dataclass(frozen=True, eq=False)
class Row:
    """One input: ids, what else goes with each position, and the positions whose embedding is replaced by `replacement_id`'s."""

    ids: Ints  # [S]
    extras: Mapping[str, Ints] = field(default_factory=dict)  # each [S]
    absent: Bools | None = None  # [S]
    hidden: Bools | None = None  # [S] positions that the attention mask hides
    replacement_id: int | None = None  # the id whose embedding fills the absent positions; None is the zero vector
    embedding: str = "word"  # which embeddings are looked at: "word", "position" or "token_type"
    read: Ints | None = None  # the positions whose outputs are wanted; None is all of them
    places: Ints | None = None  # [S] where each position stands in the whole input, of which this row is a window
    whole: int = 0  # how many positions that whole input has

    def only(self, kept: slice | Array) -> Row:
        """The row of these positions alone: a boolean mask, or indices in order."""
        extras = {name: values[kept] for name, values in self.extras.items()}
        return replace(self, ids=self.ids[kept], extras=extras)


class TokenRow(Protocol):
    """What a row of tokens has, whatever else it has."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def ids(self) -> Ints:
        """[S]"""
        ...

    def only(self: AnyRow, kept: slice | Array) -> AnyRow:
        """The row of these positions alone: a boolean mask, or indices in order."""
        ...


AnyRow = TypeVar("AnyRow", bound=TokenRow)


@dataclass(frozen=True)
class Absence:
    """How a model has a token taken away from a row."""

    way: str  # one of `protocol.ABSENCES`
    blank: int  # the id that stands alone where every token was dropped
    replacement_id: int | None = None  # the id that stands in; None is the zero vector
    in_ids: bool = (
        True  # does it stand among the ids? Else its embedding alone does: models read positions off padding ids
    )


def without(row: AnyRow, gone: Bools, absence: Absence) -> list[AnyRow]:
    """The row once for each of `gone` [N, S], with these of its tokens absent."""
    return [_without(row, each, absence) for each in gone]


def _without(row: AnyRow, gone: Bools, absence: Absence) -> AnyRow:
    if not gone.any():
        return row
    if absence.way == "drop" and gone.all():  # no special tokens around the text: the shortest input there is
        return replace(row.only(slice(0, 1)), ids=np.array([absence.blank]))
    if absence.way == "drop":
        return row.only(~gone)
    if absence.way == "hide":
        return replace(row, hidden=gone)
    if absence.in_ids and absence.replacement_id is not None:
        return replace(row, ids=np.where(gone, absence.replacement_id, row.ids))
    return replace(row, absent=gone, replacement_id=absence.replacement_id)


def blank_id(tokenizer: object) -> int:
    """The id that stands alone where every token was dropped and the tokenizer adds none of its own."""
    known = (getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "unk", "pad"))
    return int(next((i for i in known if i is not None), 0))


_NO_BLANKS = (
    "{} puts no blanks between words: features there are the model's tokens, or grapheme clusters (characters with their "
    "marks) where tokens are smaller; spans of a word segmenter, by=[(start, end), …], give words"
)


_BEFORE = "the model puts {!r} before the text, which is there in every row and has no score"


@dataclass(frozen=True)
class Reading:
    """How a model has its tokenizer called, beside the texts."""

    bare: bool = False  # do the texts bring their own special tokens, so that none are added?
    before: str = ""  # what the model puts before the first text, which is no part of it
    cut: str = "longest_first"  # which text of a pair is cut where it is too long, as tokenizers call it


PLAIN = Reading()


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenised input: the row, each position's token, the features and who owns what."""

    row: Row
    tokens: tuple[Token, ...]  # [S]
    features: tuple[Feature, ...]
    owner: Ints  # [S]
    windows: tuple[Ints, ...] = ()  # the positions of each window, where the input is longer than the model
    notes: tuple[str, ...] = ()


def tokenised(
    tokenizer: PreTrainedTokenizerBase,
    texts: Mapping[str, str],
    limit: int | None,
    options: EncodingOptions,
    held: Held,
    reading: Reading = PLAIN,
) -> Tokens:
    """The tokens of one text or of a pair, as `tokenizer(*texts)` makes them; what is held owns no feature.

    Raises InputError for a text without tokens, and for one that is too long unless `options.overlong` says what to do.
    """
    before = reading.before
    wholes = [("" if place else before) + text for place, text in enumerate(texts.values())]
    encoded = _encoded(tokenizer, tuple(wholes), limit if options.overlong == "truncate" else None, reading)
    given = np.array(encoded["input_ids"], dtype=np.int64)
    names = set(tokenizer.model_input_names) & set(encoded) - {"input_ids", "attention_mask"}
    extras = {name: np.array(encoded[name], dtype=np.int64) for name in sorted(names)}
    tokens = [Token(str(name)) for name in tokenizer.convert_ids_to_tokens(encoded["input_ids"])]
    features: list[Feature] = []
    owner = np.full(len(given), -1, dtype=np.int64)
    goes_on = _going_on(tokenizer)
    for place, ((part, text), whole) in enumerate(zip(texts.items(), wholes, strict=True)):
        spans = _after(len(whole) - len(text), _spans(tokenizer, whole, place, encoded))
        for i, span in enumerate(spans):
            if span is not None:
                label, word = tokens[i].label, encoded["words"][i]
                tokens[i] = Token(label, span, part, word, goes_on(int(given[i]), label, text, span))
        if part not in held.parts:
            found, holders = own(text, _free(spans, given, held), options.by, part)
            owner[holders >= 0] = holders[holders >= 0] + len(features)
            features += found
    parts = [None if before and t.span is None else part for t, part in zip(tokens, encoded["parts"], strict=True)]
    cut = () if limit is None or len(given) <= limit else _windows(parts, limit, options.overlong, _end(tokenizer))
    if not features:
        raise InputError(f"The tokenizer finds no token in {list(texts.values())!r:.80}: there is nothing to explain.")
    notes = (
        encoded["notes"]
        + ((_BEFORE.format(before),) if before else ())
        + (_seen(tokens, cut, texts) if cut else ())
        + _blankless(texts, held, options)
    )
    return Tokens(Row(given, extras), tuple(tokens), tuple(features), owner, cut, notes)


def _free(spans: list[Span | None], ids: Ints, held: Held) -> list[Span | None]:
    """The spans of the tokens that may own a feature."""
    return spans if held.free else [s if s and not held.holds(int(ids[i]), s) else None for i, s in enumerate(spans)]


def _after(start: int, spans: list[Span | None]) -> list[Span | None]:
    """The spans of what lies after `start`, counted from there; a token that begins before it has what of it lies after."""
    if not start:
        return spans
    return [None if s is None or s[1] <= start else (max(0, s[0] - start), s[1] - start) for s in spans]


def _windows(parts: Sequence[int | None], limit: int, overlong: str, end: str) -> tuple[Ints, ...]:
    """The positions of each window of an input longer than `limit`. Raises InputError where there can be none."""
    cut = tuple(windows(parts, limit)) if overlong == "window" else ()
    if not cut:
        raise _too_long(len(parts), limit, overlong, end)
    return cut


def _end(tokenizer: PreTrainedTokenizerBase) -> str:
    """Which tokens of a text stay where it is cut."""
    return "last" if getattr(tokenizer, "truncation_side", "right") == "left" else "first"


def _encoded(
    tokenizer: PreTrainedTokenizerBase, texts: tuple[str, ...], most: int | None, reading: Reading
) -> dict[str, Any]:
    """What the tokenizer says, with the part of each position; cut to `most` tokens, and that noted, if it has more."""
    fast = bool(tokenizer.is_fast)
    settings: dict[str, Any] = {"return_offsets_mapping": fast, "return_special_tokens_mask": True, "verbose": False}
    settings |= {"add_special_tokens": False} if reading.bare else {}
    encoding = tokenizer(*texts, **settings)
    length = len(encoding["input_ids"])
    notes: tuple[str, ...] = ()
    if most is not None and length > most:
        try:
            encoding = tokenizer(*texts, truncation=reading.cut, max_length=most, **settings)
        except Exception as error:  # of tokenizers, which raise no other kind: what is not to be cut is too long alone
            raise _too_long(length, most, "window", "first") from error
        notes = (f"truncated: the model saw the {_end(tokenizer)} {most} of {length} tokens",)
    parts = encoding.sequence_ids() if fast else [None if s else 0 for s in encoding["special_tokens_mask"]]
    words = encoding.word_ids() if fast else [None] * len(encoding["input_ids"])
    return {**encoding, "parts": parts, "words": words, "notes": notes}


def _going_on(tokenizer: PreTrainedTokenizerBase) -> Callable[[int, str, str, Span], bool]:
    """Does a token (id, label, text, span) go on with the word before it? By the rule of the transformers pipelines."""
    backend, unknown = getattr(tokenizer, "backend_tokenizer", None), tokenizer.unk_token_id
    prefixed = backend is not None and bool(getattr(backend.model, "continuing_subword_prefix", None))

    def goes_on(i: int, label: str, text: str, span: Span) -> bool:
        if i == unknown:
            return False
        if prefixed:
            return len(label) != span[1] - span[0]
        return span[0] > 0 and " " not in text[span[0] - 1 : span[0] + 1]

    return goes_on


def _spans(tokenizer: PreTrainedTokenizerBase, text: str, place: int, encoded: Mapping[str, Any]) -> list[Span | None]:
    if "offset_mapping" in encoded:
        pairs = zip(encoded["offset_mapping"], encoded["parts"], strict=True)
        return [tuple(span) if part == place else None for span, part in pairs]
    names = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    special = [bool(s) for s in encoded["special_tokens_mask"]]
    spans = aligned(text, names, special, tokenizer.convert_tokens_to_string) if place == 0 else None
    if spans is None and place == 0:
        spans = found_again(text, names, special, str(tokenizer.unk_token))
    if spans is None:
        raise InputError(
            f"{type(tokenizer).__name__} gives no offsets and its tokens cannot be found again in {text!r:.60}. Load the fast "
            "version of this tokenizer, where there is one, or explain a function that calls model and tokenizer: "
            "Explainer(function, labels=[…])."
        )
    return spans


def aligned(
    text: str, pieces: Sequence[str], special: Sequence[bool], joined: Callable[..., Any]
) -> list[Span | None] | None:
    """Spans for a tokenizer that gives none: how far `joined(pieces[:i])` reaches into the text; None where it does not fit.

    `joined` is the tokenizer's own way from tokens back to a string. Cost: one call a token.
    """
    spans: list[Span | None] = []
    before: list[str] = []
    at = 0
    folded = text.casefold()
    if len(folded) != len(text):
        folded = text
    for piece, skip in zip(pieces, special, strict=True):
        if skip:
            spans.append(None)
            continue
        before.append(piece)
        reached = joined(before).casefold() if folded is not text else joined(before)
        offset = len(folded) - len(folded.lstrip())
        end = next((o + len(reached) for o in (0, offset) if folded.startswith(reached, o)), None)
        if end is None:
            return None
        spans.append((min(at, end), end))
        at = end
    return spans if folded[at:].strip() == "" else None


def found_again(text: str, pieces: Sequence[str], special: Sequence[bool], unknown: str) -> list[Span | None] | None:
    """Spans for a tokenizer that gives none, by looking for each piece where the last one ended; None where one is not there.

    Compared are letters alone, without case, accents, width or blanks, and pieces without what marks their place in a word. An
    unknown piece is what lies before the next known one; several in a row are taken for a character or a word each.
    """
    letters = [(letter, i) for i, c in enumerate(text) for letter in _letters(c)]
    folded = "".join(letter for letter, _ in letters)
    spans: list[Span | None] = [None] * len(pieces)
    at, waiting = 0, list[int]()

    def settle(end: int) -> bool:
        """Gives the letters from `at` to `end` to the unknown pieces that wait."""
        start = letters[at][1] if at < len(letters) else len(text)
        stop = letters[end - 1][1] + 1 if end else 0
        parts = [(start + m.start(), start + m.end()) for m in re.finditer(r"\S+", text[start:stop])] if waiting else []
        if len(parts) != len(waiting):
            parts = [(i, i + 1) for i in dict.fromkeys(i for _, i in letters[at:end])] if waiting else []
        if len(parts) != len(waiting) and len(waiting) == 1 and stop > start:
            parts = [(start, stop)]
        fits = len(parts) == len(waiting) and (bool(waiting) or at == end)
        for i, part in zip(waiting, parts if fits else [], strict=False):
            spans[i] = part
        waiting.clear()
        return fits

    for i, piece in enumerate(pieces):
        if piece == unknown:
            waiting.append(i)
        elif not special[i]:
            bare = "".join(
                _letters(piece.removeprefix("##").removesuffix("@@").removesuffix("</w>").replace("\u2581", ""))
            )
            found = folded.find(bare, at) if waiting else (at if folded.startswith(bare, at) else -1)
            if not bare or found < 0 or not settle(found):
                return None
            at = found + len(bare)
            spans[i] = (letters[found][1], letters[at - 1][1] + 1)
    return spans if settle(len(letters)) else None


def _letters(text: str) -> Iterator[str]:
    """The letters of a text for comparing it: without case, accents, width and blanks."""
    for letter in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()):
        if not unicodedata.combining(letter) and not letter.isspace():
            yield letter


def _too_long(length: int, limit: int, overlong: str, end: str) -> InputError:
    if overlong == "window":
        return InputError(
            f"The input has {length} tokens, the model can read {limit}, and its shorter part leaves no room for windows "
            "over the longer one. Shorten the shorter part, or ask for overlong='truncate'."
        )
    return InputError(
        f"The text has {length} tokens and the model can read {limit}. Shorten it, or ask for overlong='truncate' to "
        f"explain its {end} {limit} tokens, or overlong='window' to explain all of it through overlapping windows."
    )


def _blankless(texts: Mapping[str, str], held: Held, options: EncodingOptions) -> tuple[str, ...]:
    """A note on scripts that do not part words, where words were asked for and the text has letters of such a script."""
    asked = isinstance(options.by, str) and options.by == "word"
    scripts = unspaced("".join(text for part, text in texts.items() if asked and part not in held.parts))
    return (_NO_BLANKS.format(" and ".join(scripts)),) if scripts else ()


def _seen(tokens: Sequence[Token], cut: Sequence[Ints], texts: Mapping[str, str]) -> tuple[str, ...]:
    """What each window saw, in characters of the part that moves."""
    lengths = {part: sum(t.part == part for t in tokens) for part in texts}
    moving = max(lengths, key=lambda part: lengths[part])
    reach = []
    for places in cut:
        spans = [span for i in places if tokens[i].part == moving and (span := tokens[i].span) is not None]
        reach.append(f"{spans[0][0]}-{spans[-1][1]}")
    return (
        f"window: {len(tokens)} tokens are more than the model reads, so it read {len(cut)} overlapping windows; "
        f"the numbers are means over them. Characters of the {moving} by window: {', '.join(reach)}",
    )


def windows(parts: Sequence[int | None], limit: int) -> list[Ints]:
    """The positions of each window: all but the longest part whole, and of that a stretch; neighbours overlap by a quarter.

    `parts` says for each position which part of the input it is of, None for a special token; no window is longer than
    `limit`. The last window ends where the input does.
    """
    of = np.array([-1 if part is None else part for part in parts])
    longest = int(np.bincount(of[of >= 0]).argmax())
    moving = np.flatnonzero(of == longest)
    first, last = int(moving[0]), int(moving[-1])
    room = limit - (len(of) - (last + 1 - first))
    if room < OVERLAP:
        return []
    starts = list(range(first, max(first + 1, last + 2 - room), room - room // OVERLAP))
    if starts[-1] + room < last + 1:
        starts.append(last + 1 - room)
    ends = np.arange(last + 1, len(of))
    return [
        np.concatenate([np.arange(first), np.arange(start, min(start + room, last + 1)), ends]).astype(np.int64)
        for start in starts
    ]
