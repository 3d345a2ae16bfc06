"""Make the demo model: ``python -m benchmarks.demo_model.student --cache DIR -o FOLDER``, about 15 minutes on two cores.

The teacher (see ``make.py``) labels the rated sentences, unrated ones, single and negated words, and many variants of all of
them; a BERT of two million parameters learns those logits and the ratings. Everything random comes from ``SEED``.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from saywhy.models.demo import folder

from .make import LABELS, SEED, Classifier, accuracy, batches, fit, forward, load, movies, same, teacher, unlabelled

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
POOL, VOCABULARY, WIDTH, LAYERS, EPOCHS = 48_000, 10_000, 128, 4, 3

CARD = """# The sentiment model in the package

A small English sentiment classifier for examples and tests: BERT with {layers} layers of width {width}, {parameters:,}
parameters, a lower-case WordPiece vocabulary of {vocabulary:,}. Labels NEGATIVE and POSITIVE.

Made by `python -m benchmarks.demo_model.student`: distilled from all-MiniLM-L6-v2 (Apache-2.0) fine-tuned on the human-rated movie
review snippets that come with vaderSentiment 3.3.2 (MIT; Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment
Analysis of Social Media Text", ICWSM 2014), on those snippets, on its Amazon, New York Times and tweet sentences without their
ratings, and on variants of all of them.

| on 1,000 held-out snippets rated 0.5 or more from neutral | accuracy |
| --- | --- |
| this model | {student:.3f} |
| its teacher | {teacher:.3f} |

Words were masked at random in training, so a masked input is nothing unusual to it. It is small: double negation, irony and
anything but short English opinions are beyond it. Do not use it to decide about people.
"""


def variant(text: str, others: Sequence[str], words: Sequence[str], rng: random.Random) -> str:
    """The sentence with words masked, dropped, swapped or negated, a piece of it, or it joined with a piece of another."""
    share = rng.uniform(0.1, 0.5) if rng.random() < 0.8 else rng.uniform(0.5, 0.95)

    def span(parts: list[str]) -> list[str]:
        length = rng.randint(1, len(parts))
        start = rng.randint(0, len(parts) - length)
        return parts[start : start + length]

    def negated(parts: list[str]) -> list[str]:
        at = rng.randrange(len(parts))
        return [*parts[:at], rng.choice(("not", "never", "not very", "hardly", "n't")), *parts[at:]]

    changes: list[Callable[[list[str]], list[str]]] = [
        lambda parts: ["[MASK]" if rng.random() < share else word for word in parts],
        lambda parts: [word for word in parts if rng.random() >= share / 2] or parts[:1],
        lambda parts: [rng.choice(words) if rng.random() < share / 2 else word for word in parts],
        span,
        negated,
        lambda parts: parts + span(rng.choice(others).split()),
    ]
    parts = text.split()
    for change in rng.choices(changes, (3, 1, 2, 3, 1, 1), k=rng.choice((1, 1, 2))):
        parts = change(parts)
    return " ".join(parts)


def pool(cache: Path) -> list[str]:
    """What the student learns from; nothing in it is a held-out sentence."""
    train, held_out = movies(cache)
    more = unlabelled(cache)
    rng = random.Random(SEED)
    counted = collections.Counter(
        w for t in train.texts + more for w in re.findall(r"[a-z]+(?:['-][a-z]+)*", t.lower())
    )
    words = [word for word, _ in counted.most_common()]
    texts = [*train.texts, *more, *words[:6_000]]
    texts += [f"not {word}" for word in words[:2_500]] + [f"not {word} at all" for word in words[:1_500]]
    while len(texts) < POOL:
        texts.append(variant(rng.choice(train.texts if rng.random() < 0.75 else more), train.texts, words, rng))
    closed = {same(text) for text in held_out.texts}
    return [text for text in texts if same(text) not in closed]


@torch.no_grad()
def labelled(classifier: Classifier, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """The teacher's logits [N, 2] and its last [CLS] states, scaled to unit spread [N, D]."""
    logits, states = torch.empty(len(texts), len(LABELS)), torch.empty(len(texts), classifier.model.config.hidden_size)
    for done, batch in enumerate(batches(texts, 64)):
        out = forward(classifier, [texts[i] for i in batch])
        logits[batch], states[batch] = out.logits, out.hidden_states[-1][:, 0]
        if done % 100 == 0:
            print(f"labelled {done * 64} of {len(texts)}", flush=True)
    return logits, (states - states.mean(0)) / states.std()


def vocabulary(cache: Path, tokenizer: Any) -> tuple[Any, list[int]]:
    """The teacher's tokenizer cut to the pieces used most (and all single Latin characters), and their ids in the teacher."""
    known: dict[str, int] = tokenizer.get_vocab()
    train, _ = movies(cache)
    used: collections.Counter[int] = collections.Counter()
    for texts, weight in ((train.texts, 3), (unlabelled(cache), 1)):
        for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]:
            used.update({i: weight * many for i, many in collections.Counter(ids).items()})
    kept = {t for t in known if len(t.removeprefix("##")) == 1 and ord(t[-1]) < 0x250}
    by_id = {i: token for token, i in known.items()}
    for i, _ in used.most_common():
        if len(kept) >= VOCABULARY - len(SPECIAL):
            break
        kept.add(by_id[i])
    pieces = [*SPECIAL, *sorted(kept - set(SPECIAL), key=known.__getitem__)]
    new = {token: i for i, token in enumerate(pieces)}
    kind: Any = BertTokenizer
    made = kind(vocab=new, do_lower_case=True, model_max_length=512)
    return made, [known[token] for token in pieces]


def blank(ids: list[int], taught: Any) -> Any:
    """An untrained student whose embeddings are the teacher's, turned to their main directions."""
    torch.manual_seed(SEED)
    kind: Any = BertConfig
    config = kind(
        vocab_size=len(ids), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4, intermediate_size=4 * WIDTH,
        num_labels=len(LABELS), id2label=LABELS, label2id={name: i for i, name in LABELS.items()}, pad_token_id=0,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    theirs = taught.bert.embeddings
    for table, rows, spread in (("word_embeddings", ids, 0.05), ("position_embeddings", list(range(512)), 0.02)):
        vectors = getattr(theirs, table).weight.detach()[rows]
        vectors = vectors - vectors.mean(0)
        turned = vectors @ torch.linalg.svd(vectors, full_matrices=False)[2][:WIDTH].T
        getattr(model.bert.embeddings, table).weight.data.copy_(turned * spread / turned.std())
    return model


def student(cache: Path) -> Classifier:
    """The distilled model: logits by squared error, the [CLS] state through a linear map, and the people's ratings."""
    taught = teacher(cache)
    texts = pool(cache)
    logits, states = labelled(taught, texts)
    train, _ = movies(cache)
    rated = dict(zip(train.texts, train.labels, strict=True))
    ratings = torch.tensor([rated.get(text, -1) for text in texts])
    tokenizer, ids = vocabulary(cache, taught.tokenizer)
    made = Classifier(blank(ids, taught.model), tokenizer)
    made.model.bridge = torch.nn.Linear(WIDTH, states.shape[1])
    centred = logits - logits.mean(1, keepdim=True)
    rng = random.Random(SEED)
    plan = [batch for _ in range(EPOCHS) for batch in batches(texts, 64, rng)]

    def loss(batch: list[int]) -> torch.Tensor:
        out = forward(made, [texts[i] for i in batch])
        said = out.logits - out.logits.mean(1, keepdim=True)
        value = functional.mse_loss(said, centred[batch])
        value = value + functional.mse_loss(made.model.bridge(out.hidden_states[-1][:, 0]), states[batch])
        judged = functional.cross_entropy(out.logits, ratings[batch], ignore_index=-1, reduction="sum")
        return value + 0.5 * judged / len(batch)

    fit(made.model, loss, plan, rate=1e-3, warmup=0.05)
    del made.model.bridge
    return made


def main() -> None:
    """Make the model and write it with its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where downloads and the teacher are kept")
    parser.add_argument("-o", "--output", type=Path, default=folder(), help="the folder to write")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    made = student(given.cache)
    made.save(given.output)
    kept = load(given.output)
    _, held_out = movies(given.cache)
    numbers = {"student": accuracy(kept, held_out), "teacher": accuracy(teacher(given.cache), held_out)}
    size = {
        "layers": LAYERS,
        "width": WIDTH,
        "vocabulary": len(kept.tokenizer),
        "parameters": kept.model.num_parameters(),
    }
    (given.output / "README.md").write_text(CARD.format(**numbers, **size), encoding="utf-8")
    print(f"held-out accuracy: student {numbers['student']:.3f}, teacher {numbers['teacher']:.3f}")


if __name__ == "__main__":
    main()
