"""A small decoder that has learnt to copy: it answers from the one sentence that holds what is asked, so the truth is known.

    python -m benchmarks.retrieval --cache .cache

Sentences say where people are ("Banra: Borden."); the question names one of them. With two hops her sentence says with whom
she is ("Banra: Fimis."), and where that is stands in another's. Words are tokens.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from benchmarks.common import arguments

_FIRST = ("Ba", "De", "Fi", "Go", "Ku", "La", "Mi", "No", "Pu", "Ra", "So", "Ti")
NAMES = [a + b for a in _FIRST for b in ("n", "ra", "lo", "mis", "ke", "dan", "tu", "vi", "va")]
_TOWNS = ("Bor", "Cal", "Dun", "Esk", "Fal", "Gri", "Hol", "Ism", "Jor", "Kel", "Lun", "Mor")
CITIES = [a + b for a in _TOWNS for b in ("a", "by", "den", "ford", "ham", "wick", "ness", "ton", "bury")]
PROMPT = "{documents}\nWhere is {question}?"
WORDS = [".", "?", "Where", "is", "Document"]
STEPS = ((700, 10, 32), (300, 30, 16), (300, 104, 8))  # batches, the most sentences, texts a batch
ASKED = 8  # questions a text, so that every text teaches as much as it can


class Text(NamedTuple):
    """Sentences, whom the question names, where she is, and the sentences that say so."""

    sentences: list[str]
    name: str
    city: str
    sources: tuple[int, ...]

    @property
    def answer(self) -> str:
        return f"{self.name}: {self.city}."


def facts(draw: random.Random, n: int, hops: int) -> tuple[list[str], list[tuple[str, str, tuple[int, ...]]]]:
    """n sentences about n people, and of each (name, city, sentences that tell)."""
    names, cities = draw.sample(NAMES, n), draw.sample(CITIES, n)
    with_whom = {i: draw.randrange(n) for i in range(n) if hops == 2 and i % 2}
    said, told = [], []
    for i, (name, city) in enumerate(zip(names, cities, strict=True)):
        other = with_whom.get(i)
        if other is None or other % 2:
            said.append(f"{name}: {city}.")
            told.append((name, city, (i,)))
        else:
            said.append(f"{name}: {names[other]}.")
            told.append((name, cities[other], (i, other)))
    return said, told


def text_of(draw: random.Random, n: int, hops: int = 1) -> Text:
    """A text of n sentences, and a question whose answer takes so many of them."""
    while True:
        said, told = facts(draw, n, hops)
        fitting = [each for each in told if len(each[2]) == hops]
        if fitting:
            return Text(said, *draw.choice(fitting))


def tokenizer() -> Any:
    """Words with the blank before them, signs and line breaks: what it reads and writes is the text itself."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*NAMES, *(f"{name}:" for name in NAMES), *CITIES, *WORDS, *map(str, range(1, 120))]
    every = ["[UNK]", "[PAD]", "[EOS]", "\n", *words, *(f" {word}" for word in words)]
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(every)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?\w+:?|[^\w\s]|\n"), "isolated")  # type: ignore[assignment]
    made.decoder = decoders.Fuse()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", eos_token="[EOS]")


class Words(torch.nn.Module):
    """From ids to vectors: a word has one however it is written ("Banra", " Banra", "Banra:"), and one of each way is added."""

    def __init__(self, reader: Any, width: int):
        super().__init__()
        words = len(reader)
        written = reader.convert_ids_to_tokens(list(range(words)))
        plain = [word.strip(" ").rstrip(":") or word for word in written]
        first = {word: i for i, word in reversed(list(enumerate(plain)))}
        self.register_buffer("word", torch.tensor([first[word] for word in plain]), persistent=False)
        ways = [word.startswith(" ") + 2 * word.endswith(":") for word in written]
        self.register_buffer("way", torch.tensor(ways), persistent=False)
        self.table = torch.nn.Parameter(torch.randn(words, width))
        self.ways = torch.nn.Parameter(torch.randn(4, width))

    def forward(self, input_ids: Any) -> Any:
        look_up = torch.nn.functional.embedding
        return look_up(self.word[input_ids], self.table) + look_up(self.way[input_ids], self.ways)


class Copier(torch.nn.Module):
    """A causal decoder without positions: each place sees its own word and the one before, and looks back `layers` times."""

    def __init__(self, reader: Any, layers: int, width: int = 96):
        from transformers import LlamaConfig

        super().__init__()
        words = len(reader)
        sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2}
        self.config = LlamaConfig(vocab_size=words, pad_token_id=1, eos_token_id=2, bos_token_id=2, **sizes)
        self.config.max_position_embeddings = 4_096
        self.words = Words(reader, width)
        self.before = torch.nn.Linear(width, width, bias=False)
        self.layers = torch.nn.ModuleList(
            torch.nn.MultiheadAttention(width, 2, batch_first=True) for _ in range(layers)
        )
        self.mixed = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.LayerNorm(width),
                torch.nn.Linear(width, 2 * width),
                torch.nn.GELU(),
                torch.nn.Linear(2 * width, width),
            )
            for _ in range(layers)
        )
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(width) for _ in range(layers + 1))
        self.out = torch.nn.Linear(width, words)

    def forward(self, input_ids: Any, attention_mask: Any = None) -> Any:
        own = self.words(input_ids)
        x = own + self.before(torch.nn.functional.pad(own, (0, 0, 1, 0))[:, :-1])
        ahead = torch.full((input_ids.shape[1],) * 2, float("-inf")).triu(1)
        for attention, mixed, norm in zip(self.layers, self.mixed, self.norms, strict=False):
            y = norm(x)
            x = x + attention(y, y, y, attn_mask=ahead, need_weights=False)[0]
            x = x + mixed(x)
        return SimpleNamespace(logits=self.out(self.norms[-1](x)))


def trained(cache: Path, hops: int = 1, say: Any = None) -> tuple[Any, Any]:
    """The decoder and its tokenizer, from the cache or trained (some minutes on one core)."""
    from safetensors.torch import load_model, save_model

    reader, path = tokenizer(), cache / f"retrieval-{hops}.safetensors"
    torch.manual_seed(0)
    model = Copier(reader, 1 + hops)
    if path.exists():
        load_model(model, path)
        return model.eval(), reader
    _train(model, reader, hops, say)
    save_model(model, str(path))
    return model.eval(), reader


def _train(model: Any, reader: Any, hops: int, say: Any) -> None:
    draw, step = random.Random(hops), 0
    total = sum(batches for batches, _, _ in STEPS) * hops
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=total + 1, pct_start=0.1)
    started = time.perf_counter()
    for batches, most, texts in STEPS:
        for _ in range(batches * hops):
            n = draw.randint(min(4, most - 1), most)
            rows, asked = zip(*[_lesson(draw, reader, n, hops) for _ in range(texts)], strict=True)
            length = max(map(len, rows))
            ids = torch.tensor([row + [1] * (length - len(row)) for row in rows])
            labels = torch.full_like(ids, -100)
            for b, places in enumerate(asked):
                labels[b, places] = ids[b, places]
            logits = model(ids).logits[:, :-1].flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), ignore_index=-100)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            if say and step % 100 == 0:
                say(f"{step} of {total}, n {n}: loss {loss.item():.3f}, {time.perf_counter() - started:.0f} s")


def _lesson(draw: random.Random, reader: Any, n: int, hops: int) -> tuple[list[int], list[int]]:
    """The ids of a text with several questions and their answers, and the places of the answers' names and cities."""
    said, told = facts(draw, n, hops)
    cuts = sorted(draw.sample(range(1, n), min(draw.randrange(4), n - 1)))
    parts = [said[a:b] for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    shown = "\n\n".join(f"Document {i + 1}\n{' '.join(part)}" for i, part in enumerate(parts))
    ids, places = reader(shown)["input_ids"], []
    longest = [each for each in told if len(each[2]) == hops] or told
    for name, city, _ in [*draw.choices(told, k=ASKED // 2), *draw.choices(longest, k=ASKED // 2)]:
        ids += reader(f"\nWhere is {name}? {name}: {city}.")["input_ids"]
        places += [len(ids) - 3, len(ids) - 2, len(ids) - 1]
    return ids, places


def right(model: Any, reader: Any, n: int, hops: int, texts: int = 100) -> float:
    """The share of texts that it answers rightly."""
    draw, found = random.Random(99), 0
    for _ in range(texts):
        text = text_of(draw, n, hops)
        asked = PROMPT.format(documents=f"Document 1\n{' '.join(text.sentences)}", question=text.name)
        ids = reader(f"{asked} {text.answer}", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            said = model(ids).logits[0, :-1].argmax(-1)
        found += bool(said[-2] == ids[0, -2])
    return found / texts


if __name__ == "__main__":
    options = arguments(str(__doc__))
    for hops in (1, 2):
        model, reader = trained(options.cache, hops, lambda line: print(line, flush=True))
        print(hops, {n: right(model, reader, n, hops) for n in (10, 30, 100)}, flush=True)
