"""Served models: what a budget counts, what a cache keeps, and lists of likeliest tokens as servers send them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

import saywhy
from fake_server import tiny_server
from saywhy.core.errors import ModelError, OptionError
from saywhy.models.remote.scoring import Question, decided
from tiny_lm import language_model

PROMPT = "the cat sat on"


@pytest.fixture(params=["vllm", "llama", "chat"])
def server(request):
    with tiny_server(request.param) as made:
        yield made


def explainer_of(server, **settings):
    if server.kind == "vllm":
        settings["tokenizer"] = language_model("Llama")[1]
    return saywhy.Explainer(saywhy.Server(server.url, wait=0.0, **settings))


def scored(server):
    """The requests for answers, after the probing."""
    return [body for path, body in server.asked if body and path.rsplit("/", 1)[-1] in ("completions", "completion")]


def test_what_the_model_writes_first_counts_and_is_kept(server, tmp_path):
    explainer = explainer_of(server, cache=tmp_path / "answers.sqlite")
    server.asked.clear()
    first = explainer(PROMPT, method="occlusion", trust="none")
    assert explainer.model.sent == len(scored(server)) > 0
    again = explainer_of(server, cache=tmp_path / "answers.sqlite")
    server.asked.clear()
    second = again(PROMPT, method="occlusion", trust="none")
    assert scored(server) == []
    assert again.model.sent == 0
    assert second.scores.tolist() == first.scores.tolist()
    assert second.texts == first.texts


def test_the_budget_holds_for_what_the_model_writes_first(server):
    """Refused before the first request where that one more is too much; enough where the estimate says so."""
    explainer = explainer_of(server)
    server.asked.clear()
    explainer(PROMPT, method="occlusion", trust="none")
    needed = len(scored(server))
    tight = explainer_of(server, budget=needed - 1)
    server.asked.clear()
    with pytest.raises((OptionError, ModelError), match="budget"):
        tight(PROMPT, method="occlusion", trust="none")
    assert len(scored(server)) < needed
    explainer_of(server, budget=needed + 4)(PROMPT, method="occlusion", trust="none")


def test_threads_together_keep_to_the_budget():
    with tiny_server("chat") as server:
        explainer = explainer_of(server, budget=10_000)
        spend = explainer.model._spend
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: _tried(spend), range(20_000)))
        assert explainer.model.sent == sum(done) == 10_000


def _tried(spend):
    try:
        spend(1)
    except ModelError:
        return False
    return True


@pytest.mark.parametrize(
    ("top", "wanted"),
    [
        ([("good", 0.5), ("bad", 0.3)], 0.5),
        ([("good", 0.5), ("good", 0.5), ("bad", 0.3)], 0.5),  # the written token stands in the list twice
        ([(" good", 0.4), (" good", 0.4), ("bad", 0.3)], 0.4),
        ([("good", 0.4), ("good", 0.1), ("bad", 0.3)], 0.5),  # two tokens of the same text
        ([("go", 0.2), (" good", 0.4), ("bad", 0.3)], 0.6),
    ],
)
def test_a_token_that_is_told_twice_counts_once(top, wanted):
    told = [(text, math.log(p)) for text, p in top]
    found = decided(Question("?", (), "good", rivals=("bad",)), told)
    assert found.logprobs == [pytest.approx(math.log(wanted))]
    assert not found.bounded
