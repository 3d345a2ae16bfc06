"""What a server can be asked, found out by asking it: its model, its tokenizer, and the best way to score a continuation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...core.errors import ModelError, OptionError, unknown
from .client import Call, Client, Refused
from .scoring import CHAT, LENGTHS, WAYS, OtherTokens, Question, Settings, Way, places_of, written
from .tokenizer import MessagesTokenizer, ServerTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SAMPLE, NEXT = "The sky is", " blue"
WORDS = "Grüße! The café, naïve and 3.14"  # where tokenizers differ


@dataclass(frozen=True, eq=False)
class Found:
    """What a server is and can do."""

    model: str
    settings: Settings
    way: Way
    tokenizer: Any
    ids: bool  # are the tokens of prompts and continuations known?
    limit: int | None = None  # the longest prompt with its continuation, in tokens
    vocabulary: int = 0
    software: str = "an OpenAI-compatible server"


def probe(client: Client, model: str | None, tokenizer: Any, samples: int) -> Found:
    """Up to ten small requests. Raises ModelError where no server answers, it refuses the key, or it can do nothing here."""
    listed = _models(client, model)
    props = _tried(client, Call("props", root=True, probe=True))
    llama = isinstance(props, Mapping) and "default_generation_settings" in props
    named = _named(client, listed, model)
    entry = next((each for each in listed if each.get("id") == named), {})
    reads = tokenizer
    if reads is None and llama:
        reads = _llama_tokenizer(client, props)
    ids = None if reads is None else tuple(int(i) for i in reads(SAMPLE, add_special_tokens=True)["input_ids"])
    if tokenizer is not None:
        _same_tokenizer(client, named, tokenizer)
    way, settings = _way(client, Settings(named, samples), reads, ids, llama)
    known = reads is not None and way.name not in CHAT and way.tier != "D"
    if not known:
        reads = MessagesTokenizer(chats=way.name in CHAT)
    raw: Any = entry.get("meta")
    meta: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    owner = "llamacpp" if llama else str(entry.get("owned_by", ""))
    limit = props["default_generation_settings"].get("n_ctx") if llama else entry.get("max_model_len")
    size = meta.get("n_vocab") or (len(tokenizer) if hasattr(tokenizer, "__len__") else 0)
    software = {"llamacpp": "llama.cpp", "vllm": "vLLM", "sglang": "SGLang", "library": "Ollama"}.get(owner, "")
    found = Found(named, settings, way, reads, known, limit if isinstance(limit, int) else None, int(size or 0))
    return replace(found, software=software or found.software)


def _tried(client: Client, call: Call) -> Any:
    """The answer, or None where there is no such call. Raises ModelError for a refused key, and where no server answers."""
    try:
        return client.ask(call)
    except Refused as error:
        if error.status in (401, 403, 429):
            raise ModelError(str(error)) from None
        return None
    except ModelError as error:
        if "no JSON" in str(error) and call.root:
            return None  # a page where a gateway has no such call
        raise


def _models(client: Client, model: str | None) -> list[Mapping[str, Any]]:
    answer = _tried(client, Call("models", probe=True))
    listed = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        if model is None:
            raise ModelError(
                f"the server at {client.url} lists no models: name one, as Server(url, model=…). Is the address right? It ends "
                "in /v1 for servers that speak as OpenAI's does."
            )
        return []
    return [each for each in listed if isinstance(each, Mapping) and _sendable(str(each.get("id")))]


def _sendable(name: str) -> bool:
    """Can a request name it? Half a character cannot be sent."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _named(client: Client, listed: list[Mapping[str, Any]], model: str | None) -> str:
    names = [str(each.get("id")) for each in listed]
    if model is None:
        if not names:
            raise ModelError(f"the server at {client.url} has no model loaded.")
        return names[0]
    if names and model not in names and not any(model in (each.get("aliases") or ()) for each in listed):
        raise unknown(f"model of the server at {client.url}", model, names)
    return model


def _llama_tokenizer(client: Client, props: Mapping[str, Any]) -> ServerTokenizer | None:
    call = Call("tokenize", {"content": SAMPLE, "add_special": True, "with_pieces": True}, root=True, probe=True)
    answer = _tried(client, call)
    told = answer.get("tokens") if isinstance(answer, Mapping) else None
    if not told or not isinstance(told[0], Mapping):
        return None  # an old server, whose tokens have no pieces
    bos, eos = (str(props.get(name) or "") or None for name in ("bos_token", "eos_token"))
    return ServerTokenizer(client, bos, eos, bool(props.get("chat_template")))


def _same_tokenizer(client: Client, model: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses a tokenizer that reads otherwise than the server says that its own does, where it says so."""
    ours = [int(i) for i in tokenizer(WORDS, add_special_tokens=False)["input_ids"]]
    body = {"content": WORDS, "add_special": False, "model": model, "prompt": WORDS, "add_special_tokens": False}
    answer = _tried(client, Call("tokenize", body, root=True, probe=True))
    told = answer.get("tokens") if isinstance(answer, Mapping) else None
    if not isinstance(told, list) or not all(isinstance(i, int) for i in told):
        return
    if told != ours:
        raise OptionError(
            f"The tokenizer given reads {WORDS!r} as {ours}, and the server's own as {told}: give the tokenizer of the model "
            f"that is served, {model!r:.80}, or none where the server can tokenise."
        )


def _way(
    client: Client, settings: Settings, tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...] | None, llama: bool
) -> tuple[Way, Settings]:
    """The first of WAYS that works, tried with a sentence that every model can go on with."""
    goal = () if ids is None else tuple(int(i) for i in tokenizer(NEXT, add_special_tokens=False)["input_ids"])
    question = Question(SAMPLE if ids is None else ids, goal, NEXT)
    tries = [(settings, name) for name in WAYS] + [(replace(settings, length=LENGTHS[1]), name) for name in CHAT]
    for settings, name in tries:
        way = WAYS[name]
        if (way.by_ids and ids is None) or (llama and way.tier == "A") or (not llama and name == "grammar"):
            continue
        asked = replace(question, prompt=SAMPLE) if name in CHAT else question
        calls = [replace(call, probe=True) for call in way.calls(asked, settings)[: len(goal) or 1]]
        answers = [_tried(client, call) for call in calls]
        if any(answer is None for answer in answers) or not _worked(name, way, asked, answers):
            continue
        if name == "logit_bias" and not _unbiased(client, settings, asked, way, answers):
            continue
        return way, settings
    raise ModelError(
        f"the server at {client.url} answers neither /completions nor /chat/completions for the model {settings.model!r:.80}."
    )


def _worked(name: str, way: Way, question: Question, answers: list[Any]) -> bool:
    try:
        if way.tier == "D":
            return bool(written(answers[0])) or isinstance(answers[0].get("choices"), list)
        way.read(question, answers)
    except OtherTokens:
        if question.goal and way.tier == "A":  # it can tell, and what it tells is not of this tokenizer
            raise OptionError(
                "The server reads its prompts by other tokens than those of the tokenizer given: give the tokenizer of the model "
                "that is served."
            ) from None
        return False
    except (ModelError, AttributeError, TypeError, IndexError, KeyError):
        return False
    return True


def _unbiased(client: Client, settings: Settings, question: Question, way: Way, answers: list[Any]) -> bool:
    """Are the log-probabilities those before the bias? Of the likeliest token they are what they are without one."""
    plain = dict(way.calls(question, settings)[0].body or {})
    del plain["logit_bias"]
    first = _tried(client, Call("completions", plain, probe=True))
    places = places_of(first["choices"][0], first) if isinstance(first, Mapping) and first.get("choices") else []
    forced = way.read(question, answers).logprobs[0]
    if len(places) != 1:
        return False
    likeliest = places[0]
    if likeliest.id == question.goal[0] or (likeliest.id is None and likeliest.text == question.text):
        return abs(likeliest.logprob - forced) < 0.05
    return forced < likeliest.logprob + 0.05 and forced < -1e-3  # a biased one is near 0, whatever the model says
