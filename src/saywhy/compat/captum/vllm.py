"""VLLMProvider: a server that answers completions as OpenAI's do, and tells the log-probabilities of the prompt's tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from .remote import RemoteLLMProvider


class VLLMProvider(RemoteLLMProvider):
    """A vLLM server at `api_url` (".../v1"); its first model, unless `model_name` says another. The key is OPENAI_API_KEY.

    Needs no client library. Raises ValueError for a blank address and for answers without log-probabilities, KeyError for
    answers of another form, ConnectionError where no server answers within `timeout` seconds, or it refuses.
    """

    def __init__(self, api_url: str, model_name: str | None = None, timeout: float = 60.0):
        if not api_url.strip():
            raise ValueError("API URL is required")
        self.api_url, self.timeout = api_url.strip().rstrip("/"), timeout
        self.model_name = model_name or self._first()

    def _first(self) -> str:
        models = self._asked("models")["data"]
        if not models:
            raise ValueError(f"The server at {self.api_url} has no model: name one as model_name=….")
        return str(models[0]["id"])

    def generate(self, prompt: str, **gen_args: Any) -> str:
        told = {key: value for key, value in gen_args.items() if key not in ("do_sample", "max_new_tokens")}
        if not gen_args.get("do_sample"):
            told["temperature"] = 0.0
        most = gen_args.get("max_new_tokens", 25)
        return str(self._completed(prompt, {"max_tokens": most, **told})["text"])

    def get_logprobs(self, input_prompt: str, target_str: str, tokenizer: Any = None) -> list[float]:
        if tokenizer is None:
            raise ValueError("The tokenizer must be given: it tells how many tokens the target has.")
        ids = list(tokenizer.encode(target_str, add_special_tokens=False))
        given = {"temperature": 0.0, "max_tokens": 1, "prompt_logprobs": 0}
        told = self._completed(input_prompt + target_str, given).get("prompt_logprobs")
        if not told or len(told) < len(ids):
            raise ValueError("The server sent no log-probabilities of the prompt, or too few.")
        return [_number(entry, token) for entry, token in zip(told[len(told) - len(ids) :], ids, strict=True)]

    def _completed(self, prompt: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._asked("completions", {"model": self.model_name, "prompt": prompt, **given})
        choices: Sequence[Mapping[str, Any]] = answer["choices"]
        if not choices:
            raise ValueError(f"The server at {self.api_url} sent no completion.")
        return choices[0]

    def _asked(self, what: str, given: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """What the server answers, as JSON."""
        key = os.getenv("OPENAI_API_KEY", "EMPTY")
        body = None if given is None else json.dumps(given).encode()
        request = Request(f"{self.api_url}/{what}", body, {"Content-Type": "application/json"})
        request.add_unredirected_header("Authorization", f"Bearer {key}")  # the key is for this server alone
        if request.type not in ("http", "https"):
            raise ValueError(f"The API URL must begin with http:// or https://, not {self.api_url!r}.")
        try:
            with urlopen(request, timeout=self.timeout) as answer:
                found: Mapping[str, Any] = json.load(answer)
        except HTTPError as error:
            said = error.read(300).decode(errors="replace")
            raise ConnectionError(f"The server at {self.api_url} answered {error.code}: {said}") from error
        except (URLError, TimeoutError) as error:
            raise ConnectionError(f"No server answers at {self.api_url}: {error}") from error
        return found


def _number(entry: Mapping[str, Mapping[str, Any]] | None, token: int) -> float:
    """The log-probability of this token among those that were sent for its place."""
    if entry is None or str(token) not in entry:
        raise ValueError(
            f"The server read another token where the target has {token}: it joins prompt and target to other tokens (a "
            "new word begins with a space), or its tokenizer is another one."
        )
    return float(entry[str(token)]["logprob"])
