"""A comparison on tiny models: its numbers, what it shares, how it goes on, what it refuses, and how it reads."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import saywhy
import saywhy.extend
from conftest import headed, tiny
from saywhy.comparison import compare
from saywhy.comparison.randomisation import randomised
from saywhy.comparison.result import Column, Comparison, Spent, estimated
from saywhy.core.errors import FileError, InputError, MethodError, OptionError
from saywhy.llm import Template
from saywhy.metrics import METRICS
from saywhy.storage.fingerprint import fingerprint
from tiny_lm import language_model

TEXTS = ["a dull, predictable mess of a film", "What a lovely day", "I love you, I like you", "short", "good good good"]
FAST = ["input_x_gradient", "occlusion", "attention_rollout"]
SOME = ["removal_area", "comprehensiveness", "leave_one_out_correlation", "random_logit", "completeness_gap"]


@pytest.fixture(scope="module")
def explainer():
    return saywhy.Explainer(tiny("bert"))


@pytest.fixture(scope="module")
def found(explainer):
    return compare(explainer, TEXTS, FAST, SOME, progress=False)


def test_every_method_metric_and_removal_is_there(found):
    assert found.methods == (*FAST, "random", "oracle")
    assert found.values.shape == (5, 5, 3 * 2 + 2)
    assert {c.removal for c in found.columns if METRICS[c.metric].family == "removal"} == {"mask", "hide"}
    assert np.isfinite(found.values[:, :4, :6]).all()
    np.testing.assert_allclose(found.numbers("occlusion", "leave_one_out_correlation", "mask")[[0, 1, 2]], 1)
    assert found.likeness.shape == (4, 4)
    np.testing.assert_allclose(np.diag(found.likeness)[[0, 1]], 0.8)  # a text of one word ranks nothing


def test_numbers_are_what_the_explanations_and_the_model_say(explainer, found):
    text = TEXTS[0]
    e = explainer(text, method="occlusion", progress=False)
    encoding = explainer.model.encode({"text": text}, saywhy.extend.EncodingOptions(absent="hide"))
    order = np.argsort(-e.scores, kind="stable")
    n, curves = len(order), []
    for o in (order, order[::-1]):
        left = np.ones((n + 1, n), dtype=bool)
        for k in range(n):
            left[k + 1 :, o[k]] = False
        with torch.no_grad():
            curves.append(explainer.model.forward(encoding.at(left))[:, e.target.index[0]].double().numpy())
    down, up = curves
    area = np.trapezoid(up, dx=1 / n) - np.trapezoid(down, dx=1 / n)
    assert found.numbers("occlusion", "removal_area", "hide")[0] == pytest.approx(area, abs=1e-6)
    assert found.numbers("occlusion", "comprehensiveness", "hide")[0] == pytest.approx(
        down[0] - down[1:].mean(), abs=1e-6
    )
    gap = abs(e.gap) / np.abs(e.scores).sum()
    assert found.numbers("occlusion", "completeness_gap")[0] == pytest.approx(gap, abs=2e-3)


def test_rows_are_shared(explainer, found):
    assert found.rows * 3 < found.rows_alone
    spent = dict(zip(found.methods, found.spent, strict=True))
    assert spent["occlusion"].rows == sum(len(explainer(t, method="random").scores) + 1 for t in TEXTS)
    assert spent["input_x_gradient"].backward_rows == len(TEXTS)
    few = compare(explainer, TEXTS, ["occlusion"], ["removal_area"], progress=False)
    assert few.rows < few.rows_alone
    assert f"{few.rows_alone / few.rows:.1f} x" in str(few)
    none = compare(explainer, TEXTS[:1], [], ["agreement"], scores={"theirs": [np.arange(8)]}, progress=False)
    assert none.rows >= none.rows_alone
    assert " x)" not in str(none)


def test_the_oracle_is_never_beaten_by_what_it_knows(explainer):
    c = compare(
        explainer, TEXTS, ["occlusion", "lime"], ["comprehensiveness", "normalised_comprehensiveness"], progress=False
    )
    for removal in ("mask", "hide"):
        best = c.numbers("oracle", "comprehensiveness", removal)
        for method in ("occlusion", "lime", "random"):
            assert (best >= c.numbers(method, "comprehensiveness", removal) - 1e-9).all()


def test_one_text_or_many_give_the_same_numbers(explainer, found):
    alone = compare(explainer, TEXTS[:1], FAST, SOME, progress=False)
    for method in FAST:
        for metric in SOME:
            a, b = alone.numbers(method, metric)[0], found.numbers(method, metric)[0]
            assert a == pytest.approx(b, abs=1e-3, rel=3e-2), (method, metric)


def test_an_interrupted_comparison_goes_on(explainer, found, tmp_path, monkeypatch):
    from saywhy.comparison import run

    part = tmp_path / "part.jsonl"
    monkeypatch.setattr("saywhy.comparison.WINDOW", 2)
    whole = run.Walk.window

    def breaks(self, inputs, start):
        if start == 4:
            raise KeyboardInterrupt
        return whole(self, inputs, start)

    monkeypatch.setattr(run.Walk, "window", breaks)
    with pytest.raises(KeyboardInterrupt):
        compare(explainer, TEXTS, FAST, SOME, resume=part, progress=False)
    lines = part.read_text().split("\n")
    assert len(lines) == 1 + 4 + 1
    part.write_text(part.read_text() + lines[2][:50])  # a line that was cut off
    started = []
    monkeypatch.setattr(
        run.Walk, "window", lambda self, inputs, start: started.append(start) or whole(self, inputs, start)
    )
    again = compare(explainer, TEXTS, FAST, SOME, resume=part, progress=False)
    assert started == [4]
    np.testing.assert_allclose(again.values, found.values, atol=1e-3, rtol=3e-2)
    assert compare(explainer, TEXTS, FAST, SOME, resume=part, progress=False).rows == again.rows
    assert started == [4]
    with pytest.raises(OptionError, match="methods"):
        compare(explainer, TEXTS, FAST[:1], SOME, resume=part, progress=False)
    part.write_text(part.read_text().replace('"version": 1', '"version": 99', 1))
    with pytest.raises(FileError, match="format version 99"):
        compare(explainer, TEXTS, FAST, SOME, resume=part, progress=False)
    (tmp_path / "other").write_text("not ours")
    with pytest.raises(FileError, match="not an unfinished comparison"):
        compare(explainer, TEXTS, FAST, SOME, resume=tmp_path / "other", progress=False)


def test_a_run_that_differs_does_not_go_on_from_another(tmp_path):
    def asked(name, offset=0.0, mask=(True, False), **more):
        model, tokenizer = tiny("bert")
        model = copy.deepcopy(model)
        with torch.no_grad():
            model.classifier.weight += offset
        given = {"scores": {"theirs": [[1.0, 2.0]]}, "rationales": [list(mask)]} | more
        texts = given.pop("texts", ["good film"])
        compare(
            saywhy.Explainer(model, tokenizer), texts, [plain], ["removal_area"], resume=tmp_path / name, progress=False,
            **given,
        )  # fmt: skip

    def plain(problem):
        return (yield from saywhy.METHODS["occlusion"].function(problem))

    asked("a")
    asked("a", scores={"theirs": np.array([[1.0, 2.0]], dtype="float32")})
    masked, other = (copy.deepcopy(headed("bert", "blanks")[0]) for _ in range(2))
    with torch.no_grad():
        next(other.parameters()).add_(0.1)
    for said, more in (
        ("overlong", {"overlong": "window"}),
        ("scores", {"scores": {"theirs": [[2.0, 1.0]]}}),
        ("rationales", {"mask": (False, True)}),
        ("weights", {"offset": 0.5}),
        ("input", {"texts": ["good day"]}),
        ("infill", {"infill": masked}),
    ):
        with pytest.raises(OptionError, match=f"with other .*{said}"):
            asked("a", **more)
    asked("b", infill=masked)
    with pytest.raises(OptionError, match="with other infill:"):
        asked("b", infill=other)


def test_digests_are_of_contents():
    def image(colour):
        return Image.new("RGB", (4, 4), colour)

    def said(word):
        return lambda name: f"{word} {name}"

    assert fingerprint([image("red")]) == fingerprint([image("red")]) != fingerprint([image("blue")])
    assert fingerprint(np.arange(3)) != fingerprint(np.arange(3.0))
    assert fingerprint(said("a")) == fingerprint(said("a")) != fingerprint(said("b"))
    assert fingerprint(Template(said("a"), {"name": "x"})) == fingerprint(Template(said("a"), {"name": "x"}))
    assert fingerprint(Template(said("a"), {"name": "x"})) != fingerprint(Template(said("a"), {"name": "y"}))


def test_templates_are_compared_by_their_baselines():
    one = saywhy.Explainer(*language_model("Llama"))
    text, values = "{name} from {country} applied. They", {"name": "Georg", "country": "Togo"}
    draws = {"name": [f"a{i} b" for i in range(8)], "country": ["x", "y", "the"]}
    templates = [
        Template(text, values, each, most=10, samples=6, seed=3) for each in (draws, {"name": "a", "country": "b"})
    ]
    asked = {"target": " lovely", "progress": False}
    metrics = ["removal_area", "random_logit", "completeness_gap", "parameter_randomisation"]
    c = compare(one, templates, ["occlusion", "shapley_values"], metrics, **asked)
    assert c.settings["removals"] == ["baseline"]
    assert {col.removal for col in c.columns} == {None, "baseline"}
    assert np.isnan(c.numbers("occlusion", "random_logit")).all()
    for method in ("occlusion", "shapley_values"):
        gaps = [abs(e.gap) / np.abs(e.scores).sum() for e in one(templates, method=method, **asked)]
        np.testing.assert_allclose(c.numbers(method, "completeness_gap"), gaps, atol=1e-3)
    assert compare(one, templates, None, ["agreement"], **asked).methods == (
        "occlusion",
        "kernel_shap",
        "lime",
        "random",
    )
    for more, error, said in (
        ({"methods": ["integrated_gradients"]}, MethodError, "changes length"),
        ({"methods": ["occlusion:absent=mask"]}, OptionError, "no `by`, no `absent`"),
        ({"by": "token"}, OptionError, "no `by`, no `absent`"),
        ({"removals": ["drop"]}, OptionError, "Unknown removal 'drop'"),
        ({"infill": "a/model"}, OptionError, "leave `infill` out"),
        ({"texts": [templates[0], "a text"]}, InputError, "calls of their own"),
    ):
        with pytest.raises(error, match=said):
            compare(one, **{"texts": templates, "methods": ["occlusion"], **asked, **more})


def test_scores_made_elsewhere_are_judged_alike(explainer, found):
    ours = [explainer(t, method="occlusion", progress=False).scores for t in TEXTS]
    c = compare(explainer, TEXTS, ["input_x_gradient"], SOME, scores={"theirs": ours}, progress=False)
    several = [0, 1, 2, 4]  # the other text has one word, and nothing but rounding to divide by
    for metric in ("removal_area", "completeness_gap"):
        ours, again = c.numbers("theirs", metric), found.numbers("occlusion", metric)
        np.testing.assert_allclose(ours[several], again[several], atol=1e-3, rtol=3e-2)
    assert np.isnan(c.numbers("theirs", "random_logit")).all()
    with pytest.raises(OptionError, match=r"text 0 has shape \(2,\)"):
        compare(explainer, TEXTS, FAST, SOME, scores={"theirs": [np.ones(2)] * 5}, progress=False)
    with pytest.raises(OptionError, match="is of 1 texts"):
        compare(explainer, TEXTS, FAST, SOME, scores={"theirs": ours[:1]}, progress=False)


def test_an_absence_of_its_own_and_a_method_of_the_callers(explainer):
    def mine(problem, *, factor=2.0):
        scores = yield from saywhy.METHODS["occlusion"].function(problem)
        return saywhy.extend.Scores(factor * scores.values)

    c = compare(
        explainer, TEXTS[:2], ["occlusion", "occlusion:absent=pad", (mine, {"factor": 3.0})], SOME, progress=False
    )
    assert c.methods[:3] == ("occlusion", "occlusion (absent=pad)", "mine (factor=3.0)")
    same = c.numbers("occlusion", "removal_area") - c.numbers("mine (factor=3.0)", "removal_area")
    np.testing.assert_allclose(same, 0, atol=1e-9)
    pad = explainer(TEXTS[0], method="occlusion", absent="pad", progress=False)
    gap = abs(pad.gap) / np.abs(pad.scores).sum()
    assert c.numbers("occlusion (absent=pad)", "completeness_gap")[0] == pytest.approx(gap, abs=2e-3)


def test_rationales(explainer):
    sizes = [len(explainer(t, method="random").scores) for t in TEXTS[:2]]
    marks = [[i == 1 for i in range(n)] for n in sizes]
    c = compare(explainer, TEXTS[:2], ["occlusion"], None, rationales=marks, progress=False)
    assert {"token_f1", "intersection_over_union", "rationale_precision"} < set(c.metrics)
    e = explainer(TEXTS[0], method="occlusion", progress=False)
    assert c.numbers("occlusion", "token_f1")[0] == float(np.argmax(e.scores) == 1 and e.scores[1] > 0)


def test_random_weights_are_a_copys(explainer):
    before = {k: v.clone() for k, v in explainer.model.model.state_dict().items()}
    stages = []
    for model in randomised(explainer.model):
        now = model.model.state_dict()
        stages.append([k for k in before if not torch.equal(now[k], before[k])])
        assert all(torch.equal(now[k].flatten().sort().values, before[k].flatten().sort().values) for k in before)
    assert len(stages[0]) < len(stages[1]) < len(stages[2]) < len(stages[3])
    assert any("classifier" in k for k in stages[0])
    assert not any("embeddings.word" in k for k in stages[2])
    assert all(torch.equal(v, before[k]) for k, v in explainer.model.model.state_dict().items())


def test_randomisation_metrics_tell_apart_what_ignores_the_model(explainer):
    def position(problem):
        return saywhy.extend.Scores(torch.arange(problem.n).double().expand(len(problem.targets), -1))
        yield

    names = ["parameter_randomisation", "smooth_parameter_randomisation", "efficient_parameter_randomisation"]
    c = compare(explainer, TEXTS[:3], ["occlusion", "input_x_gradient", position], names, progress=False)
    np.testing.assert_allclose(c.numbers("position", "parameter_randomisation"), 1)
    np.testing.assert_allclose(c.numbers("position", "smooth_parameter_randomisation"), 1)
    np.testing.assert_allclose(c.numbers("position", "efficient_parameter_randomisation"), 0, atol=1e-9)
    assert c.numbers("occlusion", "parameter_randomisation").mean() < 0.9
    assert np.isfinite(c.numbers("occlusion", "smooth_parameter_randomisation")).all()


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"texts": "one text"}, InputError, "a list"),
        ({"texts": []}, InputError, "at least one"),
        ({"texts": ["fine", "  "]}, InputError, "Input 1 of 2"),
        ({"methods": ["oclusion"]}, OptionError, "Did you mean 'occlusion'"),
        ({"methods": ["occlusion", "occlusion"]}, OptionError, "name of its own"),
        ({"methods": ["occlusion:steps=3"]}, OptionError, "steps"),
        ({"methods": ["occlusion:steps"]}, OptionError, "name:option=value"),
        ({"methods": ["input_x_gradient:absent=drop"]}, MethodError, "gradients"),
        ({"methods": ["label_attention"]}, MethodError, "label attention"),
        ({"metrics": ["removal"]}, OptionError, "removal_area"),
        ({"metrics": []}, OptionError, "empty"),
        ({"metrics": ["token_f1"]}, OptionError, "rationales"),
        ({"removals": ["blur"]}, OptionError, "Unknown removal"),
        ({"by": "focus"}, OptionError, "focus"),
        ({"rationales": [[True]]}, OptionError, "1 texts"),
    ],
)
def test_bad_questions_are_refused_before_the_model_is_called(explainer, monkeypatch, asked, error, said):
    monkeypatch.setattr(explainer.model, "forward", lambda *a: pytest.fail("the model was called"))
    texts = asked.pop("texts", TEXTS)
    with pytest.raises(error, match=said):
        compare(explainer, texts, **asked)


def test_what_is_foreseen_is_near_what_comes(explainer):
    told = []
    c = compare(explainer, TEXTS, FAST, SOME, announce=told.append, progress=False)
    assert 0.5 < told[0].rows / c.rows < 2
    assert told[0].texts == 5
    assert "model inputs" in str(told[0])


def test_gradients_of_several_methods_are_foreseen_once_each(explainer):
    def rows(*methods):
        told = []
        compare(explainer, TEXTS[:1], methods, ["completeness_gap"], announce=told.append, progress=False)
        return told[0].rows

    assert rows("saliency") == 3
    assert rows("saliency", "input_x_gradient", "libra") == 9


def table(**means):
    """A comparison with one metric and given values by method, [T] each."""
    values = np.stack([np.asarray(v, dtype=float) for v in means.values()], 1)[:, :, None]
    column = (Column("removal_area", "mask", "higher"),)
    blank = np.full_like(values, np.nan)
    return Comparison(tuple(means), column, values, blank, {}, np.eye(len(means)), tuple(Spent() for _ in means), 1, 1)


def test_methods_that_may_be_equal_share_a_rank():
    draw = np.random.default_rng(0)
    noise = draw.normal(size=60)
    c = table(best=noise + 1, near=noise + 1 + draw.normal(scale=0.5, size=60), worse=noise, random=0 * noise)
    ranks = {p.method: p.rank for p in c.ranking()}
    assert ranks["worse"] == 3
    assert {ranks["best"], ranks["near"]} == {1}
    clear = table(
        best=noise + 1, worse=noise + 0.9, random=0 * noise
    )  # paired: the same texts, so a small lead is certain
    assert [p.rank for p in clear.ranking()] == [1, 2]


def test_intervals_are_those_of_the_mean():
    numbers = np.random.default_rng(1).normal(3, 2, 400)
    e = estimated(np.append(numbers, np.nan))
    assert e.texts == 400
    assert e.mean == pytest.approx(numbers.mean())
    assert (e.high - e.low) / 2 == pytest.approx(1.96 * numbers.std() / 20, rel=0.1)
    assert estimated(np.array([np.nan])) is None


def test_it_reads_and_is_saved(found, tmp_path):
    said = str(found)
    for method in found.methods:
        assert method in said
    assert "removal" in said
    assert "↑" in said
    page = found.save(tmp_path / "c.html").read_text()
    assert page.count("<svg") >= 2
    assert "<script" not in page
    assert "Cannot show" in page
    rows = found.save(tmp_path / "c.csv").read_text().strip().split("\n")
    assert len(rows) == 1 + len(found.records())
    whole = json.loads(found.save(tmp_path / "c.json").read_text())
    assert whole["texts"][0]["occlusion"][0] == found.values[0, 1, 0]
    assert found.save(tmp_path / "c.txt").read_text() == said
    with pytest.raises(FileError, match="must end in"):
        found.save(tmp_path / "c.xlsx")
    assert len(found.to_pandas()) == len(found.records())


def test_other_models_and_tasks():
    calls = saywhy.Explainer(
        lambda texts: np.array([[len(t), -len(t)] for t in texts], dtype=float), labels=["long", "short"]
    )
    c = compare(calls, ["one two three", "seventeen five"], ["occlusion"], ["removal_area"], progress=False)
    assert c.settings["removals"] == ["drop"]
    np.testing.assert_array_less(-1e-9, c.numbers("occlusion", "removal_area"))
    gpt = saywhy.Explainer(tiny("gpt2"))
    assert compare(gpt, TEXTS[:2], ["occlusion", "libra"], ["removal_area"], progress=False).values.shape == (2, 4, 2)


def test_the_command(tmp_path):
    file = tmp_path / "texts.csv"
    file.write_text("id,review\n1,A dull film\n2,Lovely\n", encoding="utf-8")
    request = [sys.executable, "-m", "saywhy", "compare", str(file), "--methods", "libra,occlusion:absent=pad"]
    done = subprocess.run(
        [*request, "--text", "review", "--metrics", "removal_area", "-o", str(tmp_path / "c.html")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "occlusion (absent=pad)" in done.stdout
    assert "model inputs: some" in done.stderr
    assert (tmp_path / "c.html").exists()
    bad = subprocess.run(request, capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert "columns 'id', 'review'" in bad.stderr


def test_likely_words_in_the_place_of_absent_ones(explainer):
    masked, _ = headed("bert", "blanks")
    masked.train()
    c = compare(explainer, TEXTS[:3], ["occlusion"], ["removal_area"], infill=masked, progress=False)
    assert all(module.training for module in masked.modules())
    masked.eval()
    assert c.settings["removals"] == ["mask", "hide", "infill"]
    again = compare(
        explainer, TEXTS[1:2], ["occlusion"], ["removal_area"], removals=["infill"], infill=masked, progress=False
    )
    assert again.numbers("occlusion", "removal_area")[0] == pytest.approx(
        c.numbers("occlusion", "removal_area", "infill")[1], abs=1e-5
    )

    from saywhy.comparison.infill import Infill

    encoding = explainer.model.encode({"text": TEXTS[0]}, saywhy.extend.EncodingOptions(absent="mask"))
    filled = Infill(masked, explainer.model).encoding(encoding)
    n = len(encoding.features)
    keep = np.array([[True] * n, [i > 1 for i in range(n)]])
    whole, some = filled.at(keep)
    plain = encoding.at(keep)
    np.testing.assert_array_equal(whole.ids, plain[0].ids)
    gone = plain[1].ids == explainer.model.tokenizer.mask_token_id
    assert gone.any()
    np.testing.assert_array_equal(some.ids[~gone], plain[1].ids[~gone])
    assert not set(some.ids[gone].tolist()) & set(explainer.model.tokenizer.all_special_ids)
    with pytest.raises(OptionError, match="same ids"):
        compare(explainer, TEXTS, ["occlusion"], infill=headed("roberta", "blanks")[0], progress=False)
    with pytest.raises(OptionError, match="Unknown removal"):
        compare(explainer, TEXTS, ["occlusion"], removals=["infill"], progress=False)


def test_pairs_reach_the_metric_that_asks_for_them():
    def negation(texts):
        words = [set(text.split()) for text in texts]
        return [[float("dull" in w) - 2.0 * ("dull" in w and "not" in w)] for w in words]

    found = compare(
        saywhy.Explainer(negation, labels=["sad"]),
        ["a not dull film at all", "this is not so dull"],
        ["shapley_values", "occlusion"],
        ["held_out_r2", "held_out_r2_with_pairs"],
        target="sad",
        progress=False,
    )
    removal = found.columns[0].removal
    np.testing.assert_allclose(found.numbers("shapley_values", "held_out_r2_with_pairs", removal), 1)
    assert (found.numbers("shapley_values", "held_out_r2", removal) < 0.9).all()
    assert np.isnan(found.numbers("occlusion", "held_out_r2_with_pairs", removal)).all()
