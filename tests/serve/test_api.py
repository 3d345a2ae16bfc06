"""The API of `saywhy serve`: right answers against the explainer itself, and everything that it must refuse."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import numpy as np
import torch
from starlette.testclient import TestClient

import saywhy
from conftest import headed, tiny
from saywhy.core.errors import OptionError
from saywhy.serve.app import Limits, application
from saywhy.serve.jobs import BusyError, CancelledError, Job, TimeLimitError, Worker
from saywhy.serve.served import of_explainer, served, without_paths
from saywhy.storage.explanations import parsed, to_dict

TEXT = "I love you, I like you, I also kinda dislike you"
HOME = {"base_url": "http://localhost:8765"}


def client(*models, **settings):
    return TestClient(application(list(models) or served(()), **settings), **HOME)


@pytest.fixture(scope="module")
def package():
    """The server over the model in the package."""
    with client() as opened:
        yield opened


@pytest.fixture(scope="module")
def explainer():
    return saywhy.Explainer()


def numbers(e):
    return [e.value, e.base, *e.scores]


def same(answer, expected):
    found = parsed(answer.json(), "the answer")
    assert type(found) is type(expected)
    pairs = [(found, expected)] if isinstance(found, saywhy.Explanation) else list(zip(found, expected, strict=True))
    for one, other in pairs:
        assert (one.target, one.method, one.words, one.prediction) == (
            other.target,
            other.method,
            other.words,
            other.prediction,
        )
        np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"method": "occlusion", "absent": "drop", "by": "token", "unit": "prob"},
        {"method": "kernel_shap", "target": "NEGATIVE", "trust": "full", "options": {"seed": 3}},
        {"target": 0, "against": 1, "by": [[0, 10], [12, 22]], "overlong": "truncate"},
        {"by": "focus", "method": "libra"},
        {"each_target": True, "unit": "log-odds"},
    ],
)
def test_an_explanation_is_the_explainers(package, explainer, settings):
    answer = package.post("/api/explain", json={"input": TEXT, **settings})
    assert answer.status_code == 200, answer.text
    plain = {k: v for k, v in settings.items() if k not in ("options", "each_target")} | settings.get("options", {})
    same(answer, explainer.each_target(TEXT, **plain) if "each_target" in settings else explainer(TEXT, **plain))


def test_the_answer_is_a_file_that_can_be_loaded(package, tmp_path):
    answer = package.post("/api/explain", json={"input": TEXT, "method": "kernel_shap"})
    (tmp_path / "why.json").write_bytes(answer.content)
    loaded = saywhy.load(tmp_path / "why.json")
    assert isinstance(loaded, saywhy.Explanation)
    assert loaded.options["model"] == "sentiment"
    assert len(loaded.pairs(None)) == 13 * 12 // 2


@pytest.mark.parametrize("unit", ["logit", "prob"])
@pytest.mark.parametrize("absent", ["mask", "drop"])
def test_words_off_are_what_the_model_says_without_them(package, explainer, unit, absent):
    """Independently: the model itself on ids with the words' ids masked, or taken out."""
    sets = [[], [1], [1, 11], list(range(13))]
    asked = {"input": TEXT, "unit": unit, "absent": absent, "target": "POSITIVE", "method": "occlusion"}
    answer = package.post("/api/predict", json={**asked, "absent_features": sets})
    assert answer.status_code == 200, answer.text
    model, tokenizer = explainer.model.module, explainer.model.text_tokenizer
    encoded = tokenizer(TEXT, return_offsets_mapping=True)
    spans = [f.span for f in explainer(TEXT, trust="none").features]
    for off, told in zip(sets, answer.json()["numbers"], strict=True):
        gone = [any(spans[i][0] <= a < b <= spans[i][1] for i in off) for a, b in encoded["offset_mapping"]]
        if absent == "mask":
            ids = [tokenizer.mask_token_id if g else i for i, g in zip(encoded["input_ids"], gone, strict=True)]
        else:
            ids = [i for i, g in zip(encoded["input_ids"], gone, strict=True) if not g]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        wanted = logits if unit == "logit" else logits.softmax(-1)
        assert told["value"] == pytest.approx(float(wanted[1]), abs=1e-5)
        assert told["prediction"] == explainer.model.labels[int(logits.argmax())]
        assert told["probability"] == pytest.approx(float(logits.softmax(-1).max()), abs=1e-5)


# ---- what every rendering says, and several methods at once ------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"target": "NEGATIVE"}, {"trust": "none"}, {"each_target": True}])
def test_the_sentence_and_the_badge_are_those_of_every_rendering(package, explainer, settings):
    """Read off the page that `Explanation` draws of itself, and its terminal text."""
    answer = package.post("/api/explain", json={"input": TEXT, **settings}).json()
    found = parsed(answer, "the answer")
    drawn = html.unescape(found._repr_html_())
    assert answer["headline"]["sentence"] in drawn
    assert answer["headline"]["sentence"].replace("−", "-") in " ".join(str(found).split())
    badge = answer["headline"]["badge"]
    assert f'<span class="saywhy-badge saywhy-{badge["kind"]}">{badge["text"]}' in drawn
    items = [found] if isinstance(found, saywhy.Explanation) else list(found)
    assert len(answer["shown"]) == len(items)
    for told, e in zip(answer["shown"], items, strict=True):
        assert told["sentence"].startswith("The model says POSITIVE (76.8%)")
        assert told["reason"].replace("−", "-") == ("" if e.trust is None else e.trust.said)
        # all targets are logits of one text, so they have one scale, and its end is much of what the model moves
        assert told["colour_end"] == pytest.approx(max(abs(each.scores).max() for each in items), rel=1e-5)
        assert told["pale"] == ""
        assert any("logit" in line for line in told["means"])


def test_several_methods_answer_for_one_target(package, explainer):
    methods = ["integrated_gradients", "occlusion", "kernel_shap"]
    answer = package.post("/api/explain", json={"input": TEXT, "methods": methods, "target": "NEGATIVE", "by": "token"})
    assert answer.status_code == 200, answer.text
    found = parsed(answer.json(), "it")
    assert [e.method for e in found] == methods
    for e, method in zip(found, methods, strict=True):
        np.testing.assert_allclose(
            numbers(e), numbers(explainer(TEXT, method=method, target="NEGATIVE", by="token")), atol=1e-5
        )
    assert answer.json()["refused"] == []
    sentence = answer.json()["headline"]["sentence"]
    assert sentence.startswith("The model says POSITIVE (76.8%). 3 methods explain NEGATIVE, and ")
    progress = package.post(
        "/api/explain", json={"input": TEXT, "methods": methods[1:]}, headers={"accept": "text/event-stream"}
    )
    assert events(progress.text)[-1][0] == "result"


def test_a_method_that_cannot_be_asked_does_not_spoil_the_others(package):
    asked = {"input": TEXT, "methods": ["occlusion", "integrated_gradients"], "absent": "drop"}
    answer = package.post("/api/explain", json=asked).json()
    assert [e["method"] for e in answer["explanations"]] == ["occlusion"]
    [refused] = answer["refused"]
    assert refused["method"] == "integrated_gradients"
    assert "drop" in refused["message"]
    none = package.post("/api/explain", json={**asked, "methods": ["saliency", "integrated_gradients"]})
    assert none.status_code == 422
    assert "drop" in none.json()["error"]["message"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"methods": ["occlusion"]}, "two different names"),
        ({"methods": ["occlusion", "occlusion"]}, "two different names"),
        ({"methods": ["occlusion", "kernel_shp"]}, "kernel_shap"),
        ({"methods": "occlusion"}, "methods"),
        ({"methods": ["occlusion", "saliency"], "method": "occlusion"}, '"method"'),
        ({"methods": ["occlusion", "saliency"], "each_target": True}, '"each_target"'),
    ],
)
def test_what_is_wrong_with_several_methods_is_said(package, more, said):
    answer = package.post("/api/explain", json={"input": TEXT, **more})
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
    assert package.post("/api/predict", json={"input": TEXT, **more}).status_code == 422


def test_a_picture_without_matplotlib_says_what_to_install(package, monkeypatch):
    answer = package.post("/api/explain", json={"input": TEXT, "method": "occlusion"}).json()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for kind in ("png", "svg"):
        refused = package.post("/api/render", json={**answer, "as": kind})
        assert refused.status_code == 501
        assert "pip install 'matplotlib" in refused.json()["error"]["message"]
    assert package.post("/api/render", json={**answer, "as": "html"}).status_code == 200


def test_toggling_keeps_the_target_where_the_prediction_flips(package):
    """Without a target the one predicted for the whole input stays, and back is where it began."""
    whole, flipped, back = (
        package.post("/api/predict", json={"input": TEXT, "absent_features": [off]}).json() for off in ([], [1], [])
    )
    assert whole["target"] == flipped["target"] == back["target"] == "POSITIVE"
    assert flipped["numbers"][0]["prediction"] == "NEGATIVE"
    assert whole == back


def test_leaving_each_word_out_gives_the_variants(package, explainer):
    e = explainer(TEXT, method="occlusion")
    asked = {"input": TEXT, "method": "occlusion", "absent_features": [[i] for i in range(13)]}
    told = package.post("/api/predict", json=asked).json()["numbers"]
    np.testing.assert_allclose([e.value - t["value"] for t in told], e.scores, atol=1e-5)
    assert [t["prediction"] for t in told] == list(e.without)


def test_ten_users_at_once_each_have_their_own_answer(package, explainer):
    texts = [
        f"{word} film, I {verb} it" for word in ("good", "bad", "dull", "great", "fine") for verb in ("love", "hate")
    ]
    expected = [explainer(text) for text in texts]
    answers = [None] * 10

    def ask(i):
        answers[i] = package.post("/api/explain", json={"input": texts[i]})

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer, e in zip(answers, expected, strict=True):
        same(answer, e)


# ---- events, cancelling, limits ----------------------------------------------------------------------------------------


def events(text):
    pairs = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


def test_progress_comes_as_events(package, explainer):
    text = "I love you, I like you, I dislike"
    asked = {"input": text, "method": "shapley_values"}
    answer = package.post("/api/explain", json=asked, headers={"accept": "text/event-stream"})
    told = events(answer.text)
    assert told[0][0] == "job"
    assert told[-1][0] == "result"
    progress = [data for name, data in told if name == "progress"]
    assert progress
    assert all(p["state"] == "running" for p in progress[1:])
    rows = [p["rows"] for p in progress]
    assert rows == sorted(rows)
    assert progress[-1]["expected"] >= 2**10
    found = parsed(told[-1][1], "the answer")
    np.testing.assert_allclose(found.scores, explainer(text, method="shapley_values").scores, atol=1e-5)


class Slow:
    """A function that waits until it is let go, and says when it was called."""

    def __init__(self):
        self.called, self.go, self.rows = threading.Event(), threading.Event(), 0

    def __call__(self, texts):
        self.called.set()
        self.go.wait(20)
        self.rows += len(texts)
        return [[float(len(text)), 1.0] for text in texts]


def slow(**settings):
    function = Slow()
    explainer = saywhy.Explainer(function, labels=["long", "short"], batch_tokens=4)
    return function, client(of_explainer(explainer, "slow"), **settings)


def later(call):
    """The call in a thread of its own; gives its answer's holder and the thread."""
    out = []
    thread = threading.Thread(target=lambda: out.append(call()))
    thread.start()
    return out, thread


ASK = {"input": "a b c d e f g h", "method": "occlusion", "trust": "none"}


def test_cancelling_ends_the_work_before_its_next_batch():
    function, opened = slow()
    with opened:
        out, thread = later(lambda: opened.post("/api/explain", json=ASK))
        assert function.called.wait(10)
        desk = opened.app.app.state.desk
        [job] = desk.jobs
        assert opened.delete(f"/api/jobs/{job}").json() == {"cancelled": job}
        function.go.set()
        thread.join()
        assert (out[0].status_code, out[0].json()["error"]["kind"]) == (409, "CancelledError")
        assert function.rows < 9
        assert opened.delete(f"/api/jobs/{job}").status_code == 404
        assert not desk.jobs
        answer = opened.post("/api/explain", json={**ASK, "input": "a b"})  # and the model works on
        assert parsed(answer.json(), "it").value == 3.0


def test_more_than_may_wait_are_told_to_come_back():
    function, opened = slow(limits=Limits(waiting=2))
    with opened:
        running = later(lambda: opened.post("/api/explain", json=ASK))
        assert function.called.wait(10)
        waiting = [later(lambda: opened.post("/api/explain", json=ASK)) for _ in range(2)]
        worker = opened.app.app.state.desk.workers["slow"]
        until = time.monotonic() + 60
        while worker.waiting < 2 and time.monotonic() < until:
            threading.Event().wait(0.01)
        refused = opened.post("/api/explain", json=ASK)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        function.go.set()
        for out, thread in (running, *waiting):
            thread.join()
            assert out[0].status_code == 200


def test_a_job_that_takes_too_long_is_stopped():
    function = Slow()
    explainer = saywhy.Explainer(function, labels=["long", "short"], batch_tokens=4)
    with client(of_explainer(explainer, "slow"), limits=Limits(seconds=0.0)) as opened:
        function.go.set()
        answer = opened.post("/api/explain", json=ASK)
        assert answer.status_code == 504
        assert "--time-limit" in answer.json()["error"]["message"]


def test_a_short_question_goes_before_those_that_wait():
    order, gate, begun = [], threading.Event(), threading.Event()
    worker = Worker("w", lambda: None)
    worker.start()

    def first(held, job):
        begun.set()
        gate.wait(10)

    worker.submit(Job(first, 10))
    begun.wait(10)
    done = threading.Event()
    worker.submit(Job(lambda held, job: (order.append("long"), done.set()), 10))
    worker.submit(Job(lambda held, job: order.append("short"), 10, urgent=True))
    gate.set()
    assert done.wait(10)
    assert order == ["short", "long"]


def test_a_job_says_how_it_ended():
    for work, state in ((lambda held, job: held, "done"), (lambda held, job: 1 / 0, "failed")):
        job = Job(work, 10)
        job.run("held")
        assert job.state == state
    cancelled = Job(lambda held, job: job.tick(0, 1), 10)
    cancelled.cancel()
    cancelled.run(None)
    assert cancelled.state == "cancelled"
    with pytest.raises(CancelledError):
        cancelled.tick(0, 1)
    late = Job(lambda held, job: job.tick(0, 1), -1.0)
    late.run(None)
    assert isinstance(late.error, TimeLimitError)
    full = Worker("w", lambda: None, most=0)
    with pytest.raises(BusyError):
        full.submit(cancelled)


# ---- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, '"input" is missing'),
        ({"input": TEXT, "metod": "lime"}, "Did you mean 'method'?"),
        ({"input": TEXT, "method": "kernel_shop"}, "Did you mean 'kernel_shap'?"),
        ({"input": TEXT, "target": "POSITIV"}, "Did you mean 'POSITIVE'?"),
        ({"input": TEXT, "model": "sentimant"}, "Did you mean 'sentiment'?"),
        ({"input": TEXT, "options": {"budgit": 3}}, "budget"),
        ({"input": TEXT, "method": "lime", "options": {"samples": 10**9}}, "at most 20,000"),
        ({"input": TEXT, "options": [1]}, "object"),
        ({"input": TEXT, "method": 3}, "saywhy methods"),
        ({"input": " "}, "blank"),
        ({"input": 3}, "An input is"),
        ({"input": ["a", "b", "c"]}, "two texts"),
        ({"input": "a" * 100_001}, "100,000"),
        ({"input": TEXT, "each_target": True, "target": 0}, "leave out target"),
        ({"input": TEXT, "each_target": "yes"}, "True or False"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(package, body, said):
    answer = package.post("/api/explain", json=body)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("absent", "said"),
    [([[13]], "at most 12"), ([[-1]], "at least 0"), ([["a"]], "whole number"), ("x", "list"), ([], "1 to")],
)
def test_features_that_are_none_are_refused(package, absent, said):
    answer = package.post("/api/predict", json={"input": TEXT, "absent_features": absent})
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:8765"}, 421),
        ({"host": "192.168.1.4:8765"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"origin": "http://localhost:8765"}, 200),
        ({"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}, 200),
        ({"host": "[::1]:8765"}, 200),
    ],
)
def test_host_and_origin_are_checked(package, headers, status):
    sent = {"content-type": "application/json", **headers}
    answer = package.post("/api/predict", content=json.dumps({"input": "a good film"}), headers=sent)
    assert answer.status_code == status, answer.text


def test_a_page_of_another_name_gets_nothing(package):
    for path in ("/", "/client/client.js", "/openapi.json", "/api/models"):
        assert package.get(path, headers={"host": "rebound.example"}).status_code == 421
        assert package.get(path).status_code == 200


def test_a_token_is_wanted_where_there_is_one():
    with client(token="open sesame", hosts=["box"], addresses=True) as opened:
        for headers, status in (
            ({}, 401),
            ({"authorization": "Bearer wrong"}, 401),
            ({"authorization": "Bearer open sesame"}, 200),
            ({"authorization": "Bearer open sesame", "host": "10.0.0.7:80"}, 200),
            ({"authorization": "Bearer open sesame", "host": "elsewhere"}, 421),
        ):
            assert opened.get("/api/models", headers={"host": "box", **headers}).status_code == status
        assert opened.get("/", headers={"host": "box"}).status_code == 200  # the page itself holds no secret


def test_long_and_broken_bodies_are_refused():
    with client(limits=Limits(body=1000)) as opened:
        headers = {"content-type": "application/json"}
        assert opened.post("/api/explain", json={"input": "a" * 2000}).status_code == 413
        chunks = (b" " * 400 for _ in range(5))  # sent without a length
        assert opened.post("/api/explain", content=chunks, headers=headers).status_code == 422
        for body in (b"{", b"[]", b"\xff", b"[" * 900):
            assert opened.post("/api/explain", content=body, headers=headers).status_code == 422
        assert opened.get("/api/explain").status_code == 405
        assert opened.get("/nothing").status_code == 404
        for name in ("../app.py", "..%2Fapp.py", "index.html", "/etc/passwd"):
            assert opened.get(f"/client/{name}").status_code == 404


def test_every_answer_has_the_policy(package):
    for answer in (package.get("/"), package.get("/nothing"), package.get("/api/models", headers={"origin": "null"})):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_model_that_fails_says_no_more_than_it_should(caplog):
    def broken(texts):
        raise KeyError("secret-key-123 in /home/ada")

    with client(of_explainer(saywhy.Explainer(broken, labels=["a", "b"]), "broken")) as opened:
        answer = opened.post("/api/explain", json={"input": "some text"})
        assert answer.status_code == 500
        for hidden in ("secret", "ada", "Traceback", ".py"):
            assert hidden not in answer.text
        assert opened.post("/api/explain", json={"input": "some text"}).status_code == 500  # it is still there
    assert "secret-key-123" in caplog.text  # where the server was started, it can be read


def test_a_folder_that_is_no_model_fails_by_name_alone(tmp_path):
    folder = tmp_path / "hidden" / "my-model"
    folder.mkdir(parents=True)
    with client(*served([str(folder)])) as opened:
        told = opened.get("/api/models?wait=20").json()["models"]
        answer = opened.post("/api/explain", json={"input": "some text"})
    assert told[0]["state"] == "failed"
    assert told[0]["name"] == "my-model"
    for text in (json.dumps(told), answer.text):
        assert "hidden" not in text
        assert str(tmp_path) not in text
    assert answer.status_code == 500


def test_names_of_models_and_paths(tmp_path):
    (tmp_path / "a" / "m").mkdir(parents=True)
    (tmp_path / "b" / "m").mkdir(parents=True)
    known = served(
        [str(tmp_path / "a" / "m"), str(tmp_path / "b" / "m"), "org/name", f"question-answering={tmp_path}/a/m"]
    )
    assert [each.name for each in known] == ["m", "m 2", "org/name", "m (question-answering)"]
    assert known[2].code() == "explainer = saywhy.Explainer('org/name')"
    assert known[3].code() == "explainer = saywhy.Explainer('m', task='question-answering')"
    assert served(["http://key@host:1/v1?key=2"])[0].name == "host:1"
    with pytest.raises(OptionError, match="twice"):
        served(["a", "a"])
    assert without_paths("no file /x/y/z here, and and/or 1/2", {}) == "no file … here, and and/or 1/2"
    assert without_paths(r"C:\Users\ada\x is gone", {}) == "… is gone"


# ---- every kind of task ------------------------------------------------------------------------------------------------


def asked(explainer, given, settings=None, name="it"):
    """The answer of a server over this explainer, and what it says of the model."""
    with client(of_explainer(explainer, name)) as opened:
        about = opened.get("/api/models?wait=20").json()["models"][0]
        answer = opened.post("/api/explain", json={"input": given, **(settings or {})})
        toggled = opened.post("/api/predict", json={"input": given, "absent_features": [[], [0]], **(settings or {})})
    assert answer.status_code == 200, answer.text
    assert toggled.status_code == 200, toggled.text
    e = parsed(answer.json(), "it")
    assert toggled.json()["target"] == e.target.label
    assert toggled.json()["numbers"][0]["value"] == pytest.approx(e.value, abs=1e-5)
    return about, e, answer, toggled.json()


def test_pairs_and_questions_and_similarity_and_labels():
    pair = saywhy.Explainer(*tiny("bert"))
    _, _, answer, _ = asked(pair, ["a good film", "it was dull"])
    same(answer, pair(("a good film", "it was dull")))
    question = saywhy.Explainer(*headed("bert", "span"), task="question-answering")
    given = {"question": "who?", "context": "a good film you like"}
    about, _, answer, _ = asked(question, given, {"target": "start"})
    same(answer, question(given, target="start"))
    assert about["input"] == "question"
    assert "drop" not in about["absent"]
    near = saywhy.Explainer(*headed("bert", "vector"), task="sentence-similarity")
    about, _, answer, _ = asked(near, ["a good film", "it was dull"])
    same(answer, near(("a good film", "it was dull")))
    assert about["input"] == "pair"
    zero = saywhy.Explainer(*headed("bert", "labels", "nli"), task="zero-shot-classification")
    given = {"text": "a good film", "labels": ["sport", "art"]}
    _, _, answer, toggled = asked(zero, given, {"target": "art"})
    same(answer, zero(given, target="art"))
    assert toggled["numbers"][0]["prediction"] in ("sport", "art")


def test_entities_and_gaps():
    tagger = saywhy.Explainer(*headed("bert", "tokens"), task="token-classification")
    _, _, answer, _ = asked(tagger, "a good film you like", {"target": [1, "B-PER"]})
    same(answer, tagger("a good film you like", target=(1, "B-PER")))
    gap = saywhy.Explainer(*headed("bert", "blanks"), task="fill-mask")
    _, _, answer, _ = asked(gap, "a good [MASK] you like")
    same(answer, gap("a good [MASK] you like"))


def test_prompts_templates_and_citations():
    from tiny_lm import language_model

    lm = saywhy.Explainer(*language_model("GPT2"), task="text-generation")
    _, _, answer, _ = asked(lm, "I love you", {"target": " I like"})
    same(answer, lm("I love you", target=" I like"))
    _, _, answer, _ = asked(lm, "I love you")  # the model writes the continuation itself
    same(answer, lm("I love you"))
    template = {
        "template": "I {verb} you, {name}",
        "values": {"verb": "love", "name": "Ada"},
        "baselines": {"verb": "", "name": "Bob"},
    }
    _, _, answer, _ = asked(lm, template, {"target": " I like"})
    same(answer, lm(saywhy.llm.Template(*template.values()), target=" I like"))


def test_an_image_comes_as_base64_and_never_as_a_path(tmp_path):
    pytest.importorskip("PIL")
    import pictures

    image = saywhy.Explainer(*pictures.tiny("vit"))
    buffer = io.BytesIO()
    pictures.photo().save(buffer, "PNG")
    (tmp_path / "photo.png").write_bytes(buffer.getvalue())
    encoded = base64.b64encode(buffer.getvalue()).decode()
    about, _, answer, _ = asked(image, {"image": encoded}, {"method": "occlusion"})
    same(answer, image(buffer.getvalue(), method="occlusion"))
    assert about["input"] == "image"
    with client(of_explainer(image, "it")) as opened:
        for given in (str(tmp_path / "photo.png"), {"image": str(tmp_path / "photo.png")}, {"image": 3}):
            assert opened.post("/api/explain", json={"input": given}).status_code == 422


def test_citations_are_those_of_cite():
    from llm.lookup import lookup

    lm = saywhy.Explainer(*lookup(), task="text-generation")
    documents = ["Ada: Paris. Bob: Rome.", "Carl: Oslo."]
    expected = saywhy.cite(lm, "Ada:", documents, " Paris", prompt="{documents} {question}", progress=False)
    body = {"question": "Ada:", "documents": documents, "answer": " Paris", "prompt": "{documents} {question}"}
    with client(of_explainer(lm, "it")) as opened:
        answer = opened.post("/api/cite", json=body)
        for wrong in ({**body, "documents": "x"}, {**body, "budget": 10**6}, {**body, "colour": 1}, {"question": "a"}):
            assert opened.post("/api/cite", json=wrong).status_code == 422
    assert answer.status_code == 200, answer.text
    told, wanted = answer.json(), expected.to_dict()
    assert [s["verdict"] for s in told["statements"]] == [s["verdict"] for s in wanted["statements"]]
    assert [s["sources"] for s in told["statements"]] == json.loads(
        json.dumps([s["sources"] for s in wanted["statements"]])
    )


def test_citations_become_the_files_that_save_writes(package, tmp_path):
    from llm.lookup import lookup

    lm = saywhy.Explainer(*lookup(), task="text-generation")
    documents, prompt = (
        ["Ada: Paris. Bob: Rome.", {"id": "b", "text": "Carl: Oslo.", "title": "Ω <b>"}],
        "{documents} {question}",
    )
    found = saywhy.cite(lm, "Ada:", documents, " Paris", prompt=prompt, progress=False)
    for kind in ("html", "md", "json", "txt"):
        drawn = package.post("/api/render", json={**found.to_dict(), "as": kind})
        assert drawn.status_code == 200, drawn.text
        assert drawn.content == found.save(tmp_path / f"sources.{kind}").read_bytes()
        assert drawn.headers["content-disposition"] == f'attachment; filename="sources.{kind}"'
    damaged = {**found.to_dict(), "statements": [{"text": 3}]}
    for body, said in (({**found.to_dict(), "as": "png"}, "'png'"), ({**damaged, "as": "md"}, "statements[0]")):
        refused = package.post("/api/render", json=body)
        assert refused.status_code == 422
        assert said in refused.json()["error"]["message"]
        assert "/tmp" not in refused.text


def test_a_conversation_is_a_chat():
    import copy

    from saywhy.llm import Chat
    from tiny_lm import language_model

    model, tokenizer = language_model("Llama")
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    talking = copy.deepcopy(tokenizer)
    talking.chat_template = template
    messages = [{"role": "user", "content": "I love you"}, {"role": "assistant", "content": "a good film"}]
    lm = saywhy.Explainer(model, talking)
    about, _, answer, _ = asked(lm, {"messages": messages}, {"target": " like", "by": "message"})
    same(answer, lm(Chat(messages), target=" like", by="message"))
    assert about["chat"] is True
    assert about["by"][-1] == "message"
    plain, _, _, _ = asked(saywhy.Explainer(model, tokenizer), "I love you", {"target": " like"})
    assert plain["chat"] is False
    assert "message" not in plain["by"]


def test_citations_can_be_cancelled():
    """Between two batches of forwards, as every other job."""
    from llm.lookup import lookup
    from saywhy.serve.questions import Subject, cite

    lm, batches = saywhy.Explainer(*lookup(), task="text-generation", batch_tokens=16), []

    def tick(inputs, rows):
        batches.append(rows)
        if len(batches) == 2:
            raise CancelledError

    body = {"question": "Ada:", "documents": ["Ada: Paris. Bob: Rome.", "Carl: Oslo."], "answer": " Paris",
            "prompt": "{documents} {question}"}  # fmt: skip
    with pytest.raises(CancelledError):
        cite(Subject(lm, "it"), body, tick)
    assert len(batches) == 2


@pytest.mark.parametrize("kind", ["html", "svg", "png", "json", "txt"])
def test_an_answer_becomes_the_file_that_save_writes(package, explainer, kind, tmp_path):
    if kind == "png":
        pytest.importorskip("matplotlib")
    answer = package.post("/api/explain", json={"input": TEXT, "method": "occlusion"}).json()
    drawn = package.post("/api/render", json={**answer, "as": kind})
    assert drawn.status_code == 200, drawn.text
    assert drawn.headers["content-disposition"] == f'attachment; filename="why.{kind}"'
    saved = parsed(answer, "it").save(tmp_path / f"why.{kind}").read_bytes()
    assert drawn.content == saved or kind in ("png", "svg")
    assert len(drawn.content) == pytest.approx(len(saved), rel=0.02)


def test_only_explanations_are_drawn(package):
    whole = package.post("/api/explain", json={"input": TEXT}).json()
    damaged = {**whole, "explanations": [{**whole["explanations"][0], "scores": ["<script>"]}]}
    for body in ({"as": "html"}, {**whole, "as": "exe"}, {**damaged, "as": "html"}, {"format": "x", "as": "html"}):
        assert package.post("/api/render", json=body).status_code == 422


def test_the_description_is_of_what_there_is(package, explainer):
    told = package.get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    real = {(route.path, method.lower()) for route in package.app.app.routes for method in route.methods or ()}
    for path, operations in told["paths"].items():
        assert {(path, operation) for operation in operations} <= real
    assert {path for path, _ in real if path.startswith("/api/")} == set(told["paths"])
    from saywhy.serve.files import KINDS
    from saywhy.serve.questions import CITE_FIELDS, FIELDS

    def fields(path):
        body = told["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        return body["schema"]["properties"]

    assert set(fields("/api/explain")) == {*FIELDS, "methods"}
    assert set(fields("/api/predict")) == {*FIELDS, "absent_features"} - {"each_target"}
    assert set(fields("/api/cite")) == set(CITE_FIELDS)
    assert set(fields("/api/render")["as"]["enum"]) == {kind for kinds in KINDS.values() for kind in kinds}


def test_models_say_what_they_can_be_asked(package, explainer):
    [about] = package.get("/api/models?wait=20").json()["models"]
    assert (about["name"], about["state"], about["task"]) == ("sentiment", "ready", "text-classification")
    assert about["labels"] == ["NEGATIVE", "POSITIVE"]
    assert about["units"] == ["logit", "log-prob", "prob", "log-odds"]
    assert about["absent"] == list(explainer.model.absences)
    names = [method["name"] for method in about["methods"]]
    assert "label_attention" not in names  # it has none
    assert {"integrated_gradients", "kernel_shap", "attention_rollout"} <= set(names)
    for unit in about["units"]:
        assert package.post("/api/explain", json={"input": "a good film", "unit": unit}).status_code == 200


def test_numbers_are_plain_json(package):
    answer = package.post("/api/explain", json={"input": TEXT})
    [e] = json.loads(answer.text, parse_constant=lambda name: pytest.fail(name))["explanations"]
    assert set(e) >= set(to_dict(saywhy.Explainer()(TEXT, trust="none")))


# ---- the command -------------------------------------------------------------------------------------------------------


def command(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "saywhy", "serve", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_the_command_refuses_what_is_unsafe_or_taken():
    done = command("--host", "0.0.0.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--token" in done.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = command("--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "--port" in done.stderr
    done = command(
        "--model", "question-answering=no-such-folder", HF_HUB_OFFLINE="1"
    )  # it ends where no model can be loaded
    assert done.returncode == 1
    assert "no-such-folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_answers_at_once_and_ends_when_it_is_told(tmp_path):
    """From another address with a token; a request that comes while the model loads waits for it."""
    words = [sys.executable, "-m", "saywhy", "serve", "--port", "0", "--host", "0.0.0.0"]
    environment = {**os.environ, "SAYWHY_TOKEN": "T"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as run:
        warning, line = run.stderr.readline(), run.stderr.readline()
        assert "Warning" in warning
        assert "not encrypted" in warning
        port = re.search(r":(\d+)/#token=T ", line)[1]
        told = {"Content-Type": "application/json", "Authorization": "Bearer T"}
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/explain", b'{"input": "a good film"}', told)
        with urllib.request.urlopen(asked, timeout=120) as answer:
            assert parsed(json.load(answer), "it").prediction == "POSITIVE"
        run.send_signal(signal.SIGINT)
        assert run.wait(30) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in run.stderr.read()
