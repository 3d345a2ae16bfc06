"""Token classification: why a token, or an entity of several, has the label it has.

Tokens are put together into entities as the transformers pipeline does it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..core.errors import InputError, OptionError, unknown
from ..core.features import checked, words
from ..core.types import Encoding, Target, Token
from .protocol import UNITS, Case, Task, beside, checked_unit, in_unit, label_index

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget


@dataclass(frozen=True)
class TokenClassification(Task):
    """Which words make a tagger give a token its label. All tokens share their forwards.

    Given: a text. A target is a token's position (specials count) or `(position, label)`, or a word or an entity by its
    text or its printed label ("Ada (2)" is the second); a word's label is that of its first piece. None is the likeliest
    token and label of those that are not ignored. `each_target` explains all tokens whose
    label is not ignored, or with `group` ("simple", "first", "average", "max", as the pipeline groups) all entities; an
    entity's number is the mean over its tokens.
    """

    ignored_labels: tuple[str, ...] = ("O",)
    ignored_indexes: tuple[int, ...] = ()
    group: str = "none"
    name = "token-classification"
    head = "tokens"
    position_indexed = True

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise unknown("value of `group`", self.group, GROUPS)

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        if set(model.labels) <= set(self.ignored_labels):
            raise OptionError(
                f"Every label of the model is ignored ({list(model.labels)!r}): nothing is left to explain."
            )
        return model.encode({"text": checked(given)}, options)

    def entities(self, case: Case) -> list[Entity]:
        """What the model finds in the text, without what is ignored."""
        found = entities(_probabilities(case), case.encoding.tokens, case.model.labels, self.group)
        out = {i for i, _ in enumerate(case.encoding.tokens)} - set(self.ignored_indexes)
        return [e for e in found if e.label not in self.ignored_labels and any(i in out for i, _ in e.read)]

    def default_targets(self, case: Case) -> Sequence[WantedTarget]:
        return self.entities(case)

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        labels = case.model.labels
        unit = checked_unit(unit, UNITS["softmax"], "a token's label")
        other = None if against is None else label_index(labels, against)
        out = []
        for want in wanted:
            found = self._found(case, want)
            name = f"{found.label}: {_text(case, found)}" if found.read else found.label
            held = None if other is None else tuple(n for i, _ in found.read for n in (i, other))
            name += "" if other is None else f" rather than {labels[other]}"
            out.append(Target(name, tuple(n for pair in found.read for n in pair), unit, held))
        return tuple(_numbered(out))

    def _found(self, case: Case, want: WantedTarget) -> Entity:
        """The entity or the token that a target means; one that is read nowhere, where only the output can tell."""
        if isinstance(want, Entity):
            return want
        if isinstance(want, tuple):
            if len(want) != 2:
                raise OptionError(f"A token's target is its position, or (position, label); not {want!r}.")
            return self._at(case, want[0], label_index(case.model.labels, want[1]))
        if isinstance(want, int) and not isinstance(want, bool):
            return self._at(case, want, int(_whole(case)[want].argmax()) if case.answered else 0)
        if want is not None and not isinstance(want, str):
            raise OptionError(f"A token's target is its position, (position, label) or its text; not {want!r}.")
        if not case.answered:
            return Entity("", 0, 0, 0.0, ())
        return self._likeliest(case) if want is None else self._named(case, want)

    def _at(self, case: Case, position: object, label: int) -> Entity:
        if not isinstance(position, int) or isinstance(position, bool):
            raise OptionError(f"A token's position is a whole number, not {position!r}.")
        tokens = case.encoding.tokens
        if case.read and not 0 <= position < len(tokens):
            raise OptionError(f"There is no token at position {position}: the text has {len(tokens)}.")
        start, end = (tokens[position].span if case.read else None) or (0, 0)
        return Entity(case.model.labels[label], start, end, 0.0, ((position, label),))

    def _likeliest(self, case: Case) -> Entity:
        if self.group != "none" and (found := self.entities(case)):
            return max(found, key=lambda e: e.score)
        probs = _whole(case).softmax(-1)
        ignored = [i for i, t in enumerate(case.encoding.tokens) if t.span is None or i in self.ignored_indexes]
        probs[ignored] = -1
        probs[:, [j for j, label in enumerate(case.model.labels) if label in self.ignored_labels]] = -1
        place, label = divmod(int(probs.argmax()), probs.shape[1])
        if float(probs[place, label]) < 0:
            raise InputError("Every token of the text is ignored: nothing is left to explain.")
        return self._at(case, place, label)

    def _named(self, case: Case, want: str) -> Entity:
        """The word or the entity of that text, or of that printed label; "Ada (2)" is the second "Ada"."""
        probs, tokens, labels = _probabilities(case), case.encoding.tokens, case.model.labels
        found = entities(probs, tokens, labels, self.group)
        words = whole_words(probs, tokens, labels, case.encoding.texts["text"])

        def told(each: Sequence[Entity], form: str) -> list[tuple[str, Entity]]:
            return list(zip(numbered(form.format(e.label, _text(case, e)) for e in each), each, strict=True))

        texts = [told(words, "{1}"), told(found, "{1}")]
        marked = [told(found, "{0}: {1}"), told(words, "{0}: {1}")]
        if self.group != "none":
            texts.reverse()  # entities before the words in them; but words before the pieces in them
        pairs = [*texts[0], *marked[0], *texts[1], *marked[1]]
        wanted = want.strip()
        exact = (e for name, e in pairs if name == wanted)
        alike = (e for name, e in pairs if name.casefold() == wanted.casefold())
        if (named := next(chain(exact, alike), None)) is not None:
            return named
        allowed = texts[0] if self.group == "none" else texts[0] + texts[1]
        raise unknown("word or entity", want, dict.fromkeys(name for name, _ in allowed), near=0.6)

    def keep(self, case: Case, output: Tensor, targets: Sequence[Target]) -> Tensor:
        return output[_positions(targets)]

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        positions = _positions(targets)
        if outputs.dim() == 4:  # [B, windows, positions, C]
            outputs = outputs[:, _windows(case)[positions], torch.arange(len(positions))]
        units = {unit: in_unit(outputs, unit, "softmax") for unit in {t.unit for t in targets}}  # [B, positions, C]
        row = {position: r for r, position in enumerate(positions)}

        def mean(unit: str, index: tuple[int, ...]) -> Tensor:
            pairs = list(zip(index[::2], index[1::2], strict=True))
            return torch.stack([units[unit][:, row[i], label] for i, label in pairs]).mean(0)

        columns = [mean(t.unit, t.index) - (mean(t.unit, t.against) if t.against else 0.0) for t in targets]
        return torch.stack(columns, dim=1)

    def predict_label(self, case: Case) -> tuple[str, float | None]:
        found = [f"{_text(case, e)} ({e.label})" for e in self.entities(case)]
        return (", ".join(found) or "nothing but ignored labels"), None

    def confidence(self, case: Case, target: Target) -> tuple[float, int, bool] | None:
        """The probability of the target's label at its tokens, where the model gives them that label."""
        probs, pairs = _whole(case).softmax(-1), list(zip(target.index[::2], target.index[1::2], strict=True))
        if not pairs or any(int(probs[i].argmax()) != label for i, label in pairs):
            return None
        return float(sum(probs[i, label] for i, label in pairs)) / len(pairs), probs.shape[1], True


def _text(case: Case, e: Entity) -> str:
    """An entity as it stands in the text, a special token by its name."""
    if e.start == e.end:
        return case.encoding.tokens[e.read[0][0]].label if case.read else ""
    return case.encoding.texts["text"][e.start : e.end].strip()


def _positions(targets: Sequence[Target]) -> list[int]:
    return sorted({i for t in targets for i in t.index[::2]})


def _windows(case: Case) -> Tensor:
    """[S]: of the windows that saw a position, the one in which it stands furthest from an end."""
    saw = case.output.isfinite().all(-1)  # [W, S]
    return torch.where(saw, torch.minimum(*beside(saw)), -1).argmax(0)


def _whole(case: Case) -> Tensor:
    """[S, C] logits: of a long text, each position's from the window that saw most around it."""
    if case.output.dim() == 2:
        return case.output
    return case.output[_windows(case), torch.arange(case.output.shape[1])]


def _numbered(targets: Sequence[Target]) -> list[Target]:
    """The targets with names that differ: the second "LOC: Paris" is "LOC: Paris (2)"."""
    names = numbered(t.label for t in targets)
    return [replace(t, label=name) for t, name in zip(targets, names, strict=True)]


def _probabilities(case: Case) -> Tensor:
    """[S, C] in single precision, as the pipeline has them: where two of a word's tokens are certain, both are 1, and tie."""
    return _whole(case).float().softmax(-1).double()


GROUPS = ("none", "simple", "first", "average", "max")


class Entity(NamedTuple):
    """One token, or several that the model takes for one thing."""

    label: str  # of a group without its B- or I-
    start: int
    end: int
    score: float
    read: tuple[tuple[int, int], ...]  # the (position, label index) pairs whose mean probability is the score


def entities(probs: Tensor, tokens: Sequence[Token], labels: Sequence[str], group: str) -> list[Entity]:
    """The entities of one text, [S, C] probabilities, ignored labels too; `group` is one of GROUPS.

    none: every token; simple: neighbours of one tag; first, average, max: as simple, but over whole words, whose label is
    their first token's, that of the mean, or that of the surest token.
    """
    places = [i for i, token in enumerate(tokens) if token.span is not None]
    if group in ("none", "simple"):
        words = [[i] for i in places]
    else:
        words = []
        for i in places:
            if words and tokens[i].inside:
                words[-1].append(i)
            else:
                words.append([i])
    found = [_word(probs, tokens, labels, word, group) for word in words]
    return found if group == "none" else _grouped(found)


def whole_words(probs: Tensor, tokens: Sequence[Token], labels: Sequence[str], text: str) -> list[Entity]:
    """The words of the text, each with the label of its first piece; those that no token reads are left out."""
    found = []
    for start, end in words(text):
        spans = ((i, token.span) for i, token in enumerate(tokens) if token.span is not None)
        first = next((i for i, span in spans if span[0] < end and span[1] > start), None)
        if first is not None:
            best = int(probs[first].argmax())
            found.append(Entity(labels[best], start, end, float(probs[first, best]), ((first, best),)))
    return found


def numbered(names: Iterable[str]) -> list[str]:
    """The names, told apart: the second "Paris" is "Paris (2)"."""
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def _word(probs: Tensor, tokens: Sequence[Token], labels: Sequence[str], word: list[int], group: str) -> Entity:
    read = word
    if group == "first":
        read = word[:1]
    elif group == "max":
        read = [max(word, key=lambda i: float(probs[i].max()))]
    mean = probs[read].mean(0)
    best = int(mean.argmax())
    first, last = tokens[word[0]].span, tokens[word[-1]].span
    assert first is not None
    assert last is not None
    return Entity(labels[best], first[0], last[1], float(mean[best]), tuple((i, best) for i in read))


def _grouped(found: Sequence[Entity]) -> list[Entity]:
    groups: list[list[Entity]] = []
    for entity in found:
        begins, tag = _tag(entity.label)
        if groups and not begins and tag == _tag(groups[-1][-1].label)[1]:
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [_joined(each) for each in groups]


def _joined(words: Sequence[Entity]) -> Entity:
    """One entity of several words; each word counts the same, so the tokens of a shorter one stand in `read` more often."""
    common = math.lcm(*(len(word.read) for word in words))
    read = tuple(pair for word in words for pair in word.read * (common // len(word.read)))
    score = sum(word.score for word in words) / len(words)
    return Entity(words[0].label.split("-", 1)[-1], words[0].start, words[-1].end, score, read)


def _tag(label: str) -> tuple[bool, str]:
    """Does it begin an entity, and of which kind?"""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label
