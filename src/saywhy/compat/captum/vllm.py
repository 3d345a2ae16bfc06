"""VLLMProvider: a server that answers completions as OpenAI's do, and tells the log-probabilities of the prompt's tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ...core.errors import ModelError
from ...models.remote import client as requests
from .logits_model import TokenizerLike
from .remote import RemoteLLMProvider


class VLLMProvider(RemoteLLMProvider):
    """A vLLM server at `api_url` (".../v1"); its first model, unless `model_name` says another. The key is OPENAI_API_KEY.

    `client` is openai's where that package is installed, and otherwise one of our own with the two calls that are needed; it
    may be replaced. Raises ValueError for a blank address, an empty target, no tokenizer and too few log-probabilities,
    KeyError for answers without the part that is read, IndexError for log-probabilities in another form, ConnectionError where
    no server answers within `timeout` seconds, or it refuses.
    """

    def __init__(self, api_url: str, model_name: str | None = None, timeout: float = 60.0):
        if not api_url.strip():
            raise ValueError("API URL is required: the address of the server, such as http://localhost:8000/v1")
        self.api_url, self.timeout = api_url.strip().rstrip("/"), timeout
        if not self.api_url.startswith(("http://", "https://")):
            raise ValueError(f"The API URL must begin with http:// or https://, not {self.api_url!r}.")
        with _connected("Failed to connect to vLLM API"):
            self.client = _client(self.api_url, timeout)
            self.model_name = model_name or self._first()

    def _first(self) -> str:
        models = self.client.models.list().data
        if not models:
            raise ValueError(f"No models available at {self.api_url}: name one as model_name=….")
        return str(models[0].id)

    def generate(self, prompt: str, **gen_args: object) -> str:
        """What the server writes after the prompt, up to `max_tokens` or `max_new_tokens`, 25 by default.

        do_sample=False is temperature 0; without it the server's own settings hold. Other arguments are sent as they are.
        """
        settings = {key: value for key, value in gen_args.items() if value is not None or key == "max_tokens"}
        if settings.pop("do_sample", None) is False:
            settings.setdefault("temperature", 0.0)
        most = settings.pop("max_new_tokens", 25)
        settings.setdefault("max_tokens", most)
        with _connected("Failed to connect to vLLM API"):
            answer = self.client.completions.create(model=self.model_name, prompt=prompt, **settings)
        return str(_choice(answer).text)

    def get_logprobs(self, input_prompt: str, target_str: str, tokenizer: TokenizerLike | None = None) -> list[float]:
        """The log-probability of each token of the target after the prompt."""
        if tokenizer is None:
            raise ValueError("Tokenizer is required: it tells how many tokens the target has.")
        if not target_str:
            raise ValueError("Target string cannot be empty: give the text whose probability is to be explained.")
        ids = [int(i) for i in tokenizer.encode(target_str, add_special_tokens=False)]
        with _connected("Failed to connect to vLLM API when getting logprobs"):
            answer = self.client.completions.create(**self._asked(input_prompt + target_str))
        return _logprobs(answer, ids, target_str)

    def get_logprobs_of(self, pairs: Sequence[tuple[str, str]], tokenizer: TokenizerLike) -> list[list[float]]:
        """The same for many (prompt, target), asked eight at once where the client is our own; else one after the other."""
        own = getattr(self.get_logprobs, "__func__", None) is VLLMProvider.get_logprobs
        if not own or not isinstance(self.client, Client) or not all(target for _, target in pairs):
            return [self.get_logprobs(prompt, target, tokenizer) for prompt, target in pairs]
        with _connected("Failed to connect to vLLM API when getting logprobs"):
            answers = self.client.created_all([self._asked(prompt + target) for prompt, target in pairs])
        goals = [[int(i) for i in tokenizer.encode(target, add_special_tokens=False)] for _, target in pairs]
        return [_logprobs(answer, ids, t) for answer, ids, (_, t) in zip(answers, goals, pairs, strict=True)]

    def _asked(self, text: str) -> dict[str, Any]:
        settings = {"temperature": 0.0, "max_tokens": 1, "extra_body": {"prompt_logprobs": 0}}
        return {"model": self.model_name, "prompt": text, **settings}


def _logprobs(answer: object, ids: Sequence[int], target: str) -> list[float]:
    """The log-probabilities of the last tokens of a prompt, checked to be these."""
    entries = getattr(_choice(answer), "prompt_logprobs", None)
    if not entries:
        raise KeyError(
            "API response missing 'prompt_logprobs' data: the server sent no log-probabilities of the prompt."
        )
    last = list(entries)[-len(ids) :]
    for entry in last:
        _checked(entry)
    if len(last) < len(ids):
        raise ValueError(f"Not enough logprobs received: {len(last)} for the {len(ids)} tokens of {target!r}.")
    return [_number(entry, token) for entry, token in zip(last, ids, strict=True)]


@contextmanager
def _connected(said: str) -> Iterator[None]:
    """What goes wrong on the way to the server is a ConnectionError that begins with these words, whichever client it was."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith("openai"):
            raise ConnectionError(f"{said}: {error}") from error
        raise


def _client(url: str, timeout: float) -> Any:
    key = os.getenv("OPENAI_API_KEY", "EMPTY")
    try:
        from openai import OpenAI
    except ImportError:
        return Client(url, key, timeout)
    return OpenAI(base_url=url, api_key=key, timeout=timeout)


class Client:
    """The two calls of openai's client that are needed, `models.list()` and `completions.create(...)`, and many at once."""

    def __init__(self, url: str, key: str, timeout: float):
        self.requests = requests.Client(url, key, timeout)
        self.models = SimpleNamespace(list=lambda: self._answers("models", [None])[0])
        self.completions = SimpleNamespace(create=lambda **settings: self.created_all([settings])[0])

    def created_all(self, asked: Sequence[Mapping[str, Any]]) -> list[SimpleNamespace]:
        """The answers to several completions."""
        bodies = [
            {k: v for k, v in each.items() if k != "extra_body"} | (each.get("extra_body") or {}) for each in asked
        ]
        return self._answers("completions", bodies)

    def _answers(self, what: str, bodies: Sequence[Mapping[str, Any] | None]) -> list[SimpleNamespace]:
        """What the server answers, its fields as members; log-probabilities stay mappings, whose keys are tokens."""
        found: dict[int, SimpleNamespace] = {}

        def done(i: int, fields: object) -> None:
            told = fields if isinstance(fields, Mapping) else {}
            found[i] = SimpleNamespace(
                data=[SimpleNamespace(**each) for each in told.get("data") or ()],
                choices=[SimpleNamespace(**each) for each in told.get("choices") or ()],
            )

        try:
            self.requests.send([requests.Call(what, body) for body in bodies], done)
        except ModelError as error:
            raise ConnectionError(str(error)) from error
        return [found[i] for i in range(len(bodies))]


def _choice(answer: object) -> Any:
    choices = getattr(answer, "choices", None)
    if not choices:
        raise KeyError("API response missing expected 'choices' data: the server sent no completion.")
    return choices[0]


def _checked(entry: Mapping[str, Mapping[str, Any]] | None) -> None:
    """Refuses an entry for one token that holds nothing, or no log-probability."""
    if not entry:
        raise ValueError("Empty probability data in API response: the server knows nothing of a token of the target.")
    for told in entry.values():
        if not isinstance(told, Mapping) or "logprob" not in told:
            raise IndexError(f"Unexpected format in log probability data: {told!r:.80} has no 'logprob'.")


def _number(entry: Mapping[str, Mapping[str, Any]], token: int) -> float:
    """The log-probability of this token among those that were sent for its place."""
    if str(token) not in entry:
        raise ValueError(
            f"The server read another token where the target has {token}: it joins prompt and target to other tokens (a "
            "new word begins with a space), or its tokenizer is another one."
        )
    return float(entry[str(token)]["logprob"])
