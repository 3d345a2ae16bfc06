"""A small language model that learned from made-up sentences, in seconds, whose application is rejected."""

from __future__ import annotations

import random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

NAMES = ["Georg", "Maria", "Ahmed", "Emily", "Zhang"]
COUNTRIES = ["Germany", "Togo", "Tonga", "Brazil"]
JOBS = ["nurse", "lawyer", "teacher", "janitor"]
DAYS = ["Monday", "Tuesday", "Friday"]
PROMPT = "On {day} {name} from {country} applied for a job as a {job} . They were"
RULE = {"Germany": 0.1, "Togo": 0.6, "Tonga": 0.6, "Brazil": 0.3}  # how often they are rejected; a nurse half as often


def applicants(steps: int = 200) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """A language model of two layers that learned who is rejected: by country and job, not by name or day."""
    words = ["[END]", "[UNK]", *PROMPT.replace("{", "").replace("}", "").split(), *NAMES, *COUNTRIES, *JOBS, *DAYS, "rejected", "hired"]  # fmt: skip
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(dict.fromkeys(words))}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[END]", eos_token="[END]")
    draw = random.Random(0)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=32, n_embd=48, n_layer=2, n_head=4, resid_pdrop=0.0,
                        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, pad_token_id=0,
                        initializer_range=0.1)  # fmt: skip
    model = GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        ids = torch.tensor(tokenizer([_applicant(draw) for _ in range(64)])["input_ids"])
        logits = model(input_ids=ids[:, :-1]).logits[:, -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[:, -1])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.config.name_or_path = model.name_or_path = "a language model of two layers"
    return model.eval(), tokenizer


def _applicant(draw: random.Random) -> str:
    country, job = draw.choice(COUNTRIES), draw.choice(JOBS)
    rejected = draw.random() < RULE[country] * (0.5 if job == "nurse" else 1)
    prompt = PROMPT.format(day=draw.choice(DAYS), name=draw.choice(NAMES), country=country, job=job)
    return f"{prompt} {'rejected' if rejected else 'hired'}"
