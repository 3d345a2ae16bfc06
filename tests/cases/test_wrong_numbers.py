"""Numbers that were once silently wrong, each by its kind: the right value is computed beside, without saywhy."""

from __future__ import annotations

import copy
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from conftest import headed, tiny
from saywhy import Explainer
from saywhy.core.errors import FileError, OptionError
from saywhy.core.explanation import Trust
from saywhy.storage.tables import rows
from tiny_lm import language_model

TEXT = "a good film, not bad"


def shapley(value, n):
    """Shapley values by their definition, over all orders of n players."""
    out = np.zeros(n)
    for order in itertools.permutations(range(n)):
        there = set()
        for player in order:
            before = value(frozenset(there))
            there.add(player)
            out[player] += value(frozenset(there)) - before
    return out / math.factorial(n)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a (good) film", "(good) film"),
        ("Costs $5 only", "Costs 5 only"),
        ('He said "great" today', 'He "great" today'),
        ("on Monday #promo", "on Monday promo"),
        ("ask @bob now", "ask bob now"),
        ("see [here] please", "[here] please"),
    ],
)
def test_glued_words(text, left):
    asked = set()
    Explainer(lambda texts: asked.update(texts) or [[len(t)] for t in texts], labels=["n"])(text, method="occlusion")
    assert left in asked, sorted(asked)
    words = text.split()
    assert not any(a + b in t for t in asked for a, b in itertools.pairwise(words) if a + b not in text)


@pytest.mark.parametrize("kind", ["array", "tensor", "view"])
def test_a_reused_buffer(kind):
    weights = {"good": 2.0, "bad": -1.0, "not": 0.5}
    held = np.zeros((4096, 1)) if kind != "tensor" else torch.zeros(4096, 1, dtype=torch.float64)

    def model(texts):
        for i, text in enumerate(texts):
            held[i, 0] = sum(weights.get(w, 0.0) for w in text.split()) * (1 + ("not" in text))
        return held[: len(texts)] if kind != "view" else held[: len(texts)][:, ::1]

    e = Explainer(model, labels=["s"])("good bad not", method="shapley_values", trust="none")
    names = ["good", "bad", "not"]
    right = shapley(lambda s: sum(weights[names[i]] for i in s) * (1 + (2 in s)), 3)
    assert np.allclose(e.scores, right, atol=1e-12)


METHODS = [
    ("integrated_gradients", {}),
    ("input_x_gradient", {}),
    ("saliency", {}),
    ("libra", {}),
    ("attn_lrp", {}),
    ("attention_rollout", {}),
    ("occlusion", {"absent": "mask"}),
    ("kernel_shap", {"absent": "pad"}),
    ("smoothgrad", {"samples": 4}),
    ("integrated_gradients", {"absent": "zero"}),
]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_threads_on_one_model(make, mode):
    model, tokenizer = make()
    model.train(mode == "train")
    explainers = [Explainer(model, tokenizer) for _ in range(2)]
    texts = [TEXT, "I love you, I like you", "the the the"]
    work = [(i, m, o, t) for t in texts for i, (m, o) in enumerate(METHODS)] * 2

    def answer(job):
        i, method, options, text = job
        return explainers[i % 2](text, method=method, target=1, trust="none", **options).scores

    serial = [answer(job) for job in work]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(answer, work))
    for job, a, b in zip(work, serial, together, strict=True):
        assert np.allclose(a, b, atol=1e-5), job
    assert model.training == (mode == "train")


def pipe(task, model, tokenizer, **settings):
    from transformers import pipeline

    # a pipeline that writes sets the side on which its tokenizer pads: that of the other tests stays as it is
    return pipeline(task, model=model, tokenizer=copy.deepcopy(tokenizer), device="cpu", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"truncation": True, "max_length": 6},
        {"function_to_apply": "sigmoid"},
        {"function_to_apply": "none"},
        {"function_to_apply": "softmax", "top_k": None},
    ],
)
def test_a_pipelines_own_settings(settings):
    model, tokenizer = tiny("bert")
    made = pipe("text-classification", model, tokenizer, **settings)
    text = "I love you, I like you, I also kinda dislike you"
    told = made(text)
    told = told[0] if isinstance(told, list) and isinstance(told[0], list) else told
    best = max(told if isinstance(told, list) else [told], key=lambda each: each["score"])
    label, probability = Explainer(made).predict([text])[0]
    assert label == best["label"]
    assert probability == pytest.approx(best["score"], abs=1e-5)


@pytest.mark.parametrize("strategy", ["none", "simple", "max"])
@pytest.mark.parametrize("ignored", [None, ["O", "B-PER"], []])
def test_the_settings_of_a_pipeline_for_entities(strategy, ignored):
    model, tokenizer = headed("bert", "tokens")
    settings = {} if ignored is None else {"ignore_labels": ignored}
    made = pipe("token-classification", model, tokenizer, aggregation_strategy=strategy, **settings)
    told = made(TEXT)
    found = Explainer(made).each_target(TEXT, method="random", unit="prob", trust="none")
    assert [e.target.label.split(": ")[0] for e in found] == [
        row.get("entity", row.get("entity_group")) for row in told
    ]
    assert [e.value for e in found] == pytest.approx([float(row["score"]) for row in told], abs=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_settings_of_a_zero_shot_pipeline(multi_label):
    model, tokenizer = headed("bert", "labels")
    labels, template = ["love", "night", "film"], "this text is about {} ."
    made = pipe(
        "zero-shot-classification",
        *(model, tokenizer),
        candidate_labels=labels,
        hypothesis_template=template,
        multi_label=multi_label,
    )
    logits = []
    for label in labels:
        with torch.no_grad():
            logits.append(model(**tokenizer(TEXT, template.format(label), return_tensors="pt")).logits[0])
    stacked = torch.stack(logits).double()  # contradiction, neutral, entailment
    right = stacked[:, [0, 2]].softmax(-1)[:, 1] if multi_label else stacked[:, 2].softmax(0)
    found = Explainer(made).each_target(TEXT, method="random", unit="prob", trust="none")
    assert [e.target.label for e in found] == labels
    assert [e.value for e in found] == pytest.approx(right.tolist(), abs=1e-6)
    assert Explainer(made).predict([TEXT])[0][0] == labels[int(right.argmax())]


@pytest.mark.parametrize("place", ["call", "generation_config"])
def test_the_settings_of_a_pipeline_that_writes(place):
    from transformers import GenerationConfig

    model, tokenizer = language_model("Llama")
    length = {"max_new_tokens": 3}
    settings = length if place == "call" else {"generation_config": GenerationConfig(**length, pad_token_id=1)}
    made = pipe("text-generation", model, tokenizer, do_sample=False, **settings)
    ids = tokenizer("I love the film", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        written = model.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=1)[0, ids.shape[1] :]
        logits = model(torch.cat([ids[0], written])[None]).logits[0, ids.shape[1] - 1 : -1].double().log_softmax(-1)
    e = Explainer(made)("I love the film", method="occlusion", trust="none")
    assert e.value == pytest.approx(float(logits.gather(1, written[:, None]).sum()), abs=1e-4)


@pytest.mark.parametrize(
    ("task", "head", "setting"),
    [
        ("token-classification", "tokens", {"stride": 4}),
        ("text-generation", "", {"do_sample": True}),
        ("text-generation", "", {"prefix": "Once"}),
    ],
)
def test_a_setting_that_cannot_be_followed_is_refused_by_name(task, head, setting):
    model, tokenizer = headed("bert", head) if head else language_model("Llama")
    with pytest.raises(OptionError, match=next(iter(setting))):
        Explainer(pipe(task, model, tokenizer, **setting))


def test_a_model_that_reads_boxes_says_that_it_has_none():
    from transformers import LayoutLMConfig, LayoutLMForSequenceClassification

    _, tokenizer = tiny("bert")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = LayoutLMForSequenceClassification(LayoutLMConfig(vocab_size=len(tokenizer), **sizes)).eval()
    with torch.no_grad():
        right = model(**tokenizer(TEXT, return_tensors="pt")).logits[0]
    e = Explainer(model, tokenizer)(TEXT, target=1, method="occlusion", trust="none")
    assert e.value == pytest.approx(float(right[1]), abs=1e-5)
    assert any("every box is 0" in note for note in e.notes), e.notes


def test_the_pipelines_two_names():
    model, tokenizer = tiny("bert")
    a, b = "I love you", "the movie was dull"
    encoded = tokenizer(a, b, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits[0]
    x = Explainer(model, tokenizer)
    for given in ({"text": a, "text_pair": b}, {"text_pair": b, "text": a}, (a, b)):
        e = x(given, target=2, trust="none", method="occlusion")
        assert e.value == pytest.approx(float(logits[2]), abs=1e-5)


def test_names_at_the_wrong_outputs():
    sklearn = pytest.importorskip("sklearn.linear_model")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    from sklearn.pipeline import make_pipeline

    made = make_pipeline(text.CountVectorizer(), sklearn.LogisticRegression()).fit(
        ["good film", "bad film", "fine day"], ["z", "a", "m"]
    )
    with pytest.raises(OptionError):
        Explainer(made.predict_proba, labels=["z", "a", "m"])
    right = made.classes_[made.predict_proba(["good film"])[0].argmax()]
    assert Explainer(made.predict_proba, labels=made.classes_).predict(["good film"])[0][0] == right
    stars = Explainer(lambda ts: np.tile(np.arange(5.0), (len(ts), 1)), labels=[1, 2, 3, 4, 5])
    with pytest.raises(OptionError, match="name"):
        stars("a film", target=1)
    assert stars("a film", target="1", trust="none").value == 0.0
    assert stars("a film", target=0, trust="none").value == 0.0


def test_lime_on_one_feature():
    e = Explainer(lambda ts: [[7.0 * ("good" in t)] for t in ts], labels=["s"])("good", method="lime", trust="none")
    assert e.scores[0] == pytest.approx(7.0, rel=1e-3)


def test_a_heading_that_stands_twice_and_a_cell_too_many(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("text,stars,text\na,1,b\n", encoding="utf-8")
    with pytest.raises(FileError, match="text"):
        list(rows(path))
    path.write_text("text,stars\na,1\nb,2,3\n", encoding="utf-8")
    with pytest.raises(FileError, match="line 3 has 3 cells"):
        list(rows(path))


def test_no_answer_wins():
    model, tokenizer = headed("bert", "span")
    given = {"question": "who?", "context": "I love you"}
    sure = copy.deepcopy(model)
    with torch.no_grad():
        sure.qa_outputs.bias.zero_()
        read = tokenizer(given["question"], given["context"], return_tensors="pt")
        states = sure(**read, output_hidden_states=True).hidden_states[-1][0]
        sure.qa_outputs.weight.copy_((states[0] - states[1:].mean(0)).expand(2, -1) * 5)
        out = sure(**read)
        start, end = out.start_logits[0].log_softmax(0), out.end_logits[0].log_softmax(0)
    label, probability = Explainer(sure, tokenizer).predict([given])[0]
    assert label == "no answer"
    assert probability == pytest.approx(float((start[0] + end[0]).exp()), abs=1e-4)


@pytest.mark.parametrize("text", ["ภาษาไทยสวยมาก", "ພາສາລາວງາມ", "ភាសាខ្មែរ", "မြန်မာစာ", "ありがとうございます"])
def test_scripts_without_blanks(text):
    e = Explainer(lambda ts: [[len(t)] for t in ts], labels=["n"])(text, method="occlusion", trust="none")
    assert len(e.features) > 3
    assert all(text[f.span[0] : f.span[1]] == f.label for f in e.features)
    assert any("blank" in note or "script" in note or "grapheme" in note for note in e.notes), e.notes


@pytest.mark.parametrize("size", [1e-200, 1e-12, 1e160])
def test_trust_is_the_same_for_numbers_of_any_size(size: float) -> None:
    """Squares of such numbers are nothing, or infinite; and what is small beside 1 is not small beside them."""
    weights = {"good": 5, "film": 1, "very": 0.5, "old": -2, "town": 0.75}
    text = "a very good film about the old town and people"

    def told(size: float) -> Trust:
        def play(texts: list[str]) -> list[float]:
            return [size * (3 + sum(w for word, w in weights.items() if word in each.split())) for each in texts]

        explainer = Explainer(play, labels=["a"], output="score")
        found = explainer(text, method="occlusion", trust="full").trust
        assert found is not None
        return found

    one, other = told(1.0), told(size)
    assert (other.level, one.level) == ("high", "high")
    for name in ("correlation", "beaten", "orders_beaten", "leave_one_out"):
        assert other.figures[name] == pytest.approx(one.figures[name], abs=1e-6), name
