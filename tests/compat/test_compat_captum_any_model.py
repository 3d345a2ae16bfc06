"""Captum's names with models and tokenizers of a caller's own: no config, no mask, the least that Captum asks for."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

import saywhy.compat.captum as ours
from saywhy.core.errors import InputError, ModelError, OptionError
from tiny_lm import language_model

TEMPLATE, VALUES = "{} b {} {} e {}", ["a", "c", "d", "f"]
WIDTH, VOCABULARY = 8, 128


class Letters:
    """Letters by their code after a beginning token: `encode`, `decode`, `convert_ids_to_tokens` and no more."""

    def encode(self, text, add_special_tokens=True, return_tensors=None):
        ids = [ord(word[0]) if len(word) == 1 else 1 for word in text.split(" ")]
        ids = [0, *ids] if add_special_tokens else ids
        return torch.tensor([ids]) if return_tensors else ids

    def convert_ids_to_tokens(self, ids):
        return ["<sos>" if i == 0 else "<unk>" if i == 1 else chr(i) for i in ids]

    def convert_tokens_to_ids(self, token):
        return {"<sos>": 0, "<unk>": 1}.get(token, ord(token[0]))

    def decode(self, ids):
        return " ".join(self.convert_ids_to_tokens(ids.tolist()))


class Attending(nn.Module):
    """One layer of attention, looking ahead or not; it has no config, and answers a bare tensor or a mapping."""

    def __init__(self, causal=False, answer="tensor"):
        super().__init__()
        torch.manual_seed(3)
        self.table, self.read = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.3, batch_first=True)
        self.causal, self.answer, self.sent = causal, answer, []

    def forward(self, input_ids):
        self.sent.append(tuple(input_ids.shape))
        mask = nn.Transformer.generate_square_subsequent_mask(input_ids.shape[1]) if self.causal else None
        logits = self.read(self.layer(self.table(input_ids), src_mask=mask))
        return {"logits": logits} if self.answer == "mapping" else logits

    def generate(self, input_ids, max_new_tokens, **settings):
        return torch.cat([input_ids, torch.tensor([[ord("x"), ord("y")]])], 1)


def by_hand(model, prompt, target):
    """[T]: log-probabilities, each token by a call that sees the prompt and the tokens before it."""
    tokenizer, model = Letters(), model.eval()
    ids, goal, out = tokenizer.encode(prompt), tokenizer.encode(target, add_special_tokens=False), []
    with torch.no_grad():
        for t, token in enumerate(goal):
            answer = model(torch.tensor([ids + goal[:t]]))
            logits = answer["logits"] if isinstance(answer, dict) else answer
            out.append(float(logits[0, -1].log_softmax(-1)[token]))
    return np.array(out)


@pytest.mark.parametrize("answer", ["tensor", "mapping"])
@pytest.mark.parametrize("causal", [False, True])
def test_every_token_sees_only_what_is_before_it(causal, answer):
    model = Attending(causal, answer)
    result = ours.LLMAttribution(ours.FeatureAblation(model), Letters()).attribute(
        ours.TextTemplateInput(TEMPLATE, VALUES), "m n o"
    )
    model.sent.clear()
    full = by_hand(model, "a b c d e f", "m n o")
    for i in range(4):
        prompt = TEMPLATE.format(*["" if j == i else value for j, value in enumerate(VALUES)])
        np.testing.assert_allclose(result.token_attr[:, i], full - by_hand(model, prompt, "m n o"), atol=1e-4)
    np.testing.assert_allclose(result.output_probs, np.exp(full), atol=1e-5)
    assert result.output_tokens == ["m", "n", "o"]


def test_a_function_and_a_tokenizer_of_transformers():
    model = Attending()
    tokenizer = language_model("GPT2")[1]
    inp = ours.TextTemplateInput("{} {}", ["a", "b"])
    model.table, model.read = nn.Embedding(len(tokenizer), WIDTH), nn.Linear(WIDTH, len(tokenizer))
    model.eval()
    found = [
        ours.LLMAttribution(ours.FeatureAblation(each), tokenizer).attribute(inp, " x")
        for each in (model, lambda input_ids: model(input_ids=input_ids))
    ]
    torch.testing.assert_close(found[1].seq_attr, found[0].seq_attr, atol=1e-5, rtol=0)
    assert found[1].output_tokens == found[0].output_tokens
    with pytest.raises(InputError, match="vocabulary of 128"):
        ours.LLMAttribution(ours.FeatureAblation(Attending()), Letters()).attribute(inp, torch.tensor([128]))


def test_one_call_where_that_says_the_same_and_batches_of_one_length():
    for causal, per_row in ((True, 1), (False, 3)):
        model = Attending(causal)
        attribution = ours.LLMAttribution(ours.ShapleyValues(model), Letters())
        attribution.attribute(ours.TextTemplateInput(TEMPLATE, VALUES, ["w", "x", "y", "z"]), "m n o")
        rows = sum(rows for rows, _ in model.sent)
        assert rows == 16 * per_row + 4  # and one row in both ways, once
        model.sent.clear()
        attribution.attribute(ours.TextTemplateInput("{} a {}", ["a", "b b b"], ["c", "d"]), "m n")
        assert len({length for _, length in model.sent}) >= 2


def test_shapley_values_by_all_orders():
    model = Attending()
    result = ours.LLMAttribution(ours.ShapleyValues(model), Letters()).attribute(
        ours.TextTemplateInput("{} b {} {}", ["a", "c", "d"]), "m n"
    )

    def value(kept):
        filled = [v if i in kept else "" for i, v in enumerate(["a", "c", "d"])]
        return by_hand(model, "{} b {} {}".format(*filled), "m n").sum()

    expected = np.zeros(3)
    for order in itertools.permutations(range(3)):
        for place, i in enumerate(order):
            expected[i] += (value({*order[: place + 1]}) - value({*order[:place]})) / math.factorial(3)
    np.testing.assert_allclose(result.seq_attr, expected, atol=1e-4)


def test_what_the_model_writes_and_a_model_in_train_mode():
    model = Attending().train()
    result = ours.LLMAttribution(ours.FeatureAblation(model), Letters()).attribute(
        ours.TextTokenInput("a b c", Letters())
    )
    assert result.output_tokens == ["x", "y"]
    assert result.input_tokens == ["<sos>", "a", "b", "c"]
    assert model.training
    full = by_hand(model, "a b c", "x y").sum()
    model.eval()
    ids = torch.tensor([[0, ord("a"), 0, ord("c")]])
    with torch.no_grad():
        first = model(ids)[0, -1].log_softmax(-1)[ord("x")]
        second = model(torch.cat([ids, torch.tensor([[ord("x")]])], 1))[0, -1].log_softmax(-1)[ord("y")]
    assert float(result.seq_attr[2]) == pytest.approx(full - float(first + second), abs=1e-4)


class TestGradients:
    def loss(self, model, vectors, goal):
        """The log-probability of one token after a prompt of these vectors, by torch alone."""
        return model.read(model.layer(vectors))[0, -1].log_softmax(-1)[goal]

    def test_integrated_gradients(self):
        model = Attending()
        result = ours.LLMGradientAttribution(ours.LayerIntegratedGradients(model, model.table), Letters()).attribute(
            ours.TextTokenInput("a b c", Letters(), skip_tokens=[0]), "m", n_steps=40
        )
        model.eval()
        inside = model.table(torch.tensor([[0, *map(ord, "abc")]])).detach()
        outside = model.table(torch.tensor([[0, 0, 0, 0]])).detach()
        nodes, weights = np.polynomial.legendre.leggauss(40)
        total = torch.zeros(4, WIDTH)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            at = (outside + float(node) * (inside - outside)).requires_grad_()
            total += float(weight) * torch.autograd.grad(self.loss(model, at, ord("m")), at)[0][0]
        expected = (total * (inside - outside)[0]).sum(-1)[1:]
        torch.testing.assert_close(result.seq_attr, expected, atol=1e-4, rtol=1e-3)
        assert result.input_tokens == ["a", "b", "c"]

    def test_input_times_gradient_token_by_token(self):
        model = Attending()
        result = ours.LLMGradientAttribution(ours.LayerGradientXActivation(model, model.table), Letters()).attribute(
            ours.TextTokenInput("a b", Letters()), "m n"
        )
        model.eval()
        for t, prefix in enumerate(([0, ord("a"), ord("b")], [0, ord("a"), ord("b"), ord("m")])):
            at = model.table(torch.tensor([prefix])).detach().requires_grad_()
            gradient = torch.autograd.grad(self.loss(model, at, ord("mn"[t])), at)[0]
            torch.testing.assert_close(
                result.token_attr[t], (gradient * at).sum(-1)[0, :3].detach(), atol=1e-5, rtol=1e-4
            )

    def test_baselines_say_which_tokens_stay(self):
        model = Attending()
        attribution = ours.LLMGradientAttribution(ours.LayerIntegratedGradients(model, model.table), Letters())
        inp = ours.TextTokenInput("a b c", Letters())
        result = attribution.attribute(inp, "m", baselines=(torch.tensor([[1, 0, 1, 0]]),))
        assert result.seq_attr[0] == result.seq_attr[2] == 0
        model.eval()
        with torch.no_grad():
            full = self.loss(model, model.table(torch.tensor([[0, *map(ord, "abc")]])), ord("m"))
            base = self.loss(model, model.table(torch.tensor([[0, 0, ord("b"), 0]])), ord("m"))
        assert float(result.seq_attr.sum()) == pytest.approx(float(full - base), abs=2e-2)
        with pytest.raises(OptionError, match=r"one row \[1, 4\]"):
            attribution.attribute(inp, "m", baselines=torch.ones(2, 4))

    def test_a_layer_that_sees_no_ids_is_refused(self):
        model = Attending()
        attribution = ours.LLMGradientAttribution(
            ours.LayerIntegratedGradients(model, model.layer.self_attn), Letters()
        )
        with pytest.raises(ModelError, match="embedding"):
            attribution.attribute(ours.TextTokenInput("a b", Letters()), "m", n_steps=2)


class TestLime:
    """Captum's own numbers, drawn after the same torch.manual_seed."""

    def attributed(self, library, method, seed=7, **settings):
        model, tokenizer = language_model("Llama")
        inp = library.TextTemplateInput("{} was a {} {}", ["This", "dull", "movie"], ["That", "good", "day"])
        torch.manual_seed(seed)
        more = {} if library is ours else {"forward_in_tokens": False}
        return library.LLMAttribution(method(model), tokenizer).attribute(inp, target=" I love", **settings, **more)

    def test_the_defaults(self):
        captum = pytest.importorskip("captum.attr")
        for samples in ({}, {"n_samples": 60}):
            mine, theirs = (self.attributed(library, library.Lime, **samples) for library in (ours, captum))
            torch.testing.assert_close(mine.seq_attr, theirs.seq_attr, atol=1e-3, rtol=0)
        assert mine.token_attr is theirs.token_attr is None
        mine = self.attributed(ours, captum.Lime)  # Captum's own object
        torch.testing.assert_close(mine.seq_attr, self.attributed(captum, captum.Lime).seq_attr, atol=1e-3, rtol=0)

    def test_trials_go_on_with_the_same_draws(self):
        captum = pytest.importorskip("captum.attr")
        mine, theirs = (self.attributed(library, library.Lime, num_trials=3) for library in (ours, captum))
        torch.testing.assert_close(mine.seq_attr, theirs.seq_attr, atol=1e-3, rtol=0)

    def test_functions_of_ones_own(self):
        captum = pytest.importorskip("captum.attr")
        from captum._utils.models.linear_model import SkLearnLasso, SkLearnLinearRegression

        def near(original, perturbed, subset, **kwargs):
            return 0.1 + float((original == perturbed).float().mean())

        def keep_most(original, **kwargs):
            return torch.bernoulli(torch.ones(1, kwargs["num_interp_features"]) * 0.8).long()

        def every(original, **kwargs):
            for subset in itertools.product((0, 1), repeat=kwargs["num_interp_features"]):
                yield torch.tensor([subset])

        for settings, samples in (
            ({"interpretable_model": SkLearnLasso(alpha=0.001)}, 40),
            ({"interpretable_model": SkLearnLinearRegression(), "similarity_func": near}, 40),
            ({"perturb_func": keep_most}, 40),
            ({"perturb_func": every, "similarity_func": near}, 8),
        ):
            mine, theirs = (
                self.attributed(library, functools.partial(library.Lime, **settings), n_samples=samples)
                for library in (ours, captum)
            )
            torch.testing.assert_close(mine.seq_attr, theirs.seq_attr, atol=1e-3, rtol=0)

    def test_a_regressor_of_scikit_learn(self):
        linear = pytest.importorskip("sklearn.linear_model")
        result = self.attributed(ours, lambda m: ours.Lime(m, interpretable_model=linear.Ridge(1e-6)), n_samples=64)
        assert result.seq_attr.shape == (3,)
        with pytest.raises(OptionError, match="fit"):
            self.attributed(ours, lambda model: ours.Lime(model, interpretable_model=object()))

    def test_the_generator_stays_as_it_was(self):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        one = self.attributed(ours, ours.Lime, seed=5)
        assert torch.equal(torch.get_rng_state(), before)
        model, tokenizer = language_model("Llama")
        inp = ours.TextTemplateInput("{} was a {} {}", ["This", "dull", "movie"], ["That", "good", "day"])
        two = ours.LLMAttribution(ours.Lime(model), tokenizer).attribute(inp, target=" I love")
        assert torch.equal(one.seq_attr, two.seq_attr)
        three = ours.LLMAttribution(ours.Lime(model), tokenizer).attribute(inp, target=" I love", seed=1)
        assert not torch.equal(one.seq_attr, three.seq_attr)

    def test_the_lasso_is_scikit_learns(self):
        linear = pytest.importorskip("sklearn.linear_model")
        from saywhy.compat.captum.surrogate import lasso

        rng = np.random.default_rng(0)
        x, w = rng.integers(0, 2, (50, 6)).astype(float), rng.random(50)
        x[:, 4] = 1.0
        y = x @ [1.0, -2.0, 0.01, 0.5, 3.0, 0.0] + 0.1 * rng.standard_normal(50)
        for alpha in (1e-4, 0.01, 0.2):
            expected = linear.Lasso(alpha, tol=1e-10, max_iter=100_000).fit(x, y, sample_weight=w).coef_
            np.testing.assert_allclose(lasso(*map(torch.as_tensor, (x, y, w)), alpha), expected, atol=1e-6)


def test_what_is_evaluated_can_be_inspected():
    seen = []
    model = Attending()
    result = ours.LLMAttribution(ours.FeatureAblation(model), Letters()).attribute(
        ours.TextTemplateInput("{} b {}", ["a", "c"]), "m n", _inspect_forward=lambda *told: seen.append(told)
    )
    assert {prompt for prompt, _, _ in seen} == {
        "<sos> a b c",
        "<sos> <unk> b c",
        "<sos> a b <unk>",
        "<sos> <unk> b <unk>",
    }
    probabilities = {prompt: told for prompt, response, told in seen if response == "m n"}
    full = np.exp(by_hand(model, "a b c", "m n"))
    np.testing.assert_allclose(probabilities["<sos> a b c"], [full.prod(), *full], atol=1e-5)
    torch.testing.assert_close(torch.tensor(probabilities["<sos> a b c"][1:]), result.output_probs, atol=1e-6, rtol=0)
    seen.clear()
    causal, tokenizer = language_model("Llama")
    ours.LLMAttribution(ours.FeatureAblation(causal), tokenizer).attribute(
        ours.TextTemplateInput("{} was", ["It"]), target=" dull", _inspect_forward=lambda *told: seen.append(told)
    )
    assert all(
        response == " dull" and len(told) == 1 + len(tokenizer(" dull")["input_ids"]) for _, response, told in seen
    )


class TestInputs:
    def test_baselines_keep_their_types(self):
        drawn = ours.ProductBaselines({("f1", "f2"): [(1, "1"), (2, "2")], "f3": [4, 5.5]})()
        assert (drawn["f1"], drawn["f2"]) in {(1, "1"), (2, "2")}
        assert isinstance(drawn["f1"], int)
        assert drawn["f3"] in (4, 5.5)
        assert ours.ProductBaselines([[1, 2], [3]])()[1] == 3
        inp = ours.TextTemplateInput("{} b {}", ["a", "c"], ours.ProductBaselines([[1], [2]]))
        assert inp.to_model_input(torch.tensor([[0, 0]])) == "1 b 2"

    def test_a_tokenizer_that_answers_tensors_alone(self):
        class Tensors(Letters):
            def encode(self, text, add_special_tokens=True, return_tensors="pt"):
                assert return_tensors == "pt"
                return super().encode(text, add_special_tokens, return_tensors)

        inp = ours.TextTokenInput("a c d", Tensors(), baselines="b", skip_tokens=["<sos>"])
        assert inp.to_model_input(torch.tensor([[1.0, 0, 0]])).tolist() == [[0, ord("a"), ord("b"), ord("b")]]
        assert inp.to_tensor().tolist() == [[1, 1, 1]]

    def test_words_and_sentences(self):
        text = "It was late. Nobody's dog barked!\nWe slept."
        words = ours.TextSegmentInput(text)
        assert words.values == ["It", "was", "late", ".", "Nobody's", "dog", "barked", "!", "We", "slept", "."]
        assert words.to_model_input() == text
        gone = torch.ones(1, 11)
        gone[0, 1] = gone[0, 8] = 0
        assert words.to_model_input(gone) == "It late. Nobody's dog barked! slept."
        filled = ours.TextSegmentInput(text, "sentence", baselines="_")
        assert filled.to_model_input(torch.tensor([[0, 1, 0]])) == "_ Nobody's dog barked!\n_"
        assert ours.TextSegmentInput(text, group_size=4).values == ["It was late.", "Nobody's dog barked!", "We slept."]
        assert ours.TextSegmentInput(text, level="line").values == ["It was late. Nobody's dog barked!", "We slept."]
        with pytest.raises(OptionError, match="level"):
            ours.TextSegmentInput(text, level="letter")
        with pytest.raises(OptionError, match="group_size"):
            ours.TextSegmentInput(text, group_size=0)

    def test_segments_are_explained(self):
        model, tokenizer = language_model("Llama")
        inp = ours.TextSegmentInput("This was {} dull movie")
        result = ours.LLMAttribution(ours.FeatureAblation(model), tokenizer).attribute(inp, target=" I love")
        assert result.input_tokens == ["This", "was", "{", "}", "dull", "movie"]
        template = ours.TextTemplateInput("This was {{}}{} movie", [" dull"])
        alone = ours.LLMAttribution(ours.FeatureAblation(model), tokenizer).attribute(template, target=" I love")
        assert float(result.seq_attr[4]) == pytest.approx(float(alone.seq_attr[0]), abs=1e-5)


class Provider(ours.RemoteLLMProvider):
    """Counts the letters of the prompt; answers with lists, as some do."""

    api_url = "http://nowhere"

    def generate(self, prompt, **gen_args):
        return ["m n", "another"]

    def get_logprobs(self, input_prompt, target_str, tokenizer=None):
        found = sum(0.1 * (i + 1) * (value in input_prompt) for i, value in enumerate(VALUES))
        return torch.tensor([found - 5] * len(target_str.split()))


def test_a_remote_model_and_a_text_of_tokens():
    method = ours.FeatureAblation(ours.RemoteLLMAttribution.placeholder_model)
    attribution = ours.RemoteLLMAttribution(method, Letters(), Provider())
    result = attribution.attribute(ours.TextTokenInput("a c z", Letters(), baselines="q", skip_tokens=[0]), "m n")
    assert result.input_tokens == ["a", "c", "z"]
    torch.testing.assert_close(result.token_attr, torch.tensor([[0.1, 0.2, 0.0]] * 2), atol=1e-5, rtol=0)
    seen = []
    result = attribution.attribute(
        ours.TextTemplateInput(TEMPLATE, VALUES), _inspect_forward=lambda *told: seen.append(told)
    )
    assert result.output_tokens == ["m", "n"]
    assert ("a b c d e f", "m n", pytest.approx([math.exp(-8), math.exp(-4), math.exp(-4)])) in seen
