"""A served language model: prompts to the log-probabilities of continuations, as `models.causal` has them, by requests."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from ...core.errors import InputError, MethodError, ModelError, OptionError
from ...core.types import Bools, Encoding, Estimate, Held
from ..causal.encode import encoding_of, ids_of
from ..causal.prompts import Prompt, Rendered, Scored, rendered
from ..lock import exclusive
from ..protocol import EncodingOptions, Model
from .cache import AnswerCache
from .client import Call, Client
from .probe import Found
from .scoring import CHAT, Question, kept_of, messages_of, read_by, written
from .spans import shown, text_encoding
from .tokenizer import ServerTokenizer, messages_in

if TYPE_CHECKING:
    from torch import Tensor

    from .server import Server

SHARE = 16  # batches of so many times the requests at once: a progress line moves between them


class RemoteModel(Model[Question]):
    """Rows are questions of a prompt and a continuation; outputs are log-probabilities [T], or [1] where tokens are not known.

    Every distinct request is sent once; `sent` says how many were. What was asked before is read from the cache, if there is
    one.
    """

    head = "next"
    labels: tuple[str, ...] = ()
    kind = "softmax"
    deterministic = False
    differentiable = uniform = False
    prefix_sharing = costly = True
    embeddings: tuple[str, ...] = ()
    batch_tokens = 1_048_576
    decodes = False  # for the encoding that it shares with models at hand
    tables: tuple[Any, ...] = ()
    config = None
    decoder_prefix = np.zeros(0, dtype=np.int64)

    def __init__(self, server: Server, client: Client, found: Found):
        self.server, self.client, self.found = server, client, found
        self.tokenizer = found.tokenizer
        self.limit, self.vocabulary = found.limit, found.vocabulary
        self.label = found.model.rsplit("/", 1)[-1] if found.model.endswith(".gguf") else found.model
        self.name = f"{self.label} at {urlsplit(server.url).netloc}"
        replaced = [n for n in ("mask", "pad", "unk") if found.ids and self.replacement_id(n) is not None]
        self.absences: tuple[str, ...] = ("drop", *replaced)
        self.samples = server.samples if found.way.tier == "D" else None
        self.cache = None if server.cache is None else AnswerCache(server.cache)
        self.sent = 0
        self._bounded: set[Hashable] = set()
        self._again, self._counting = threading.local(), threading.Lock()

    def __repr__(self) -> str:
        way = self.found.way
        return f"<{self.label} on {self.found.software} at {self.server.url}, tier {way.tier}: {way.says}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_again": None, "_counting": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _again=threading.local(), _counting=threading.Lock())

    @property
    def text_tokenizer(self) -> object:
        return self.tokenizer

    def replacement_id(self, absent: str) -> int | None:
        """The id that stands for an absent token; None where it is dropped."""
        found = getattr(self.tokenizer, f"{absent}_token_id", None)
        return None if found is None else int(found)

    # ---- the input -------------------------------------------------------------------------------------------------

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        return self.encode_prompt(Prompt("\n".join(texts.values())), options)

    def encode_prompt(self, prompt: Prompt, options: EncodingOptions) -> Encoding:
        """The rows of a prompt or a template with its continuations. Raises InputError before any continuation is asked for."""
        if self.found.ids:
            with exclusive(self.tokenizer):  # truncation is a state of a tokenizer, which another thread would change
                made = encoding_of(self, prompt, options)
            self._decidable(prompt)
            made = replace(made, at=self._asked(made, prompt))
        else:
            made = text_encoding(prompt, options, self.tokenizer, self.found.way.name in CHAT)
        way = self.found.way
        note = f"{self.found.software}, tier {way.tier}: {way.says}"
        return replace(made, owner=None, notes=(*made.notes, note))

    @property
    def first_token_only(self) -> bool:
        """Does the server tell no more than the first token of an answer?"""
        return self.found.way.tier == "C"

    def count(self, goal: str | Sequence[int] | None) -> int:
        """How many tokens a continuation has; 1 where the tokens are not known."""
        if goal is None or not self.found.ids:
            return 1
        return len(self.tokenizer(goal, add_special_tokens=False)["input_ids"]) if isinstance(goal, str) else len(goal)

    def _decidable(self, prompt: Prompt) -> None:
        """Refuses a continuation of several tokens where the server tells the first alone."""
        most = max((self.count(goal) for goal in prompt.goals), default=1)
        if self.first_token_only and most > 1:
            raise InputError(
                f"The server tells {self.found.way.says}, and a target here has {most} tokens. Give a target of one token, or "
                "labels that differ in their first token, as saywhy.llm.Prompted takes them."
            )
        for goal in prompt.goals if self.found.way.name == "grammar" else ():
            ids = self.tokenizer(goal, add_special_tokens=False)["input_ids"] if isinstance(goal, str) else goal or ()
            if cut := [i for i in ids if self._cut(i)]:
                raise InputError(
                    "llama.cpp's server tells nothing of tokens that end inside a character, and of the target "
                    f"{goal!r:.60} these do: {cut}. Take a target without such signs (an emoji is often several tokens)."
                )

    def _cut(self, token: int) -> bool:
        """Does this token end inside a character?"""
        return "\ufffd" in str(self.tokenizer.decode([token]))

    def _asked(self, made: Encoding, prompt: Prompt) -> Callable[..., Any]:
        """Rows of ids as questions; the fillings of a template are tokenised together rather than one after the other."""
        rivals = made.labels if len(prompt.goals) > 1 else ()
        texts: dict[tuple[int, ...], str] = {}

        def question(row: Scored) -> Question:
            goal = tuple(row.goal.tolist())
            if goal not in texts:
                texts[goal] = str(self.tokenizer.decode(list(goal))) if goal else ""
            others = tuple(label for label in rivals if label != texts[goal])
            return Question(tuple(row.ids.tolist()), goal, texts[goal], row.width, others)

        def at(coalitions: Bools) -> list[Any]:
            if prompt.slotted and isinstance(self.tokenizer, ServerTokenizer):
                filled = prompt.given.filled(self.tokenizer, coalitions)
                self.tokenizer.warm((told.text, not told.bare) for each in filled for told in each)
            rows = made.at(coalitions)
            return [tuple(map(question, row)) if isinstance(row, tuple) else question(row) for row in rows]

        return at

    # ---- asking ----------------------------------------------------------------------------------------------------

    def sizes(self, rows: Sequence[Question]) -> list[int]:
        return [len(r.prompt) + len(r.goal) if r.goal else 1 + len(str(shown(r.prompt)) + r.text) // 4 for r in rows]

    def keys(self, rows: Sequence[Question]) -> list[Hashable]:
        return list(rows)

    def bundles(self, rows: Sequence[Question], budget: int) -> list[list[int]]:
        """In the order of their prompts, so that shared beginnings follow each other and a server's prefix cache has them."""
        order = sorted(range(len(rows)), key=lambda i: (shown(rows[i].prompt), rows[i].goal))
        step = SHARE * self.server.concurrency
        return [order[start : start + step] for start in range(0, len(order), step)]

    def forward(self, rows: Sequence[Question], points: Sequence[Tensor] | None = None) -> list[Tensor]:
        import torch

        if points is not None:
            raise MethodError("A served model has no gradients.")
        way, settings = self.found.way, self.found.settings
        asked = [way.calls(row, settings) for row in rows]
        answers = self._answers([call for calls in asked for call in calls])
        out = []
        for row, calls in zip(rows, asked, strict=True):
            told = read_by(way, row, [answers[call.digest] for call in calls])
            if told.bounded:
                self._bounded.add(row)
            out.append(torch.tensor(told.logprobs + [0.0] * (row.width - len(told.logprobs))))
        return out

    def _answers(self, calls: Sequence[Call]) -> dict[str, Any]:
        """digest -> answer of each distinct request, from the cache or the server."""
        turn = getattr(self._again, "turn", 0)
        distinct = {call.digest: call for call in calls}
        names = {self._name(digest, turn): digest for digest in distinct}
        cached = {} if self.cache is None else self.cache.found(names)
        out = {names[name]: answer for name, answer in cached.items()}
        fresh = [(name, distinct[digest]) for name, digest in names.items() if digest not in out]
        self._spend(len(fresh))

        def done(i: int, answer: object) -> None:
            name, call = fresh[i]
            out[call.digest] = answer
            if self.cache is not None:
                self.cache.put(name, kept_of(answer))

        self.client.send([call for _, call in fresh], done)
        return out

    def _one(self, call: Call) -> Any:
        return self._answers([call])[call.digest]

    def _name(self, digest: str, turn: int) -> str:
        """Of an answer on disk; not every request names its model."""
        return sha256(f"{self.found.model}\n{digest}\n{turn}".encode()).hexdigest()

    def _spend(self, requests: int) -> None:
        budget = self.server.budget
        with self._counting:
            if budget is not None and self.sent + requests > budget:
                raise ModelError(
                    f"{self.sent} of the budget of {budget} requests are used, and {requests} more are needed. Raise "
                    "Server(url, budget=…), or ask for less: coarser features (by='sentence'), or a smaller budget of the method."
                )
            self.sent += requests

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """While inside, this thread asks anew what was asked before: to see whether the server answers alike."""
        self._again.turn = 1
        try:
            yield
        finally:
            self._again.turn = 0

    @property
    def requests_a_row(self) -> int:
        """How many requests a prompt takes with a continuation of one token."""
        return self.server.samples if self.found.way.tier == "D" else 1

    def requests(self, rows: Sequence[Question]) -> int:
        return sum(len(self.found.way.calls(row, self.found.settings)) for row in rows)

    def afford(self, estimate: Estimate, shown: bool) -> None:
        """Tells on standard error what will be asked, and refuses what goes beyond the budget, before it is asked."""
        requests, tokens = estimate.requests, estimate.positions
        price = self.server.price
        money = "" if price is None else f", {price * tokens / 1e6:.4g} at the price given"
        told = f"up to {requests:,} requests, about {tokens:,} tokens{money}"
        budget = self.server.budget
        if budget is not None and self.sent + requests > budget:
            left = (budget - self.sent - estimate.checks) // max(1, self.requests_a_row)
            raise OptionError(
                f"This takes {told}; {budget - self.sent} of the budget of {budget} requests are left. Take coarser features "
                f"(by='sentence'), trust='none', or method='kernel_shap' with budget={max(0, left)} where that is at "
                "least 2 n + 2 for n features; or raise Server(url, budget=…)."
            )
        if shown:
            sys.stderr.write(f"saywhy: {told} to {self.name}\n")

    def remarks(self, keys: Sequence[Hashable]) -> tuple[str, ...]:
        """What is to be known of these answers."""
        many = sum(key in self._bounded for key in keys)
        if many:
            return (
                f"in {many} of {len(keys)} answers the target was not among the likeliest tokens: it counts as the last of them, "
                "so its log-probability is at most that",
            )
        if self.found.way.tier == "D":
            return (
                f"each number is log((k + 1/2) / (m + 1)) for k of m = {self.server.samples} samples that begin with the target, "
                "which is another question than how likely the target is",
            )
        return ()

    def generate(self, prompt: Prompt, most: int, settings: Mapping[str, Any] | None = None) -> str | tuple[int, ...]:
        """What the server writes after the prompt at temperature 0: ids where it tells them, else the text."""
        most = 1 if self.first_token_only else most
        told = rendered(prompt.given, self.tokenizer)
        found = self._written(
            told, {"model": self.found.model, "max_tokens": most, "temperature": 0, **(settings or {})}
        )
        if not found or (isinstance(found, str) and not found.strip()):
            raise InputError(
                "The model wrote nothing after this prompt that can be explained. Give the target=… that you expected of it."
            )
        return found

    def _written(self, told: Rendered, body: dict[str, Any]) -> str | tuple[int, ...]:
        if self.found.way.name in CHAT:
            messages = messages_of(messages_in(told.text) or told.text)
            body = {**body, self.found.settings.length: body.pop("max_tokens")}
            return written(self._one(Call("chat/completions", {**body, "messages": messages})))
        prompt = [int(i) for i in ids_of(self, told)] if self.found.ids else told.text
        if self.found.software != "llama.cpp" or not self.found.ids:
            return written(self._one(Call("completions", {**body, "prompt": prompt})))
        body = {**body, "prompt": prompt, "n_predict": body["max_tokens"], "return_tokens": True}
        answer = self._one(Call("completion", body, root=True))
        tokens = [int(i) for i in answer.get("tokens") or () if i != self.tokenizer.eos_token_id]
        return tuple(itertools.takewhile(lambda i: not self._cut(i), tokens))

    def embed(self, row: Question) -> Tensor:
        raise MethodError("A served model has no embeddings.")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield
