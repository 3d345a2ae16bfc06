"""Backward rules: values to the bit, nothing left behind, a slow twin from the papers, and gradient x input that adds up."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import saywhy
from conftest import ARCHITECTURES, TEXTS, tiny
from saywhy.core.errors import MethodError, OptionError
from saywhy.engine.rules import RULES, under

TEXT = "The movie was absolutely fantastic"


def passed(model, vectors, rules):
    """The model's logits [B, labels] and the gradient of their sum at the embeddings that are looked up."""
    point = vectors.detach().clone().requires_grad_()
    with under(rules):
        out = model(point)
    (gradient,) = torch.autograd.grad(out.sum(), point)
    return out.detach(), gradient


# ---- values stay as they are ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_values_are_the_same_to_the_bit_and_gradients_come_back(name):
    model, tokenizer = tiny(name)
    adapter = saywhy.Explainer(model, tokenizer).model
    rows = [adapter._sample(3)]
    vectors = adapter.embed(rows[0])

    def found(rules):
        point = vectors.clone().requires_grad_()
        with adapter.frozen(), under(rules):
            out = adapter.forward(rows, [point])
        (gradient,) = torch.autograd.grad(out.sum(), point)
        return out.detach(), gradient

    plain = found(None)
    for rules in RULES:
        value, gradient = found(rules)
        assert torch.equal(value, plain[0]), rules
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0
        assert not torch.allclose(gradient, plain[1], rtol=1e-3)
    assert torch.equal(found(None)[1], plain[1])


@pytest.mark.parametrize("rules", RULES)
def test_a_method_alone_is_as_in_a_batch_of_others(rules):
    explainer = saywhy.Explainer(*tiny("bert"))
    together = explainer(TEXTS[:3], method=rules)
    for text, e in zip(TEXTS[:3], together, strict=True):
        np.testing.assert_allclose(explainer(text, method=rules).scores, e.scores, rtol=1e-4, atol=1e-6)


def test_every_target_is_as_if_asked_alone():
    explainer = saywhy.Explainer(*tiny("bert"))
    for e in explainer.each_target(TEXT, method="libra"):
        np.testing.assert_allclose(explainer(TEXT, method="libra", target=e.target.label).scores, e.scores, atol=1e-6)


def test_questions_with_different_rules_share_a_call():
    from saywhy.core.types import Gradients, Scores
    from saywhy.methods.gradients import embedding_path

    def both(problem):
        embedding = embedding_path(problem)
        direction = embedding.input - embedding.baseline
        _, one = yield Gradients(embedding.input[None], direction=direction, rules="libra")
        _, two = yield Gradients(embedding.input[None], direction=direction)
        return Scores(embedding.fold(one[:, 0] - two[:, 0]))

    explainer = saywhy.Explainer(*tiny("bert"))
    libra, plain = (explainer(TEXT, method=m, absent="mask").scores for m in ("libra", "input_x_gradient"))
    np.testing.assert_allclose(explainer(TEXT, method=both, absent="mask").scores, libra - plain, atol=1e-6)


# ---- nothing is left behind -------------------------------------------------------------------------------------------


def test_nothing_remains_after_an_exception():
    x = torch.randn(4, 3, requires_grad=True)
    before = torch.autograd.grad(functional.gelu(x).sum(), x)[0]
    with pytest.raises(RuntimeError, match="stop"), under("libra"):
        raise RuntimeError("stop")
    assert torch.overrides._len_torch_function_stack() == 0
    assert torch.equal(torch.autograd.grad(functional.gelu(x).sum(), x)[0], before)


def test_other_threads_see_nothing():
    x = torch.randn(4, 3, requires_grad=True)
    before = torch.autograd.grad(functional.gelu(x).sum(), x)[0]
    found = []
    with under("libra"):
        worker = threading.Thread(
            target=lambda: found.append(torch.autograd.grad(functional.gelu(x).sum(), x)[0]), daemon=True
        )
        worker.start()
        worker.join()
    assert torch.equal(found[0], before)


def test_unknown_rules_name_the_nearest():
    with pytest.raises(OptionError, match="Did you mean 'libra'"), under("libre"):
        pass


def test_black_boxes_are_refused():
    explainer = saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["length"])
    with pytest.raises(MethodError, match="kernel_shap"):
        explainer(TEXT, method="libra")


def test_the_patent_is_named_where_it_is_claimed():
    assert "patent" in saywhy.methods.METHODS["attn_lrp"].function.__doc__
    assert "patent" in RULES["attn_lrp"].source


# ---- gradient x input adds up -----------------------------------------------------------------------------------------


class Rms(nn.Module):
    """As models write it by hand."""

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class Layer(nn.Module):
    """A layer norm written by hand."""

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt((x - mean).pow(2).mean(-1, keepdim=True) + 1e-6)


def gelu_new(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


ACTIVATIONS = {
    "gelu": functional.gelu,
    "silu": functional.silu,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "mish": functional.mish,
    "gelu_new": gelu_new,
    "quick": lambda x: x * torch.sigmoid(1.702 * x),
    "erf": lambda x: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0))),
    "relu2": lambda x: torch.square(torch.relu(x)),
}
NORMS = {
    "layer": lambda: nn.LayerNorm(8, bias=False),
    "rms": lambda: nn.RMSNorm(8, eps=1e-6),
    "rms by hand": Rms,
    "layer by hand": Layer,
}


class Block(nn.Module):
    """One block of a transformer without biases, gated, in float64."""

    def __init__(self, norm="layer", act="gelu", fused=True, gated=True):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = NORMS[norm](), NORMS[norm]()
        self.q, self.k, self.v, self.o, self.out = (nn.Linear(8, 8, bias=False) for _ in range(5))
        self.up, self.gate, self.down = (
            nn.Linear(8, 12, bias=False),
            nn.Linear(8, 12, bias=False),
            nn.Linear(12, 8, bias=False),
        )
        self.act, self.fused, self.gated = ACTIVATIONS[act], fused, gated
        self.double().requires_grad_(False)

    def attend(self, x):
        q, k, v = (each(x).unflatten(-1, (2, 4)).transpose(-2, -3) for each in (self.q, self.k, self.v))
        if self.fused:
            out = functional.scaled_dot_product_attention(q, k, v)
        else:
            out = (q @ k.transpose(-1, -2) / math.sqrt(4)).softmax(-1) @ v
        return self.o(out.transpose(-2, -3).flatten(-2))

    def forward(self, x):
        x = x + self.attend(self.first(x))
        h = self.second(x)
        return self.out(x + self.down(self.act(self.gate(h)) * self.up(h) if self.gated else self.act(self.gate(h))))


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_libra_adds_up_without_biases(act, norm, gated):
    x = torch.randn(1, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for fused in (True, False):
        value, gradient = passed(Block(norm, act, fused, gated), x, "libra")
        torch.testing.assert_close((gradient * x).sum(), value.sum(), rtol=1e-6, atol=1e-6)
    assert (value.sum() - (passed(Block(norm, act, False, gated), x, None)[1] * x).sum()).abs() > 1e-3


@pytest.mark.parametrize("name", ["group", "normalize", "sigmoid gate", "softplus", "einsum", "square of a sum"])
def test_single_operations_add_up_but_for_what_stands_at_zero(name):
    x = torch.randn(2, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    w = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    made = {
        "group": (lambda x: functional.group_norm(x, 2), 0.0),
        "normalize": (lambda x: functional.normalize(x, dim=1), 0.0),
        "sigmoid gate": (lambda x: torch.sigmoid(x.transpose(1, 2) @ w) * x.transpose(1, 2), 0.0),
        "softplus": (functional.softplus, math.log(2) * x.numel()),
        "einsum": (lambda x: torch.einsum("bds,bdt->bst", x, x), 0.0),
        "square of a sum": (lambda x: x.sum(1) ** 2, 0.0),
    }
    function, rest = made[name]
    value, gradient = passed(function, x, "libra")
    torch.testing.assert_close((gradient * x).sum(), value.sum() - rest, rtol=1e-5, atol=1e-5)


# ---- twins ------------------------------------------------------------------------------------------------------------


def twin(block, x, rules):
    """The gradient of the sum of a block's output, from the papers' rules, by explicit matrices: one position at a time."""

    def normed(x):
        spread = (x - x.mean(-1, keepdim=True)).square().mean(-1, keepdim=True) + 1e-5
        return (x - x.mean(-1, keepdim=True)) / spread.detach().sqrt()

    def factor(u):
        return u * (block.act(u) / u).detach() if rules != "detach_attention" else block.act(u)

    def product(a, b):
        return a * b if rules == "detach_attention" else (a * b.detach() + a.detach() * b) / 2

    x = x.clone().requires_grad_()
    h = normed(x[0])
    out = []
    for head in range(2):
        cut = slice(4 * head, 4 * head + 4)
        q, k, v = (h @ each.weight[cut].T for each in (block.q, block.k, block.v))
        if rules == "attn_lrp":
            scores = torch.stack(
                [
                    torch.stack([(q[i] * k[j].detach() + q[i].detach() * k[j]).sum() / 4 for j in range(5)])
                    for i in range(5)
                ]
            )
            scores = scores + (scores.detach() * 0)
            weights = torch.exp(scores - scores.detach().max()) / torch.exp(scores - scores.detach().max()).sum(
                1, keepdim=True
            )
            out.append((weights @ v.detach() + weights.detach() @ v) / 2)
        else:
            out.append((q @ k.T / 2).softmax(1).detach() @ v)
    y = x[0] + torch.cat(out, 1) @ block.o.weight.T
    h = normed(y)
    y = y + product(factor(h @ block.gate.weight.T), h @ block.up.weight.T) @ block.down.weight.T
    return torch.autograd.grad((y @ block.out.weight.T).sum(), x)[0]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("rules", RULES)
def test_the_slow_twin(rules, fused):
    x = torch.randn(1, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    block = Block(fused=fused)
    torch.testing.assert_close(passed(block, x, rules)[1], twin(block, x, rules), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rules", RULES)
def test_torchs_own_attention_layer_is_as_written_out(rules):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, bias=False, batch_first=True).double().requires_grad_(False)
    block = Block(fused=False)
    for i, each in enumerate((block.q, block.k, block.v)):
        each.weight.copy_(layer.in_proj_weight[8 * i : 8 * i + 8])
    block.o.weight.copy_(layer.out_proj.weight)
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    found = passed(lambda x: layer(x, x, x)[0], x, rules)
    expected = passed(block.attend, x, rules)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found[0], passed(lambda x: layer(x, x, x)[0], x, None)[0])


# ---- along the path ---------------------------------------------------------------------------------------------------


def test_a_path_under_rules_is_the_mean_of_passes_along_it():
    from saywhy.core.types import Gradients, Scores
    from saywhy.methods.gradients import embedding_path

    def by_hand(problem):
        embedding = embedding_path(problem)
        places = torch.tensor([0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12)])
        points = embedding.baseline + places[:, None, None] * (embedding.input - embedding.baseline)
        _, gradients = yield Gradients(points, direction=embedding.input - embedding.baseline, rules="libra")
        return Scores(embedding.fold(gradients.mean(1)))

    explainer = saywhy.Explainer(*tiny("bert"))
    e = explainer(TEXT, method="integrated_rules", rules="libra", steps=2)
    np.testing.assert_allclose(e.scores, explainer(TEXT, method=by_hand, absent="mask").scores, rtol=1e-4, atol=1e-7)
    assert e.cost.backward_rows == 2
    assert not e.complete


def test_a_path_takes_every_set_of_rules_and_no_other():
    from saywhy.methods.rules import RULED

    assert set(RULED) == set(RULES)
    with pytest.raises(OptionError, match="Did you mean 'libra'"):
        saywhy.Explainer(*tiny("bert"))(TEXT, method="integrated_rules", rules="libre")
    with pytest.raises(OptionError, match="steps"):
        saywhy.Explainer(*tiny("bert"))(TEXT, method="integrated_rules", steps=0)
