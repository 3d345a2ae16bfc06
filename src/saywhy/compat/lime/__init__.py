"""lime's names for texts over saywhy: change the import, and the code runs, with lime's numbers.

>>> from saywhy.compat.lime.lime_text import LimeTextExplainer
>>> explainer = LimeTextExplainer(class_names=["negative", "positive"], random_state=0)
>>> explanation = explainer.explain_instance(text, classifier.predict_proba, num_features=6)

Samples, weights and fits are lime's: with the same `random_state` the same words get the same weights. Texts that were drawn
twice go through the classifier once, in batches of bounded size; the page loads nothing and runs nothing;
`explanation.explanation` is saywhy's own of the same text. Tables and images have no names here.
"""

from __future__ import annotations

_ELSEWHERE = {
    "lime_image": "images are explained by saywhy.Explainer(model, processor, task='image-classification')",
    "lime_tabular": "rows of a table are explained by saywhy.Explainer(estimator)(rows, background=frame)",
    "submodular_pick": "saywhy.corpus sums up the explanations of many texts",
}


def __getattr__(name: str) -> object:
    if name in _ELSEWHERE:
        raise ImportError(f"saywhy.compat.lime has no {name}: {_ELSEWHERE[name]}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
