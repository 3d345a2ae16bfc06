"""Baselines drawn at random: standard errors over the draws, which are the same for every subset of slots."""

from __future__ import annotations

import random

import numpy as np
import pytest

import saywhy
from saywhy.llm import Template
from tiny_lm import language_model

TEXT, TARGET = "{name} from {country} applied. They", " lovely"
VALUES = {"name": "Georg", "country": "Togo"}


def explainer():
    return saywhy.Explainer(*language_model("Llama"))


@pytest.mark.parametrize("method", ["shapley_values", "occlusion", "kernel_shap"])
def test_standard_errors_over_the_draws(method):
    many = {"name": [f"a{i} b" for i in range(8)], "country": ["x", "y", "the"]}
    asked = {"target": TARGET, "method": method}
    template = Template(TEXT, VALUES, many, most=10, samples=6, seed=3)
    e = explainer()(template, **asked)
    each = np.array([explainer()(Template(TEXT, VALUES, draw), **asked).scores for draw in template.draws.rows])
    np.testing.assert_allclose(e.scores, each.mean(0), atol=1e-4)
    np.testing.assert_allclose(e.stderr, each.std(0, ddof=1) / np.sqrt(6), atol=1e-4)
    tokens = explainer().each_target({"prompt": template, "continuation": TARGET}, method=method)
    assert all(t.stderr is not None and t.stderr.shape == (2,) for t in tokens)
    both = explainer()(template, against=" bad", **asked)
    assert (both.stderr > 0).all()
    assert e.cost.rows <= 1 + 3 * 6
    for exact in (Template(TEXT, VALUES, many), Template(TEXT, VALUES, many, most=1, samples=1)):
        assert explainer()(exact, **asked).stderr is None


def test_standard_errors_of_a_function_and_of_sampled_subsets():
    rng = random.Random(0)
    slots = {f"s{i}": "good" for i in range(8)}
    text = " ".join(f"{{{slot}}}" for slot in slots)
    template = Template(text, slots, lambda: {slot: rng.choice(["bad", "the", "a"]) for slot in slots}, samples=4)
    e = explainer()(template, target=TARGET, method="shapley_sampling", permutations=6)
    each = [
        explainer()(Template(text, slots, draw), target=TARGET, method="shapley_sampling", permutations=6)
        for draw in template.draws.rows
    ]
    np.testing.assert_allclose(e.scores, np.mean([one.scores for one in each], 0), atol=1e-4)
    spread = np.std([one.scores for one in each], axis=0, ddof=1) / 2
    assert (e.stderr > spread - 1e-6).all()
    assert (e.stderr > spread + 1e-6).any()  # the permutations are drawn too
