"""The tokenizer of a server, by its own calls; and chats for servers that take messages and tell no tokens."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ...core.errors import InputError, ModelError
from ...core.features import Span
from .client import Call, Client

KEPT = 4_096  # tokenised texts that are remembered
HEADER = "<|{}|>\n"  # before each message, where a chat is shown as one text
_HEADER = re.compile(r"<\|(\w+)\|>\n")


class Encoded(dict[str, Any]):
    """What a call of a tokenizer returns."""

    def sequence_ids(self) -> list[int | None]:
        """Which text each token is of; None for a token that was added."""
        return [None if span is None else 0 for span in self["spans"]]

    def word_ids(self) -> list[int | None]:
        """Servers do not tell."""
        return [None] * len(self["spans"])


class ServerTokenizer:
    """llama.cpp's `/tokenize`, with the members of a transformers tokenizer that explaining a prompt needs.

    Every distinct text is sent once. Not a tokenizer to train with, or to give to a model.
    """

    is_fast = True
    model_input_names = ("input_ids",)
    unk_token_id = mask_token_id = pad_token_id = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None

    def __init__(self, client: Client, bos: str | None = None, eos: str | None = None, chats: bool = False):
        self.client = client
        self.chat_template = "the server's own" if chats else None
        self.bos_token, self.eos_token = bos, eos
        self._known: OrderedDict[tuple[str, bool], list[tuple[int, bytes]]] = OrderedDict()
        self._pieces: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self.bos_token_id, self.eos_token_id = (self._single(token) for token in (bos, eos))
        self.all_special_ids = sorted({i for i in (self.bos_token_id, self.eos_token_id) if i is not None})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _single(self, token: str | None) -> int | None:
        ids = [i for i, _ in self._read(token, False)] if token else []
        return ids[0] if len(ids) == 1 else None

    def warm(self, texts: Iterable[tuple[str, bool]]) -> None:
        """Tokenises all of these (text, with special tokens?) at once."""
        fresh = [key for key in dict.fromkeys(texts) if key not in self._known]
        calls = [
            Call("tokenize", {"content": text, "add_special": special, "with_pieces": True}, root=True)
            for text, special in fresh
        ]

        def done(i: int, answer: object) -> None:
            self._keep(fresh[i], answer)

        self.client.send(calls, done)

    def _read(self, text: str, special: bool) -> list[tuple[int, bytes]]:
        """(id, its bytes) of each token."""
        if (text, special) not in self._known:
            self.warm([(text, special)])
        return self._known[text, special]

    def _keep(self, key: tuple[str, bool], answer: object) -> None:
        told = answer.get("tokens") if isinstance(answer, Mapping) else None
        if not isinstance(told, list) or not all(isinstance(t, Mapping) and {"id", "piece"} <= set(t) for t in told):
            raise ModelError(f"the server's answer to /tokenize has no tokens with their pieces: {answer!r:.120}")
        found = [
            (int(t["id"]), t["piece"].encode() if isinstance(t["piece"], str) else bytes(t["piece"])) for t in told
        ]
        with self._lock:
            self._known[key] = found
            self._pieces.update(found)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)

    def __call__(self, text: str, add_special_tokens: bool = True, **_: object) -> Encoded:
        found = self._read(text, add_special_tokens)
        spans = placed(text, [piece for _, piece in found])
        ids = [i for i, _ in found]
        mask = [int(span is None) for span in spans]
        return Encoded(
            input_ids=ids, spans=spans, offset_mapping=[s or (0, 0) for s in spans], special_tokens_mask=mask
        )

    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> str | list[str]:
        """The text of one token, or of each."""
        if isinstance(ids, int):
            return self.decode([ids])
        return [self.decode([int(i)]) for i in ids]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these tokens."""
        if all(int(i) in self._pieces for i in ids):
            return b"".join(self._pieces[int(i)] for i in ids).decode(errors="replace")
        answer = self.client.ask(Call("detokenize", {"tokens": [int(i) for i in ids]}, root=True))
        return str(answer.get("content", "")) if isinstance(answer, Mapping) else ""

    def apply_chat_template(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True, **more: object
    ) -> str:
        """The prompt that the server's own template makes of messages."""
        if not add_generation_prompt or more.get("tools"):
            raise InputError("A server's chat template takes no `tools`, and always ends where the assistant begins.")
        answer = self.client.ask(Call("apply-template", {"messages": [dict(m) for m in messages]}, root=True))
        if not isinstance(answer, Mapping) or not isinstance(answer.get("prompt"), str):
            raise ModelError(f"the server's answer to /apply-template has no prompt: {answer!r:.120}")
        return str(answer["prompt"])


def placed(text: str, pieces: Sequence[bytes]) -> list[Span | None]:
    """Where each piece stands in the text, in characters; None for one that was added.

    Raises InputError where the pieces are not those of the text: a tokenizer that changes what it reads.
    """
    data = text.encode()
    starts = [0]  # the byte at which each character starts, and the end
    for char in text:
        starts.append(starts[-1] + len(char.encode()))
    char_at = {}
    for i, (a, b) in enumerate(pairwise(starts)):
        char_at.update(dict.fromkeys(range(a, b), i))
    at = 0
    out: list[Span | None] = []
    for piece in pieces:
        bare = piece[1:] if at == 0 and piece[:1] == b" " and not data.startswith(b" ") else piece
        end = at + len(bare)
        if not bare or data[at:end] != bare:
            out.append(None)
            continue
        out.append((char_at[at], char_at[end - 1] + 1))
        at = end
    if at != len(data):
        raise InputError(
            f"The server's tokenizer changes what it reads at {text[char_at[at] :][:40]!r}: give the model's own tokenizer, as "
            "Server(url, tokenizer=…)."
        )
    return out


class MessagesTokenizer:
    """For a server that tells no tokens: where it takes messages, a chat as one readable text, and back."""

    bos_token = bos_token_id = eos_token_id = None

    def __init__(self, chats: bool):
        self.chat_template = "messages" if chats else None

    def apply_chat_template(self, messages: Sequence[Mapping[str, Any]], **more: object) -> str:
        """Each message after a line with its role."""
        if more.get("tools"):
            raise InputError("A served chat is explained without `tools`.")
        for message in messages:
            if _HEADER.search(message["content"]):
                raise InputError(
                    f"The message {message['content']!r:.60} holds what separates messages here, <|role|>."
                )
        return "".join(HEADER.format(m["role"]) + m["content"] + "\n" for m in messages)

    def decode(self, ids: Sequence[int]) -> str:
        """There are no ids."""
        raise InputError(
            "This server tells no tokens, so a target is a text, or give its tokenizer: Server(url, tokenizer=…)."
        )


def messages_in(text: str) -> tuple[tuple[str, str], ...] | None:
    """The messages of a chat that `MessagesTokenizer` made one text; None for another text."""
    pieces = _HEADER.split(text)
    if len(pieces) < 3 or pieces[0]:
        return None
    return tuple((role, content.removesuffix("\n")) for role, content in zip(pieces[1::2], pieces[2::2], strict=True))
