"""Models that learned one thing only, so that it is known what their explanations must point at.

A small BERT is trained on made-up sentences whose label is decided by a rule; a method is right where its highest score is
on a word of the rule. Source of the protocol: Bastings et al. 2022.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..core.errors import ModelError, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from ..comparison import Comparison

PLAIN = tuple(
    f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me", "no", "ru", "sa", "ti", "vo") for b in ("la", "mi", "ren", "sto")
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST = 14
ENOUGH = 0.98  # of sentences never seen, that a model must get right before it is asked
STEPS, BATCH = 1_500, 64
METRICS = ("precision_at_one", "token_f1")


@dataclass(frozen=True)
class Rule:
    """What decides the label, and which words of a sentence say so."""

    name: str
    words: tuple[str, ...]
    about: str
    holds: Callable[[Sequence[str]], bool]


def _before(words: Sequence[str]) -> bool:
    return {"left", "right"} <= {*words} and words.index("left") < words.index("right")


RULES = {
    rule.name: rule
    for rule in (
        Rule("word", ("shortcut",), "the word 'shortcut' is there", lambda words: "shortcut" in words),
        Rule("pair", ("left", "right"), "'left' stands before 'right'", _before),
        Rule("context", ("river", "bank"), "'river' and 'bank' are both there", lambda w: {"river", "bank"} <= {*w}),
    )
}


@dataclass(frozen=True, eq=False)
class SyntheticModel:
    """A trained model, and sentences for which its rule holds."""

    rule: Rule
    model: Any
    tokenizer: Any
    accuracy: float
    texts: tuple[str, ...]
    truth: tuple[tuple[bool, ...], ...]  # a text's words: is it of the rule?


def synthetic_model(name: str, texts: int = 100, seed: int = 0) -> SyntheticModel:
    """The model of one rule, trained here in some seconds. Raises ModelError where it did not learn the rule."""
    if name not in RULES:
        raise unknown("rule", name, RULES)
    rule, draw = RULES[name], random.Random(seed)
    tokenizer = _tokenizer(rule)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _trained(_model(len(tokenizer)), tokenizer, rule, draw)
        fresh = [_sentence(rule, draw) for _ in range(1_000)]
        with torch.no_grad():
            right = model(**tokenizer([" ".join(w) for w in fresh], padding=True, return_tensors="pt")).logits.argmax(
                -1
            )
        accuracy = float((right == torch.tensor([rule.holds(w) for w in fresh])).double().mean())
    if accuracy < ENOUGH:
        raise ModelError(
            f"The model of the rule {name!r} learned {accuracy:.1%} of it only: take another seed than {seed}."
        )
    chosen = [w for w in (_sentence(rule, draw) for _ in range(20 * texts)) if rule.holds(w)][:texts]
    truth = tuple(tuple(word in rule.words for word in words) for words in chosen)
    return SyntheticModel(rule, model, tokenizer, accuracy, tuple(" ".join(w) for w in chosen), truth)


def precision(
    methods: Sequence[str] | None = None,
    rules: Sequence[str] | None = None,
    *,
    texts: int = 50,
    seed: int = 0,
    say: Callable[[str], object] | None = None,
) -> dict[str, Comparison]:
    """rule -> methods on the model that learned it: how often the highest score is on a word of the rule.

    About a minute for all three on two cores. `say` is told what happens. Raises OptionError for unknown names.
    """
    from ..comparison import compare
    from ..explain.explainer import Explainer

    names = list(RULES if rules is None else rules)
    for name in names:
        if name not in RULES:
            raise unknown("rule", name, RULES)
    found = {}
    for name in names:
        made = synthetic_model(name, texts, seed)
        if say is not None:
            say(f"{name}: {made.rule.about}; {made.accuracy:.1%} of 1,000 new sentences right")
        explainer = Explainer((made.model, made.tokenizer))
        found[name] = compare(explainer, list(made.texts), methods, METRICS, rationales=made.truth, seed=seed)
    return found


def _sentence(rule: Rule, draw: random.Random) -> list[str]:
    """Plain words with some of the rule's among them: half of the sentences have all."""
    words = [draw.choice(PLAIN) for _ in range(draw.randint(5, LONGEST - len(rule.words)))]
    kept = (
        rule.words
        if rule.name == "pair" or draw.random() < 0.5
        else draw.sample(rule.words, draw.randrange(len(rule.words)))
    )
    for word in draw.sample(list(kept), len(kept)):
        words.insert(draw.randint(0, len(words)), word)
    return words


def _tokenizer(rule: Rule) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *rule.words, *PLAIN))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_input_names=inputs, model_max_length=LONGEST + 2, **names
    )


def _model(vocabulary: int) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    names = {0: "no", 1: "yes"}
    config: Any = BertConfig(  # type: ignore[call-arg]
        vocab_size=vocabulary, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=LONGEST + 2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2,
        id2label=names, label2id={label: i for i, label in names.items()},
    )  # fmt: skip
    return BertForSequenceClassification(config)


def _trained(model: nn.Module, tokenizer: PreTrainedTokenizerBase, rule: Rule, draw: random.Random) -> nn.Module:
    """The model after it learned the rule; words are masked now and then, and the label is of what is left to see."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=STEPS)
    model.train()
    learned = 0
    for _ in range(STEPS):
        rows = [_sentence(rule, draw) for _ in range(BATCH)]
        rows = [
            [w if draw.random() > rate else "[MASK]" for w in row]
            for row in rows
            for rate in [draw.choice((0, 0, 0.3))]
        ]
        labels = torch.tensor([int(rule.holds(row)) for row in rows])
        batch = tokenizer([" ".join(row) for row in rows], padding=True, return_tensors="pt")
        out = model(**batch, labels=labels)
        optimizer.zero_grad()
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        learned = learned + 1 if out.loss.item() < 0.01 else 0
        if learned == 30:
            break
    return model.eval()
