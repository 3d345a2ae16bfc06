"""A data scientist's models, beside shap: text among columns at equal rows, and many short texts by the default method.

    python -m benchmarks.data_science

Reviews are drawn here from a vocabulary of 400 words, with a seed: nothing is downloaded. Exact Shapley values are from all 2^n
coalitions, of the estimator itself for rows, and by the formula of TF-IDF for texts of 20 words (held against the pipeline).
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import torch
from scipy.special import expit

import saywhy
from benchmarks.common import arguments, write
from saywhy.methods.coalitions import shapley_of_table
from saywhy.methods.walsh import every_coalition

BUDGETS = (64, 128, 256, 512)
WORDS, TEXTS, EXACT = 20, 500, 20


def vocabulary() -> tuple[list[str], Any]:
    """400 words, and how each pushes: most not at all, some far."""
    draw = np.random.default_rng(0)
    words = [
        f"{a}{b}{c}"
        for a in "bdfgklmn"
        for b in ("a", "e", "i", "o", "u")
        for c in ("ra", "ne", "to", "li", "so", "pu", "ki", "va", "mo", "ze")
    ]
    return words, draw.normal(size=len(words)) * (draw.random(len(words)) < 0.3)


def reviews(count: int, length: int, seed: int) -> tuple[list[str], Any]:
    """Texts of different words, and their tone."""
    words, pushes = vocabulary()
    draw = np.random.default_rng(seed)
    chosen = [draw.choice(len(words), length, replace=False) for _ in range(count)]
    return [" ".join(words[i] for i in row) for row in chosen], np.array([pushes[row].sum() for row in chosen])


def rows_model() -> tuple[Any, Any]:
    """Gradient boosting over TF-IDF and three columns, and rows that it has not seen."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts, tone = reviews(1_200, 10, 1)
    draw = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"review": texts, "price": draw.gamma(2, 20, 1_200), "age": draw.integers(18, 80, 1_200).astype(float)}
    )
    frame["city"] = draw.choice(["Lima", "Oslo", "Rome"], 1_200)
    wanted = tone - 0.03 * frame["price"] + (frame["city"] == "Rome") + 0.5 * tone * (frame["age"] > 50)
    truth = (wanted > wanted.median()).astype(int)
    columns = ColumnTransformer(
        [
            ("t", TfidfVectorizer(), "review"),
            ("n", StandardScaler(), ["price", "age"]),
            ("c", OneHotEncoder(), ["city"]),
        ]
    )
    model = make_pipeline(columns, GradientBoostingClassifier(n_estimators=100, random_state=0))
    return model.fit(frame.iloc[:1_000], truth.iloc[:1_000]), frame.iloc[1_000:]


def at_equal_rows(quick: bool) -> tuple[list[list[Any]], dict[str, Any]]:
    """For each budget the error of both over all rows, as a share of the sum of |exact| over all rows."""
    import shap

    model, held_out = rows_model()
    explainer = saywhy.Explainer(model, background=("mean", held_out))
    some = held_out.iloc[: 3 if quick else 20]
    encodings = [explainer.model.encode(row, explainer.request().encoding) for row in some.to_dict("records")]
    found: dict[int, dict[str, list[float]]] = {b: {"saywhy": [], "shap": []} for b in BUDGETS}
    whole = 0.0
    for k, (row, encoding) in enumerate(zip(some.to_dict("records"), encodings, strict=True)):
        n = len(encoding.features)

        def game(masks: Any, encoding: Any = encoding) -> Any:
            made = encoding.at(np.asarray(masks) > 0.5)
            return explainer.model.forward(made)[:, 1].numpy()

        exact = shapley_of_table(torch.as_tensor(game(every_coalition(n).numpy()))[:, None], n)[0].numpy()
        whole += float(np.abs(exact).sum())
        for budget in BUDGETS:
            ours = explainer(row, method="kernel_shap", budget=budget, target="1", trust="none", seed=k).scores
            np.random.seed(k)  # shap draws from the global generator
            peer = shap.KernelExplainer(game, np.zeros((1, n)), silent=True)
            theirs = peer.shap_values(np.ones((1, n)), nsamples=budget - 2, silent=True, l1_reg=False)[0]
            found[budget]["saywhy"].append(float(np.abs(ours - exact).sum()))
            found[budget]["shap"].append(float(np.abs(theirs - exact).sum()))
        print(k, n, {b: (round(e["saywhy"][-1], 4), round(e["shap"][-1], 4)) for b, e in found.items()}, flush=True)
    table = []
    for budget, e in found.items():
        a, b = sum(e["saywhy"]) / whole, sum(e["shap"]) / whole
        table.append([budget, a, b, a / b])
    return table, {str(b): e for b, e in found.items()}


def exact_of_text(pipe: Any, text: str) -> Any:
    """Shapley values [n] of a text of different words, whose TF-IDF has a norm: by its formula over all coalitions."""
    vectorizer, model = pipe[0], pipe[-1]
    words = text.split()
    at = [vectorizer.vocabulary_.get(word) for word in words]
    weights = np.array([0.0 if i is None else vectorizer.idf_[i] for i in at])
    pushes = np.array([0.0 if i is None else model.coef_[0, i] for i in at]) * weights
    values = []
    for masks in np.array_split(every_coalition(len(words)).numpy(), 32):
        norm = np.sqrt(masks @ weights**2)
        values.append(expit(masks @ pushes / np.where(norm > 0, norm, 1.0) + model.intercept_[0]))
    table = np.concatenate(values)
    assert abs(table[-1] - pipe.predict_proba([text])[0, 1]) < 1e-9
    return shapley_of_table(torch.as_tensor(table)[:, None], len(words))[0].numpy()


def punctuated(text: str) -> str:
    """The same 20 words as a sentence with a capital, commas, brackets, quotes and a full stop: eight signs more."""
    w = text.split()
    parts = (" ".join(w[a:b]) for a, b in ((1, 6), (6, 11), (11, 13), (13, 17), (17, 19)))
    one, two, three, four, five = parts
    return f'{w[0].capitalize()} {one}, {two} ({three}); {four}: "{five}" {w[19]}.'


def of_words(labels: Any, scores: Any) -> Any:
    """The scores of the words alone; those of signs are left out, whose exact values are 0."""
    chosen = [float(score) for label, score in zip(labels, scores, strict=True) if any(c.isalnum() for c in label)]
    assert len(chosen) == WORDS, labels
    return np.array(chosen)


def many_texts(quick: bool, written: Any = str) -> tuple[list[list[Any]], dict[str, Any]]:
    """Seconds and mean error of the default method of each, over all texts in one call, each as `written` has it."""
    import shap
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, tone = reviews(2_000, WORDS, 3)
    pipe = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(texts[:1_500], (tone[:1_500] > 0).astype(int))
    bare = texts[1_500 : 1_500 + (40 if quick else TEXTS)]
    exact, asked = (
        [exact_of_text(pipe, text) for text in bare[: 2 if quick else EXACT]],
        [written(text) for text in bare],
    )
    explainer = saywhy.Explainer(pipe)
    explainer(asked[:2], target="1")
    started = time.process_time()
    found = explainer(asked, target="1", progress=False)
    ours = time.process_time() - started
    started = time.process_time()
    unchecked = explainer(asked, target="1", trust="none", progress=False)
    alone = time.process_time() - started
    peer = shap.Explainer(lambda given: pipe.predict_proba(list(given))[:, 1], shap.maskers.Text(r"\W+"), silent=True)
    peer(asked[:1])
    started = time.process_time()
    theirs = peer(asked)
    his = time.process_time() - started
    sizes = [np.abs(e).sum() for e in exact]
    own = [of_words(f.words, f.scores) for f in unchecked[: len(exact)]]
    his_own = [of_words(theirs.data[i], theirs.values[i]) for i in range(len(exact))]
    mine = [float(np.abs(scores - e).sum() / s) for scores, e, s in zip(own, exact, sizes, strict=True)]
    other = [float(np.abs(scores - e).sum() / s) for scores, e, s in zip(his_own, exact, sizes, strict=True)]
    rows_of_ours = sum(e.cost.rows for e in unchecked) / len(unchecked)
    table = [
        [
            "saywhy, with its check against removal",
            ours,
            ours / his,
            float(np.mean([e.cost.rows for e in found])),
            float(np.mean(mine)),
        ],
        ["saywhy, trust='none'", alone, alone / his, rows_of_ours, float(np.mean(mine))],
        ["shap, Partition", his, 1.0, "up to 500", float(np.mean(other))],
    ]
    return table, {
        "seconds": {"saywhy": ours, "saywhy without its check": alone, "shap": his},
        "error": {"saywhy": mine, "shap": other},
    }


def main() -> None:
    options = arguments(__doc__ or "")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    many, many_results = many_texts(options.quick)
    print(many, flush=True)
    signs, signs_results = many_texts(options.quick, punctuated)
    print(signs, flush=True)
    equal, equal_results = at_equal_rows(options.quick)
    print(equal, flush=True)
    if not options.quick:
        write(
            "data_science",
            "A data scientist's models, beside shap",
            "Reviews drawn from 400 words with a seed, one thread, processor time. The error is the sum of |score - exact| over the "
            "sum of |exact|, in probability.",
            {"equal_rows": equal_results, "many_texts": many_results, "with_signs": signs_results},
            [
                (
                    "Gradient boosting over TF-IDF and three columns: the error at equal rows",
                    ["rows", "saywhy, kernel_shap", "shap, KernelExplainer", "ratio"],
                    equal,
                ),
                (
                    f"{TEXTS} texts of {WORDS} words, TF-IDF and logistic regression, each library's default",
                    ["", "seconds", "of shap's", "rows a text", f"error ({EXACT} texts)"],
                    many,
                ),
                (
                    f"The same {TEXTS} texts as sentences, with eight signs each",
                    ["", "seconds", "of shap's", "rows a text", f"error ({EXACT} texts)"],
                    signs,
                ),
            ],
        )


if __name__ == "__main__":
    main()
