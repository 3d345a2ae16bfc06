"""Server: the address of a served language model, with all settings of how it is asked. A value: making it sends nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ...core.checks import real_number, text_or_none, whole_number
from ...core.errors import ModelError, OptionError
from .client import Client, checked_url, local
from .model import RemoteModel
from .probe import probe


@dataclass(frozen=True)
class Server:
    """A language model behind an address: vLLM, SGLang, llama.cpp's server, Ollama, LM Studio, OpenAI and what speaks like it.

    Give it to an `Explainer`, which asks it up to ten small questions first: what it can tell decides how it is asked.

    Parameters
    ----------
    url
        The address, for example "http://localhost:8000/v1".
    model
        The name of the model; by default the first that the server lists.
    tokenizer
        A tokenizer of transformers, or the name or folder of one. llama.cpp's server needs none: it tokenises itself. Without
        ids the words of a prompt are taken out of its text.
    key
        Sent as a bearer token to this address alone. By default the environment's SAYWHY_API_KEY, else OPENAI_API_KEY where the
        connection is encrypted or the server is on this machine.
    concurrency
        How many requests are under way at once.
    timeout
        Seconds that one try of a request may take.
    retries, wait
        How often a request is tried again after 429, 5xx or a cut connection, and the seconds before the first of these tries;
        twice as many before each further one, or what the server asks for.
    cache
        A SQLite file of answers, made where it is not there: an interrupted run goes on, and asks nothing twice. It holds the
        model's name, prompt and settings as digests, and the parts of the answers that are read.
    budget
        The most requests that an Explainer of this server may send, retries aside.
    price
        Money for a million tokens, for the estimate before the first request.
    samples
        How many answers are drawn for each prompt where a server tells nothing but text.

    Raises
    ------
    OptionError
        For a setting of another kind, and an address with a name, a key or a query in it.
    """

    url: str
    model: str | None = None
    tokenizer: Any = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 6
    wait: float = 0.5
    cache: str | Path | None = None
    budget: int | None = None
    price: float | None = None
    samples: int = 16
    task: ClassVar[str] = "text-generation"

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "url", checked_url(self.url))
        text_or_none("model", self.model, "qwen3")
        text_or_none("key", self.key, "sk-…")
        for name, least in (("concurrency", 1), ("retries", 0), ("samples", 1)):
            put(self, name, whole_number(name, getattr(self, name), least))
        for name in ("timeout", "wait"):
            put(self, name, real_number(name, getattr(self, name), 0.0))
        if self.budget is not None:
            put(self, "budget", whole_number("budget", self.budget, 1))
        if self.price is not None:
            put(self, "price", real_number("price", self.price, 0.0))
        if self.key is not None and not (
            self.key.isascii() and self.key.isprintable() and self.key.strip() == self.key
        ):
            raise OptionError("The key holds a line break, a space at its ends or a character that no header takes.")
        if isinstance(self.tokenizer, str | Path) or self.tokenizer is None or callable(self.tokenizer):
            return
        raise OptionError(
            f"`tokenizer` is a tokenizer of transformers, or the name of one, not {self.tokenizer!r:.60}."
        )

    def adapter(self) -> RemoteModel:
        """The model, asked what it can do.

        Returns
        -------
        RemoteModel
            Its `repr` says the tier.

        Raises
        ------
        ModelError
            Where no server answers, it refuses the key, or it has no such model.
        """
        key = self.key or _key_for(self.url)
        client = Client(self.url, key, self.timeout, self.concurrency, self.retries, self.wait)
        return RemoteModel(self, client, probe(client, self.model, _loaded(self.tokenizer), self.samples))


def _key_for(url: str) -> str | None:
    """The environment's key. One for OpenAI goes to other machines encrypted or not at all."""
    safe = url.startswith("https://") or local(url)
    return os.getenv("SAYWHY_API_KEY") or (os.getenv("OPENAI_API_KEY") if safe else None) or None


def _loaded(tokenizer: object) -> object:
    if not isinstance(tokenizer, str | Path):
        return tokenizer
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(tokenizer))
    except Exception as error:  # of transformers, the hub and tokenizers, which have no common kind
        said = str(error).strip().splitlines()
        raise ModelError(f"Could not load the tokenizer {str(tokenizer)!r}: {said[0] if said else error!r}") from error
