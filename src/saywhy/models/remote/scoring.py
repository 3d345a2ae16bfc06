"""How a server is asked for the log-probabilities of a continuation: a row for each way, the best first.

A way turns a question into calls and reads their answers. Every token that comes back is checked, by its id where the server
tells ids and by its text otherwise. Sources: the API pages of vLLM, SGLang, llama.cpp's server, Ollama and OpenAI.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ...core.errors import ModelError
from .client import Call

TOP = 20  # the most log-probabilities of a place that servers tell
FORCED = 100.0  # a bias that leaves no other token a chance
ChatMessages: TypeAlias = "tuple[tuple[str, str], ...]"  # (role, content), …


@dataclass(frozen=True)
class Question:
    """One row: a prompt, and the continuation whose log-probability after it is asked."""

    prompt: str | tuple[int, ...] | ChatMessages
    goal: tuple[int, ...]  # its ids; none where the tokens are not known
    text: str
    width: int = 1  # how many numbers the output has
    rivals: tuple[str, ...] = ()  # the other continuations that are compared with it


class Answer(NamedTuple):
    """Log-probabilities, of each token of the continuation or of all together."""

    logprobs: list[float]
    bounded: bool = False  # is it no more than this, because the server told only the likeliest tokens?


class Place(NamedTuple):
    """One token that a server wrote, with the likeliest ones at its place."""

    text: str
    id: int | None
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Settings:
    """What a way needs to know of the server."""

    model: str
    samples: int = 16
    length: str = "max_tokens"  # what the server calls the longest answer of a chat


@dataclass(frozen=True)
class Way:
    """One way to ask, and what it can tell."""

    name: str
    tier: str
    says: str
    calls: Callable[[Question, Settings], list[Call]]
    read: Callable[[Question, list[Any]], Answer]
    by_ids: bool = False  # must the ids of prompt and continuation be known?


# ---- reading what servers send ---------------------------------------------------------------------------------------


def choice_of(answer: object) -> Mapping[str, Any]:
    """The first choice of a completion. Raises ModelError for an answer of another shape."""
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise unreadable("no choices", answer)
    found: Mapping[str, Any] = choices[0]
    return found


def unreadable(what: str, answer: object) -> ModelError:
    """The error for an answer that is JSON but not what was asked for."""
    return ModelError(f"the server's answer has {what}: {answer!s:.200}")


def read_by(way: Way, question: Question, answers: list[Any]) -> Answer:
    """What the answers say of the question. Raises ModelError for answers of another form, whatever is wrong with them."""
    try:
        return way.read(question, answers)
    except (AttributeError, TypeError, IndexError, KeyError, ValueError) as error:
        raise unreadable(
            f"another form than that of {way.name!r} ({type(error).__name__})", answers[0] if answers else None
        ) from None


def number(value: object, answer: object) -> float:
    """A log-probability: at most 0, and no NaN; minus infinity is written as a very small number by some."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= 1e-4:  # NaN is not either
        raise unreadable(f"{value!r:.40} where a log-probability stands", answer)
    return float(max(value, -9999.0))  # in this order: JSON has whole numbers that no float holds


def places_of(choice: Mapping[str, Any], answer: object, echo: bool = False) -> list[Place]:
    """The tokens that were written, in the older and in the newer form of OpenAI's answers.

    With `echo` the first has no log-probability, for nothing stands before it: it is 0. Raises ModelError for another.
    """
    told = choice.get("logprobs")
    if isinstance(told, Mapping) and isinstance(told.get("content"), list):
        return [_place(each, answer) for each in told["content"]]
    if not isinstance(told, Mapping) or not isinstance(told.get("token_logprobs"), list):
        return []
    tops = told.get("top_logprobs") or [None] * len(told["token_logprobs"])
    out = []
    for i, (text, logprob, top) in enumerate(zip(told.get("tokens") or (), told["token_logprobs"], tops, strict=False)):
        likely = tuple((str(t), number(p, answer)) for t, p in (top or {}).items())
        first = echo and i == 0 and logprob is None
        out.append(Place(str(text), None, 0.0 if first else number(logprob, answer), likely))
    return out


def _place(each: object, answer: object) -> Place:
    if not isinstance(each, Mapping) or "logprob" not in each:
        raise unreadable("a token without a log-probability", answer)
    top = tuple((str(t.get("token", "")), number(t.get("logprob"), answer)) for t in each.get("top_logprobs") or ())
    known = each.get("id")
    return Place(
        str(each.get("token", "")), known if isinstance(known, int) else None, number(each["logprob"], answer), top
    )


class OtherTokens(ModelError):  # noqa: N818
    """The server read or wrote other tokens than were asked about."""


def other_tokens(question: Question, got: object) -> OtherTokens:
    """The error where the tokens that came back are not those of the continuation."""
    return OtherTokens(
        f"the server read other tokens than those of {question.text!r:.60}: {got!r:.80}. It joins prompt and target to other "
        "tokens (a new word begins with a space in the target), or its tokenizer is another one than was given."
    )


# ---- A: log-probabilities of the prompt's tokens ---------------------------------------------------------------------


def _joined(q: Question) -> object:
    return [*q.prompt, *q.goal] if isinstance(q.prompt, tuple) else f"{q.prompt}{q.text}"


def _prompt_calls(q: Question, s: Settings) -> list[Call]:
    body = {"model": s.model, "prompt": _joined(q), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    return [Call("completions", body)]


def _prompt_read(q: Question, answers: list[Any]) -> Answer:
    """vLLM: for each token of the prompt a mapping from ids to what is known of them; of the first token nothing."""
    entries = choice_of(answers[0]).get("prompt_logprobs")
    if not isinstance(entries, list) or not entries:
        raise unreadable("no `prompt_logprobs`", answers[0])
    if q.goal:
        last = entries[-len(q.goal) :]
        if len(last) < len(q.goal) or any(str(i) not in (e or {}) for i, e in zip(q.goal, last, strict=True)):
            raise other_tokens(q, [list(e or {}) for e in last])
        return Answer([number(e[str(i)].get("logprob"), last) for i, e in zip(q.goal, last, strict=True)])
    pieces = []
    for entry in reversed(entries):
        if not isinstance(entry, Mapping) or not entry:
            break
        told = max(
            entry.values(), key=lambda each: each.get("rank") or 0
        )  # the prompt's own token stands with the likeliest
        pieces.append((str(told.get("decoded_token")), number(told.get("logprob"), entry)))
        if len("".join(text for text, _ in pieces)) >= len(q.text):
            break
    return _by_text(q, pieces[::-1])


def _by_text(q: Question, pieces: Sequence[tuple[str, float]]) -> Answer:
    if "".join(text for text, _ in pieces) != q.text:
        raise other_tokens(q, [text for text, _ in pieces])
    return Answer([sum(logprob for _, logprob in pieces)])


def _echo_calls(q: Question, s: Settings) -> list[Call]:
    body = {"model": s.model, "prompt": _joined(q), "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
    return [Call("completions", body)]


def _echo_read(q: Question, answers: list[Any]) -> Answer:
    """The prompt's tokens stand before the one that was written."""
    places = places_of(choice_of(answers[0]), answers[0], echo=True)[:-1]
    if not places:
        raise unreadable("no log-probabilities of the prompt", answers[0])
    if isinstance(q.prompt, tuple) and q.goal:
        if len(places) < len(q.goal):
            raise other_tokens(q, [p.text for p in places])
        places = places[-len(q.goal) :]
        if not _reads_as("".join(p.text for p in places), q.text):
            raise other_tokens(q, [p.text for p in places])
        return Answer([p.logprob for p in places])
    pieces: list[tuple[str, float]] = []
    for place in reversed(places):
        if len("".join(text for text, _ in pieces)) >= len(q.text):
            break
        pieces.append((place.text, place.logprob))
    return _by_text(q, pieces[::-1])


def _reads_as(told: str, text: str) -> bool:
    """Is it this text, where a token that is a part of a character may stand as any sign?"""
    pieces = re.split("\ufffd+", told)
    return re.fullmatch(".{0,4}".join(map(re.escape, pieces)), text, re.DOTALL) is not None


def _sglang_calls(q: Question, s: Settings) -> list[Call]:
    start = max(0, len(q.prompt) - 1)
    sampling = {"temperature": 0, "max_new_tokens": 1}
    body = {"input_ids": _joined(q), "sampling_params": sampling, "return_logprob": True, "logprob_start_len": start}
    return [Call("generate", body, root=True)]


def _sglang_read(q: Question, answers: list[Any]) -> Answer:
    """SGLang: (log-probability, id, text) of each token of the prompt."""
    told = answers[0].get("meta_info", {}).get("input_token_logprobs") if isinstance(answers[0], Mapping) else None
    if not isinstance(told, list):
        raise unreadable("no `input_token_logprobs`", answers[0])
    last = told[-len(q.goal) :]
    if [each[1] for each in last] != list(q.goal):
        raise other_tokens(q, [each[1] for each in last])
    return Answer([number(each[0], last) for each in last])


# ---- B: a continuation that is forced --------------------------------------------------------------------------------


def _grammar_calls(q: Question, s: Settings) -> list[Call]:
    """llama.cpp: a grammar of token ids leaves one continuation; a grammar of text may choose other tokens for it."""
    forced = "root ::= " + " ".join(f"<[{i}]>" for i in q.goal)
    body = {"prompt": list(q.prompt), "n_predict": len(q.goal), "temperature": 0, "n_probs": 1, "grammar": forced}
    return [Call("completion", {**body, "return_tokens": True, "cache_prompt": True}, root=True)]


def _grammar_read(q: Question, answers: list[Any]) -> Answer:
    told = answers[0].get("completion_probabilities") if isinstance(answers[0], Mapping) else None
    if not isinstance(told, list):
        raise unreadable("no `completion_probabilities`", answers[0])
    places = [_place(each, answers[0]) for each in told]
    if [p.id for p in places] != list(q.goal):
        raise other_tokens(q, [p.id for p in places])
    return Answer([p.logprob for p in places])


def _bias_calls(q: Question, s: Settings) -> list[Call]:
    """One token a call; the continuation is known, so its tokens need not wait for each other."""
    return [
        Call("completions", {
            "model": s.model, "prompt": [*q.prompt, *q.goal[:t]], "max_tokens": 1, "temperature": 0, "logprobs": 1,
            "logit_bias": {str(i): FORCED},
        })
        for t, i in enumerate(q.goal)
    ]  # fmt: skip


def _bias_read(q: Question, answers: list[Any]) -> Answer:
    found = []
    for answer, i in zip(answers, q.goal, strict=True):
        places = places_of(choice_of(answer), answer)
        if len(places) != 1 or places[0].id not in (i, None):
            raise other_tokens(q, [p.id for p in places])
        found.append(places[0])
    if all(p.id is None for p in found) and "".join(p.text for p in found) != q.text:
        raise other_tokens(q, [p.text for p in found])
    return Answer([p.logprob for p in found])


# ---- C: the likeliest first tokens -----------------------------------------------------------------------------------


def _top_calls(q: Question, s: Settings) -> list[Call]:
    prompt = list(q.prompt) if isinstance(q.prompt, tuple) else q.prompt
    body = {"model": s.model, "prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": TOP}
    return [Call("completions", body)]


def messages_of(prompt: Iterable[Any]) -> list[dict[str, str]]:
    """A prompt as messages: a text is one of the user's."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [{"role": role, "content": content} for role, content in prompt]


def _chat_calls(q: Question, s: Settings) -> list[Call]:
    body = {"model": s.model, "messages": messages_of(q.prompt), s.length: 1, "temperature": 0}
    return [Call("chat/completions", {**body, "logprobs": True, "top_logprobs": TOP})]


def _top_read(q: Question, answers: list[Any]) -> Answer:
    """The share of the likeliest first tokens that begin this continuation and none of its rivals."""
    places = places_of(choice_of(answers[0]), answers[0])
    if not places or not places[0].top:
        raise unreadable("no log-probabilities of the first token", answers[0])
    return decided(q, places[0].top)


def decided(q: Question, top: Sequence[tuple[str, float]]) -> Answer:
    """The log-probability that the first token begins this continuation; of one that is not told, the least that was.

    White space around a token does not count: a chat begins its answers without any. Raises ModelError where the likeliest
    token begins a rival too.
    """
    top = list(dict.fromkeys(top))  # some servers tell the token that was written twice
    exact = [logprob for text, logprob in top if text == q.text]
    if exact:
        return _together(
            exact[:1] if q.goal else exact
        )  # other ids with this text are other tokens than that of the goal
    mine = [(text, logprob) for text, logprob in top if text.strip() and q.text.strip().startswith(text.strip())]
    shared = [text for text, _ in mine if any(rival.strip().startswith(text.strip()) for rival in q.rivals)]
    if shared:
        raise ModelError(
            f"{q.text!r:.60} and another label begin with the same token, {shared[0]!r}, and this server tells the first token "
            "only: choose labels that begin differently."
        )
    if not mine:
        return Answer([min(logprob for _, logprob in top)], bounded=True)
    return _together([logprob for _, logprob in mine])


def _together(logprobs: Sequence[float]) -> Answer:
    """The log-probability of any of these tokens."""
    most = max(logprobs)
    return Answer([min(0.0, most + math.log(sum(math.exp(logprob - most) for logprob in logprobs)))])


# ---- D: nothing but text ---------------------------------------------------------------------------------------------


def _samples(path: str, prompt: Callable[[Question], dict[str, Any]]) -> Callable[[Question, Settings], list[Call]]:
    def calls(q: Question, s: Settings) -> list[Call]:
        most = max(2, 1 + len(q.text) // 2)  # no token is empty, and few have one letter
        settings = {"model": s.model, **prompt(q), s.length: most, "temperature": 1}
        return [Call(path, {**settings, "seed": seed}) for seed in range(s.samples)]

    return calls


def _samples_read(q: Question, answers: list[Any]) -> Answer:
    """log (k + 1/2) / (m + 1), where k of m samples begin with the continuation."""
    agree = sum(written(answer).strip().startswith(q.text.strip()) for answer in answers)
    return Answer([math.log((agree + 0.5) / (len(answers) + 1))])


def written(answer: object) -> str:
    """The text of a completion or of a chat's reply."""
    choice = choice_of(answer)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    return text if isinstance(text, str) else ""


def kept_of(answer: object) -> object:
    """Of an answer what the ways read, to be kept on disk."""
    if not isinstance(answer, Mapping):
        return answer
    kept = {name: answer[name] for name in ("completion_probabilities", "tokens") if name in answer}
    if isinstance(answer.get("meta_info"), Mapping):
        kept["meta_info"] = {"input_token_logprobs": answer["meta_info"].get("input_token_logprobs")}
    if isinstance(answer.get("choices"), list):
        read = ("text", "message", "logprobs", "prompt_logprobs")
        kept["choices"] = [
            {name: c[name] for name in read if name in c} for c in answer["choices"] if isinstance(c, Mapping)
        ]
    return kept


_A = "log-probabilities of every token of the prompt"
_B = "log-probabilities of a continuation that is forced"
_C = f"the first token of an answer, among its {TOP} likeliest"
_D = "text only; the number is the share of samples that agree, which is another question"
WAYS: Mapping[str, Way] = {
    way.name: way
    for way in (
        Way("prompt_logprobs", "A", _A, _prompt_calls, _prompt_read),
        Way("generate", "A", _A, _sglang_calls, _sglang_read, by_ids=True),
        Way("echo", "A", _A, _echo_calls, _echo_read),
        Way("grammar", "B", _B, _grammar_calls, _grammar_read, by_ids=True),
        Way("logit_bias", "B", _B, _bias_calls, _bias_read, by_ids=True),
        Way("top", "C", _C, _top_calls, _top_read),
        Way("chat_top", "C", _C, _chat_calls, _top_read),
        Way("samples", "D", _D, _samples("completions", lambda q: {"prompt": q.prompt}), _samples_read),
        Way("chat_samples", "D", _D, _samples("chat/completions", lambda q: {"messages": messages_of(q.prompt)}),
            _samples_read),
    )
}  # fmt: skip
CHAT = ("chat_top", "chat_samples")
LENGTHS = ("max_tokens", "max_completion_tokens")  # OpenAI's older and newer name; newer models refuse the older
