"""Gradients under other backward rules, layer by layer closer to adding up: at the point alone, or along the path to it."""

from __future__ import annotations

from ..core.errors import unknown
from ..core.types import Gradients, MethodGenerator, Problem, Scores
from .gradients import embedding_path, fixed_path

RULED = ("libra", "attn_lrp", "detach_attention")  # the names of `backward.RULES`


def libra(problem: Problem) -> MethodGenerator:
    """The gradient under balanced backward rules, dotted with (input - baseline).

    The backward pass treats attention weights and the scales of layer norms as constants and splits the gradient of a product
    evenly; then gradient x input almost adds up to the output (biases are left over). 1 forward, 1 backward a target.
    Source: LibraGrad, Mehri et al. 2025, arXiv 2411.16760, as these rules read it.
    """
    return (yield from _once(problem, "libra"))


def attn_lrp(problem: Problem) -> MethodGenerator:
    """The gradient under the rules of layer-wise relevance propagation for transformers, dotted with (input - baseline).

    Like `libra`, but attention weights take half of what attention hands on, and queries and keys share it through the
    ordinary gradient of softmax. 1 forward, 1 backward a target. The paper's authors claim a patent on the method: see to it
    that your use is allowed. It is never a default here. Source: AttnLRP, Achtibat et al. 2024, arXiv 2402.05602.
    """
    return (yield from _once(problem, "attn_lrp"))


def detach_attention(problem: Problem) -> MethodGenerator:
    """The gradient with attention weights and the spread of norms detached, dotted with (input - baseline).

    Activations and gates keep their ordinary gradient. 1 forward, 1 backward a target.
    Source: Ali et al. 2022, arXiv 2202.07304.
    """
    return (yield from _once(problem, "detach_attention"))


def integrated_rules(problem: Problem, *, rules: str = "libra", steps: int = 2) -> MethodGenerator:
    """The gradient under backward rules, integrated along the straight path from baseline to input.

    Integrated gradients whose gradient is that of `libra`, `detach_attention` or `attn_lrp` (whose authors claim a patent),
    at the `steps` places of the Gauss-Legendre rule. Two steps ordered the tokens of a fine-tuned MiniLM as well as fifty
    without rules (docs/benchmarks/faithfulness.md); the scores do not add up exactly. `steps` forwards and backwards.
    Source: the path of Sundararajan, Taly & Yan 2017 under rules, as in LibraGrad, Mehri et al. 2025.
    """
    if rules not in RULED:
        raise unknown("backward rules", rules, RULED)
    return (yield from fixed_path(embedding_path(problem), steps, rules))


def _once(problem: Problem, rules: str) -> MethodGenerator:
    embedding = embedding_path(problem)
    _, gradients = yield Gradients(
        embedding.input[None], direction=embedding.input - embedding.baseline, rules=rules
    )  # [K, 1, S]
    return Scores(embedding.fold(gradients[:, 0]))
