"""The first sentence of every rendering, the badge of trust beside it, and what the numbers below it mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..core.explanation import Explanation
from ..core.types import Floats
from . import content
from .page import safe

_NAMED = 3  # features that a sentence names at most
_MOSTLY, _LITTLE = (
    0.5,
    0.25,
)  # shares of all that raises a target: from here the named ones are most of it, below little
_NEAR = 0.5  # share of the strongest score from which another one is named beside it
_LONGEST = 48  # characters of a feature's label in a sentence
_PLAIN = ("score", "decision", "cosine", "dot", "euclidean", "manhattan")  # units of numbers that are no probabilities
_NOUNS = {"word": "words", "token": "tokens", "sentence": "sentences", "line": "lines", "paragraph": "paragraphs"}

UNITS = {
    "logit": "A logit is the number that the model computes for a label before it becomes a probability: +1 multiplies the "
    "odds by 2.7.",
    "log-odds": "Log-odds are the logarithm of p / (1 - p): +1 multiplies the odds by 2.7, and 0 is a probability of one half.",
    "log-prob": "A log-probability is the natural logarithm of a probability: 0 is certain, -0.7 one half, -2.3 one tenth.",
    "prob": "A probability lies between 0 and 1.",
    "nats": "A nat is the unit of natural logarithms of probabilities: 0.7 nats are a factor of 2.",
    "cosine": "A cosine is the closeness of two vectors: 1 is the same direction, 0 nothing in common.",
    "euclidean": "The distance of two vectors with a minus before it: 0 is the same vector.",
    "manhattan": "The sum of the differences of two vectors with a minus before it: 0 is the same vector.",
}
ENDS = {
    "value": "the whole input",
    "base": "everything absent",
    "scores": "their sum",
    "gap": "left unexplained",
}


class Badge(NamedTuple):
    """A few words on how far to believe an explanation, told apart by a mark and not by colour alone."""

    kind: str  # "high", "medium", "low" or "unknown"
    mark: str
    words: str

    @property
    def text(self) -> str:
        """With the mark before it."""
        return f"{self.mark} {self.words}"

    @property
    def html(self) -> str:
        """For the pages of applications, whose style is `theme.furniture`."""
        return f'<span class="badge {self.kind}">{self.text}</span>'

    @property
    def level(self) -> str:
        """Where "trust" is said already."""
        return self.words.removeprefix("trust: ")


BADGES = {
    "high": Badge("high", "✓", "trust: high"),
    "medium": Badge("medium", "~", "trust: medium"),
    "low": Badge("low", "!", "trust: low"),
    "unknown": Badge("unknown", "?", "trust: unknown"),
}
UNCHECKED = Badge("unknown", "?", "trust: not checked")


def badge(e: Explanation) -> Badge:
    """What stands beside the first sentence."""
    return UNCHECKED if e.trust is None else BADGES.get(e.trust.level, UNCHECKED)


def several_badges(items: Sequence[Explanation]) -> Badge | None:
    """The badge that all of them have in common; none where they differ."""
    found = {badge(e) for e in items}
    return found.pop() if len(found) == 1 else None


def counted_badge(levels: Mapping[str, int]) -> Badge:
    """The badge over many explanations: in how many of them the scores are well trusted, and in how many hardly."""
    checked = sum(levels.values())
    if not checked:
        return UNCHECKED
    high, low = levels.get("high", 0) / checked, levels.get("low", 0) / checked
    kind = "high" if high >= 0.5 else "low" if low >= 0.5 else "medium"
    return Badge(kind, BADGES[kind].mark, f"trust: high in {high:.0%} of checked inputs, low in {low:.0%}")


def opening(sentence: str, badge: Badge | None) -> str:
    """The first line of whatever is told as text: the sentence, and the badge beside it."""
    return sentence if badge is None else f"{sentence}  {badge.text}"


def title(sentence: str, badge: Badge | None) -> str:
    """The same as the heading of a page whose style is `theme.furniture`. The sentence is escaped."""
    return f"<h1>{safe(spoken(sentence))}{'' if badge is None else f' {badge.html}'}</h1>"


def headline(e: Explanation) -> str:
    """What the model says, and mostly because of what: "The model says billing (94.5%), mostly because of 'charge'."

    Where the check found the scores hardly better than chance, the sentence names no feature but says so.
    """
    says, chosen = _says(e), e.prediction is not None and e.target.label == e.prediction
    if e.trust is not None and e.trust.level == "low":
        doubt = e.trust.said.partition(": ")[0]
        return f"{says}. Which {_noun(e)} matter is not clear: {content.label(doubt)}."
    ups, downs = _strongest(e, 1), _strongest(e, -1)
    if not ups and not downs:
        return f"{says}; no score differs from zero." if e.features else f"{says}."
    if chosen and ups:
        strong = float(_sizes(e, 1).max()), float(_sizes(e, -1).max())
        against = f", although {_named(e, downs[:1])} speaks against it" if strong[1] >= _NEAR * strong[0] else ""
        return f"{says}, {_because(e, ups)}{against}."
    if chosen:
        return f"{says}, although {_named(e, downs)} {'speaks' if len(_names(e, downs)) == 1 else 'speak'} against it."
    way = [f"raised most by {_named(e, ups[:1])}"] if ups else []
    way += [f"lowered most by {_named(e, downs[:1])}"] if downs else []
    moved = " and ".join(way)
    if says.startswith(f"{_target(e)} is "):
        return f"{says}, {moved}."
    return f"{says}. {_target(e)} is {moved}."


def group_headline(items: Sequence[Explanation]) -> str:
    """The sentence over several explanations of one input."""
    own = [e for e in items if e.prediction is not None and e.target.label == e.prediction]
    if len({e.method for e in items}) > 1:
        labels = list(dict.fromkeys(_target(e) for e in items))
        over = labels[0] if len(labels) == 1 else f"{len(labels)} targets"
        said = f"{_says(items[0])}. " if items[0].prediction is not None else ""
        agreed = _agreed(items) if len(labels) == 1 else ""
        return f"{said}{len({e.method for e in items})} methods explain {over}{agreed}."
    if own:
        return headline(own[0])
    if items[0].prediction is not None:
        return f"{_says(items[0])}. {len(items)} targets are explained, and this prediction is none of them."
    return f"{len(items)} targets of one input are explained."


def _agreed(items: Sequence[Explanation]) -> str:
    """Whether several methods find the same feature the strongest, to be added to a sentence."""
    if len({e.words for e in items}) > 1 or not items[0].features:
        return ""
    strongest = Counter(int(np.nan_to_num(np.abs(e.scores)).argmax()) for e in items)
    [(i, many)] = strongest.most_common(1)
    if many == 1:
        return ", and no two of them find the same one the strongest"
    who = "both" if many == len(items) == 2 else "all of them" if many == len(items) else f"{many} of them"
    return f", and {who} find {_named(items[0], [i])} the strongest"


def count_headline(groups: Sequence[Sequence[Explanation]]) -> str:
    """The sentence over many inputs: how many there are, and what the model says of how many."""
    said = Counter(e.prediction for e in (group[0] for group in groups) if e.prediction is not None)
    head = f"{len(groups)} inputs"
    if not said or sum(said.values()) < len(groups) or len(said) > _NAMED:
        return f"{head}."
    if len(said) == 1:
        return f"{head}: the model says {_short(next(iter(said)))} for all of them."
    told = [f"{_short(label)} for {many}" for label, many in said.most_common()]
    return f"{head}: the model says {_joined(told)}."


def told(e: Explanation) -> list[str]:
    """The sentences that explain the numbers of one explanation, each where a reader may ask for it."""
    absent = e.options.get("absent")
    gone = f" (here by {absent})" if isinstance(absent, str) else ""
    out = [
        f"Value is the {content.label(e.target.unit)} of {_target(e)} for the whole input, and base the same with "
        f"everything absent{gone}, also called the baseline value.",
        "The scores share out the difference between them. "
        + ("Gap is what they leave unexplained, also called the completeness gap." if e.complete else ""),
    ]
    out += [UNITS[e.target.unit]] if e.target.unit in UNITS else []
    if e.trust is not None:
        out.append("Trust compares the scores with what really happens to the model when those features are removed.")
    return [line.strip() for line in out]


def spoken(number: str) -> str:
    """A sentence in which every minus sign is the true one; hyphens inside words stay."""
    return re.sub(r"(?<![\w)\]-])-(?=\d|\.\d|inf)", "−", number)


def _says(e: Explanation) -> str:
    if e.prediction is None:
        form = content.spec(abs(e.value))
        return f"{_target(e)} is {content.amount(e.value, form)} {content.label(e.target.unit)}"
    name, p = _short(e.prediction), e.probability
    task = e.options.get("task")
    if task == "sentence-similarity" and p is not None:
        return f"The similarity is {p:.3g}"
    if task == "text-generation" and p is not None:
        return f"The model writes '{name}' (probability {p:.3g})"
    sure = "" if p is None else f" ({p:.3g})" if e.target.unit in _PLAIN else f" ({p:.1%})"
    return f"The model says {name}{sure}"


def _target(e: Explanation) -> str:
    name = _short(e.target.label)
    return f"'{name}'" if " " in name else name


def _short(text: str) -> str:
    """A label for a sentence: on one line, and of a long one its beginning."""
    shown = content.label(text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1].rstrip() + "…"


def _strongest(e: Explanation, sign: int) -> list[int]:
    """The features that push most in one direction, strongest first: the strongest and those near it."""
    sizes = _sizes(e, sign)
    order = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] > 0]
    return [i for i in order if sizes[i] >= _NEAR * sizes[order[0]]]


def _sizes(e: Explanation, sign: int) -> Floats:
    """[n]: how far each feature pushes in this direction; 0 where it does not."""
    return np.nan_to_num(e.scores * sign, nan=0.0, posinf=1e300, neginf=0.0).clip(min=0)


def _because(e: Explanation, ups: Sequence[int]) -> str:
    sizes, names = _sizes(e, 1), _names(e, ups)[:_NAMED]
    told = [i for i in ups if _names(e, [i])[0] in names]
    share = float(sizes[told].sum()) / float(sizes.sum())
    if share < _LITTLE:
        return f"because of many {_noun(e)}, most of all {_joined(names)}"
    return f"{'mostly' if share >= _MOSTLY else 'above all'} because of {_joined(names)}"


def _noun(e: Explanation) -> str:
    return _NOUNS.get(str(e.options.get("by", "")), "patches" if e.image is not None else "parts")


def _names(e: Explanation, which: Sequence[int]) -> list[str]:
    return list(dict.fromkeys(f"'{_short(e.features[i].label.strip())}'" for i in which))


def _named(e: Explanation, which: Sequence[int]) -> str:
    return _joined(_names(e, which)[:_NAMED])


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
