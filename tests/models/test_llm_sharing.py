"""Beginnings computed once: the same numbers as without, fewer positions, nothing left behind; and when it is not done."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import saywhy
from saywhy.core.errors import ModelError
from saywhy.llm import Template, probe
from saywhy.models.causal.model import LanguageModel
from saywhy.models.causal.prefix_cache import beginnings, bundles, cuts, ordered
from saywhy.models.causal.prompts import Scored
from tiny_lm import DECODERS, ENCODED, language_model, straight

SLOTS = {"a": "the", "b": "good", "c": "movie", "d": "night"}
TEXT = "{a} old and {b} thing was a {c} of the long {d}. They said it was"


def rows(seed=0):
    """Prompts that begin alike: one replaced id, one id more, one absent embedding at each place."""
    rng = np.random.default_rng(seed)
    base, out = rng.integers(5, 80, 30), []
    for i in range(2, 30):
        ids, absent = base.copy(), None
        if i % 3 == 0:
            ids = np.insert(ids, i, rng.integers(5, 80, 2))
        elif i % 3 == 1:
            ids[i] = 3
        else:
            absent = np.arange(len(ids)) == i
        out.append(Scored(ids, np.array([7, 9, 11, 4]), 5, absent, None if i % 2 else 5))
    return out


def positions(adapter, work):
    """How many positions go through the first block while `work` runs."""
    cache = []
    block = next(m for m in adapter.model.modules() if isinstance(m, torch.nn.ModuleList))[0]

    def count(module, args, kwargs):
        states = args[0] if args else kwargs["hidden_states"]
        cache.append(states.shape[0] * states.shape[1])

    hook = block.register_forward_pre_hook(count, with_kwargs=True)
    try:
        result = work()
    finally:
        hook.remove()
    return result, sum(cache)


@pytest.mark.parametrize("name", DECODERS)
def test_the_numbers_are_those_without(name):
    adapter = LanguageModel(*language_model(name))
    adapter.batch_tokens = 40
    given = rows()
    with torch.no_grad(), adapter.frozen():
        plain, many = positions(adapter, lambda: torch.stack(adapter.plain(given)))
        adapter.forward(given)  # the first time is checked beside a plain call
        assert adapter.shares is True
        shared, few = positions(adapter, lambda: torch.stack(adapter.forward(given)))
        mixed = [given[i] for i in np.random.default_rng(1).permutation(len(given))] + [
            Scored(np.array([9, 8, 7]), np.array([1]), 5)
        ]
        other = torch.stack(adapter.forward(mixed))
    torch.testing.assert_close(shared, plain, atol=1e-4, rtol=0)
    torch.testing.assert_close(other, torch.stack(adapter.plain(mixed)).detach(), atol=1e-4, rtol=0)
    assert few < 0.75 * many
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in adapter.model.modules())
    assert adapter.model.config.use_cache


@pytest.mark.parametrize("name", ["Llama", "GPT2", "OPT", "Gemma"])
def test_exact_shapley_values_of_a_template(name):
    model, tokenizer = language_model(name)
    template, target = Template(TEXT, SLOTS, dict.fromkeys(SLOTS, "you")), " lovely"
    one = saywhy.Explainer(model, tokenizer)
    one.model.batch_tokens = 200
    e, few = positions(one.model, lambda: one(template, target=target, method="shapley_values"))
    again = saywhy.Explainer(model, tokenizer)
    again.model.shares = False
    without, many = positions(again.model, lambda: again(template, target=target, method="shapley_values"))
    np.testing.assert_allclose(e.scores, without.scores, atol=1e-4)
    assert e.value == pytest.approx(float(straight(model, tokenizer, TEXT.format(**SLOTS), target).sum()), abs=1e-4)
    assert few < 0.8 * many
    assert e.cost.rows == 16
    assert e.cost.forwards < 16


def test_occlusion_a_probe_and_two_continuations():
    model, tokenizer = language_model("Llama")
    one, plain = saywhy.Explainer(model, tokenizer), saywhy.Explainer(model, tokenizer)
    one.model.batch_tokens, plain.model.shares = 100, False
    prompt = "I love you, the movie was a long and good one. They said it was"
    asked = {"target": " lovely", "against": " bad night", "method": "occlusion", "by": "token"}
    for absent in one.model.absences:
        e, f = (each(prompt, absent=absent, **asked) for each in (one, plain))
        np.testing.assert_allclose(e.scores, f.scores, atol=1e-4)
    assert one.model.shares is True
    slots = {"a": ["the", "one"], "b": ["good", "bad", "long"], "c": ["movie", "day"], "d": ["night", "you"]}
    found, other = (probe(each, TEXT, slots, " lovely") for each in (one, plain))
    np.testing.assert_allclose(found.values, other.values, atol=1e-4)


class TestWhereItIsNotDone:
    @pytest.mark.parametrize("name", ENCODED)
    def test_encoder_decoders(self, name):
        assert LanguageModel(*language_model(name)).shares is False

    def test_a_window_shorter_than_the_rows(self):
        model, tokenizer = language_model("Mistral", seed=4)
        model.config.sliding_window = 8
        adapter = LanguageModel(model, tokenizer)
        adapter.batch_tokens = 40
        with torch.no_grad():
            torch.testing.assert_close(
                torch.stack(adapter.forward(rows())), torch.stack(adapter.plain(rows())), atol=1e-5, rtol=0
            )
        assert adapter.shares is None

    def test_recurrent_models(self):
        from transformers import MambaConfig, MambaForCausalLM

        config = MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=2, state_size=4, use_mambapy=False)
        model, tokenizer = MambaForCausalLM(config).eval(), language_model("Llama")[1]
        assert LanguageModel(model, tokenizer).shares is False

    @pytest.mark.parametrize("how", ["wrong", "raises"])
    def test_a_cache_that_lies(self, how):
        model, tokenizer = language_model("Llama", seed=6)
        adapter = LanguageModel(model, tokenizer)
        adapter.batch_tokens = 40
        original = model.model.forward

        def forward(*args, **kwargs):
            cache = kwargs.get("past_key_values")
            if cache is not None and cache.get_seq_length():
                if how == "raises":
                    raise ValueError("no cache here")
                kwargs["position_ids"] = torch.zeros(1, 1, dtype=torch.long).expand(len(kwargs["input_ids"]), -1)
                kwargs["position_ids"] = kwargs["position_ids"].expand(-1, kwargs["input_ids"].shape[1])
            return original(*args, **kwargs)

        model.model.forward = forward
        try:
            with torch.no_grad():
                told, plain = torch.stack(adapter.forward(rows())), torch.stack(adapter.plain(rows()))
        finally:
            del model.model.forward
        assert adapter.shares is False
        torch.testing.assert_close(told, plain, atol=1e-6, rtol=0)

    def test_rows_that_share_little(self):
        codes = [np.random.default_rng(i).integers(0, 90, 20) for i in range(8)]
        assert bundles(codes, 100) is None
        assert cuts(ordered(codes)[1], 20, 15, 1) == ([], 0)


class TestCuts:
    def test_every_distinct_beginning_once(self):
        codes = [np.array(row) for row in itertools.product([0, 1], [5], [5], [5], [0, 1], [6], [6], [6])]
        order, shared = ordered(codes)
        assert sorted(order) == [0, 1, 2, 3]
        assert sorted(shared.tolist()) == [0, 0, 4, 4]
        assert cuts(shared, 8, 7, 1) == ([4], 7)
        assert beginnings(shared, 4).tolist() == [0, 0, 1, 1]
        assert cuts(shared, 8, 7, 100) == ([], 0)
        assert cuts(shared, 8, 3, 1) == ([3], 5)

    def test_bundles_hold_what_fits(self):
        codes = [np.array([1] * 50 + [i]) for i in range(40)]
        made = bundles(codes, 60)
        assert sorted(i for batch in made for i in batch) == list(range(40))
        assert all(51 * len(batch) <= 240 for batch in made)


class TestWhatIsFoundOutAtConstruction:
    def deep(self, name):
        import transformers

        settings = {"vocab_size": 300, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 37,
                    "num_hidden_layers": 5, "max_position_embeddings": 64, "pad_token_id": 1}  # fmt: skip
        torch.manual_seed(0)
        ending = "LMHeadModel" if name == "Bert" else "ForCausalLM"
        return getattr(transformers, name + ending)(getattr(transformers, f"{name}Config")(**settings)).eval()

    def test_two_blocks_tell(self):
        model = self.deep("Llama")
        ran = []
        hooks = [
            block.register_forward_pre_hook(lambda m, args, i=i: ran.append(i))
            for i, block in enumerate(model.model.layers)
        ]
        adapter = LanguageModel(model, language_model("Llama")[1])
        for hook in hooks:
            hook.remove()
        assert set(ran) == {0, 1}
        assert adapter.differentiable
        assert adapter.tables[0] is model.get_input_embeddings()
        assert not adapter.uniform
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())

    def test_a_deep_encoder_looks_ahead(self, caplog):
        caplog.set_level("ERROR", logger="transformers")
        model = self.deep("Bert")
        with pytest.raises(ModelError, match="looks ahead"):
            LanguageModel(model, language_model("Llama")[1])
        assert not any(m._forward_hooks for m in model.modules())
