"""A language model server on this machine: a tiny model behind the calls of several kinds of servers, with faults on demand."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from tiny_lm import language_model

# the kinds of servers, by what they can tell: the tier each is to be found in
KINDS = {"vllm": "A", "sglang": "A", "echo": "A", "llama": "B", "bias": "B", "top": "C", "chat": "C", "text": "D"}


def _byte_of() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for (Radford et al. 2019)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


BYTE_OF = _byte_of()


class TinyServer(ThreadingHTTPServer):
    """The server's state: what kind it is, what it was asked, and what goes wrong."""

    daemon_threads = True

    def __init__(self, kind: str = "vllm"):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind = kind
        self.model, self.tokenizer = language_model("Llama")
        self.asked: list[tuple[str, dict[str, Any]]] = []  # (path, body) of every answered request
        self.keys: list[str | None] = []
        self.delay = 0.0
        self.fault: Callable[[int, str], Any] = lambda n, path: None  # (which request, path) -> what goes wrong
        self.noise = 0.0
        self.newer = False  # does it refuse `max_tokens`, as OpenAI's newer models do?
        self.busy = self.most_busy = self.seen = 0
        self.lock = threading.Lock()
        self.logits: dict[tuple[int, ...], torch.Tensor] = {}

    def handle_error(self, *args: Any) -> None:
        """Who asks may leave in the midst of it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def scored(self) -> list[dict[str, Any]]:
        """The bodies of what was asked after the probing."""
        return [body for path, body in self.asked if "tokenize" not in path and body]

    def ids(self, prompt: Any) -> list[int]:
        return list(prompt) if isinstance(prompt, list) else self.tokenizer(prompt)["input_ids"]

    def logp(self, ids: list[int]) -> torch.Tensor:
        """[S, V]"""
        with self.lock:
            if tuple(ids) not in self.logits:
                with torch.no_grad():
                    self.logits[tuple(ids)] = self.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            told = self.logits[tuple(ids)]
            return (told + self.noise * random.random()).clamp(max=0) if self.noise else told

    def piece(self, i: int) -> bytes:
        name = self.tokenizer.convert_ids_to_tokens(i)
        return (
            bytes(BYTE_OF[c] for c in name)
            if all(c in BYTE_OF for c in name) and not name.startswith("<")
            else name.encode()
        )

    def text(self, i: int) -> str:
        return self.tokenizer.decode([i])

    def place(self, row: torch.Tensor, token: int, top: int) -> dict[str, Any]:
        """A written token as newer servers tell it."""
        best = row.topk(max(1, top)).indices.tolist()
        told = [{"id": b, "token": self.text(b), "logprob": float(row[b])} for b in best]
        return {"id": token, "token": self.text(token), "logprob": float(row[token]), "top_logprobs": told}

    # ---- the calls -------------------------------------------------------------------------------------------------

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to one call; None where this kind of server has no such call."""
        kind = self.kind
        if path == "/v1/models":
            owner = {"vllm": "vllm", "sglang": "sglang", "llama": "llamacpp"}.get(kind, "someone")
            return {"data": [{"id": "tiny", "owned_by": owner, **({"max_model_len": 64} if kind == "vllm" else {})}]}
        if kind == "llama":
            return self._llama(path, body)
        if path == "/generate" and kind == "sglang":
            ids = body["input_ids"]
            rows = self.logp(ids)
            told = [[None, ids[0], None]] + [[float(rows[i - 1, t]), t, None] for i, t in enumerate(ids) if i]
            return {"text": "x", "meta_info": {"input_token_logprobs": told[body["logprob_start_len"] :]}}
        if path == "/tokenize" and kind == "vllm":
            return {
                "tokens": self.tokenizer(body["prompt"], add_special_tokens=body["add_special_tokens"])["input_ids"]
            }
        if path == "/v1/completions" and kind not in ("chat", "text"):
            return self._completion(body)
        if path == "/v1/chat/completions" and kind in ("chat", "text"):
            return self._chat(body)
        return None

    def _llama(self, path: str, body: dict[str, Any]) -> Any:
        if path == "/props":
            return {"default_generation_settings": {"n_ctx": 64}, "chat_template": "x", "bos_token": "<|endoftext|>"}
        if path == "/tokenize":
            ids = self.tokenizer(body["content"], add_special_tokens=body["add_special"])["input_ids"]
            return {"tokens": [{"id": i, "piece": self._told(self.piece(i))} for i in ids]}
        if path == "/detokenize":
            return {"content": self.tokenizer.decode(body["tokens"])}
        if path == "/apply-template":
            return {"prompt": "".join(f"<mask>{m['role']} {m['content']}" for m in body["messages"]) + "<mask>"}
        if path != "/completion":
            return None
        ids, forced = list(body["prompt"]), [int(i) for i in re.findall(r"<\[(\d+)\]>", body.get("grammar", ""))]
        written, told = [], []
        for t in range(body["n_predict"]):
            row = self.logp(ids + written)[-1]
            written.append(forced[t] if forced else int(row.argmax()))
            told.append(self.place(row, written[-1], body.get("n_probs", 1)))
        return {"content": self.tokenizer.decode(written), "tokens": written, "completion_probabilities": told}

    @staticmethod
    def _told(piece: bytes) -> Any:
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return list(piece)

    def _completion(self, body: dict[str, Any]) -> Any:
        ids = self.ids(body["prompt"])
        rows = self.logp(ids)
        biased = {int(i): b for i, b in body.get("logit_bias", {}).items()} if self.kind == "bias" else {}
        written = next(iter(biased), int(rows[-1].argmax()))
        choice: dict[str, Any] = {"text": self.text(written)}
        if self.kind == "vllm" and "prompt_logprobs" in body:
            known = [
                {str(t): {"logprob": float(rows[i - 1, t]), "rank": 2, "decoded_token": self.text(t)}}
                for i, t in enumerate(ids)
                if i
            ]
            for entry, row in zip(known, rows, strict=False):  # vLLM tells the likeliest token beside the prompt's own
                best = int(row.argmax())
                entry.setdefault(str(best), {"logprob": float(row[best]), "rank": 1, "decoded_token": self.text(best)})
            choice["prompt_logprobs"] = [None, *known]
        elif self.kind == "echo" and body.get("echo"):
            each = [None] + [float(rows[i - 1, t]) for i, t in enumerate(ids) if i] + [float(rows[-1, written])]
            choice["logprobs"] = {"tokens": [self.text(t) for t in [*ids, written]], "token_logprobs": each}
        elif self.kind in ("bias", "top") and "logprobs" in body:
            choice["logprobs"] = {"content": [self.place(rows[-1], written, body["logprobs"])]}
        return {"choices": [choice]}

    def _chat(self, body: dict[str, Any]) -> Any:
        prompt = "\n".join(m["content"] for m in body["messages"]) + "\n"
        row = self.logp(self.ids(prompt))[-1]
        token = int(row.argmax())
        if body.get("temperature") and self.kind == "text":
            token = int(torch.multinomial(row.exp(), 1, generator=torch.Generator().manual_seed(body.get("seed", 0))))
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": self.text(token)}}
        if self.kind == "chat" and body.get("logprobs"):
            choice["logprobs"] = {"content": [self.place(row, token, body["top_logprobs"])]}
        return {"choices": [choice]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TinyServer

    def do_GET(self) -> None:
        self._answered({})

    def do_POST(self) -> None:
        self._answered(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answered(self, body: dict[str, Any]) -> None:
        server = self.server
        with server.lock:
            n, server.seen = server.seen, server.seen + 1
            server.busy += 1
            server.most_busy = max(server.busy, server.most_busy)
            server.keys.append(self.headers["Authorization"])
        try:
            if server.newer and "max_tokens" in body:
                self._send(400, b'{"error": {"message": "use max_completion_tokens"}}')
                return
            if server.delay and body:
                time.sleep(server.delay)
            wrong = server.fault(n, self.path)
            if wrong == "cut":
                self.close_connection = True
                return
            if isinstance(wrong, bytes):
                self._send(200, wrong)
            elif isinstance(wrong, tuple):
                self._send(*wrong)
            else:
                answer = server.answer(self.path, body)
                if answer is None:
                    self._send(404, b'{"error": {"message": "no such call"}}')
                    return
                with server.lock:
                    server.asked.append((self.path, body))
                self._send(200, json.dumps(answer).encode())
        finally:
            with server.lock:
                server.busy -= 1

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(data)
        except ConnectionError:  # who asked has left
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def tiny_server(kind: str = "vllm") -> Iterator[TinyServer]:
    """A running server of this kind."""
    made = TinyServer(kind)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
