"""A prompt with slots: the values that stand in them, and the baselines that stand there when a value is absent."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import Formatter
from typing import Any, NamedTuple, TypeAlias

from ..core.checks import mapping, several, whole_number
from ..core.errors import InputError, OptionError, unknown
from ..core.features import Span, unicode_text
from ..core.types import Bools, Feature
from ..models.causal.prompts import Rendered
from .baselines import Draws, draws
from .chat import checked_messages, in_template

CONVERSIONS: Mapping[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}


class Piece(NamedTuple):
    """A stretch of literal text, or a slot and how `str.format` is told to write its value."""

    text: str
    slot: str | None = None
    conversion: str = ""  # r, s or a
    spec: str = ""

    def filled(self, values: Mapping[str, Any]) -> str:
        """The text, or the slot's value as it is written here; a text that cannot be written so stands as it is."""
        if self.slot is None:
            return self.text
        value = values[self.slot]
        try:
            return self.strictly(value)
        except (TypeError, ValueError):
            return str(value)

    def strictly(self, value: object) -> str:
        """A value as it is written here. Raises TypeError or ValueError where the format is not for it."""
        said: Any = CONVERSIONS[self.conversion](value) if self.conversion else value
        return format(said, self.spec) if self.spec else str(said)


Pieces: TypeAlias = "list[Piece]"
_BRACED = re.compile(r"\{\{(\w*)\}\}|\{(\w*)(?:!([rsa]))?(?::([^{}]+))?\}")
_FORMAT = re.compile(r"(.?[<>=^])?[-+ ]?z?#?0?\d*[,_]?(\.\d+)?[bcdeEfFgGnosxX%]?")  # of texts and numbers


def pieces(text: str, slots: Mapping[str, Any]) -> Pieces:
    """The text cut at its slots, which have these values, `{}` being numbered.

    Raises OptionError for `{name}` where `name` is no slot, and for a format that is not for the slot's value.
    """
    return _formatted(text, slots) or _braced(text, slots)


def fill(parts: Pieces, values: Mapping[str, Any]) -> str:
    """The text with these values in its slots."""
    return "".join(piece.filled(values) for piece in parts)


def _is_slot(piece: Piece, slots: Mapping[str, Any]) -> bool:
    """Is it one of the slots, in a format for its value? Other braces with a colon, as of JSON, are texts."""
    if piece.slot is None or piece.slot not in slots:
        return False
    value = slots[piece.slot]
    try:
        piece.strictly(value)
    except (TypeError, ValueError):
        if _FORMAT.fullmatch(piece.spec):
            raise OptionError(
                f"The slot {piece.slot!r} is to be written as {piece.spec!r}, which is not for its value {value!r:.60}, of the "
                f"type {type(value).__name__}: give a value of the format's type, or write {{{piece.slot}}}."
            ) from None
        return False
    return True


def _formatted(text: str, slots: Mapping[str, Any]) -> Pieces | None:
    """As `str.format` reads it, if all of its fields are slots, and every slot is one of them."""
    out, count = [], 0
    try:
        for literal, name, spec, conversion in Formatter().parse(text):
            if literal:
                out.append(Piece(literal))
            if name is None:
                continue
            slot, count = (name, count) if name else (str(count), count + 1)
            piece = Piece("", slot, conversion or "", spec or "")
            if not _is_slot(piece, slots):
                return None
            out.append(piece)
    except ValueError:
        return None
    return out if {piece.slot for piece in out} >= set(slots) else None


def _braced(text: str, slots: Mapping[str, Any]) -> Pieces:
    """Only {slot} is a slot, also in a format; {{word}} is {word}; every other brace stands for itself."""
    out, at, count = [], 0, 0
    for found in _BRACED.finditer(text):
        escaped, name, conversion, spec = found.groups()
        if escaped is not None:
            out += [Piece(text[at : found.start()]), Piece("{" + escaped + "}")]
        elif conversion or spec:
            piece = Piece("", name, conversion or "", spec or "")
            if not _is_slot(piece, slots):
                continue
            out += [Piece(text[at : found.start()]), piece]
        else:
            slot, count = (name, count) if name else (str(count), count + 1)
            if slot not in slots:
                raise _valueless(slot, name, tuple(slots))
            out += [Piece(text[at : found.start()]), Piece("", slot)]
        at = found.end()
    return [piece for piece in [*out, Piece(text[at:])] if piece.text or piece.slot is not None]


def _valueless(slot: str, name: str, slots: Sequence[str]) -> OptionError:
    if not name:
        return OptionError(
            f"The template has more {{}} than values: {len(slots)} were given. Literal braces are {{{{}}}}."
        )
    near = difflib.get_close_matches(slot, slots, n=1, cutoff=0.5)
    hint = f" Is {near[0]!r} meant to be the same?" if near else ""
    given = ", ".join(map(repr, slots))
    return OptionError(
        f"The template's slot {slot!r} has no value in `values`, which are for {given}.{hint} For literal braces write "
        f"{{{{{name}}}}}."
    )


@dataclass(frozen=True, eq=False)
class Template:
    """A prompt with slots as features: which value, put there instead of its baseline, moves the answer how far.

    Parameters
    ----------
    text
        A text with `{slots}`, messages with slots in them, or a function of the values that returns one of these. A text that
        `str.format` takes with exactly these slots is taken so (`{{` is a brace); in any other, only `{slot}` is a slot, and all
        other braces stand for themselves. `{slot:.2f}` writes a number so; a text that stands for it is written as it is.
    values
        Slot -> text, number or truth value, or a list for `{}` `{}`. A function is given them as they are.
    baselines
        Slot -> what stands there instead: a text, or a list whose mean counts; a key may be a tuple of slots whose values move
        together, with tuples in its list. None is the empty text everywhere.
    groups
        Name -> slots that are one feature.
    most, samples, seed
        With several baselines the numbers are means over all combinations, where there are at most `most`; else over `samples`
        combinations drawn with `seed`, the same for every subset of slots, each baseline as often as any other; the scores then
        have standard errors, from how they differ between the draws.

    Raises
    ------
    InputError, OptionError
        When it is made: unknown, missing, unused slots, and lists inside lists.
    """

    text: Any
    values: Mapping[str, Any] | Sequence[Any]
    baselines: Any = None
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    most: int = 256
    samples: int = 32
    seed: int = 0
    _parts: list[Pieces] | None = field(init=False, repr=False, default=None)
    _owner: dict[str, str] = field(init=False, repr=False, default_factory=dict)  # slot -> the feature it is of
    draws: Draws = field(init=False, repr=False, default=Draws([]))  # the combinations of baselines that are averaged

    def __post_init__(self) -> None:
        given, named = self.given, self.named
        if not named:
            raise InputError("A template needs at least one slot with a value; there is nothing to explain.")
        put = object.__setattr__
        for name, least in (("most", 1), ("samples", 1), ("seed", None)):
            put(self, name, whole_number(name, getattr(self, name), least))
        parts = None if callable(self.text) else _parsed(self.text, given)
        unicode_text("".join(piece.text for each in parts or () for piece in each), "The template")
        put(self, "_parts", parts)
        put(self, "_owner", self._owners(named))
        put(self, "draws", draws(self.baselines, tuple(named), self.most, self.samples, self.seed))
        if callable(self.text):
            self._made(given)

    @property
    def named(self) -> dict[str, str]:
        """slot -> value as a text; the slots of a list are called "0", "1", …"""
        return {slot: str(value) for slot, value in self.given.items()}

    @property
    def given(self) -> dict[str, Any]:
        """slot -> value as it was given."""
        given = self.values
        if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
            raise InputError(f"`values` is a mapping from slots to texts, or a list; not {given!r:.80}")
        pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
        named = {str(slot): value for slot, value in pairs}
        for slot, value in named.items():
            if isinstance(value, list | tuple | Mapping | set) or value is None:
                raise InputError(f"The value of slot {slot!r} must be one text, not {value!r:.80}")
        unicode_text("".join(f"{slot}{value}" for slot, value in named.items()), "A slot or its value")
        return named

    def _owners(self, named: Mapping[str, str]) -> dict[str, str]:
        """slot -> the feature it is of"""
        owner = {slot: slot for slot in named}
        for name, members in mapping("groups", self.groups, "a name to the slots that are one feature").items():
            for slot in [members] if isinstance(members, str) else several(f"groups[{name!r:.40}]", members, "slots"):
                if slot not in named:
                    raise unknown(f"slot in the group {name!r}", slot, named)
                if owner[slot] != slot:
                    raise OptionError(f"The slot {slot!r} is in two groups, {owner[slot]!r} and {name!r}.")
                owner[slot] = name
        return owner

    @property
    def features(self) -> tuple[Feature, ...]:
        """One for each slot or group, in the order of the values."""
        owner, named = self._owner, self.named
        return tuple(
            Feature(", ".join(named[slot] for slot in named if owner[slot] == name), part=f"slot:{name}")
            for name in dict.fromkeys(owner[slot] for slot in named)
        )

    def placed(self, text: str, tokenizer: object) -> tuple[Feature, ...]:
        """The features with every place in `text`, the prompt with all of them, at which their values stand.

        Where a function makes the prompt, or the chat template changes a value, the places are not known and none is given.
        """
        spans = {} if self._parts is None else _spans(text, *self._marked(self._parts, tokenizer))
        out = []
        for feature, name in zip(self.features, dict.fromkeys(self._owner.values()), strict=True):
            mine = sorted(span for slot, found in spans.items() if self._owner[slot] == name for span in found)
            out.append(replace(feature, span=mine[0], more_spans=tuple(mine[1:])) if mine else feature)
        return tuple(out)

    def _marked(self, parts: Sequence[Pieces], tokenizer: object) -> tuple[str, list[tuple[str, str]]]:
        """The prompt with a mark in each place of a slot, and for each mark the slot and what is written there."""
        said: list[tuple[str, str]] = []
        texts = []
        for each in parts:
            made = []
            for piece in each:
                made.append(piece.text if piece.slot is None else f"{_MARK}{len(said)}E")
                said += [] if piece.slot is None else [(piece.slot, piece.filled(self.given))]
            texts.append("".join(made))
        whole = texts[0] if isinstance(self.text, str) else in_template(self._messages(texts), tokenizer)
        return whole, said

    @property
    def notes(self) -> tuple[str, ...]:
        """What is averaged, and which slot is filled more than once."""
        slots = [piece.slot for each in self._parts or [] for piece in each if piece.slot is not None]
        twice = [slot for slot in dict.fromkeys(slots) if slots.count(slot) > 1]
        said = (self.draws.note,) if self.draws.note else ()
        return said + tuple(f"the slot {slot!r} is filled in {slots.count(slot)} places at once" for slot in twice)

    @property
    def drawn(self) -> int:
        """How many combinations of baselines were drawn at random; 0 where they are all there, or one alone."""
        return len(self.draws.rows) if self.draws.random and len(self.draws.rows) > 1 else 0

    def filled(self, tokenizer: object, coalitions: Bools) -> list[list[Rendered]]:
        """The prompts of each coalition [N, n], one for each combination of baselines."""
        owner, named, draws = self._owner, self.given, self.draws.rows
        features = list(dict.fromkeys(owner[slot] for slot in named))
        out = []
        for row in coalitions.tolist():
            kept = dict(zip(features, row, strict=True))
            each = [
                {slot: value if kept[owner[slot]] else draw[slot] for slot, value in named.items()} for draw in draws
            ]
            out.append([self._rendered(values, tokenizer) for values in each])
        return out

    def _rendered(self, values: Mapping[str, Any], tokenizer: object) -> Rendered:
        made = self._made(values)
        if isinstance(made, str):
            return Rendered(made)
        return Rendered(in_template(made, tokenizer), bare=True)

    def with_values(self, values: Mapping[str, str]) -> Template:
        """The same template with other values in its slots."""
        return replace(self, values=dict(values))

    def _made(self, values: Mapping[str, Any]) -> str | list[dict[str, Any]]:
        """The text, or the messages, with these values in the slots."""
        parts = self._parts
        if parts is None:
            call: Callable[..., Any] = self.text
            mapped = isinstance(self.values, Mapping)
            try:
                inspect.signature(call).bind(*([] if mapped else values.values()), **(values if mapped else {}))
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"The template's function does not take the slots {', '.join(map(repr, values))}: {error}."
                ) from None
            made: str | list[dict[str, Any]] = call(**values) if mapped else call(*values.values())
            if not isinstance(made, str):
                checked_messages(made)
            return made
        if isinstance(self.text, str):
            return fill(parts[0], values)
        return self._messages([fill(each, values) for each in parts])

    def _messages(self, contents: Sequence[str]) -> list[dict[str, Any]]:
        """The conversation with these texts in its messages."""
        return [{**message, "content": text} for message, text in zip(self.text, contents, strict=True)]


_MARK = "SAYWHYSLOT"


def _spans(text: str, marked: str, written: Sequence[tuple[str, str]]) -> dict[str, list[Span]]:
    """slot -> where its value stands in the text; nothing unless the text is the marked one with values for marks."""
    at = 0
    found: dict[str, list[Span]] = {}
    for k, piece in enumerate(re.split(f"{_MARK}([0-9]+)E", marked)):
        if k % 2 and int(piece) >= len(written):
            return {}
        slot, said = written[int(piece)] if k % 2 else ("", piece)
        if not text.startswith(said, at):
            return {}
        if k % 2 and said:
            found.setdefault(slot, []).append((at, at + len(said)))
        at += len(said)
    return found if at == len(text) else {}


def _parsed(text: str, named: Mapping[str, Any]) -> list[Pieces]:
    """The pieces of a text, or of each message; refuses a slot that none of them has."""
    if not isinstance(text, str):
        checked_messages(text)
    found = [pieces(each, named) for each in ([text] if isinstance(text, str) else [m["content"] for m in text])]
    used = {piece.slot for each in found for piece in each}
    for slot in named:
        if slot not in used:
            raise InputError(
                f"The slot {slot!r} has a value, and stands nowhere in the template: write {{{slot}}} in it."
            )
    return found
