"""Every task: what the model is shown, what the pipelines say too, and the contract that all tasks share."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from transformers import pipeline

import saywhy
from conftest import NLI, TAGS, headed, tiny
from saywhy.core.errors import InputError, ModelError, OptionError
from saywhy.models.protocol import EncodingOptions
from saywhy.models.text.tokens import windows
from saywhy.tasks import TASKS
from saywhy.tasks.protocol import Case
from saywhy.tasks.question_answering import QuestionAnswering
from saywhy.tasks.token_classification import TokenClassification
from saywhy.tasks.zero_shot_classification import ZeroShotClassification
from tiny_lm import language_model

LABELS = ("love", "a terrible movie", "night")
TEXT = "I love you, the movie was a lovely mess"
GIVEN = {
    "text-classification": ["I dislike you", ("What a lovely day", "the movie was good"), {"query": "a", "document": "b c"}],
    "zero-shot-classification": [{"text": "a lovely movie", "labels": LABELS}, {"text": "don't miss it!", "labels": ["good"]}],
    "token-classification": [TEXT, "the the the"],
    "question-answering": [("What was good?", "the movie was good, the day was lovely"), ("Why?", "Nobody knows.")],
    "fill-mask": ["I [MASK] you, I like you", "a [MASK] , predictable [MASK]"],
    "sentence-similarity": [("I love you", "I also like you, kinda"), ("a dull mess", "a lovely day")],
    "text-generation": [{"prompt": "I love you, the", "continuation": " movie was"}, {"prompt": "a", "continuation": " b"}],
}  # fmt: skip
HEAD = {"text-classification": None, "zero-shot-classification": "labels", "token-classification": "tokens",
        "question-answering": "span", "fill-mask": "blanks", "sentence-similarity": "vector",
        "text-generation": "next"}  # fmt: skip
TEXT_TASKS = [name for name in TASKS if name in GIVEN]


def made(task, name="bert"):
    if task == "text-generation":
        return saywhy.Explainer(*language_model("Llama"))
    model, tokenizer = tiny(name) if HEAD[task] is None else headed(name, HEAD[task])
    return saywhy.Explainer(model, tokenizer, task=task)


def test_every_task_is_tested():
    assert set(GIVEN) | {"image-classification"} >= set(TASKS)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_everything_present_is_what_the_tokenizer_makes(task):
    explainer = made(task)
    for given in GIVEN[task]:
        encoding = explainer.task.encode(explainer.model, given, EncodingOptions(absent="mask"))
        assert all(encoding.texts[f.part][slice(*f.span)] == f.label for f in encoding.features)
        row = encoding.at(np.ones((1, len(encoding.features)), dtype=bool))[0]
        ids = [part.ids.tolist() for part in (row if isinstance(row, tuple) else (row,))]
        texts = list(encoding.texts.values())[: 1 if task == "text-generation" else 2]
        if task == "sentence-similarity":
            expected = [explainer.model.tokenizer(text)["input_ids"] for text in texts]
        elif task == "zero-shot-classification":
            expected = [
                explainer.model.tokenizer(given["text"], f"This example is {label}.")["input_ids"]
                for label in given["labels"]
            ]
        else:
            expected = [explainer.model.tokenizer(*texts)["input_ids"]]
        assert ids == expected


@pytest.mark.parametrize("task", TEXT_TASKS)
@pytest.mark.parametrize("method", ["occlusion", "input_x_gradient"])
def test_many_inputs_give_the_numbers_of_one_alone(task, method):
    explainer = made(task)
    together = explainer(GIVEN[task], method=method)
    assert len(together) == len(GIVEN[task])
    for given, e in zip(GIVEN[task], together, strict=True):
        alone = explainer(given, method=method)
        assert alone.target == e.target
        np.testing.assert_allclose(e.scores, alone.scores, atol=1e-5 * max(1.0, np.abs(alone.scores).max()))
        assert (e.value, e.base) == pytest.approx((alone.value, alone.base), abs=1e-5)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_shapley_values_and_integrated_gradients_share_both_ends_in_every_unit(task):
    explainer = made(task)
    own = {"sentence-similarity": ("cosine", "dot"), "text-generation": ("prob", "log-prob")}
    units = own.get(task, ("logit", "prob", "log-prob"))
    for unit, given in itertools.product(units, GIVEN[task]):
        shapley = explainer(given, method="shapley_sampling", permutations=2, unit=unit)
        gradients = explainer(given, unit=unit, budget=400)
        assert shapley.target == gradients.target
        assert shapley.target.unit == unit
        assert abs(shapley.gap) < 1e-9
        assert (gradients.value, gradients.base) == pytest.approx((shapley.value, shapley.base), abs=1e-5)
        assert abs(gradients.gap) < 0.02 * np.abs(gradients.scores).sum() + 1e-6, gradients.notes


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_each_target_from_the_same_forwards(task):
    explainer = made(task)
    given = GIVEN[task][0]
    together = explainer.each_target(given, method="occlusion")
    assert len({e.target.label for e in together}) == len(together) >= 1
    assert len({e.target.index for e in together}) == len(together)
    one = explainer(given, method="occlusion")
    assert together[0].cost.rows <= one.cost.rows * (len(LABELS) if task.startswith("zero") else 1)
    several = explainer.each_target(GIVEN[task], method="occlusion")
    assert len(several[0]) == len(together)
    for a, b in zip(several[0], together, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_results_are_drawn_and_come_back_from_files(task, tmp_path):
    e = made(task)(GIVEN[task][0], method="occlusion")
    assert e.target.label in str(e)
    assert "saywhy" in e._repr_html_()
    back = saywhy.load(e.save(tmp_path / "why.json"))
    assert back.target == e.target
    assert back.features == e.features
    assert dict(back.texts) == dict(e.texts)


NAMES = ["bert", "distilbert", "roberta", "xlm-roberta", "albert", "electra", "deberta-v2", "modernbert", "xlnet", "gpt2",
         "gpt2-pad-eos", "gpt2-no-pad", "llama", "qwen2", "bart", "t5"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_what_the_model_sees(name):
    model, tokenizer = tiny(name)
    explainer = saywhy.Explainer(model, tokenizer)
    pair = ("What a lovely day", "the movie was good")
    e = explainer(pair, method="random")
    with torch.no_grad():
        logits = model(**tokenizer(*pair, return_tensors="pt")).logits[0]
    assert e.value == pytest.approx(float(logits.max()), abs=1e-5)
    assert dict(e.texts) == {"first": pair[0], "second": pair[1]}
    assert [f.part for f in e.features] == ["first"] * 4 + ["second"] * 4
    assert e.probability == pytest.approx(float(logits.softmax(-1).max()), abs=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gpt2-no-pad"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_zero_shot_says_what_the_pipeline_says(name, multi_label):
    model, tokenizer = headed(name, "labels")
    task = ZeroShotClassification(labels=LABELS, multi_label=multi_label)
    explainer = saywhy.Explainer(model, tokenizer, task=task)
    pipe = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    told = pipe(TEXT, list(LABELS), multi_label=multi_label, hypothesis_template=task.template)
    expected = dict(zip(told["labels"], told["scores"], strict=True))
    found = explainer.each_target(TEXT, method="random", unit="prob")
    assert [e.target.label for e in found] == list(LABELS)
    for e in found:
        close = 2e-6 if name == "t5" else 1e-6  # the logits of a random T5 are large
        assert e.value == pytest.approx(expected[e.target.label], abs=close)
    label, prob = explainer.predict([TEXT])[0]
    assert label == told["labels"][0]
    assert prob == pytest.approx(told["scores"][0], abs=close)


def test_zero_shot_pays_only_for_the_hypotheses_it_needs():
    explainer = made("zero-shot-classification")
    given = {"text": TEXT, "labels": LABELS}
    n = len(explainer(given, method="random").features)
    logit = explainer(given, method="occlusion")
    assert logit.cost.rows == len(LABELS) + n + 1
    assert explainer(given, method="occlusion", unit="prob").cost.rows == len(LABELS) * (n + 2)
    best = explainer.each_target(given, method="occlusion")[logit.prediction]
    np.testing.assert_allclose(best.scores, logit.scores, atol=1e-5)


def test_zero_shot_with_the_hypothesis_as_features():
    model, tokenizer = headed("bert", "labels")
    task = ZeroShotClassification(labels=LABELS, include_hypothesis=True)
    explainer = saywhy.Explainer(model, tokenizer, task=task)
    e = explainer(TEXT, target="night", method="occlusion")
    assert [f.label for f in e.features if f.part == "hypothesis"] == ["This", "example", "is", "night", "."]
    every = explainer.each_target(TEXT, method="occlusion")
    assert {f.part for f in every[0].features} == {"text", *(f"hypothesis: {label}" for label in LABELS)}
    own = [s for f, s in zip(every["night"].features, every["night"].scores, strict=True) if f.part.endswith(": night")]
    np.testing.assert_allclose(
        own, [s for f, s in zip(e.features, e.scores, strict=True) if f.part == "hypothesis"], atol=1e-5
    )
    others = [
        s for f, s in zip(every["night"].features, every["night"].scores, strict=True) if f.part.endswith(": love")
    ]
    assert others == [0.0] * 5


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bart"])  # which has no such head
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words:UserWarning")
def test_tokens_and_entities_are_the_pipelines(name):
    model, tokenizer = headed(name, "tokens")
    for group in ("none", "simple", "first", "average", "max"):
        pipe = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=group)
        explainer = saywhy.Explainer(model, tokenizer, task=TokenClassification(group=group))
        for text in (TEXT, "don't miss the absolutely fantastic movie"):
            told = pipe([text])[0]
            found = explainer.each_target(text, method="random", unit="prob")
            assert len(found) == len(told)
            for e, row in zip(found, told, strict=True):
                assert e.target.label.split(": ")[0] == row.get("entity", row.get("entity_group"))
                assert e.target.label.split(": ", 1)[1].split(" (")[0] == text[row["start"] : row["end"]].strip()
                assert e.value == pytest.approx(float(row["score"]), abs=1e-6)


class TestTokens:
    def test_repeated_tokens_are_kept_apart(self):
        found = made("token-classification").each_target("the the the", method="occlusion")
        assert len({e.target.index[0] for e in found}) == len(found)
        assert len({e.target.label for e in found}) == len(found)

    def test_targets_by_position_label_and_text(self):
        explainer = made("token-classification")
        place = explainer.model.tokenizer(TEXT).tokens().index("you")
        at = explainer(TEXT, target=place, method="random")
        assert at.target.index[0] == place
        assert explainer(TEXT, target=(2, "B-LOC"), method="random").target.index == (2, 3)
        assert explainer(TEXT, target="YOU", method="random").target == at.target
        held = explainer(TEXT, target=(2, "B-LOC"), against="O", method="occlusion")
        a, b = (explainer(TEXT, target=(2, label), method="occlusion") for label in ("B-LOC", "O"))
        np.testing.assert_allclose(held.scores, a.scores - b.scores, atol=1e-5)
        with pytest.raises(OptionError, match="Did you mean 'you'"):
            explainer(TEXT, target="youu")
        with pytest.raises(OptionError, match="no token at position 99"):
            explainer(TEXT, target=99)
        with pytest.raises(OptionError, match="B-LOC"):
            explainer(TEXT, target=(2, "B-LOX"))

    def test_a_word_in_pieces_is_named_by_its_text_and_has_the_label_of_its_first_piece(self):
        explainer = made("token-classification")
        text = "loveyou you, dislikeyou"
        tokens = explainer.model.tokenizer(text).tokens()
        assert "you" in tokens
        assert len(tokens) > 6, "nothing is in pieces"
        first = explainer(text, target="dislikeyou", method="random").target
        place = tokens.index(",") + 1
        assert first.index == explainer(text, target=place, method="random").target.index
        assert first.label.endswith(": dislikeyou")
        assert explainer(text, target="you", method="random").target.index[0] == tokens.index("you")
        with pytest.raises(OptionError, match="Allowed: 'loveyou', 'you', ',', 'dislikeyou'") as refused:
            explainer(text, target="Paris")
        assert "Did you mean" not in str(refused.value)

    @pytest.mark.parametrize("group", ["none", "first"])
    def test_what_is_printed_can_be_asked_for(self, group):
        model, tokenizer = headed("bert", "tokens")
        task = TokenClassification(group=group, ignored_labels=())
        explainer = saywhy.Explainer(model, tokenizer, task=task)
        for e in explainer.each_target("the movie the movie the movie", method="random"):
            again = explainer("the movie the movie the movie", target=e.target.label, method="random")
            assert again.target.index == e.target.index
        second = explainer("a movie, a movie", target="movie (2)", method="random").target
        assert second.index[0] == tokenizer("a movie, a movie").tokens().index(",") + 2

    def test_what_is_ignored(self):
        model, tokenizer = headed("bert", "tokens")
        every = saywhy.Explainer(model, tokenizer, task=TokenClassification(ignored_labels=())).each_target(
            TEXT, method="random"
        )
        tokens = tokenizer.tokenize(TEXT)
        assert [e.target.index[0] for e in every] == list(range(1, len(tokens) + 1))
        some = TokenClassification(ignored_labels=("O",), ignored_indexes=(1, 2, 3))
        left = saywhy.Explainer(model, tokenizer, task=some).each_target(TEXT, method="random")
        said = {e.target.index for e in every if e.target.index[0] > 3 and not e.target.label.startswith("O:")}
        assert {e.target.index for e in left} == said
        with pytest.raises(OptionError, match="Every label"):
            saywhy.Explainer(model, tokenizer, task=TokenClassification(ignored_labels=tuple(TAGS.values())))(TEXT)

    def test_dropping_moves_positions_and_is_refused(self):
        with pytest.raises(OptionError, match="absent"):
            made("token-classification")(TEXT, method="occlusion", absent="drop")


def slow_answer(model, tokenizer, question, context, most=15):
    """The likeliest answer and its best span, from the definition: softmax over context and classifier token, all pairs,
    the twelve best in whole words, those that read the same together."""
    encoded = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    parts, words = encoded.sequence_ids(0), encoded.word_ids(0)
    with torch.no_grad():
        out = model(**encoded)
    start, end = out.start_logits[0].double(), out.end_logits[0].double()
    ids = encoded["input_ids"][0].tolist()
    counted = [p == 1 or i == tokenizer.cls_token_id for p, i in zip(parts, ids, strict=True)]
    for logits in (start, end):
        logits[~torch.tensor(counted)] = float("-inf")
    start, end = start.softmax(0), end.softmax(0)
    pairs = [(float(start[i] * end[j]), i, j) for i in range(len(ids)) for j in range(i, min(i + most, len(ids)))
             if parts[i] == parts[j] == 1]  # fmt: skip
    answers = {}
    for prob, i, j in sorted(pairs, reverse=True)[:12]:
        held = [k for k in range(len(ids)) if parts[k] == 1 and (i <= k <= j or words[k] in (words[i], words[j]))]
        text = context[offsets[held[0]][0] : offsets[held[-1]][1]].strip()
        answers.setdefault(text.lower(), []).append((prob, text))
    best = max(answers.values(), key=lambda spans: sum(prob for prob, _ in spans))
    return best[0][1], sum(prob for prob, _ in best), best[0][0]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("xlnet", "gpt2-pad-eos")])
def test_answers_are_those_of_the_definition(name):
    model, tokenizer = headed(name, "span")
    explainer = saywhy.Explainer(model, tokenizer)
    assert explainer.task.name == "question-answering"
    for question, context in GIVEN["question-answering"]:
        text, total, best = slow_answer(model, tokenizer, question, context)
        said = explainer.predict([(question, context)])[0]
        assert said[0] == text
        assert said[1] == pytest.approx(total, abs=1e-6)
        e = explainer({"context": context, "question": question}, unit="prob", method="random")
        assert e.value == pytest.approx(best, abs=1e-6)


def test_a_tokenizer_that_pads_on_the_left_puts_the_context_first():
    model, tokenizer = headed("xlnet", "span")
    left = copy.deepcopy(tokenizer)
    left.padding_side = "left"
    question, context = GIVEN["question-answering"][0]
    e = saywhy.Explainer(model, left)((question, context), method="occlusion")
    assert e.features[0].part == "context"
    assert e.prediction in context
    assert list(e.texts) == ["context", "question"]


class TestQuestions:
    def test_both_ends_and_the_whole_answer(self):
        explainer = made("question-answering")
        given = GIVEN["question-answering"][0]
        start, end = explainer.each_target(given, method="occlusion")
        whole = explainer(given, method="occlusion")
        np.testing.assert_allclose(whole.scores, start.scores + end.scores, atol=1e-5)
        assert {f.part for f in whole.features} == {"question", "context"}

    def test_the_answer_stays_while_explaining(self):
        explainer = made("question-answering")
        e = explainer(GIVEN["question-answering"][0], method="occlusion", target="start")
        one = explainer(GIVEN["question-answering"][0], method="shapley_sampling", permutations=2, target="start")
        assert e.target == one.target

    def test_an_answer_of_ones_own(self):
        explainer = made("question-answering")
        given = GIVEN["question-answering"][0]
        e = explainer(given, target="lovely", method="occlusion")
        assert e.target.label == "answer: lovely"
        at = given[1].index("lovely")
        assert explainer(given, target=(at, at + 6), method="occlusion").target == e.target
        with pytest.raises(OptionError, match="not in the context"):
            explainer(given, target="marvellous")
        with pytest.raises(OptionError, match="outside the context"):
            explainer(given, target=(3, 900))
        held = explainer(given, target="lovely", against="good", method="occlusion")
        good = explainer(given, target="good", method="occlusion")
        np.testing.assert_allclose(held.scores, e.scores - good.scores, atol=1e-5)

    def test_a_long_context_is_read_through_windows(self):
        model, tokenizer = headed("bert", "span")
        explainer = saywhy.Explainer(model, tokenizer)
        context = " ".join(["the movie was good ."] * 18)
        with pytest.raises(InputError, match="overlong='window'"):
            explainer(("What was good?", context))
        e = explainer(("What was good?", context), overlong="window", method="occlusion")
        assert "window" in e.notes[0]
        assert np.isfinite(e.scores).all()
        assert e.value - e.base != 0
        encoded = tokenizer("What was good?", context, verbose=False)
        ids = np.array(encoded["input_ids"])
        cut = windows(encoded.sequence_ids(), 64)
        places = np.flatnonzero(cut[0] > encoded.sequence_ids().index(1))
        middle = int(cut[0][places[len(places) // 2]])
        for start in range(
            middle, len(ids) - 4
        ):  # of the windows that hold an answer the one with most on its shorter side
            held = explainer(
                ("What was good?", context), overlong="window", method="random", target=_chars(encoded, start)
            )
            assert held.target.index[::2] == (start, start + 1)
            around = [
                min((w < start).sum(), (w > start + 1).sum()) if {start, start + 1} <= set(w) else -1 for w in cut
            ]
            w = cut[int(np.argmax(around))]
            with torch.no_grad():
                out = model(
                    input_ids=torch.tensor(ids[w])[None],
                    token_type_ids=torch.tensor(encoded["token_type_ids"])[w][None],
                )
            here = list(w).index(start)
            assert held.value == pytest.approx(float(out.start_logits[0, here] + out.end_logits[0, here + 1]), abs=1e-5)
        text, prob = explainer.predict([("What was good?", context)], overlong="window")[0]
        assert text in context
        assert 0 < prob <= 1


def _chars(encoded, start):
    """The characters of the two tokens from `start` on."""
    return encoded.token_to_chars(start).start, encoded.token_to_chars(start + 1).end


@pytest.mark.parametrize(
    "name", ["bert", "distilbert", "roberta", "xlm-roberta", "albert", "electra", "deberta-v2", "modernbert"]
)
def test_words_in_gaps_are_the_pipelines(name):
    model, tokenizer = headed(name, "blanks")
    text = f"I {tokenizer.mask_token} you, I also like you"
    explainer = saywhy.Explainer(model, tokenizer)
    assert explainer.task.name == "fill-mask"
    told = pipeline("fill-mask", model=model, tokenizer=tokenizer)(text)
    found = explainer.each_target(text, method="random", unit="prob")
    assert [e.target.index[1] for e in found] == [row["token"] for row in told]
    for e, row in zip(found, told, strict=True):
        assert e.value == pytest.approx(row["score"], abs=1e-6)
    assert tokenizer.mask_token not in [f.label for f in found[0].features]


class TestGaps:
    def test_words_ids_and_several_gaps(self):
        explainer = made("fill-mask")
        text = GIVEN["fill-mask"][1]
        token = explainer.model.tokenizer.convert_tokens_to_ids("the")
        assert explainer(text, target="the", method="random").target.index == (0, token)
        assert explainer(text, target=(1, "the"), method="random").target.index == (1, token)
        assert explainer(text, target=(1, token), method="random").target.label == "the (gap 2)"
        assert len(explainer.each_target(text, method="random")) == 10
        with pytest.raises(OptionError, match="not one token"):
            explainer(text, target="unbelievable")
        with pytest.raises(OptionError, match="no gap 2"):
            explainer(text, target=(2, "the"))

    def test_log_odds_and_contrast(self):
        explainer = made("fill-mask")
        text = GIVEN["fill-mask"][0]
        prob, odds = (explainer(text, target="the", method="random", unit=unit).value for unit in ("prob", "log-odds"))
        assert odds == pytest.approx(np.log(prob / (1 - prob)), abs=1e-6)
        held = explainer(text, target="the", against="you", method="occlusion")
        a, b = (explainer(text, target=word, method="occlusion") for word in ("the", "you"))
        np.testing.assert_allclose(held.scores, a.scores - b.scores, atol=1e-5)

    def test_no_gap(self):
        with pytest.raises(InputError, match=r"no gap .* write '\[MASK\]'"):
            made("fill-mask")("I love you")


class TestSimilarity:
    @pytest.mark.parametrize("name", [name for name in NAMES if name not in ("t5", "bart")])
    def test_the_cosine_of_mean_pooled_vectors(self, name):
        model, tokenizer = headed(name, "vector")
        explainer = saywhy.Explainer(model, tokenizer)
        assert explainer.task.name == "sentence-similarity"
        pair = ("I love you", "I also like you, kinda")
        with torch.no_grad():
            vectors = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in pair]
        e = explainer(pair, method="occlusion")
        assert e.value == pytest.approx(float(torch.cosine_similarity(*vectors, dim=0)), abs=1e-5)
        assert e.probability == pytest.approx(e.value, abs=1e-6)

    def test_only_encoders_have_a_vector_for_a_text(self):
        for name in ("t5", "bart"):
            with pytest.raises(ModelError, match="get_encoder"):
                saywhy.Explainer(*headed(name, "vector"))

    def test_how_a_sentence_transformer_pools(self, tmp_path):
        model, tokenizer = headed("bert", "vector")
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        (tmp_path / "1_Pooling").mkdir()
        for told, pooled in (("cls_token", 0), ("lasttoken", -1)):
            (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_' + told + '": true}')
            with torch.no_grad():
                vectors = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0][pooled] for text in "ab"]
            e = saywhy.Explainer(tmp_path)(("a", "b"), method="random")
            assert e.value == pytest.approx(float(torch.cosine_similarity(*vectors, dim=0)), abs=1e-5)
        (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_weightedmean_tokens": true}')
        states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].detach() for text in "ab"]
        weights = [torch.arange(1.0, len(s) + 1)[:, None] for s in states]
        vectors = [(w * s).sum(0) / w.sum() for w, s in zip(weights, states, strict=True)]
        e = saywhy.Explainer(tmp_path)(("a", "b"), method="random")
        assert e.value == pytest.approx(float(torch.cosine_similarity(*vectors, dim=0)), abs=1e-5)
        (tmp_path / "1_Pooling" / "config.json").write_text(
            '{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": true}'
        )
        with pytest.raises(ModelError, match=r"cls\+max.*not known here"):
            saywhy.Explainer(tmp_path)

    def test_each_text_is_blanked_against_the_other_whole(self):
        explainer = made("sentence-similarity")
        a, b = "I love you", "I also like you"
        both = explainer((a, b), method="occlusion")
        tokenizer, model = explainer.model.tokenizer, explainer.model.model

        def vector(text, masked=()):
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            ids[0, list(masked)] = tokenizer.mask_token_id
            with torch.no_grad():
                return model(input_ids=ids).last_hidden_state[0].mean(0)

        owner = explainer.task.encode(explainer.model, (a, b), EncodingOptions(absent="mask")).owner
        first = [i for i in range(len(tokenizer(a)["input_ids"])) if owner[i] == 1]
        less = (
            torch.cosine_similarity(vector(a, first), vector(b), dim=0)
            + torch.cosine_similarity(vector(a), vector(b), dim=0)
        ) / 2
        assert both.scores[1] == pytest.approx(both.value - float(less), abs=1e-5)

    def test_bad_input(self):
        explainer = made("sentence-similarity")
        for given in ("one text", ("a",), {"a": "b"}):
            with pytest.raises(InputError, match="two"):
                explainer(given)
        with pytest.raises(InputError, match="blank"):
            explainer(("a", " "))
        with pytest.raises(OptionError, match="one number"):
            explainer(("a", "b"), target="LABEL_0")


class TestRefusals:
    def test_a_task_the_model_cannot_do(self):
        with pytest.raises(ModelError, match="can do question-answering"):
            saywhy.Explainer(*headed("bert", "span"), task="token-classification")
        with pytest.raises(OptionError, match="Did you mean 'fill-mask'"):
            saywhy.Explainer(*headed("bert", "blanks"), task="fill-masks")
        with pytest.raises(OptionError, match="need a transformers model"):
            saywhy.Explainer(lambda texts: texts, labels=["a"], task="question-answering")

    def test_labels_of_zero_shot(self):
        model, tokenizer = headed("bert", "labels")
        explainer = saywhy.Explainer(model, tokenizer, task="zero-shot-classification", labels=["a", "b"])
        assert explainer(TEXT, method="random").prediction in ("a", "b")
        for labels, said in (((), "needs labels"), (("a", "a"), "differ"), (("a", " "), "blank")):
            with pytest.raises(InputError, match=said):
                explainer({"text": TEXT, "labels": labels})
        with pytest.raises(InputError, match="text or"):
            explainer({"texts": TEXT})
        with pytest.raises(OptionError, match="Did you mean 'b'"):
            explainer(TEXT, target="B!")
        with pytest.raises(OptionError, match="template"):
            ZeroShotClassification(template="no place for it")
        for template in ("{} is {topic}", "{} is {", "{} {1}", "{} {.x}"):
            with pytest.raises(OptionError, match="no other field"):
                ZeroShotClassification(template=template)
        assert ZeroShotClassification(template="{{}} {}").template.format("a") == "{} a"
        with pytest.raises(ModelError, match="entailment"):
            saywhy.Explainer(*tiny("bert"), task="zero-shot-classification")({"text": TEXT, "labels": LABELS})

    def test_entailment_in_any_case(self):
        assert NLI[2] == "Entailment"

    def test_question_or_context_blank(self):
        explainer = made("question-answering")
        for given, said in ((("", "a"), "question"), (("a", "  "), "context"), ("only one", "question, context")):
            with pytest.raises(InputError, match=said):
                explainer(given)
        assert QuestionAnswering().name == explainer.task.name

    def test_a_pair_of_three(self):
        with pytest.raises(InputError, match="A pair is two texts; 3"):
            saywhy.Explainer(*tiny("bert"))(("a", "b", "c"))

    def test_units_that_a_task_does_not_have(self):
        with pytest.raises(OptionError, match="unit for an answer"):
            made("question-answering")(GIVEN["question-answering"][0], unit="log-odds")


class TestCase:
    def test_what_is_not_known_yet(self, bert):
        case = Case(saywhy.Explainer(*bert).model)
        assert not case.read
        assert not case.answered


class TestGuess:
    def test_the_pipeline_tells_the_task(self):
        model, tokenizer = headed("bert", "labels")
        pipe = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
        explainer = saywhy.Explainer(pipe, labels=LABELS)
        assert explainer.task.name == "zero-shot-classification"
        assert "zero-shot-classification" in repr(explainer)
        ner = pipeline("ner", model=headed("bert", "tokens")[0], tokenizer=tokenizer)
        assert saywhy.Explainer(ner).task.name == "token-classification"

    def test_a_folder_tells_the_task(self, tmp_path):
        for head, task in (
            ("tokens", "token-classification"),
            ("span", "question-answering"),
            ("vector", "sentence-similarity"),
        ):
            model, tokenizer = headed("bert", head)
            model.save_pretrained(tmp_path / head)
            tokenizer.save_pretrained(tmp_path / head)
            assert saywhy.Explainer(tmp_path / head).task.name == task
