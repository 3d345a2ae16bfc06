"""The page on security, line by line: each of its bullets has a test here, and a new bullet without one fails."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import logging
import os
import pickle
import re
import socket
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import saywhy
from conftest import tiny
from saywhy import corpus
from saywhy.core.errors import ModelError, OptionError, SaywhyError

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
HOSTILE = '<script>alert(1)</script> "><img src=x onerror=alert(2)> \x1b[31m'


def test_every_line_of_the_page_has_its_test():
    """The bold beginning of each bullet, and the tests that hold it."""
    bullets = re.findall(r"^- \*\*(.+?)\*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert bullets == list(HELD)
    assert all(tests for tests in HELD.values())


class Armed:
    """What runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "explanation.pkl", "explanation.json", "table.parquet"]
)
def test_no_pickle_is_opened(name, tmp_path):
    folder, trap = tmp_path / "given", tmp_path / "ran"
    model, tokenizer = tiny("bert")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Armed(trap)))
    for opened in (lambda: saywhy.Explainer(str(folder)), lambda: saywhy.load(folder / name)):
        with pytest.raises(SaywhyError):
            opened()
    done = [lambda: corpus.run(saywhy.Explainer(), folder / name, tmp_path / "out", text="text")]
    for opened in done:
        with pytest.raises(SaywhyError):
            opened()
    assert not trap.exists()


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib", "model.skops"])
def test_no_estimator_is_unpickled(name, tmp_path):
    trap = tmp_path / "ran"
    (tmp_path / name).write_bytes(pickle.dumps(Armed(trap)))
    with pytest.raises(SaywhyError):
        saywhy.Explainer(str(tmp_path / name))
    assert not trap.exists()


def test_no_code_of_a_folder_runs_unless_it_is_allowed(tmp_path):
    model, tokenizer = tiny("bert")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    trap = tmp_path / "ran"
    (tmp_path / "own.py").write_text(
        f"open({str(trap)!r}, 'w').close()\n"
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class Own(BertForSequenceClassification):\n    config_class = OwnConfig\n",
        encoding="utf-8",
    )
    card = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    card |= {"model_type": "own", "architectures": ["OwnForSequenceClassification"]}
    card["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.Own"}
    (tmp_path / "config.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ModelError, match="trust_remote_code"):
        saywhy.Explainer(str(tmp_path))
    assert not trap.exists()
    saywhy.Explainer(str(tmp_path), trust_remote_code=True)
    assert trap.exists()


def test_nothing_opens_a_connection(monkeypatch, tmp_path):
    def refused(*given, **named):
        raise AssertionError(f"a connection was opened: {given}")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket.socket, "connect_ex", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    found = saywhy.Explainer()("a good film", method="occlusion")
    for ending in (".html", ".json", ".svg", ".txt"):
        found.save(tmp_path / f"why{ending}")
    saywhy.compare(saywhy.Explainer(), ["a good film"], ["occlusion"], ["deletion"], progress=False)
    corpus.run(saywhy.Explainer(), [{"text": "a good film"}], tmp_path / "out")


class Tags(HTMLParser):
    """The names and attributes of all elements of a page, as a browser reads them."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]


def pages(tmp_path):
    """Pages of every kind, made from hostile words, labels and notes."""
    x = saywhy.Explainer(lambda ts: np.array([[len(t), 1.0] for t in ts]), labels=[HOSTILE, "other"])
    e = x(HOSTILE, trust="none", method="occlusion")
    e.save(tmp_path / "one.html")
    x.each_target(HOSTILE, trust="none", method="occlusion").save(tmp_path / "many.html")
    saywhy.compare(x, [HOSTILE], ["occlusion"], ["deletion"], progress=False).save(tmp_path / "compared.html")
    rows = [{"text": HOSTILE, HOSTILE: HOSTILE}] * 4
    corpus.run(x, rows, tmp_path / "corpus", keep=[HOSTILE], trust="none")
    corpus.report(tmp_path / "corpus", by_columns=[HOSTILE]).save(tmp_path / "report.html")
    return {
        name: (tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in ("one", "many", "compared", "report")
    }


def test_pages_are_inert(tmp_path):
    for name, page in pages(tmp_path).items():
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
        assert policy is not None, name
        assert policy[1].startswith("default-src 'none'"), name
        scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
        assert len(scripts) == (1 if name == "report" else 0), name
        for script in scripts:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"script-src 'sha256-{digest}'" in policy[1], name
        tags = Tags()
        tags.feed(page)
        assert not set(tags.names) & {"img", "iframe", "object", "embed", "link", "base", "form"}, name
        assert not [key for key, _ in tags.attributes if key.startswith("on")], name
        assert all(value.startswith("#") for key, value in tags.attributes if key in ("src", "href", "xlink:href")), (
            name
        )


def test_the_served_page_answers_itself_alone(tmp_path, monkeypatch):
    pytest.importorskip("uvicorn")
    from starlette.testclient import TestClient

    from saywhy.serve import run
    from saywhy.serve.app import application
    from saywhy.serve.served import of_explainer, served

    for host in ("0.0.0.0", "192.168.0.2", "::", "some.machine"):
        with pytest.raises(OptionError, match="--token"):
            run.run((), host=host)
    assert all(run.loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1"))

    def broken(texts):
        raise ValueError(f"secret in {tmp_path}")

    x = saywhy.Explainer(broken, labels=["a", "b"])
    models = [of_explainer(x, "broken"), *served([str(tmp_path)])]
    with TestClient(application(models, token="T"), base_url="http://127.0.0.1") as client:
        shown = {"authorization": "Bearer T"}
        asked = {"input": str(Path(__file__))}  # a text, never the name of a file
        for headers, status in (
            (shown, 500),
            ({}, 401),
            ({**shown, "host": "rebound.example"}, 421),
            ({**shown, "origin": "http://other.example"}, 403),
        ):
            answer = client.post("/api/explain", json=asked, headers=headers)
            assert answer.status_code == status
            assert "secret" not in answer.text
            assert str(tmp_path) not in answer.text
            assert "Traceback" not in answer.text
        for model in (str(tmp_path), "/", "other"):
            assert client.post("/api/explain", json={"input": "a", "model": model}, headers=shown).status_code == 422
        assert str(tmp_path) not in client.get("/api/models?wait=20", headers=shown).text
        assert "unsafe" not in client.get("/").headers["content-security-policy"]


def test_notebooks_and_terminals_show_and_do_not_send():
    x = saywhy.Explainer(lambda ts: np.array([[len(t)] for t in ts], float), labels=[HOSTILE])
    e = x(HOSTILE, trust="none", method="occlusion")
    assert "<script" not in e._repr_html_()
    assert "\x1b" not in repr(e) + str(e)
    with pytest.raises(OptionError) as refused:
        x("a", target=HOSTILE + "x")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("fails", [False, True])
def test_the_process_stays_as_it_was(fails):
    model, tokenizer = tiny("bert")
    model.train()
    root = logging.getLogger()

    def state():
        return (
            dict(os.environ),
            [m.training for m in model.modules()],
            [p.requires_grad for p in model.parameters()],
            [p.grad for p in model.parameters()],
            [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
            copy.deepcopy(model.config.to_dict()),
            list(root.handlers),
            list(warnings.filters),
            torch.get_rng_state().tolist(),
            torch.is_grad_enabled(),
            {name: id(value) for name, value in vars(type(model)).items()},
        )

    before = state()
    explainer = saywhy.Explainer(model, tokenizer)
    for method in ("integrated_gradients", "libra", "attention_rollout", "kernel_shap"):
        explainer("a good film", method=method)
        if fails:
            with pytest.raises(SaywhyError):
                explainer("a good film " * 500, method=method)
    after = state()
    model.eval()
    assert before == after


def test_a_saved_explanation_holds_the_text_the_scores_and_the_name_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abracadabra")
    model, tokenizer = tiny("bert")
    saved = (
        saywhy.Explainer(model, tokenizer)("a good film", trust="none").save(tmp_path / "why.json").read_text("utf-8")
    )
    data = json.loads(saved)["explanations"][0]
    assert data["texts"] == {"text": "a good film"}
    assert data["options"]["model"] == (model.name_or_path or type(model).__name__)
    assert set(data) == {
        *("texts", "target", "method", "options", "value", "base", "complete", "prediction", "probability", "features"),
        *("scores", "stderr", "without", "notes", "cost"),
    }
    for hidden in ("abracadabra", os.uname().nodename, str(Path.home()), os.getcwd()):
        assert hidden not in saved or len(hidden) < 4


HELD = {
    "Nothing is unpickled.": [test_no_pickle_is_opened],
    "Estimators are read from skops and ONNX.": [test_no_estimator_is_unpickled],
    "No remote code.": [test_no_code_of_a_folder_runs_unless_it_is_allowed],
    "A model by name is downloaded by transformers": [test_nothing_opens_a_connection],
    "Pages are inert.": [test_pages_are_inert],
    "The page of `saywhy serve`": [test_the_served_page_answers_itself_alone],
    "Notebooks and terminals": [test_notebooks_and_terminals_show_and_do_not_send],
    "Your process stays as it was": [test_the_process_stays_as_it_was],
    "What leaves with a saved explanation": [test_a_saved_explanation_holds_the_text_the_scores_and_the_name_alone],
}
