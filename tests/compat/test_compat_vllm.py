"""VLLMProvider against a real server on this machine: the same JSON, a tiny model behind it."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch

from saywhy.compat import captum as ours
from tiny_lm import language_model

TEMPLATE, VALUES, BASELINES = "{} from {} applied. They", ["Georg", "Togo"], ["Maria", "Cuba"]
TARGET = " lovely mess"


class Handler(BaseHTTPRequestHandler):
    """GET /v1/models and POST /v1/completions, as vLLM answers them."""

    asked: list[dict] = []  # noqa: RUF012
    keys: list[str | None] = []  # noqa: RUF012
    broken = ""

    def do_GET(self):
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/moved", "/v1"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.keys.append(self.headers["Authorization"])
        self.send({"data": [{"id": "tiny"}]} if self.path == "/v1/models" else {"data": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({**body, "key": self.headers["Authorization"]})
        if self.broken == "refuses":
            self.send({"error": "out of credit"}, 402)
            return
        model, tokenizer = language_model("Llama")
        ids = tokenizer(body["prompt"])["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        told = [None] + [
            {str(b): {"logprob": float(row[b]), "rank": 1, "decoded_token": "x"}, "0": {"logprob": -1.0}}
            for row, b in zip(logits.log_softmax(-1), ids[1:], strict=False)
        ]
        new = tokenizer.decode(
            model.generate(torch.tensor([ids]), max_new_tokens=body["max_tokens"], pad_token_id=1)[0, len(ids) :]
        )
        choice = {"text": new, "prompt_logprobs": None if self.broken == "silent" else told}
        self.send({"choices": [] if self.broken == "empty" else [choice]})

    def send(self, answer, status=200):
        told = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)  # our own client, also where openai's is installed
    Handler.asked, Handler.keys, Handler.broken = [], [], ""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/v1"
    made.shutdown()
    made.server_close()
    thread.join()


def attribution(url, method="ShapleyValues"):
    made = getattr(ours, method)(ours.RemoteLLMAttribution.placeholder_model)
    return ours.RemoteLLMAttribution(made, language_model("Llama")[1], ours.VLLMProvider(url))


@pytest.mark.parametrize("method", ["FeatureAblation", "ShapleyValues"])
def test_the_numbers_of_the_same_model_at_hand(server, method):
    model, tokenizer = language_model("Llama")
    given = ours.TextTemplateInput(TEMPLATE, VALUES, BASELINES)
    result = attribution(server, method).attribute(given, target=TARGET)
    here = ours.LLMAttribution(getattr(ours, method)(model), tokenizer).attribute(given, target=TARGET)
    torch.testing.assert_close(result.token_attr, here.token_attr, atol=1e-4, rtol=0)
    assert len(Handler.asked) == 4
    assert {(a["model"], a["key"], a["temperature"]) for a in Handler.asked} == {("tiny", "Bearer EMPTY", 0.0)}


def test_what_it_writes(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    written = ours.VLLMProvider(server, "other").generate("the movie", max_new_tokens=3, do_sample=False)
    assert isinstance(written, str)
    assert Handler.asked == [
        {"model": "other", "prompt": "the movie", "max_tokens": 3, "temperature": 0.0, "key": "Bearer secret"}
    ]


def test_the_key_goes_to_the_named_server_alone(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    ours.VLLMProvider(server)
    assert Handler.keys == ["Bearer secret"]
    ours.VLLMProvider(server.replace("/v1", "/moved"))
    assert Handler.keys == ["Bearer secret", None]


def test_refusals(server):
    tokenizer = language_model("Llama")[1]
    for url, kind, said in (
        (" ", ValueError, "API URL is required"),
        ("file:///etc", ValueError, "must begin with http"),
        ("http://127.0.0.1:9/v1", ConnectionError, "Failed to connect to vLLM API: no server answers"),
        (server + "/nothing", ValueError, "No models available"),
    ):
        with pytest.raises(kind, match=said):
            ours.VLLMProvider(url)
    provider = ours.VLLMProvider(server)
    for broken, kind, said in (
        ("refuses", ConnectionError, "Failed to connect to vLLM API when getting logprobs: .*402: .*out of credit"),
        ("silent", KeyError, "API response missing 'prompt_logprobs' data"),
        ("empty", KeyError, "API response missing expected 'choices' data"),
    ):
        Handler.broken = broken
        with pytest.raises(kind, match=said):
            provider.get_logprobs("the", " movie", tokenizer)
    Handler.broken = ""
    with pytest.raises(ValueError, match="begins with a space"):
        provider.get_logprobs("love t", "he", tokenizer)
    with pytest.raises(ValueError, match="Tokenizer is required"):
        provider.get_logprobs("love", " the")
    with pytest.raises(ValueError, match="Target string cannot be empty"):
        provider.get_logprobs("love", "", tokenizer)


class FakeClient:
    """Stands for openai's client: remembers what it was asked."""

    def __init__(self, **settings):
        self.settings, self.asked, self.entries = settings, [], []
        self.models = SimpleNamespace(list=lambda: SimpleNamespace(data=[SimpleNamespace(id="first")]))
        self.completions = SimpleNamespace(create=self.create)

    def create(self, **settings):
        self.asked.append(settings)
        return SimpleNamespace(choices=[SimpleNamespace(text="written", prompt_logprobs=self.entries)])


class Words:
    """A tokenizer of words of one letter."""

    def encode(self, text, add_special_tokens=True):
        return [ord(word) for word in text.split(" ")]


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", SimpleNamespace(OpenAI=FakeClient))
    return ours.VLLMProvider("http://somewhere/v1/", timeout=3)


def test_openais_client_where_it_is_installed(provider, monkeypatch):
    assert provider.model_name == "first"
    assert provider.client.settings == {"base_url": "http://somewhere/v1", "api_key": "EMPTY", "timeout": 3}
    assert provider.generate("the", max_new_tokens=10) == "written"
    provider.generate("the", do_sample=False, temperature=None)
    sent = {"model": "first", "prompt": "the"}
    assert provider.client.asked == [
        {**sent, "max_tokens": 10},
        {**sent, "max_tokens": 25, "temperature": 0.0},
    ]

    def refused(**settings):
        raise ConnectionError("refused")

    monkeypatch.setitem(sys.modules, "openai", SimpleNamespace(OpenAI=refused))
    with pytest.raises(ConnectionError, match="Failed to connect to vLLM API: refused"):
        ours.VLLMProvider("http://somewhere/v1")


def test_a_client_of_ones_own(provider):
    provider.client = FakeClient()
    provider.client.entries = [{"97": {"logprob": -9.0}}, {"98": {"logprob": -0.5}}, {"99": {"logprob": -0.25}}]
    assert provider.get_logprobs("a ", "b c", Words()) == [-0.5, -0.25]
    assert provider.client.asked == [
        {
            "model": "first",
            "prompt": "a b c",
            "temperature": 0.0,
            "max_tokens": 1,
            "extra_body": {"prompt_logprobs": 0},
        }
    ]
    for entries, kind, said in (
        ([{}], ValueError, "Empty probability data"),
        ([{"98": {"logprob": -1.0}}], ValueError, "Not enough logprobs received"),
        ([{"98": {"rank": 1}}, {"99": {"rank": 1}}], IndexError, "Unexpected format in log probability data"),
    ):
        provider.client.entries = entries
        with pytest.raises(kind, match=said):
            provider.get_logprobs("a ", "b c", Words())
