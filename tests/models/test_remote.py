"""Served models against the same tiny model at hand: every tier, tokens checked, and what a bad server may do."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import saywhy
import saywhy.extend
from fake_server import KINDS, tiny_server
from saywhy.core.errors import FileError, InputError, MethodError, ModelError, OptionError
from saywhy.llm import Chat, Prompted, Template, probe
from saywhy.models.remote import client as remote_client
from saywhy.models.remote.scoring import Question, decided
from tiny_lm import language_model, straight

PROMPT, TARGET = "the movie was a long good night", " lovely"
TOKENIZER = language_model("Llama")[1]
FAST = {"wait": 0.001, "retries": 4}


@pytest.fixture
def start():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SAYWHY_API_KEY", raising=False)
        patch.delenv("OPENAI_API_KEY", raising=False)
        open_servers = []

        def started(kind="vllm"):
            context = tiny_server(kind)
            open_servers.append(context)
            return context.__enter__()

        yield started
        for context in open_servers:
            context.__exit__(None, None, None)


def local():
    return saywhy.Explainer(*language_model("Llama"))


def explainer_of(server, tokenizer=TOKENIZER, **settings):
    return saywhy.Explainer(saywhy.Server(server.url, tokenizer=tokenizer, **FAST, **settings))


# ---- the numbers, by tier --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_tier_is_found_and_told(start, kind):
    given = None if kind in ("llama", "chat", "text") else TOKENIZER
    explainer = explainer_of(start(kind), given)
    assert f"tier {KINDS[kind]}" in repr(explainer.model)
    target = " the" if KINDS[kind] == "C" else TARGET
    e = explainer(PROMPT, target=target, method="occlusion", trust="none")
    assert any(f"tier {KINDS[kind]}" in note for note in e.notes)
    assert len(e.scores) == 7


@pytest.mark.parametrize("kind", ["vllm", "sglang", "echo", "llama", "bias"])
def test_the_numbers_of_the_same_model_at_hand(start, kind):
    served = explainer_of(start(kind), None if kind == "llama" else TOKENIZER)
    for by in ("word", "token"):
        asked = {"target": " lovely mess", "by": by, "absent": "drop", "method": "occlusion"}
        here, there = local()(PROMPT, **asked), served(PROMPT, **asked)
        assert here.features == there.features
        np.testing.assert_allclose(there.scores, here.scores, atol=1e-4)
        assert (there.value, there.base) == pytest.approx((here.value, here.base), abs=1e-4)
    assert there.value == pytest.approx(
        float(straight(*language_model("Llama"), PROMPT, " lovely mess").sum()), abs=1e-4
    )


@pytest.mark.parametrize("kind", ["vllm", "llama", "bias"])
def test_templates_targets_and_contrasts(start, kind):
    served = explainer_of(start(kind), None if kind == "llama" else TOKENIZER)
    template = Template("{a} old {b} was", {"a": "the", "b": "movie"}, {"a": ["some", "a"], "b": ["night"]})
    for asked in ({"target": TARGET}, {"target": TARGET, "against": " bad"}, {"target": TARGET, "unit": "prob"}):
        here, there = (
            local()(template, method="shapley_values", **asked),
            served(template, method="shapley_values", **asked),
        )
        np.testing.assert_allclose(there.scores, here.scores, atol=1e-4)
    given = {"prompt": PROMPT, "continuation": " lovely mess"}
    here, there = (x.each_target(given, method="occlusion", absent="drop") for x in (local(), served))
    np.testing.assert_allclose(there.matrix, here.matrix, atol=1e-4)
    found = [
        probe(x, "{a} old {b} was", {"a": ["the", "a"], "b": ["movie", "night"]}, TARGET) for x in (local(), served)
    ]
    np.testing.assert_allclose(found[0].values, found[1].values, atol=1e-4)


def test_tokens_of_half_a_character(start):
    """llama.cpp's grammars fail at them, and its answers leave them out; other servers take them."""
    server = start("llama")
    served = explainer_of(server, None)
    before = len(server.scored())
    with pytest.raises(InputError, match="end inside a character"):
        served("the movie", target=" the 😀", method="occlusion")
    assert not [body for body in server.scored()[before:] if "grammar" in body]
    asked = {"target": " the 😀", "method": "occlusion", "absent": "drop", "trust": "none"}
    for kind in ("vllm", "echo", "bias"):
        here, there = local()("the movie", **asked), explainer_of(start(kind))("the movie", **asked)
        np.testing.assert_allclose(there.scores, here.scores, atol=1e-4)


def test_what_it_writes_is_explained(start):
    task = saywhy.extend.TextGeneration(max_new_tokens=1)
    here = saywhy.Explainer(*language_model("Llama"), task=task)
    words = ("the", "movie", "good", "night", "long", "old", "thing", "bad", "lovely", "mess")
    prompts = [f"the {a} {b}" for a in words for b in words]
    written = here.predict(prompts)
    prompt = next(p for p, (text, _) in zip(prompts, written, strict=True) if text.strip() and "\ufffd" not in text)
    e = here(prompt, method="occlusion", absent="drop")
    for kind in ("llama", "vllm"):
        server = start(kind)
        given = saywhy.Server(server.url, tokenizer=None if kind == "llama" else TOKENIZER, **FAST)
        there = saywhy.Explainer(given, task=task)(prompt, method="occlusion")
        assert there.prediction == e.prediction
        np.testing.assert_allclose(there.scores, e.scores, atol=1e-4)


def test_texts_without_tokens(start):
    """vLLM without a tokenizer: features are spans, tokens are checked by their text."""
    for kind in ("vllm", "echo"):
        served = explainer_of(start(kind), None)
        e = served(PROMPT, target=" lovely mess", method="occlusion", trust="none")
        model, tokenizer = language_model("Llama")
        whole = float(straight(model, tokenizer, PROMPT, " lovely mess").sum())
        without = float(straight(model, tokenizer, "the movie was a long night", " lovely mess").sum())
        assert e.value == pytest.approx(whole, abs=1e-4)
        assert e.scores[e.words.index("good")] == pytest.approx(whole - without, abs=1e-4)
        with pytest.raises(ModelError, match="read other tokens"):
            served("love t", target="he", method="occlusion", trust="none")
        with pytest.raises(OptionError, match="tells no tokens"):
            served(PROMPT, target=TARGET, by="token")
        with pytest.raises(InputError, match="tells no tokens"):
            served(PROMPT, target=(3, 4))


def test_decisions_of_the_first_token(start):
    model, tokenizer = language_model("Llama")
    served = explainer_of(start("top"))
    e = served(PROMPT, target=" the", method="occlusion", trust="none")
    row = model(torch.tensor([tokenizer(PROMPT)["input_ids"]])).logits[0, -1].detach().log_softmax(-1)
    top = row.topk(20).values
    goal = tokenizer(" the")["input_ids"]
    assert len(goal) == 1
    told = float(row[goal[0]])
    assert e.value == pytest.approx(max(told, float(top.min())), abs=1e-4)
    if told < float(top.min()):
        assert any("not among the likeliest" in note for note in e.notes)
    likeliest = tokenizer.decode([int(row.argmax())])
    assert served(PROMPT, target=(int(row.argmax()),), trust="none").value == pytest.approx(
        float(row.max()), abs=1e-4
    ), likeliest
    with pytest.raises(InputError, match=r"first token.*target here has"):
        served(PROMPT, target=" lovely mess of it all")


@pytest.mark.parametrize("kind", ["chat", "text"])
def test_newer_names_of_the_same_settings(start, kind):
    server = start(kind)
    old = explainer_of(server, None)(PROMPT, target="the", method="occlusion", trust="none")
    server.newer = True
    served = explainer_of(server, None)
    np.testing.assert_allclose(served(PROMPT, target="the", method="occlusion", trust="none").scores, old.scores)
    assert f"tier {KINDS[kind]}" in repr(served.model)


def test_decided_reads_the_first_token():
    top = (("pos", math.log(0.5)), (" Pos", math.log(0.2)), ("p", math.log(0.1)), ("no", math.log(0.05)))
    question = Question("x", (), "positive")
    assert decided(question, top).logprobs[0] == pytest.approx(math.log(0.6))
    assert not decided(question, top).bounded
    unlikely = decided(replace(question, text="maybe"), top)
    assert unlikely.bounded
    assert unlikely.logprobs[0] == pytest.approx(math.log(0.05))
    with pytest.raises(ModelError, match="begin with the same token"):
        decided(replace(question, rivals=("possible",)), top)


def test_samples_are_named_as_another_question(start):
    server = start("text")
    served = explainer_of(server, None, samples=64)
    row = server.logp(server.ids(PROMPT + "\n"))[-1].exp()
    best = int(row.argmax())
    e = served(PROMPT, target=server.text(best).strip() or "x", method="occlusion", trust="none", unit="prob")
    agree = sum(
        server.text(int(torch.multinomial(row, 1, generator=torch.Generator().manual_seed(s))))
        .strip()
        .startswith(server.text(best).strip())
        for s in range(64)
    )
    assert e.value == pytest.approx((agree + 0.5) / 65)
    assert any("another question" in note for note in e.notes)
    e = served(PROMPT, target=server.text(best).strip() or "x", method="occlusion", unit="prob")
    shares = [e.value, e.base]
    error = max(p * (1 - p) for p in shares) / 64
    assert e.stderr == pytest.approx(np.full(7, (2 * error) ** 0.5), rel=0.05)
    assert any("their binomial error" in note for note in e.notes)


def test_chats(start):
    chat = Chat([{"role": "system", "content": "the long night"}, {"role": "user", "content": "good movie"}])
    e = explainer_of(start("llama"), None)(chat, target=" the", by="message", method="shapley_values")
    assert e.words == ("the long night", "good movie")
    server = start("chat")
    e = explainer_of(server, None)(chat, target="the", by="message", method="shapley_values", trust="none")
    assert e.words == ("the long night", "good movie")
    sent = [[(m["role"], m["content"]) for m in body["messages"]] for body in server.scored()[-4:]]
    assert sorted(sent) == sorted(
        [("system", a), ("user", b)] for a in ("", "the long night") for b in ("", "good movie")
    )


def test_a_prompted_classifier(start):
    labels = ["good", "bad"]
    served = Prompted(saywhy.Server(start("llama").url, **FAST), "the {text} was", labels)
    here = Prompted(language_model("Llama"), "the {text} was", labels)
    one, other = saywhy.Explainer(served), saywhy.Explainer(here)
    for asked in (
        {},
        {"unit": "prob", "target": "bad"},
        {"against": "good", "target": "bad"},
        {"by": [(0, 4), (5, 9)]},
    ):
        a, b = (x("long movie", method="shapley_values", absent="drop", **asked) for x in (one, other))
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
        assert a.features == b.features
        assert a.text == "long movie"
        assert [a.text[slice(*f.span)] for f in a.features] == list(a.words)
    model, tokenizer = language_model("Llama")
    sums = torch.stack([straight(model, tokenizer, "the long movie was", f" {label}").sum() for label in labels])
    assert other.predict(["long movie"])[0][1] == pytest.approx(float(sums.softmax(0).max()), abs=1e-5)
    assert one("long movie", unit="prob").prediction == labels[int(sums.argmax())]
    for wrong in ("no place", "{text} {text}"):
        with pytest.raises(OptionError, match="exactly once"):
            Prompted(language_model("Llama"), wrong, labels)
    with pytest.raises(OptionError, match="two different"):
        Prompted(language_model("Llama"), "{text}", ["good"])


def test_a_prompted_judge_by_decisions(start):
    judge = saywhy.Explainer(Prompted(saywhy.Server(start("chat").url, **FAST), "is it {text}?", ["good", "the"]))
    e = judge("a long movie", method="occlusion")
    assert e.target.label in ("good", "the")
    assert any("tier C" in note for note in e.notes)


# ---- asking little ---------------------------------------------------------------------------------------------------


def test_every_distinct_prompt_once_and_beginnings_together(start):
    server = start("vllm")
    served = explainer_of(server)
    before = len(server.scored())
    e = served("the the the movie", target=TARGET, method="shapley_values", trust="none")
    asked = [tuple(body["prompt"]) for body in server.scored()[before:]]
    assert len(asked) == len(set(asked)) < 2**4
    assert len(asked) == e.cost.rows
    assert served.model.sent == len(asked)
    server.asked.clear()
    alone = explainer_of(server, concurrency=1)
    server.asked.clear()
    alone(PROMPT, target=TARGET, method="occlusion", trust="none")
    prompts = [body["prompt"][:-2] for body in server.scored()][1:]  # the whole prompt goes first
    assert len(prompts) == 8
    assert prompts == sorted(prompts)


def test_what_it_takes_is_told_and_the_budget_holds(start, capsys):
    server = start("vllm")
    served = explainer_of(server, budget=60, price=2.0)
    before = len(server.scored())
    with pytest.raises(OptionError, match=r"up to \d+ requests.*price given.*60 requests are left.*by='sentence'"):
        served(" ".join([PROMPT] * 3), target=TARGET)
    assert len(server.scored()) == before
    served("the movie was", target=TARGET, progress=True)
    told = capsys.readouterr().err
    assert "requests" in told
    assert served.model.sent <= int(told.split("up to ")[1].split()[0])
    tight = explainer_of(server, budget=3)
    with pytest.raises(ModelError, match="of the budget of 3"):
        list(tight.stream([PROMPT], target=TARGET))


def test_few_requests_by_default(start):
    served = explainer_of(start("vllm"))
    text = "the good movie was a long night of"
    e = served(text, target=TARGET, trust="none")
    assert len(e.scores) == 8
    assert e.options["frugal"] is True
    assert e.cost.rows <= 4 * 8 + 16 + 2
    exact = served(text, target=TARGET, method="shapley_values", trust="none")
    wrong = np.abs(e.scores - exact.scores).mean() / np.abs(exact.scores).mean()
    assert wrong < 0.5


def test_a_cache_goes_on_where_it_was(start, tmp_path):
    server = start("vllm")
    path = tmp_path / "answers.sqlite"
    count = {"n": 0}

    def dies(n, path):
        count["n"] += path == "/v1/completions"
        return (400, b'{"error": {"message": "out of credit"}}') if count["n"] > 12 else None

    served = explainer_of(server, cache=path)
    server.fault = dies
    with pytest.raises(ModelError, match="out of credit"):
        served(PROMPT, target=TARGET, method="shapley_values")
    server.fault = lambda n, path: None
    first = [json.dumps(body) for body in server.scored()]
    server.asked.clear()
    again = explainer_of(server, cache=path)
    probing = len(server.scored())
    e = again(PROMPT, target=TARGET, method="shapley_values", trust="none")
    second = [json.dumps(body) for body in server.scored()[probing:]]
    assert len(second) == len(set(second)) > 100
    assert not set(first) & set(second)
    again(PROMPT, target=TARGET, method="shapley_values")  # with its checks, both ends asked twice among them
    fresh = explainer_of(server)(PROMPT, target=TARGET, method="shapley_values")
    np.testing.assert_allclose(e.scores, fresh.scores, atol=1e-9)
    server.asked.clear()
    third = explainer_of(server, cache=path)
    probing = len(server.scored())
    third(PROMPT, target=TARGET, method="shapley_values")
    assert len(server.scored()) == probing
    (tmp_path / "text.txt").write_text("no cache")
    with pytest.raises(FileError, match="cannot be a cache"):
        explainer_of(server, cache=tmp_path / "text.txt")


def test_a_killed_run_asks_nothing_twice(start, tmp_path):
    server = start("vllm")
    server.delay = 0.02
    code = f"""
import saywhy
from tiny_lm import language_model
server = saywhy.Server({server.url!r}, tokenizer=language_model("Llama")[1], cache={str(tmp_path / "a.sqlite")!r})
saywhy.Explainer(server)({PROMPT!r}, target={TARGET!r}, method="shapley_values", trust="none")
"""
    path = os.pathsep.join(["tests", *sys.path])
    run = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(server.scored()) < 30 and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    run.kill()
    run.wait()
    killed = [tuple(body["prompt"]) for body in server.scored()]
    assert 30 <= len(killed) < 120
    server.delay = 0.0
    server.asked.clear()
    served = explainer_of(server, cache=tmp_path / "a.sqlite")
    probing = len(server.scored())
    served(PROMPT, target=TARGET, method="shapley_values", trust="none")
    after = [tuple(body["prompt"]) for body in server.scored()[probing:]]
    assert (
        len(set(killed) & set(after)) <= served.model.server.concurrency
    )  # those that were under way when it was killed
    assert len(after) < 128 - 20


def test_a_server_that_changes_its_mind_is_noticed(start):
    server = start("vllm")
    served = explainer_of(server)
    assert not any("otherwise each time" in note for note in served(PROMPT, target=TARGET).notes)
    server.noise = 0.5
    e = served(PROMPT, target=TARGET)
    assert any("the model answers otherwise each time" in note for note in e.notes)
    assert e.stderr is not None
    assert e.stderr.min() > 0
    assert e.trust.figures["noise"] > 0


# ---- bad servers -----------------------------------------------------------------------------------------------------


def test_busy_and_broken_servers_are_asked_again(start):
    server = start("vllm")
    served = explainer_of(server)
    truth = served(PROMPT, target=TARGET, method="occlusion", trust="none").scores
    faults = [(429, b"{}", {"Retry-After": "0.001"}), (500, b"oops"), "cut", (503, b"", {"Retry-After": "nonsense"})]
    server.fault = lambda n, path: faults[n // 3 % 4] if n % 3 == 0 else None
    np.testing.assert_allclose(served(PROMPT, target=TARGET, method="occlusion", trust="none").scores, truth)


def test_requests_go_out_together(start):
    server = start("vllm")
    served = explainer_of(server, concurrency=5)
    server.delay = 0.01
    served(PROMPT, target=TARGET, method="shapley_values", trust="none")
    assert server.most_busy == 5


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            (500, b'{"error": {"message": "out of memory, secret"}}'),
            r"answered 500: out of memory, \[key\] \(5 tries\)",
        ),
        ((401, b'{"error": {"message": "bad key secret"}}'), r"answered 401: bad key \[key\].*--key-file"),
        ((400, b'{"detail": "too long"}'), "answered 400: too long"),
        (b"<html>secret", r"no JSON: '<html>\[key\]'"),
        (b"[]", "no choices"),
        (b'{"choices": [{"text": "x"}]}', "no `prompt_logprobs`"),
        (b'{"choices": [{"prompt_logprobs": [{"1": {"logprob": NaN}}, {"2": {}}]}]}', "read other tokens"),
        ("cut", r"no server answers at .* \(\w+\)"),
        ((302, b"", {"Location": "http://127.0.0.2:9/v1/x"}), "sends requests on to another address"),
        ((307, b"", {"Location": "/v1/completions"}), "one redirect after the other"),
        ((307, b"", {"Location": "http://[bad"}), "sends requests on to another address"),
        (b"[" * 200_000, r"no JSON: '\[\["),
        ((400, b"[" * 200_000), r"answered 400: \[\["),
        ((200, b"not gzip", {"Content-Encoding": "gzip"}), "cannot be unpacked"),
        ((429, b"{}", {"Retry-After": "Mon, 32 Jan 2024 00:00:00 GMT"}), r"answered 429: .*\(5 tries\)"),
        ((429, b"{}", {"Retry-After": "Mon, 01 Jan 2024 00:00:00 +9999999"}), r"answered 429: .*\(5 tries\)"),
        (b'{"choices": [{"prompt_logprobs": 3}]}', "no `prompt_logprobs`"),
    ],
)
def test_what_goes_wrong_is_told(start, fault, said):
    server = start("vllm")
    served = explainer_of(server, key="secret")
    server.fault = lambda n, path: fault
    with pytest.raises(ModelError, match=said) as caught:
        served(PROMPT, target=TARGET, method="occlusion")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(served) + repr(served.model) + repr(served.model.server) + repr(served.model.client)


def test_huge_and_slow_answers_are_cut_off(start, monkeypatch):
    server = start("vllm")
    served = explainer_of(server)
    monkeypatch.setattr(remote_client, "LARGEST", 1_000)
    server.fault = lambda n, path: b'{"choices": "' + b"x" * 5_000 + b'"}'
    with pytest.raises(ModelError, match="sends an answer of more than"):
        served(PROMPT, target=TARGET)
    server.fault, server.delay = (lambda n, path: None), 0.2
    slow = replace(served.model.server, timeout=0.05, retries=1)
    with pytest.raises(ModelError, match=r"no server answers at .* in time"):
        saywhy.Explainer(slow)


def test_the_key_goes_to_this_server_alone(start, monkeypatch):
    server, other = start("vllm"), start("vllm")
    monkeypatch.setenv("OPENAI_API_KEY", "env")
    explainer_of(server)
    assert set(server.keys) == {"Bearer env"}
    server.keys.clear()
    e = explainer_of(server, key="mine")(PROMPT, target=TARGET)
    assert set(server.keys) == {"Bearer mine"}
    assert "mine" not in json.dumps(e.to_dict())
    server.fault = lambda n, path: (302, b"", {"Location": other.url + "/models"})
    with pytest.raises(ModelError, match="another address"):
        explainer_of(server, key="mine")
    assert not other.keys
    monkeypatch.delenv("OPENAI_API_KEY")
    server.fault = lambda n, path: None
    server.keys.clear()
    saywhy.Explainer(server.url)
    assert set(server.keys) == {None}


def test_another_tokenizer_is_noticed(start):
    from conftest import sentence_piece

    with pytest.raises(OptionError, match="give the tokenizer of the model that is served"):
        explainer_of(start("vllm"), sentence_piece())
    with pytest.raises((OptionError, ModelError)):
        explainer_of(start("echo"), sentence_piece())(PROMPT, target=TARGET)


def test_settings_are_checked(start):
    for wrong, said in (
        ({"url": "localhost:8000"}, "A server is an address"),
        ({"url": "http://me:secret@host/v1"}, "holds no name, key or query"),
        ({"url": "http://h/v1?key=1"}, "holds no name, key or query"),
        ({"url": "http://h/v1", "concurrency": 0}, "at least 1"),
        ({"url": "http://h/v1", "budget": 0}, "at least 1"),
        ({"url": "http://h/v1", "key": "a\nb"}, "line break"),
        ({"url": "http://h/v1", "tokenizer": 3}, "tokenizer"),
    ):
        with pytest.raises(OptionError, match=said):
            saywhy.Server(**wrong)
    server = start("vllm")
    with pytest.raises(OptionError, match=r"'tinny'.*Did you mean 'tiny'"):
        explainer_of(server, model="tinny")
    with pytest.raises(ModelError, match=r"no server answers at http://127\.0\.0\.1:9/v1"):
        saywhy.Explainer(saywhy.Server("http://127.0.0.1:9/v1", **FAST))
    served = explainer_of(server)
    for method in ("integrated_gradients", "attention_rollout"):
        with pytest.raises(MethodError):
            served(PROMPT, target=TARGET, method=method)
    with pytest.raises(OptionError, match="does text-generation"):
        saywhy.Explainer(served.model.server, task="text-classification")


def test_threads_copies_and_forks(start):
    server = start("vllm")
    served = explainer_of(server)
    truth = served(PROMPT, target=TARGET, method="occlusion").scores
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(served(PROMPT, target=TARGET, method="occlusion").scores))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for scores in [*found, pickle.loads(pickle.dumps(served))(PROMPT, target=TARGET, method="occlusion").scores]:
        np.testing.assert_allclose(scores, truth)
    np.testing.assert_allclose(copy.deepcopy(served)(PROMPT, target=TARGET, method="occlusion").scores, truth)


def test_inside_a_running_loop(start):
    """As in a notebook, whose cells run inside an event loop."""
    import asyncio

    served = explainer_of(start("vllm"))

    async def cell():
        return served(PROMPT, target=TARGET, method="occlusion").value

    assert asyncio.run(cell()) == pytest.approx(served(PROMPT, target=TARGET, method="occlusion").value)


def test_ctrl_c_cancels_what_is_under_way(start):
    server = start("vllm")
    served = explainer_of(server, concurrency=2)
    before, server.delay = len(server.scored()), 0.03
    import _thread

    threading.Timer(0.1, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        served(PROMPT, target=TARGET, method="shapley_values")
    time.sleep(0.1)
    count = len(server.scored()) - before
    assert count < 40
    time.sleep(0.1)
    assert len(server.scored()) - before == count


# ---- the command line, Captum's names, and what is told before ---------------------------------------------------------


@pytest.fixture
def command(monkeypatch, capsys):
    """The command within this process: exit status, standard output, standard error."""
    import saywhy.cli.app

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["saywhy", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            saywhy.cli.app.main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_the_command_line(start, command, tmp_path):
    server = start("llama")
    key = tmp_path / "key.txt"
    key.write_text("secret\n")
    more = ("--model", server.url, "--key-file", key, "--cache", tmp_path / "a.sqlite", "--budget", "100")
    status, out, err = command("explain", PROMPT, "--target", TARGET, "--method", "occlusion", *more)
    assert status == 0, err
    assert "tier B" in " ".join(out.split())
    assert "secret" not in out + err
    assert set(server.keys) == {"Bearer secret"}
    status, out, err = command("prompt", "{a} old {b} was", "--values", "a=the,b=movie", "--target", TARGET, *more)
    assert status == 0, err
    assert "4 prompts to score with tiny at 127.0.0.1" in err
    status, _, err = command("explain", "good", "--cache", tmp_path / "b.sqlite")
    assert status == 2
    assert "--cache is for a server" in err
    status, _, err = command("explain", "good", "--model", server.url, "--key-file", tmp_path / "none")
    assert status == 2
    status, _, err = command("explain", "good", "--model", "http://127.0.0.1:9/v1")
    assert status == 1
    assert "no server answers" in err


def test_captums_provider_asks_together(start, monkeypatch):
    from saywhy.compat import captum

    monkeypatch.setitem(sys.modules, "openai", None)
    server = start("vllm")
    server.delay = 0.01
    made = captum.RemoteLLMAttribution(
        captum.ShapleyValues(captum.RemoteLLMAttribution.placeholder_model), TOKENIZER, captum.VLLMProvider(server.url)
    )
    given = captum.TextTemplateInput("{} old {} was a {} good {}", ["the", "movie", "long", "night"])
    found = made.attribute(given, target=TARGET)
    assert server.most_busy > 4
    here = captum.LLMAttribution(captum.ShapleyValues(language_model("Llama")[0]), TOKENIZER).attribute(
        given, target=TARGET
    )
    torch.testing.assert_close(found.seq_attr, here.seq_attr, atol=1e-4, rtol=0)


def test_a_gguf_file_without_llama_cpp(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    path = tmp_path / "a.gguf"
    with pytest.raises(FileError, match="cannot be read"):
        saywhy.Explainer(path)
    path.write_bytes(b"PK")
    with pytest.raises(FileError, match="does not begin with GGUF"):
        saywhy.Explainer(str(path))
    path.write_bytes(b"GGUF")
    with pytest.raises(ImportError, match="'xllamacpp>="):
        saywhy.Explainer(path)


def test_httpx_where_httpx2_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match="pip install httpx2"):
        remote_client.http_package()
    stand_in = type(sys)("httpx")
    monkeypatch.setitem(sys.modules, "httpx", stand_in)
    assert remote_client.http_package() is stand_in


def test_servers_pieces_of_characters():
    from saywhy.models.remote.tokenizer import placed

    text = "Grö 😀!"
    data = text.encode()
    pieces = [data[:2], data[2:3], data[3:4], data[4:7], data[7:9], data[9:]]
    spans = placed(text, [b"<s>", *pieces])
    assert spans[0] is None
    assert [text[slice(*span)] for span in spans[1:]] == ["Gr", "ö", "ö", " 😀", "😀", "!"]
    assert placed("a b", [b" a", b" b"]) == [(0, 1), (1, 3)]
    with pytest.raises(InputError, match="changes what it reads"):
        placed("A b", [b"a", b" b"])
