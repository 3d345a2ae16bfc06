"""Captum's names over saywhy: the contract's cases on a stub model with known answers, Captum itself as oracle, the notebook."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import saywhy.compat.captum as ours
from saywhy.core.errors import InputError, OptionError
from tiny_lm import language_model, straight

WORDS = ["<s>", "<unk>", *"abcdefmnopqxyz"]
ID = {word: i for i, word in enumerate(WORDS)}
TEMPLATE, VALUES = "{} b {} {} e {}", ["a", "c", "d", "f"]
ALL = ("FeatureAblation", "ShapleyValueSampling", "ShapleyValues", "KernelShap", "Lime")


def stub_tokenizer(bos=True):
    tokenizer = Tokenizer(models.WordLevel(ID, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>")


class Stub(torch.nn.Module):
    """At every place each letter m..q has log-probability g(the words so far); counts its rows."""

    device = torch.device("cpu")

    def __init__(self, g):
        super().__init__()
        self.g, self.rows = g, 0

    def forward(self, input_ids=None, **_):
        logits = torch.full((*input_ids.shape, len(WORDS)), -1e9)
        self.rows += len(input_ids)
        for b, row in enumerate(input_ids.tolist()):
            for i in range(len(row)):
                logp = self.g([WORDS[j] for j in row[: i + 1]])
                for letter in "mnopq":
                    logits[b, i, ID[letter]] = logp
                logits[b, i, ID["<unk>"]] = math.log(1 - 5 * math.exp(logp))
        return SimpleNamespace(logits=logits)


def additive(words):
    return -10 + ("a" in words) - 2 * ("c" in words) + 0.5 * ("d" in words) + 3 * ("f" in words)


def tangled(words):
    a, c, d, f = (letter in words for letter in "acdf")
    return -10 + 2 * a * c + d - 1.5 * a * d * f


def counted(words):
    worth = {"a": 1, "c": -2, "d": 0.5, "f": 3, "x": -3, "y": 4}
    return -20 + sum(worth.get(word, 0) for word in words)


def attributed(g, method, target="m n", template=TEMPLATE, attr_target="log_prob", **more):
    inputs = {k: more.pop(k) for k in ("baselines", "mask") if k in more}
    model = Stub(g)
    wrapped = ours.LLMAttribution(getattr(ours, method)(model), stub_tokenizer(), attr_target)
    model.rows = 0
    return wrapped.attribute(ours.TextTemplateInput(template, VALUES, **inputs), target=target, **more), model


class TestValues:
    @pytest.mark.parametrize("method", ALL)
    def test_an_additive_model(self, method):
        result, _ = attributed(additive, method, **({"n_samples": 500} if method == "Lime" else {}))
        expected = [1.96, -3.96, 0.96, 5.96] if method == "Lime" else [2.0, -4, 1, 6]  # its Lasso shrinks by 0.04
        tolerance = 2e-2 if method == "Lime" else 1e-3
        torch.testing.assert_close(result.seq_attr, torch.tensor(expected), atol=tolerance, rtol=0)
        rows = torch.as_tensor(result.explanations.matrix[1:].copy()).float()
        for row in rows:
            torch.testing.assert_close(row, result.seq_attr / 2, atol=2 * tolerance, rtol=0)
        if method in ("Lime", "KernelShap"):
            assert result.token_attr is None  # as in Captum; the explanations have them
        else:
            torch.testing.assert_close(result.token_attr, rows)
        assert (result.seq_attr.shape, rows.shape) == ((4,), (2, 4))
        assert (result.input_tokens, result.output_tokens) == (VALUES, ["m", "n"])
        assert result.output_probs.shape == (2,)

    @pytest.mark.parametrize("method", ["ShapleyValues", "KernelShap", "ShapleyValueSampling"])
    def test_interactions_exactly(self, method):
        result, _ = attributed(tangled, method)
        torch.testing.assert_close(result.seq_attr, torch.tensor([1.0, 2, 1, -1]), atol=1e-4, rtol=0)
        first = torch.as_tensor(result.explanations[1].scores.copy()).float()
        torch.testing.assert_close(first, torch.tensor([0.5, 1, 0.5, -0.5]), atol=1e-4, rtol=0)

    def test_occlusion_and_its_cost(self):
        result, model = attributed(tangled, "FeatureAblation")
        torch.testing.assert_close(result.seq_attr, torch.tensor([1.0, 4, -1, -3]), atol=1e-4, rtol=0)
        assert model.rows == 6  # five coalitions, and the prompt of baselines alone

    def test_distinct_coalitions_only(self):
        for method, most in (("ShapleyValues", 16), ("ShapleyValueSampling", 16)):
            _, model = attributed(tangled, method, target="m n o", **({"n_samples": 200} if "Samp" in method else {}))
            assert model.rows <= most

    def test_one_feature(self):
        for method in ("ShapleyValues", "KernelShap"):
            model = Stub(additive)
            wrapped = ours.LLMAttribution(getattr(ours, method)(model), stub_tokenizer())
            result = wrapped.attribute(ours.TextTemplateInput("{} b", ["a"]), target="m n")
            assert result.seq_attr.tolist() == pytest.approx([2.0], abs=1e-4)

    def test_masks_repeat_the_groups_value(self):
        result, _ = attributed(tangled, "ShapleyValues", mask=[0, 0, 1, 1])
        torch.testing.assert_close(result.seq_attr, torch.tensor([2.5, 2.5, 0.5, 0.5]), atol=1e-4, rtol=0)
        assert result.explanations[0].scores.sum() == pytest.approx(3, abs=1e-4)
        result, _ = attributed(tangled, "FeatureAblation", mask=[0, 0, 1, 1])
        torch.testing.assert_close(result.seq_attr, torch.tensor([1.0, 1, -1, -1]), atol=1e-4, rtol=0)

    def test_baselines(self):
        result, _ = attributed(counted, "ShapleyValues", baselines=["x", "y", "z", "x"])
        torch.testing.assert_close(result.seq_attr, torch.tensor([8.0, -12, 1, 12]), atol=1e-3, rtol=0)
        every = ours.ProductBaselines([["x", "y", "z"]] * 4)
        result, _ = attributed(counted, "ShapleyValues", baselines=every)
        torch.testing.assert_close(result.seq_attr, torch.tensor([1.3333, -4.6667, 0.3333, 5.3333]), atol=1e-3, rtol=0)
        assert set(every()) <= {"x", "y", "z"}

    def test_probabilities(self):
        result, _ = attributed(additive, "ShapleyValues", attr_target="prob")
        expected = torch.tensor([1.7268e-6, -4.8601e-6, 1.0525e-6, 2.3847e-6])
        torch.testing.assert_close(result.seq_attr, expected, rtol=1e-3, atol=0)
        assert float(result.seq_attr.sum()) == pytest.approx(3.038e-7, rel=2e-3)

    @pytest.mark.parametrize("size", [1, 2, 4])
    def test_batches_change_nothing(self, size):
        result, _ = attributed(tangled, "KernelShap", perturbations_per_eval=size)
        torch.testing.assert_close(result.seq_attr, torch.tensor([1.0, 2, 1, -1]), atol=1e-4, rtol=0)


class TestTargets:
    def test_the_beginning_is_not_scored(self):
        result, _ = attributed(additive, "FeatureAblation", target="m n o")
        assert result.output_tokens == ["m", "n", "o"]
        result, _ = attributed(additive, "FeatureAblation", target=torch.tensor([ID["m"], ID["q"]]))
        assert result.output_tokens == ["m", "q"]

    def test_tokens_to_skip_are_left_out(self):
        for skip in ([ID["<s>"], ID["n"]], ["<s>", "n"]):
            result, _ = attributed(additive, "FeatureAblation", target="m n o", skip_tokens=skip)
            assert result.output_tokens == ["m", "o"]
        given = torch.tensor([ID["<s>"], ID["m"], ID["m"]])
        result, _ = attributed(additive, "FeatureAblation", target=given, skip_tokens=[ID["<s>"]])
        assert result.output_tokens == ["m", "m"]
        torch.testing.assert_close(result.seq_attr, torch.tensor([2.0, -4, 1, 6]), atol=1e-3, rtol=0)
        with pytest.raises(ValueError, match="empty"):
            attributed(additive, "FeatureAblation", target="m", skip_tokens=["m"])

    def test_refusals(self):
        with pytest.raises(ValueError, match="has no token"):
            attributed(additive, "FeatureAblation", target="")
        with pytest.raises(ValueError, match="one dimension"):
            attributed(additive, "FeatureAblation", target=torch.ones(1, 2).long())
        with pytest.raises(TypeError, match="target must either be str or Tensor"):
            attributed(additive, "FeatureAblation", target=3)
        with pytest.raises(TypeError, match="nonsense"):
            attributed(additive, "FeatureAblation", nonsense=[1])
        with pytest.raises(OptionError, match="gen_args"):
            attributed(additive, "FeatureAblation", gen_args={"max_new_tokens": 2})
        with pytest.raises(OptionError, match="does not support"):
            ours.LLMAttribution(object(), stub_tokenizer())
        with pytest.raises(OptionError, match="attr_target"):
            ours.LLMAttribution(ours.ShapleyValues(Stub(additive)), stub_tokenizer(), "logprob")
        with pytest.raises(InputError, match="TextTemplateInput"):
            ours.LLMAttribution(ours.ShapleyValues(Stub(additive)), stub_tokenizer()).attribute("a b", target="m")


class TestInputs:
    def test_template_inputs_as_strings(self):
        inp = ours.TextTemplateInput(TEMPLATE, VALUES)
        assert inp.to_model_input() == "a b c d e f"
        assert inp.to_model_input(torch.tensor([[1, 0, 1, 0]])) == "a b  d e "
        based = ours.TextTemplateInput(TEMPLATE, VALUES, baselines=["w", "x", "y", "z"])
        assert based.to_model_input(torch.tensor([[1.0, 0, 1, 0]])) == "a b x d e z"
        masked = ours.TextTemplateInput(TEMPLATE, VALUES, mask=[0, 1, 0, 1])
        assert masked.to_model_input(torch.tensor([[1, 0]])) == "a b  d e "
        assert masked.format_attr(torch.tensor([[1.0, 2.0]])).tolist() == [[1, 2, 1, 2]]
        turned = ours.TextTemplateInput(TEMPLATE, VALUES, mask=[7, 3, 7, 3])
        assert turned.to_model_input(torch.tensor([[0, 1]])) == "a b  d e "
        assert inp.to_tensor().tolist() == [[1, 1, 1, 1]]
        named = ours.TextTemplateInput("{x} {y}", {"x": "a", "y": "b"}, {"x": "c", "y": "d"})
        assert named.to_model_input(torch.tensor([[0, 1]])) == "c b"

    def test_token_inputs_as_ids(self):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2, "<unk>": 3}, unk_token="<unk>")),
            unk_token="<unk>",
        )
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        inp = ours.TextTokenInput("a c b", tokenizer)
        assert inp.to_model_input(torch.tensor([[1, 0, 0]])).tolist() == [[0, 0, 0]]
        inp = ours.TextTokenInput("a c b", tokenizer, baselines="b", skip_tokens=["a"])
        assert inp.values == ["c", "b"]
        assert inp.to_model_input(torch.tensor([[0, 0], [1, 1]])).tolist() == [[0, 1, 1], [0, 2, 1]]

    def test_forms(self):
        with pytest.raises(InputError, match="same form"):
            ours.TextTemplateInput(TEMPLATE, VALUES, mask=[0])
        with pytest.raises(InputError, match="mapping"):
            ours.TextTemplateInput("{x}", {"x": "a"}, ["b"])
        with pytest.raises(InputError, match="1 baselines were given for 4"):
            ours.TextTemplateInput(TEMPLATE, VALUES, ["b"])


def peers():
    return pytest.importorskip("captum.attr")


@pytest.mark.parametrize("name", ["Llama", "GPT2"])
@pytest.mark.parametrize("method", ["FeatureAblation", "ShapleyValues"])
def test_captum_itself_says_the_same(name, method):
    captum = peers()
    model, tokenizer = language_model(name)
    text, values, baselines = "{} was a {} movie", ["This", "dull"], ["That", "good"]
    theirs = captum.LLMAttribution(getattr(captum, method)(model), tokenizer).attribute(
        captum.TextTemplateInput(text, values, baselines), target=" I love", forward_in_tokens=False
    )
    mine = ours.LLMAttribution(getattr(captum, method)(model), tokenizer).attribute(  # its own method object
        ours.TextTemplateInput(text, values, baselines), target=" I love"
    )
    torch.testing.assert_close(mine.seq_attr, theirs.seq_attr, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(mine.token_attr, theirs.token_attr, atol=1e-4, rtol=1e-4)
    tokens = ours.TextTokenInput("This was a dull movie", tokenizer, skip_tokens=[5])
    again = captum.TextTokenInput("This was a dull movie", tokenizer, skip_tokens=[5])
    if method == "FeatureAblation":
        mine = ours.LLMAttribution(ours.FeatureAblation(model), tokenizer).attribute(tokens, target=" I love")
        theirs = captum.LLMAttribution(captum.FeatureAblation(model), tokenizer).attribute(
            again, target=" I love", forward_in_tokens=False
        )
        torch.testing.assert_close(mine.token_attr, theirs.token_attr, atol=1e-4, rtol=1e-4)


def test_gradients_are_captums():
    captum = peers()
    model, tokenizer = language_model("Llama")
    layer, target, text = model.get_input_embeddings(), " I love", "This was a dull"
    for name, more in (("LayerIntegratedGradients", {"n_steps": 20}), ("LayerGradientXActivation", {})):
        mine = ours.LLMGradientAttribution(getattr(ours, name)(model, layer), tokenizer).attribute(
            ours.TextTokenInput(text, tokenizer), target=target, **more
        )
        theirs = captum.LLMGradientAttribution(getattr(captum, name)(model, layer), tokenizer).attribute(
            captum.TextTokenInput(text, tokenizer), target=target, **more
        )
        torch.testing.assert_close(mine.token_attr, theirs.token_attr.float(), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(mine.seq_attr, theirs.seq_attr.float(), atol=1e-3, rtol=1e-3)
    with pytest.raises(OptionError, match="input embedding"):
        ours.LLMGradientAttribution(ours.LayerIntegratedGradients(model, model.lm_head), tokenizer)
    with pytest.raises(InputError, match="TextTokenInput"):
        ours.LLMGradientAttribution(ours.LayerIntegratedGradients(model, layer), tokenizer).attribute(
            ours.TextTemplateInput("{}", ["a"]), target="m"
        )


def test_half_precision_adds_up():
    import copy

    model, tokenizer = language_model("Llama")
    half = copy.deepcopy(model).bfloat16()
    result = ours.LLMAttribution(ours.FeatureAblation(half), tokenizer).attribute(
        ours.TextTemplateInput("{} was a {}", ["This", "dull"]), target=" I love you, I like you"
    )
    torch.testing.assert_close(result.seq_attr, result.token_attr.sum(0), atol=1e-3, rtol=0)


def test_the_model_writes_the_target():
    model, tokenizer = language_model("Llama", seed=1)
    wrapped = ours.LLMAttribution(ours.FeatureAblation(model), tokenizer)
    result = wrapped.attribute(
        ours.TextTemplateInput("{} was a", ["This"]), gen_args={"max_new_tokens": 3, "do_sample": False}
    )
    assert len(result.output_tokens) == 3


class Letters(ours.RemoteLLMProvider):
    """Every target token's log-probability is a tenth of the letters that the prompt has, weighed by their place."""

    api_url = "http://nowhere"

    def __init__(self):
        self.calls = 0

    def generate(self, prompt, **gen_args):
        return "m n"

    def get_logprobs(self, input_prompt, target_str, tokenizer=None):
        self.calls += 1
        return [sum(0.1 * (i + 1) * (v in input_prompt) for i, v in enumerate(VALUES))] * len(target_str.split())


@pytest.mark.parametrize("method", ["FeatureAblation", "ShapleyValueSampling", "ShapleyValues", "KernelShap"])
def test_remote_models(method):
    provider = Letters()
    wrapped = ours.RemoteLLMAttribution(
        getattr(ours, method)(ours.RemoteLLMAttribution.placeholder_model), stub_tokenizer(), provider
    )
    result = wrapped.attribute(ours.TextTemplateInput(TEMPLATE, VALUES), target="m n o p q")
    assert result.seq_attr.tolist() == pytest.approx([0.5, 1, 1.5, 2], abs=1e-3)
    rows = torch.as_tensor(result.explanations.matrix[1:].copy()).float()
    torch.testing.assert_close(rows, torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 5), atol=1e-3, rtol=0)
    assert provider.calls <= 16
    assert wrapped.attribute(ours.TextTemplateInput(TEMPLATE, VALUES)).output_tokens == ["m", "n"]
    provider.get_logprobs = lambda *_: [0.0]
    with pytest.raises(ValueError, match="1 log-probabilities for 2"):
        wrapped.attribute(ours.TextTemplateInput(TEMPLATE, VALUES), target="m n")


def test_what_is_not_offered_says_so():
    with pytest.raises(ImportError, match="image classifiers"):
        from saywhy.compat.captum import ImageMaskInput  # noqa: F401
    assert not hasattr(ours, "Saliency")


class TestResult:
    def test_shapes_are_checked(self):
        made = {"input_tokens": ["a", "b"], "output_tokens": ["c"]}
        with pytest.raises(AssertionError):
            ours.LLMAttributionResult(**made, seq_attr=torch.ones(1, 2))
        with pytest.raises(AssertionError):
            ours.LLMAttributionResult(**made, seq_attr=torch.ones(2), token_attr=torch.ones(2, 2))
        result = ours.LLMAttributionResult(**made, seq_attr=[1.0, 2.0])
        with pytest.raises(ValueError, match="token_attr is None"):
            result.plot_token_attr()
        with pytest.raises(AssertionError):
            result.output_probs = [1.0, 2.0]

    def test_the_same_word_twice(self):
        result = ours.LLMAttributionResult(
            input_tokens=["the", "cat", "the"], output_tokens=[], seq_attr=[1.0, 2.0, 3.0]
        )
        assert result.seq_attr_dict == {"the": 1.0, "cat": 2.0, "the (2)": 3.0}

    @pytest.mark.parametrize(("features", "tokens"), [(3, 2), (200, 100)])
    def test_plots_stay_small(self, features, tokens):
        plt = pytest.importorskip("matplotlib.pyplot")
        plt.switch_backend("agg")
        result = ours.LLMAttributionResult(
            input_tokens=[f"word {i} $x_" for i in range(features)],
            output_tokens=["t\n"] * tokens,
            seq_attr=np.linspace(-1, 1, features),
            token_attr=np.random.default_rng(0).normal(size=(tokens, features)),
        )
        for figure, axes in (result.plot_token_attr(), result.plot_seq_attr()):
            assert figure.get_figwidth() < 20
            figure.canvas.draw()
            assert len(axes.get_xticks()) <= 60
            low, high = axes.images[0].get_clim() if axes.images else (-1, 1)
            assert low == -high
            plt.close(figure)
        assert result.plot_token_attr(show=True) is None
        assert result.plot_seq_attr(show=True) is None


def notebook(template, model, tokenizer):
    """The cells of the seed's notebook, one after the other, with only the import changed."""
    from saywhy.compat.captum import LLMAttribution, ProductBaselines, ShapleyValueSampling, TextTemplateInput

    attr = ShapleyValueSampling(model)
    llm_attr = LLMAttribution(attr, tokenizer)
    baseline = dict.fromkeys(template["var"], [])  # noqa: RUF024
    for key in baseline:
        if key == "name":
            baseline[key].append(["John", "Maria"])
        elif key == "job":
            baseline[key].append(["nurse", "CEO"])
        else:
            baseline[key].append(["Togo", "Tuvalu"])
    baselines = ProductBaselines(baseline)
    tti = TextTemplateInput(template=template["prompt"], values=template["var"], baselines=baselines)
    attr_result = llm_attr.attribute(inp=tti, target=template["target"])
    attr_result.plot_token_attr(show=True)
    attr_result.plot_seq_attr(show=True)
    return attr_result


def test_the_notebook():
    import itertools

    model, tokenizer = language_model("GPT2")
    template = {
        "prompt": "{name} from {country} was a {job} and",
        "var": {"name": "Georg", "country": "Germany", "job": "janitor"},
        "target": "I love",
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small = {**template, "prompt": "{name}{country}{job}"}
        result = notebook(small, model, tokenizer)
    assert any("dict.fromkeys" in str(w.message) and "not a text" in str(w.message) for w in caught)
    assert result.seq_attr.shape == (3,)
    lists = [str(["John", "Maria"]), str(["Togo", "Tuvalu"]), str(["nurse", "CEO"])]
    draws = list(itertools.product(lists, repeat=3))
    full = float(straight(model, tokenizer, "GeorgGermanyjanitor", "I love").sum())
    base = np.mean([float(straight(model, tokenizer, "".join(d), "I love").sum()) for d in draws])
    assert float(result.seq_attr.sum()) == pytest.approx(full - base, abs=1e-3)
