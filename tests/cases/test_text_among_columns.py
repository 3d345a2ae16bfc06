"""Text and columns in one explanation, the oldest open wish of the field; right values by the definition of Shapley values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import saywhy
from reviews import TEXTS
from saywhy.extend import InputError

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor  # noqa: E402
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler  # noqa: E402

TITLES = ["dull morning", "great night", "the plot", "no film"]
FRAME = pd.DataFrame(
    {
        "title": TITLES * 10,
        "body": TEXTS * 5,
        "price": [4.0 + (7 * i) % 23 for i in range(40)],
        "city": ["Rome", "Oslo", "Rome", "Lima", "Oslo"] * 8,
    }
)
ROW = {"title": "great plot", "body": "a great dull story", "price": 25.0, "city": "Rome"}
BACKGROUND = FRAME.iloc[5:12]


def worth_of(row, background, cut, answer):
    """(players, a function of those present): words of the columns `cut` are left out, other columns come from the rows."""
    players = [(c, i) for c in row for i in range(len(str(row[c]).split()) if c in cut else 1)]

    def worth(present):
        frame = background.copy()
        for column in row:
            if column in cut:
                words = row[column].split()
                frame[column] = " ".join(w for i, w in enumerate(words) if (column, i) in present)
            elif (column, 0) in present:
                frame[column] = [row[column]] * len(frame)
        return float(np.mean(answer(frame)))

    return players, worth


def shapley(players, worth):
    """Shapley values by their definition, over all coalitions; and the worth of all and of none."""
    n = len(players)
    table = {
        frozenset(chosen): worth(frozenset(chosen))
        for size in range(n + 1)
        for chosen in itertools.combinations(players, size)
    }
    out = []
    for player in players:
        others = [c for c in table if player not in c]
        out.append(sum((table[c | {player}] - table[c]) / (n * math.comb(n - 1, len(c))) for c in others))
    return np.array(out), table[frozenset(players)], table[frozenset()]


def pipeline(*more, texts=("body",), last):
    """A pipeline over a reader of each text column and these other transformers, fitted on all rows."""
    readers = [(name, TfidfVectorizer(), name) for name in texts]
    return make_pipeline(ColumnTransformer([*readers, *more]), last)


LIKED = [str("good" in b or p > 18) for b, p in zip(FRAME["body"], FRAME["price"], strict=True)]
NUMBERS = ("number", StandardScaler(), ["price"])
CITIES = ("city", OneHotEncoder(handle_unknown="ignore"), ["city"])


@pytest.mark.parametrize("unit", ["prob", "log-odds"])
def test_text_and_table_of_one_pipeline_in_one_unit_that_add_up_to_the_prediction(unit):
    """https://github.com/shap/shap/issues/891: words and columns of one pipeline, whose scores can be compared."""
    pipe = pipeline(NUMBERS, CITIES, last=LogisticRegression(C=20)).fit(FRAME, LIKED)
    row = {name: ROW[name] for name in ("body", "price", "city")}

    def answer(frame):
        p = pipe.predict_proba(frame)[:, 1]
        return p if unit == "prob" else np.log(p / (1 - p))

    e = saywhy.Explainer(pipe, background=BACKGROUND)({**ROW}, target="True", unit=unit, by="word", trust="none")
    mine = dict(zip([(f.part, f.label) for f in e.features], e.scores, strict=True))
    right, value, base = shapley(*worth_of(row, BACKGROUND, {"body"}, answer))
    named = [*(("body", word) for word in row["body"].split()), ("price", "price = 25"), ("city", "city = Rome")]
    np.testing.assert_allclose([mine.pop(name) for name in named], right, atol=1e-9)
    assert not mine  # the title, which the model never reads, is no feature
    assert e.target.unit == unit
    assert e.value == pytest.approx(value, abs=1e-9)
    assert e.base == pytest.approx(base, abs=1e-9)
    assert e.base + e.scores.sum() == pytest.approx(float(answer(pd.DataFrame([ROW]))[0]), abs=1e-9)


class TwoInputs(torch.nn.Module):
    """Ids of words and a vector of numbers, which meet in a hidden layer: what a word does depends on the numbers."""

    def __init__(self, words, numbers):
        super().__init__()
        self.words = torch.nn.EmbeddingBag(words, 6)
        self.numbers = torch.nn.Linear(numbers, 6)
        self.out = torch.nn.Linear(6, 3)

    def forward(self, ids, offsets, numbers):
        return self.out(torch.tanh(self.words(ids, offsets) * self.numbers(numbers)))


def test_a_network_of_two_inputs_words_and_numbers_in_one_explanation():
    """https://github.com/pytorch/captum/issues/998: an input that is no text beside one that is, in one torch module."""
    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate(sorted({w for text in TEXTS for w in text.split()}))}
    net = TwoInputs(len(vocabulary), 2).double().eval()

    def answer(frame):
        bags = [[vocabulary[w] for w in text.split()] for text in frame["body"]]
        offsets = torch.tensor(np.cumsum([0, *map(len, bags[:-1])]))
        numbers = torch.tensor(frame[["price", "year"]].to_numpy(dtype=float)) / 10
        with torch.no_grad():
            return net(torch.tensor([i for bag in bags for i in bag], dtype=torch.long), offsets, numbers).numpy()

    background = {"body": "", "price": 10.0, "year": 3.0}
    row = {"body": "a great dull story", "price": 25.0, "year": 7.0}
    explainer = saywhy.Explainer(answer, labels=["a", "b", "c"], background=background)
    for k, label in enumerate("abc"):
        e = explainer(row, by={"body": "word"}, target=label, trust="none")
        assert e.words == ("a", "great", "dull", "story", "price = 25", "year = 7")
        players = worth_of(row, pd.DataFrame([background]), {"body"}, lambda f, k=k: answer(f)[:, k])
        right, value, base = shapley(*players)
        np.testing.assert_allclose(e.scores, right, atol=1e-9)
        assert (e.value, e.base) == (pytest.approx(value, abs=1e-9), pytest.approx(base, abs=1e-9))


def test_two_texts_and_columns_where_a_word_in_the_title_is_not_that_in_the_body():
    """https://github.com/marcotcr/lime/issues/233: several text columns with columns beside them."""
    wanted = [b.count("great") - 2 * t.count("great") + p / 9 for t, b, p in FRAME[["title", "body", "price"]].values]
    forest = RandomForestRegressor(30, random_state=0)
    pipe = pipeline(NUMBERS, texts=("title", "body"), last=forest).fit(FRAME.drop(columns="city"), wanted)
    row = {name: ROW[name] for name in ("title", "body", "price")}
    e = saywhy.Explainer(pipe, background=BACKGROUND)(row, trust="none")
    assert [(f.part, f.label) for f in e.features[:3]] == [("title", "great"), ("title", "plot"), ("body", "a")]
    right, _, _ = shapley(*worth_of(row, BACKGROUND, {"title", "body"}, pipe.predict))
    np.testing.assert_allclose(e.scores, right, atol=1e-9)
    of = {(f.part, f.label): score for f, score in zip(e.features, e.scores, strict=True)}
    assert of["title", "great"] < 0 < of["body", "great"]


def test_numbers_categories_texts_and_missing_values_of_one_model():
    """https://github.com/SeldonIO/alibi/issues/741: columns of different kinds, some of them missing, in one explanation."""
    frame = FRAME.drop(columns="title").assign(price=FRAME["price"].where(FRAME["price"] > 8))
    dense = FunctionTransformer(lambda x: x.toarray() if hasattr(x, "toarray") else x)
    columns = ColumnTransformer(
        [
            ("text", CountVectorizer(), "body"),
            ("number", "passthrough", ["price"]),
            ("city", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["city"]),
        ]
    )
    boosted = HistGradientBoostingClassifier(max_iter=25, min_samples_leaf=2, random_state=0)
    truth = [(c == "Rome") != ("dull" in b) if p > 12 else p != p for b, p, c in frame.values]
    pipe = make_pipeline(columns, dense, boosted).fit(frame, truth)
    background = frame.iloc[[2, 9, 17]]
    row = {"body": "a great dull story", "price": float("nan"), "city": "Rome"}

    def answer(given):
        return pipe.predict_proba(given)[:, 1]

    explainer = saywhy.Explainer(pipe, background=background)
    e = explainer(row, target="True", trust="none")
    assert e.words == ("a", "great", "dull", "story", "price = missing", "city = Rome")
    right, value, _ = shapley(*worth_of(row, background, {"body"}, answer))
    np.testing.assert_allclose(e.scores, right, atol=1e-9)
    assert e.value == pytest.approx(value, abs=1e-9)
    assert np.abs(right).max() > 0.01  # something is at stake
    whole = explainer(row, target="True", by="column", trust="none")
    right, _, _ = shapley(*worth_of(row, background, set(), answer))
    np.testing.assert_allclose(whole.scores, right, atol=1e-9)
    with pytest.raises(InputError, match="'city'"):
        explainer({"body": "a", "price": 3.0})
