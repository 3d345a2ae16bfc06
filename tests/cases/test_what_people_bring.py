"""What people bring: each works with the right numbers, or is refused in words."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from benchmarks.attack import only_ours

from conftest import headed, tiny
from saywhy import Explainer
from saywhy.core.errors import EXTRAS, InputError, MissingError, SaywhyError, missing
from saywhy.models.image.pixels import read_image

TEXT = "a good film, not bad"


def logits(model, tokenizer, text=TEXT):
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits[0].double().numpy()


def counts(texts):
    return np.array([[len(t), t.count("a")] for t in texts], float)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["neg", "pos"]),
        {0: "neg", 1: "pos"},
        {"neg": 0, "pos": 1},
        ("neg", "pos"),
        "pandas",
        iter(["neg", "pos"]),
    ],
)
@pytest.mark.parametrize("target", [1, np.int64(1), np.uint8(1), torch.tensor(1), "pos"])
def test_labels_and_targets_of_any_kind(labels, target):
    if isinstance(labels, str):
        labels = pytest.importorskip("pandas").Index(["neg", "pos"])
    elif not hasattr(labels, "__len__"):
        labels = iter(["neg", "pos"])
    e = Explainer(counts, labels=labels)(TEXT, target=target, trust="none")
    assert e.target.label == "pos"
    assert e.value == TEXT.count("a")


def test_a_compiled_model():
    model, tokenizer = tiny("bert")
    compiled = torch.compile(model, backend="eager")
    for method in ("integrated_gradients", "libra", "attn_lrp", "occlusion"):
        a = Explainer(compiled, tokenizer)(TEXT, method=method, target=1, trust="none")
        b = Explainer(model, tokenizer)(TEXT, method=method, target=1, trust="none")
        assert np.allclose(a.scores, b.scores, atol=1e-5)


class Own(torch.nn.Module):
    """A model that takes two names only, and returns a tensor."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, input_ids, attention_mask):
        return self.inner(input_ids=input_ids, attention_mask=attention_mask).logits


@pytest.mark.filterwarnings("ignore::FutureWarning:peft")
@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")
@pytest.mark.parametrize("kind", ["own", "parallel", "peft"])
def test_models_in_wrappers(kind):
    model, tokenizer = tiny("bert")
    if kind == "peft":
        peft = pytest.importorskip("peft")
        wrapped = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(target_modules=["query"])).eval()
    else:
        wrapped = Own(model) if kind == "own" else torch.nn.DataParallel(model)
    labels = (
        {"labels": ["negative", "neutral", "positive"]} if kind == "own" else {}
    )  # it has no config that names them
    e = Explainer(wrapped, tokenizer, task="text-classification", **labels)(
        TEXT, target=1, method="occlusion", trust="none"
    )
    assert e.value == pytest.approx(logits(model, tokenizer)[1], abs=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"])
def test_a_sentence_transformers_pooling(pooling, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    model, tokenizer = headed("bert", "vector")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    inner = modules.Transformer(str(tmp_path))
    made = sentence_transformers.SentenceTransformer(
        modules=[inner, modules.Pooling(model.config.hidden_size, pooling)],
        device="cpu",
    )
    a, b = made.encode(["a good film", "the movie"])
    cosine = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    e = Explainer(made)(("a good film", "the movie"), trust="none", method="occlusion")
    assert e.value == pytest.approx(cosine, abs=1e-4)


@pytest.mark.parametrize("text", ["a [SEP] good film", "[CLS] film", "a [MASK] film", "[PAD]", "a [UNK] b"])
def test_texts_that_hold_special_tokens(text):
    model, tokenizer = tiny("bert")
    e = only_ours(lambda: Explainer(model, tokenizer)(text, target=1, trust="none"))
    assert isinstance(e, SaywhyError) or e.value == pytest.approx(logits(model, tokenizer, text)[1], abs=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        lambda out: torch.tensor(out).bfloat16(),
        lambda out: out[:, ::-1][:, ::-1],
        lambda out: np.asfortranarray(out),
        lambda out: out.tolist(),
        lambda out: out.astype(np.float32),
    ],
)
def test_outputs_of_any_form(form):
    def frozen(texts):
        made = form(counts(texts) / 8)
        if isinstance(made, np.ndarray):
            made.setflags(write=False)
        return made

    e = Explainer(frozen, labels=["n", "a"])(TEXT, target="a", method="shapley_values", trust="none")
    assert e.value == pytest.approx(TEXT.count("a") / 8)
    one = Explainer(lambda texts: counts(texts)[:, 1], labels=["a"])(TEXT, trust="none")
    assert one.value == TEXT.count("a")


def test_spans_finer_than_a_word_and_features_of_several():
    text = "don't stop, don't"
    fine = [(0, 2), (2, 5), (6, 10), (10, 11)]
    seen = set()
    x = Explainer(lambda ts: seen.update(ts) or [[len(t)] for t in ts], labels=["n"])
    e = x(text, by=np.array(fine), method="occlusion", trust="none")
    assert [f.span for f in e.features] == fine
    assert e.scores[1] == 3
    e = x(text, by=[[(0, 5), (12, 17)], (6, 10)], method="occlusion", trust="none")
    assert e.features[0].spans == ((0, 5), (12, 17))
    assert any("don't" not in t and "stop" in t for t in seen)


def test_explanations_travel():
    e = Explainer(counts, labels=["n", "a"])(TEXT)
    with ProcessPoolExecutor(1) as pool:
        sent = pool.submit(copy.deepcopy, e).result()
    for other in (pickle.loads(pickle.dumps(e)), copy.deepcopy(e), sent):
        assert np.array_equal(other.scores, e.scores)
        assert other.to_dict() == e.to_dict()
        with pytest.raises(ValueError, match="read-only"):
            other.scores[0] = 1.0


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_install_hint_that_works_anywhere(extra):
    import re
    from pathlib import Path

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.search(rf"^{extra} = \[(.*)\]$", text, re.M).group(1)
    assert tuple(re.findall(r'"([^"]+)"', declared)) == EXTRAS[extra]
    message = str(missing("x", "Something", extra))
    assert "saywhy[" not in message
    assert all(f"'{name}'" in message for name in EXTRAS[extra])


def test_an_image_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingError, match="pip install 'pillow>=10'"):
        read_image("cat.png")


def test_log_odds_of_many_labels():
    from saywhy.tasks.protocol import in_unit

    made = np.random.default_rng(0).normal(size=4_000)
    p = np.exp(made) / np.exp(made).sum()
    assert np.allclose(in_unit(torch.tensor(made)[None], "log-odds", "softmax")[0], np.log(p / (1 - p)), atol=1e-9)
    model, tokenizer = tiny("bert")
    z = logits(model, tokenizer)
    p = np.exp(z) / np.exp(z).sum()
    got = Explainer(model, tokenizer)(TEXT, target=1, unit="log-odds", trust="none").value
    assert got == pytest.approx(np.log(p[1] / (1 - p[1])), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("target", [0, 1, 2])
def test_the_bound_in_half_precision_holds(dtype, target):
    model, tokenizer = tiny("bert")
    half = copy.deepcopy(model).to(dtype)
    whole = copy.deepcopy(half).float()
    a, b = (Explainer(m, tokenizer)(TEXT, target=target, trust="none") for m in (half, whole))
    off = np.abs(a.scores - b.scores).sum() / np.abs(b.scores).sum()
    note = next(note for note in a.notes if "good to about" in note)
    said = float(note.split("good to about ")[1].split("%")[0]) / 100
    assert off <= said < 0.2
    assert not any("did not converge" in each for each in a.notes)


@pytest.mark.parametrize(
    ("call", "said", "unsaid"),
    [
        (lambda x: x.predict("I say 'hi"), "predict([", "predict(['I say 'hi"),
        (lambda x: x(TEXT, top=5), "top", "steps"),
        (lambda x: x.predict({"a": 1}), "list of inputs", "split"),
        (lambda x: x(12), "", "Traceback"),
    ],
)
def test_messages_for_somebody_who_does_not_know_the_code(call, said, unsaid):
    x = Explainer(counts, labels=["n", "a"])
    with pytest.raises(SaywhyError) as refusal:
        call(x)
    assert said in str(refusal.value)
    assert unsaid not in str(refusal.value)


def test_two_explanations_of_the_same_text_are_of_two_inputs():
    x = Explainer(counts, labels=["n", "a"])
    both = str(x([TEXT, TEXT], trust="none"))
    assert "of one input" not in both
    assert "2 inputs" in both
    assert "2 explanations of one input" in str(x.each_target(TEXT, trust="none"))


def test_an_estimator_and_a_frame_are_explained_as_they_are(tmp_path):
    sklearn = pytest.importorskip("sklearn.pipeline")
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    from sklearn.dummy import DummyClassifier

    from saywhy import corpus

    with pytest.raises(SaywhyError, match="not fitted"):
        Explainer(sklearn.make_pipeline(DummyClassifier()))
    made = corpus.run(Explainer(counts, labels=["n", "a"]), pandas.DataFrame({"text": [TEXT]}), tmp_path / "made")
    assert made.manifest["done"] == {**made.manifest["done"], "rows": 1, "errors": 0}


def test_a_cross_encoder_is_its_own_prediction(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model, tokenizer = tiny("bert")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    made = sentence_transformers.CrossEncoder(str(tmp_path), device="cpu")
    pair = ("a good film", "the movie")
    told = made.predict([pair])[0]
    _, said = Explainer(made).predict([pair])[0]
    assert said == pytest.approx(float(max(told)), abs=1e-5)


def test_a_model_that_returns_tuples():
    model, tokenizer = tiny("bert")
    tuples = copy.deepcopy(model)
    tuples.config.return_dict = False
    e = Explainer(tuples, tokenizer)(TEXT, target=1, method="occlusion", trust="none")
    assert e.value == pytest.approx(logits(model, tokenizer)[1], abs=1e-5)


def test_weights_made_in_inference_mode_have_shapley_values():
    model, tokenizer = tiny("bert")
    with torch.inference_mode():
        frozen = copy.deepcopy(model)
    e = Explainer(frozen, tokenizer)(TEXT, target=1, trust="none")
    assert e.value == pytest.approx(logits(model, tokenizer)[1], abs=1e-5)
    assert sum(e.scores) == pytest.approx(e.value - e.base, abs=1e-4)


def test_a_tokenizer_with_more_tokens_than_the_model():
    model, tokenizer = tiny("bert")
    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["kinda-new"])
    explainer = Explainer(model, larger)
    assert explainer(TEXT, target=1, method="occlusion", trust="none").value == pytest.approx(
        logits(model, tokenizer)[1], abs=1e-5
    )
    with pytest.raises(InputError, match=r"'kinda-new'.*resize_token_embeddings"):
        explainer(f"{TEXT} kinda-new", method="occlusion")


def test_a_tokenizer_of_japanese(tmp_path):
    from transformers import BertJapaneseTokenizer

    model, _ = tiny("bert")
    letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"この映画は好きです"]
    (tmp_path / "vocab.txt").write_text("\n".join(dict.fromkeys(letters)), encoding="utf-8")
    tokenizer = BertJapaneseTokenizer(
        str(tmp_path / "vocab.txt"), word_tokenizer_type="basic", subword_tokenizer_type="character"
    )
    text = "この映画は好きです"
    with torch.no_grad():
        right = model(**tokenizer(text, return_tensors="pt")).logits[0]
    e = Explainer(model, tokenizer)(text, target=0, method="occlusion", trust="none")
    assert e.value == pytest.approx(float(right[0]), abs=1e-5)
    assert "".join(f.label for f in e.features) == text


def test_work_of_many_features_and_texts_stays_within_bounds():
    n = 200
    asked = []

    def count(texts):
        asked.append(len(texts))
        return [[sum(word == "good" for word in text.split())] for text in texts]

    words = ["good" if i % 50 == 0 else f"w{i}" for i in range(n)]
    e = Explainer(count, labels=["n"])(" ".join(words), method="kernel_shap", trust="none")
    assert e.scores == pytest.approx([float(word == "good") for word in words], abs=0.05)
    assert sum(asked) <= 20 * n
