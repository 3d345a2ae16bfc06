"""One forward and one backward under other backward rules: gradient x (point - origin), layer by layer closer to adding up."""

from __future__ import annotations

from ..types import Asking, Problem, Scores, Slopes
from .gradients import smooth_face


def libra(problem: Problem) -> Asking:
    """The gradient under balanced backward rules, dotted with (point - origin).

    Attention weights and the spread of norms are held still, activations become a factor, products share their gradient in
    halves: then gradient x input of the model adds up to its output but for biases. 1 forward, 1 backward a target.
    Source: LibraGrad, Mehri et al. 2025, arXiv 2411.16760, as these rules read it.
    """
    return (yield from _once(problem, "libra"))


def attn_lrp(problem: Problem) -> Asking:
    """The gradient under the rules of layer-wise relevance propagation for transformers, dotted with (point - origin).

    Like `libra`, but attention weights take half of what attention hands on, and queries and keys share it through the
    ordinary gradient of softmax. 1 forward, 1 backward a target. The paper's authors claim a patent on the method: see to it
    that your use is allowed. It is never a default here. Source: AttnLRP, Achtibat et al. 2024, arXiv 2402.05602.
    """
    return (yield from _once(problem, "attn_lrp"))


def detach_attention(problem: Problem) -> Asking:
    """The gradient through values only, attention weights and the spread of norms held still, dotted with (point - origin).

    Activations and gates keep their ordinary gradient. 1 forward, 1 backward a target.
    Source: Ali et al. 2022, arXiv 2202.07304.
    """
    return (yield from _once(problem, "detach_attention"))


def _once(problem: Problem, rules: str) -> Asking:
    face = smooth_face(problem)
    _, slopes = yield Slopes(face.point[None], along=face.point - face.origin, rules=rules)  # [K, 1, S]
    return Scores(face.fold(slopes[:, 0]))
