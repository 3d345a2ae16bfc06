"""What docstrings do not say of a method: its formula, where it misleads, and when to take it. A row for each in METHODS."""

from __future__ import annotations

from typing import NamedTuple

LEGEND = """N = all features, S ⊆ N, n = |N|. v(S) = the target with only S present; v(N) is the value, v(∅) the base.
x = the embeddings with everything present, x′ with everything absent; Σ over i runs over the positions of feature i.
∇v(x) = how the target changes with the embeddings at x."""


class Told(NamedTuple):
    formula: str
    misleads: str
    take: str


TOLD = {
    "integrated_gradients": Told(
        "φᵢ = Σ (x − x′) · ∫₀¹ ∇v(x′ + t (x − x′)) dt",
        "The path runs through embeddings that belong to no text, and the gradients there count as much as those near the text. "
        "Another `absent` is another path and another answer. On a model that jumps (experts picked by rank, hashing) the "
        "integral does not converge, and a note says so.",
        "The default where a model has gradients: few passes, adds up, every token at once, several labels from one forward.",
    ),
    "occlusion": Told(
        "φᵢ = v(N) − v(N without i)",
        "Two words that say the same cover for each other: removing either one alone changes little, so both score near zero. Of "
        "two words that act only together, each gets the effect of both. The scores do not add up.",
        "When the question is the counterfactual itself: what would the model say without this word? `variants` lists it.",
    ),
    "kernel_shap": Told(
        "φᵢ = the mean of v(S and i) − v(S) over all orders in which i may come,\n"
        "estimated by regression on some hundred subsets S, each asked with its complement",
        "The scores are estimates: look at `stderr`. With fewer rows than some 4 n the interactions that it leaves out become errors of the "
        "scores. Like every Shapley value it averages over inputs with most of the text gone, which the model may never have seen.",
        "The default for a callable: near the exact Shapley values at a fraction of the rows.",
    ),
    "guided_shap": Told(
        "φᵢ as in kernel_shap, estimated by the same regression with a prior from gradients a:\n"
        "the linear part is a sum of b a over one or two guides a, plus the rest; a set of features varies as the product of\n"
        "its (|aᵢ| / mean + 0.4)^p; b, p and how large each order is are weighed by their likelihood",
        "With few rows the scores lean on the gradient, and share its faults where no row speaks against them. Standard errors "
        "hold for the prior that the rows prefer, not for one that no row can tell apart: with some 2 n rows they are a little too "
        "small. From some 8 n rows on there is little to gain over `kernel_shap`.",
        "Shapley values of a model with gradients where n / 2 to 4 n rows are affordable.",
    ),
    "shapley_sampling": Told(
        "φᵢ = the mean over m drawn orders (each with its reverse) of v(before i, and i) − v(before i)",
        "The error falls with the root of the number of orders: four times the rows for half the error. At equal rows "
        "`kernel_shap` is nearer to the exact values.",
        "When the scores must add up whatever the budget, and an unbiased estimate with an honest standard error is wanted.",
    ),
    "shapley_values": Told(
        "φᵢ = Σ over S without i of |S|! (n − |S| − 1)! / n! · (v(S and i) − v(S))",
        "Exact for the question it asks, which is an average over every subset: half of them are hardly texts. It shares an effect "
        "of several words evenly among them; `e.pairs()` says which two belong together. Every feature doubles the cost.",
        "Up to twelve features: slots of a prompt, sentences, a short text.",
    ),
    "lime": Told(
        "φ = argmin over w, b of Σ over drawn S of k(S) · (v(S) − b − Σ wᵢ [i in S])² + λ |w|²,\n"
        "k(S) = exp(−(1 − cos(S, N))² / width²)",
        "The scores are slopes, not shares: they need not add up, and they depend on `width`, which has no right value. The ridge "
        "penalty shrinks them. Another seed gives other scores, and there is no standard error.",
        "For comparing with work that used LIME.",
    ),
    "input_x_gradient": Told(
        "φᵢ = Σ (x − x′) · ∇v(x)",
        "It is one gradient at one point: where the model is sure of itself the gradient is small or changes its sign, and the order "
        "can be no better than chance. On the fine-tuned MiniLM of the benchmark it is not better.",
        "As a control, or on a model that is nearly linear.",
    ),
    "saliency": Told(
        "φᵢ = Σ |∇v(x)|₂",
        "The scores have no sign: it cannot tell a word that raises the number from one that lowers it. It says how sensitive the model is to a "
        "small change of the embedding, and such a change is not another word.",
        "For comparing with work that used it.",
    ),
    "smoothgrad": Told(
        "φᵢ = the mean over drawn ε ~ N(0, (noise · σ)²) of Σ (x − x′) · ∇v(x + ε)",
        "Embeddings with noise are not another text. With little noise it is `input_x_gradient` at sixteen times the cost; with much "
        "noise the gradients are those of noise. Smoother scores are not truer scores.",
        "On images, where it comes from; on texts take `integrated_gradients`.",
    ),
    "noisy_integrated_gradients": Told(
        "φᵢ = the mean over drawn ε of Σ (x + ε − x′) · ∫₀¹ ∇v(x′ + t (x + ε − x′)) dt",
        "It no longer adds up, and averages away what changes within a small neighbourhood, which may be the very thing asked "
        "about. It costs several times plain integrated gradients.",
        "When the scores of `integrated_gradients` move with tiny changes of the input and a mean over them is wanted.",
    ),
    "gradient_shap": Told(
        "φᵢ = the mean over drawn t in 0..1 (and noise ε) of Σ (x − x′) · ∇v(x′ + t (x − x′) + ε)",
        "With one baseline it is integrated gradients by drawn points: the same goal with more error, which `stderr` tells. The name "
        "promises Shapley values, which it reaches only for a model without interactions along the path.",
        "For comparing with shap's GradientExplainer.",
    ),
    "libra": Told(
        "φᵢ = Σ (x − x′) · ∇̃v(x)\n∇̃: attention weights and the spread of norms detached, f(u) = c u with c detached, products in halves",
        "Words that matter only by steering attention get too small a score, because attention counts as a constant. The scores do not "
        "add up exactly. A single pass sees one place; on MiniLM it falls short of fifty steps of integrated gradients.",
        "Very many texts, one pass each; `integrated_rules` if two are affordable.",
    ),
    "attn_lrp": Told(
        "φᵢ = Σ (x − x′) · ∇̃v(x)\n∇̃: as libra, but attention weights take half of what attention hands on",
        "The same as for `libra`; moreover its authors claim a patent on the method: see to it that your use is allowed. Rules are written for the "
        "operations of transformers; in other networks what has no rule keeps its ordinary gradient.",
        "The best order of the one-pass methods on MiniLM, where the patent is no obstacle.",
    ),
    "detach_attention": Told(
        "φᵢ = Σ (x − x′) · ∇̃v(x)\n∇̃: attention weights and the spread of norms detached, all else ordinary",
        "Everything that decides where the model looks is ignored, and activations keep their ordinary gradient, which is small where "
        "they saturate. Of the three sets of rules it is the furthest from adding up.",
        "For comparing with work that used it; else `libra`.",
    ),
    "integrated_rules": Told(
        "φᵢ = Σ (x − x′) · Σ over the Gauss-Legendre places t of w(t) · ∇̃v(x′ + t (x − x′))",
        "It orders tokens well and does not add up exactly: read ranks, not amounts. On a model that is nearly additive the rules "
        "gain nothing over plain integrated gradients.",
        "The best order for little time: two passes did what fifty steps without rules do on MiniLM.",
    ),
    "label_attention": Told(
        "φᵢ = Σ over the tokens of i of softmax(q_label · k), the mean over heads",
        "It tells where the label looks, not in which direction a word counts: a word may be looked at because it speaks against the "
        "label. Two labels that depend on the same words have nearly the same maps. What a position holds was mixed by the layers below.",
        "For a classifier trained here with label attention: one forward for all labels.",
    ),
    "raw_attention": Told(
        "φᵢ = Σ over the tokens of i of the attention weight from the position that is read, in one layer",
        "In higher layers a position holds a mixture of all words, so a weight on it is not a weight on its word. Very different "
        "weights can give the same prediction. The weights have no sign.",
        "To look at what a head does, not to explain a prediction.",
    ),
    "attention_rollout": Told(
        "φ = the row, of the position that is read, of Π over layers of (A + I) / 2, A = the mean over heads",
        "It knows nothing of values, feed-forward layers or the label: every target read off one place gets the same scores. They have no sign. "
        "On MiniLM its order is far below that of gradients.",
        "To follow what could have reached the position that is read.",
    ),
    "gradient_rollout": Told(
        "R ← R + mean over heads of (A ∘ ∂v/∂A)⁺ · R, layer by layer; φ = the row of the position that is read, less itself",
        "It shows only what raises the target: a word that speaks against it scores near 0, like a word that does nothing. The scores "
        "are not in the target's unit.",
        "For vision transformers, where it comes from, and encoder-decoders.",
    ),
    "random": Told(
        "φᵢ ~ N(0, 1)",
        "Its scores mean nothing by construction. A method that does not beat it tells nothing.",
        "As the control in `saywhy.compare`.",
    ),
}
