"""lime's names over saywhy: lime itself as oracle, draw by draw, and what is right now where it was not."""

from __future__ import annotations

import math
import pickle
import re
import sys
import warnings
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from saywhy.compat import lime as package
from saywhy.compat.lime import lime_text as ours
from saywhy.compat.lime.exceptions import LimeError
from saywhy.compat.lime.explanation import DomainMapper, Explanation
from saywhy.compat.lime.lime_base import LimeBase, lasso_path, ridge
from saywhy.core.errors import InputError, ModelError, OptionError

TEXT = "This film was good, really good; the plot of a dull film it was not."
WORTH = {"good": 1.4, "dull": -1.1, "not": -0.6, "film": 0.2, "plot": 0.35, "UNKWORDZ": -0.1}


def classify(texts):
    """[N, 3]: by the words of each text, and whether "not" stands after "dull"."""
    out = []
    for text in texts:
        words = re.findall(r"\w+", text)
        score = sum(WORTH.get(word, 0.01 * len(word)) for word in words)
        if "dull" in words and "not" in words[words.index("dull") :]:
            score += 0.8
        odds = np.exp([0.0, score, 0.3 * math.sin(len(text))])
        out.append(odds / odds.sum())
    return np.array(out)


def theirs():
    """lime's own explainer; it was last released in 2020, and warns of its own syntax."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("lime")
        from lime import lime_text
    return lime_text


def both(explainer=None, **asked):
    out = []
    for module in (ours, theirs()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, of ill-conditioned fits in lime's forward selection
            made = module.LimeTextExplainer(random_state=7, **(explainer or {}))
            out.append(made.explain_instance(TEXT, classify, **{"num_samples": 600, **asked}))
    return out


class TestNumbers:
    @pytest.mark.parametrize(
        ("explainer", "asked"),
        [
            ({}, {}),
            ({}, {"num_samples": 5000}),
            ({}, {"num_features": 4}),
            ({}, {"num_features": 30}),
            ({"feature_selection": "lasso_path"}, {"num_features": 5}),
            ({"feature_selection": "none"}, {}),
            ({"feature_selection": "highest_weights"}, {"num_features": 3}),
            ({"kernel_width": 5}, {"labels": (0, 2)}),
            ({}, {"top_labels": 2}),
            ({"kernel": lambda d, kernel_width: np.exp(-d / kernel_width)}, {}),
            ({"bow": False}, {}),
            ({"bow": False, "mask_string": ""}, {}),
            ({"char_level": True}, {"num_samples": 300}),
            ({"split_expression": r"\s+"}, {}),
            ({"split_expression": str.split}, {}),
            ({}, {"distance_metric": "euclidean"}),
            ({}, {"distance_metric": "manhattan"}),
        ],
    )
    def test_they_are_limes(self, explainer, asked):
        pytest.importorskip("sklearn")
        mine, his = both(explainer, **asked)
        assert mine.available_labels() == [int(i) for i in his.available_labels()]
        for label in mine.available_labels():
            assert [i for i, _ in mine.as_map()[label]] == [int(i) for i, _ in his.as_map()[label]]
            expected = [weight for _, weight in his.as_list(label)]
            np.testing.assert_allclose([weight for _, weight in mine.as_list(label)], expected, atol=1e-9)
            assert mine.as_list(label) == [(word, pytest.approx(weight)) for word, weight in his.as_list(label)]
            assert mine.intercept[label] == pytest.approx(his.intercept[label])
        last = mine.available_labels()[0] if "top_labels" in asked else asked.get("labels", (1,))[-1]
        assert (mine.score, mine.scores[last]) == (pytest.approx(his.score), mine.score)
        np.testing.assert_allclose(mine.local_pred, his.local_pred, atol=1e-9)
        np.testing.assert_array_equal(mine.local_preds[last], mine.local_pred)
        np.testing.assert_array_equal(mine.predict_proba, his.predict_proba)
        np.testing.assert_array_equal(mine.predict_proba, classify([TEXT])[0])

    def test_a_linear_model_of_ones_own(self):
        linear = pytest.importorskip("sklearn.linear_model")
        mine, his = both(model_regressor=linear.Lasso(alpha=0.001))
        assert mine.as_list() == [(word, pytest.approx(weight)) for word, weight in his.as_list()]

    def test_the_global_random_state_where_none_is_given(self):
        theirs()
        found = []
        for module in (ours, theirs()):
            np.random.seed(3)
            found.append(module.LimeTextExplainer().explain_instance(TEXT, classify, num_samples=200).as_list())
        assert found[0] == [(word, pytest.approx(weight)) for word, weight in found[1]]

    def test_a_random_state_goes_on(self):
        explainer = ours.LimeTextExplainer(random_state=10)
        one, two = (explainer.explain_instance(TEXT, classify, num_samples=200).as_map() for _ in range(2))
        again = ours.LimeTextExplainer(random_state=np.random.RandomState(10))
        assert one == again.explain_instance(TEXT, classify, num_samples=200).as_map() != two

    def test_words_and_positions(self):
        mine, his = both(num_features=12)
        assert mine.as_list(positions=True) == [(w, pytest.approx(x)) for w, x in his.as_list(positions=True)]
        assert ("good_14-27") in dict(mine.as_list(positions=True))

    def test_verbose(self, capsys):
        ours.LimeTextExplainer(verbose=True, random_state=0).explain_instance(TEXT, classify, num_samples=50)
        assert re.fullmatch(r"Intercept \S+\nPrediction_local \[\S+\]\nRight: \S+\n", capsys.readouterr().out)


class TestFits:
    """The closed forms against themselves, written again."""

    def data(self, features=7, rows=60, seed=0):
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 2, (rows, features)).astype(float)
        return x, x @ rng.standard_normal(features) + 0.3 * rng.standard_normal(rows), rng.random(rows) + 0.01

    def test_ridge(self):
        x, y, w = self.data()
        intercept, found = ridge(x, y, w, 0.7)
        design = np.c_[np.ones(len(x)), x]
        penalty = 0.7 * np.diag([0.0, *np.ones(x.shape[1])])
        expected = np.linalg.solve(design.T @ (w[:, None] * design) + penalty, design.T @ (w * y))
        np.testing.assert_allclose([intercept, *found], expected)

    def test_forward_selection_takes_the_best_at_every_step(self):
        x, y, w = self.data()
        x[:, 3] = 1.0  # always there: it tells nothing
        found = LimeBase(np.ones_like).forward_selection(x, y, w, 4).tolist()

        def left(features):
            design = np.c_[np.ones(len(x)), x[:, features]] * np.sqrt(w)[:, None]
            return float(np.linalg.lstsq(design, y * np.sqrt(w), rcond=None)[1][0])

        for step in range(4):
            rest = {j: left([*found[:step], j]) for j in range(7) if j not in found[:step] and j != 3}
            assert found[step] == min(rest, key=rest.get)
        assert len(set(LimeBase(np.ones_like).forward_selection(x, y, w, 9).tolist())) == 7

    @pytest.mark.parametrize("seed", range(6))
    def test_the_lasso_path_is_scikit_learns(self, seed):
        linear = pytest.importorskip("sklearn.linear_model")
        x, y, _ = self.data(features=9, rows=40, seed=seed)
        x, y = x - x.mean(0), y - y.mean()
        found = lasso_path(x, y)
        expected = linear.lars_path(x, y, method="lasso")[2].T
        assert len(found) == len(expected) - 1
        np.testing.assert_allclose(found, expected[1:], atol=1e-8)

    def test_the_conditions_of_the_lasso_hold_at_every_knot(self):
        x, y, _ = self.data(features=8, rows=30, seed=11)
        x[:, 5] = x[:, 4]  # two features that are one
        x, y = x - x.mean(0), y - y.mean()
        for knot in lasso_path(x, y):
            correlation = x.T @ (y - x @ knot)
            level = np.abs(correlation).max()
            assert (np.sign(knot[knot != 0]) * correlation[knot != 0] >= level - 1e-7).all()


class Parsed(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def explained(text=TEXT, **settings):
    explainer = ours.LimeTextExplainer(class_names=["bad", "<b>good</b>", "odd"], random_state=1)
    return explainer.explain_instance(text, classify, num_samples=300, **settings)


class TestDrawn:
    def test_a_page_that_loads_nothing_and_escapes_everything(self, tmp_path):
        text = "<script>alert(1)</script> good & dull\x00 film"
        found = explained(text, labels=(1, 2))
        found.save_to_file(tmp_path / "page.html")
        html = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert html == found.as_html()
        tags = Parsed(html)
        assert not {"script", "link", "img", "iframe", "b"} & {tag for tag, _ in tags.tags}
        assert "default-src 'none'" in html
        assert "prefers-color-scheme:dark" in html
        assert "".join(tags.texts).count("<b>good</b>") == 1 + 2
        assert not any(name.startswith("on") or name in ("src", "href") for _, attrs in tags.tags for name in attrs)
        assert len([tag for tag, _ in tags.tags if tag == "table"]) == 3
        assert "<script>alert(1)</script> good & dull" in "".join(tags.texts)

    def test_parts_of_it(self):
        found = explained(labels=(1, 0))
        assert "<mark" not in found.as_html(text=False)
        assert found.as_html(predict_proba=False).count("Prediction probabilities") == 0
        assert len(re.findall("NOT bad", found.as_html(labels=[0]))) == 1
        marks = re.findall(r"<mark style=\"background:rgba\(\d+,\d+,\d+,([\d.]+)\)\"", found.as_html(opacity=False))
        assert set(marks) == {"0.60"}
        assert len(set(re.findall(r"rgba\(\d+,\d+,\d+,([\d.]+)\)", found.as_html()))) > 2
        words = re.findall(r"<mark [^>]*>([^<]*)</mark>", found.as_html())
        assert sorted(set(words)) == sorted({word for word, _ in found.as_list()})

    def test_bars(self):
        plt = pytest.importorskip("matplotlib.pyplot")
        plt.switch_backend("agg")
        figure = explained().as_pyplot_figure(figsize=(5, 3))
        [axes] = figure.axes
        assert axes.get_title() == "Local explanation for class <b>good</b>"
        assert [tick.get_text() for tick in axes.get_yticklabels()][::-1] == [word for word, _ in explained().as_list()]
        widths = [bar.get_width() for bar in axes.patches][::-1]
        assert widths == pytest.approx([weight for _, weight in explained().as_list()])
        figure.canvas.draw()
        plt.close(figure)

    def test_in_a_notebook(self, monkeypatch):
        shown = []
        fake = SimpleNamespace(HTML=lambda html: html, display=shown.append)
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=fake))
        monkeypatch.setitem(sys.modules, "IPython.display", fake)
        found = explained()
        found.show_in_notebook(text=True)
        assert shown == [found._repr_html_()]
        monkeypatch.setitem(sys.modules, "IPython.display", None)
        with pytest.raises(ImportError, match="save_to_file"):
            found.show_in_notebook()

    def test_a_regression(self):
        made = Explanation(DomainMapper(), mode="regression")
        made.local_exp[1], made.predicted_value = [(0, 0.5), (2, -0.25)], 3.25
        assert made.as_list() == [(0, 0.5), (2, -0.25)]
        assert "3.25" in made.as_html()
        with pytest.raises(NotImplementedError):
            made.available_labels()
        with pytest.raises(LimeError, match="ranking"):
            Explanation(DomainMapper(), mode="ranking")


class TestCost:
    def test_every_distinct_text_once_in_bounded_batches(self):
        sent = []

        def counting(texts):
            sent.append(list(texts))
            return classify(texts)

        explainer = ours.LimeTextExplainer(random_state=0)
        found = explainer.explain_instance("good dull film", counting, num_samples=1000, batch_size=3)
        assert sent[0][0] == "good dull film"
        assert [len(texts) for texts in sent] == [3, 3, 2]
        assert len({text for texts in sent for text in texts}) == 8  # all subsets of three words
        again = ours.LimeTextExplainer(random_state=0).explain_instance("good dull film", classify, num_samples=1000)
        assert found.as_map() == again.as_map()

    def test_a_classifier_that_uses_its_output_again(self):
        buffer = np.empty((4, 3))

        def reusing(texts):
            buffer[: len(texts)] = classify(texts)
            return buffer[: len(texts)]

        found, expected = (
            ours.LimeTextExplainer(random_state=0).explain_instance(TEXT, f, num_samples=100, batch_size=4).as_list()
            for f in (reusing, classify)
        )
        assert found == expected

    def test_many_texts_by_any_number_of_processes(self):
        texts = [TEXT, "a dull film", "good", "not a good plot"]
        found = [
            ours.LimeTextExplainer(random_state=3).explain_instances(texts, classify, processes=n, num_samples=200)
            for n in (1, 2)
        ]
        assert [e.as_map() for e in found[0]] == [e.as_map() for e in found[1]]
        assert [e.domain_mapper.indexed_string.raw_string() for e in found[1]] == texts
        assert found[1][2].explanation.target.index == (1,)
        np.random.seed(4)
        unseeded = ours.LimeTextExplainer().explain_instances(texts[:2], classify, processes=2, num_samples=200)
        np.random.seed(4)
        again = ours.LimeTextExplainer().explain_instances(texts[:2], classify, num_samples=200)
        assert [e.as_map() for e in unseeded] == [e.as_map() for e in again]
        with pytest.raises(OptionError, match="classifier_fn must be picklable"):
            ours.LimeTextExplainer().explain_instances(texts, lambda given: classify(given), processes=2)
        with pytest.raises(InputError, match="empty"):
            ours.LimeTextExplainer().explain_instances([TEXT, " "], classify)
        with pytest.raises(OptionError, match="processes"):
            ours.LimeTextExplainer().explain_instances(texts, classify, processes=0)


class TestBesideIt:
    def test_saywhys_own_is_exact_where_few_words_are(self):
        found = ours.LimeTextExplainer(random_state=0).explain_instance("good dull good film", classify, labels=(1, 0))
        own = found.explanation
        assert own is found.explanation
        assert [feature.label for feature in own.features] == ["good", "dull", "film"]
        subsets = {}
        for mask in range(8):
            words = [w for w in ["good", "dull", "good", "film"] if mask >> ["good", "dull", "film"].index(w) & 1]
            subsets[mask] = float(classify([" ".join(words)])[0, 1])
        for i in range(3):
            expected = sum(
                math.factorial(bin(m).count("1")) * math.factorial(2 - bin(m).count("1")) / 6
                * (subsets[m | 1 << i] - subsets[m])
                for m in range(8)
                if not m >> i & 1
            )  # fmt: skip
            assert own.scores[i] == pytest.approx(expected, abs=1e-2)  # the length of the text tells in the third class
        assert any("exact" in note for note in own.notes)

    def test_after_pickling_the_classifier_must_be_given_again(self):
        found = pickle.loads(pickle.dumps(explained()))
        assert found.as_map() == explained().as_map()
        with pytest.raises(InputError, match="classifier_fn"):
            found.explanation  # noqa: B018
        found.classifier_fn = classify
        assert found.explanation.target.label == "<b>good</b>"


class TestIndexed:
    def test_words(self):
        made = ours.IndexedString("Please, take your time. Please")
        assert made.as_list == ["Please", ", ", "take", " ", "your", " ", "time", ". ", "Please"]
        assert made.string_start.tolist() == [0, 6, 8, 12, 13, 17, 18, 22, 24]
        assert made.inverse_vocab == ["Please", "take", "your", "time"]
        assert made.positions == [[0, 8], [2], [4], [6]]
        assert made.inverse_removing([0, 2]) == ", take  time. "
        assert made.string_position(0).tolist() == [0, 24]
        assert (made.num_words(), made.word(1), made.raw_string()) == (4, "take", "Please, take your time. Please")

    def test_words_by_their_places(self):
        made = ours.IndexedString("go, go on", bow=False)
        assert made.inverse_vocab == ["go", "go", "on"]
        assert made.positions.tolist() == [0, 2, 4]
        assert made.inverse_removing([1]) == "go, UNKWORDZ on"
        assert (
            ours.IndexedString("go, go on", bow=False, mask_string="_").inverse_removing(np.array([0, 2])) == "_, go _"
        )

    def test_a_function_and_patterns_with_groups(self):
        def pairs(text):
            return [text[i : i + 2] for i in range(0, len(text) - 1, 2)]

        made = ours.IndexedString("aabbccddaa", pairs)
        assert made.inverse_vocab == ["aa", "bb", "cc", "dd"]
        assert made.positions == [[0, 4], [1], [2], [3]]
        text = "This is a good movie. This, it is a great movie."
        assert ours.IndexedString(text, re.compile(r"(?:\W+)|$").split).inverse_removing([]) == text
        assert ours.IndexedString("one-two - three", r"(\s)+(-)?(\s)*").inverse_removing([0]) == " - three"
        with pytest.raises(ValueError, match="do not belong in string"):
            ours.IndexedString("a b", lambda text: ["a", "c"])

    def test_characters(self):
        made = ours.IndexedCharacters("abca")
        assert made.inverse_vocab == ["a", "b", "c"]
        assert made.positions == [[0, 3], [1], [2]]
        assert ours.IndexedCharacters("abca", bow=False).inverse_removing([3]) == "abc\x00"


def test_refusals():
    explainer = ours.LimeTextExplainer(random_state=0)
    for given, asked, kind, said in (
        ("...", {}, InputError, "no words"),
        (" ", {}, InputError, "blank"),
        (None, {}, InputError, "string"),
        (TEXT, {"labels": (3,)}, InputError, "label 3 is out of range: the classifier has 3"),
        (TEXT, {"num_samples": 1}, OptionError, "num_samples"),
        (TEXT, {"num_features": 0}, OptionError, "num_features"),
        (TEXT, {"batch_size": True}, OptionError, "batch_size"),
        (TEXT, {"distance_metric": "nearness"}, OptionError, "nearness"),
    ):
        with pytest.raises(kind, match=said):
            explainer.explain_instance(given, classify, **asked)
    for wrong, said in (
        (lambda texts: [0.5] * len(texts), "not its predict"),
        (lambda texts: np.full((len(texts), 2), np.nan), "not finite"),
        (lambda texts: np.ones((1, 2)), r"\[512, classes\]"),
    ):
        with pytest.raises(ModelError, match=said):
            explainer.explain_instance(TEXT, wrong)
    with pytest.raises(OptionError, match="feature_selection"):
        ours.LimeTextExplainer(feature_selection="forward")
    with pytest.raises(OptionError, match="random_state"):
        ours.LimeTextExplainer(random_state=np.random.default_rng(0))
    with pytest.raises(OptionError, match="kernel_width"):
        ours.LimeTextExplainer(kernel_width=0)
    with pytest.raises(OptionError, match="any weight"):
        ours.LimeTextExplainer(kernel=lambda d, kernel_width: 0 * d).explain_instance(TEXT, classify, num_samples=20)
    with pytest.raises(KeyError, match="ask with labels"):
        explained().as_list(label=2)
    with pytest.raises(ImportError, match="rows of a table"):
        package.lime_tabular  # noqa: B018
    assert not hasattr(package, "lime_video")
