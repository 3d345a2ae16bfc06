"""Models as people bring them: their own settings, wrappers and classes answer as they do when they are asked directly."""

from __future__ import annotations

import copy
import gc
import json
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import pipeline

from conftest import _bert, headed, word_piece
from saywhy import Explainer
from saywhy.core.errors import InputError, MethodError, ModelError, OptionError
from saywhy.models.lock import exclusive, frozen
from saywhy.tasks import TextGeneration
from tiny_lm import language_model

TEXT = "I love you, I like you, I also kinda dislike you"


def fresh(name: str, head: str = "labels") -> Any:
    """A copy of a tiny model and of its tokenizer, to change."""
    return copy.deepcopy(headed(name, head))


def said(model: Any, tokenizer: Any, *texts: str) -> Tensor:
    """[labels]: the logits that the model itself gives to a text or a pair."""
    with torch.no_grad():
        return model(**tokenizer(*texts, return_tensors="pt")).logits[0]


# ---- names of the outputs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write", [dict, lambda names: json.loads(json.dumps(names)), lambda names: list(names.values())]
)
def test_names_of_outputs_stand_in_the_order_of_their_numbers_however_the_config_writes_them(write: Any) -> None:
    torch.manual_seed(0)
    model = _bert(num_labels=12).eval()
    names = {i: f"topic {letter}" for i, letter in enumerate("ABCDEFGHIJKL")}
    model.config.id2label = write(names)
    logits = said(model, word_piece(), TEXT)
    explainer = Explainer(model, word_piece())
    [(label, share)] = explainer.predict([TEXT])
    assert label == names[int(logits.argmax())]
    assert share == pytest.approx(float(logits.softmax(-1).max()), abs=1e-5)
    for i in (1, 2, 10):
        assert explainer(TEXT, target=names[i], trust="none").value == pytest.approx(float(logits[i]), abs=1e-5)


def test_a_name_that_two_outputs_have_is_asked_for_by_its_index() -> None:
    model, tokenizer = fresh("bert")
    model.config.id2label = {0: "neg", 1: "neg", 2: "pos"}
    explainer = Explainer(model, tokenizer)
    with pytest.raises(OptionError, match=r"'neg' is the name of the outputs \[0, 1\]"):
        explainer(TEXT, target="neg")
    value = explainer(TEXT, target=1, trust="none").value
    assert value == pytest.approx(float(said(model, tokenizer, TEXT)[1]), abs=1e-5)


def test_names_of_outputs_without_numbers_are_refused_in_words() -> None:
    model, tokenizer = fresh("bert")
    model.config.id2label = {"neg": "a", "pos": "b", "other": "c"}
    with pytest.raises(OptionError, match="id2label is"):
        Explainer(model, tokenizer)


# ---- parts that several models share ------------------------------------------------------------------------------------


class Headed(nn.Module):
    """A head of its own, which is declared first, on an encoder that may be another model's too."""

    def __init__(self, encoder: nn.Module, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.head = nn.Linear(32, 2)
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head(states[:, 0])


def excluded(one: object, other: object) -> bool:
    """Does a thread inside with `one` keep another from `other`?"""
    entered = threading.Event()

    def enter() -> None:
        with exclusive(other):
            entered.set()

    thread = threading.Thread(target=enter)
    with exclusive(one):
        thread.start()
        alone = not entered.wait(0.2)
    thread.join(5)
    assert entered.is_set()
    return alone


def test_models_that_share_any_parameter_or_module_are_asked_one_at_a_time_and_others_together() -> None:
    shared, dropout = nn.Linear(2, 2), nn.Dropout()
    one, two = (nn.Sequential(nn.Linear(2, 2), shared) for _ in range(2))
    apart, ensemble = nn.Sequential(nn.Linear(2, 2)), nn.ModuleList()
    assert excluded(one, two)
    assert excluded(two, shared)
    assert not excluded(one, apart)
    ensemble.extend([two, apart])
    assert excluded(ensemble, apart)
    assert excluded(one, ensemble)
    assert not excluded(one, apart)
    tied = nn.Linear(2, 2)
    tied.weight = apart[0].weight
    assert excluded(nn.Sequential(tied), apart)
    assert excluded(nn.Sequential(nn.Linear(2, 2), dropout), nn.Sequential(nn.Linear(2, 2), dropout))


def test_locks_keep_no_model_alive() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    parts = [weakref.ref(model), weakref.ref(model[0].weight)]
    with frozen(model), frozen(model):
        assert not model.training
    assert model.training
    del model
    gc.collect()
    assert [part() for part in parts] == [None, None]


def test_threads_on_two_heads_of_one_encoder_give_the_numbers_of_one_thread() -> None:
    encoder, tokenizer = fresh("bert", "vector")
    explainers = [Explainer(Headed(encoder, seed).train(), tokenizer, labels=["n", "p"]) for seed in (0, 1)]
    kinds = [
        ("integrated_gradients", {}),
        ("occlusion", {"absent": "mask"}),
        ("occlusion", {"absent": "zero"}),
        ("libra", {}),
    ]
    work = [(explainer, method, more) for explainer in explainers for method, more in kinds] * 6

    def ask(job: Any) -> np.ndarray[Any, Any]:
        explainer, method, more = job
        return np.array(explainer(TEXT, method=method, target=1, trust="none", **more).scores)

    alone = [ask(job) for job in work]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(ask, work))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


# ---- how a model writes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piped", [True, False])
@pytest.mark.parametrize("name", ["Llama", "T5"])
@pytest.mark.parametrize(
    "settings",
    [{"max_new_tokens": 4}, {"num_beams": 3, "max_new_tokens": 6}, {"repetition_penalty": 1.9, "max_new_tokens": 5},
     {"max_length": 9}, {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 5, "return_dict_in_generate": True},
     {"do_sample": True, "temperature": 0.5, "top_k": 3, "max_new_tokens": 4}],
)  # fmt: skip
def test_a_model_writes_what_its_generation_config_says(piped: bool, name: str, settings: dict[str, Any]) -> None:
    model, tokenizer = copy.deepcopy(language_model(name))
    prompt = tokenizer("I love the", return_tensors="pt")
    drawn = {"do_sample": False, "temperature": None, "top_k": None, "return_dict_in_generate": False}
    with torch.no_grad():
        written = model.generate(**prompt, **{**settings, **drawn}, pad_token_id=tokenizer.pad_token_id)[0].tolist()
    start = 1 if name == "T5" else prompt["input_ids"].shape[1]
    model.generation_config.update(**settings)
    ends = model.generation_config.eos_token_id
    right = [i for i in written[start:] if i not in (ends, tokenizer.pad_token_id)]
    made = (model, tokenizer)
    if piped and name != "T5":
        made = pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")
    explainer = Explainer(made, task=None if piped and name != "T5" else "text-generation")
    e = explainer("I love the", trust="none", method="random")
    assert e.target.label == tokenizer.decode(right)


def test_what_a_pipeline_was_told_stands_above_the_generation_config_of_its_model() -> None:
    model, tokenizer = copy.deepcopy(language_model("Llama"))
    model.generation_config.update(num_beams=3, max_new_tokens=9)
    made = pipeline(
        "text-generation",
        model=model,
        tokenizer=tokenizer,
        device="cpu",
        num_beams=1,
        do_sample=False,
        max_new_tokens=4,
    )
    written = made("I love the", return_full_text=False)[0]["generated_text"]
    assert Explainer(made)("I love the", trust="none", method="random").target.label == written
    task = TextGeneration(max_new_tokens=2)
    found = Explainer((model, tokenizer), task=task).each_target("I love the", trust="none", method="random")
    assert len(found) == 2  # tokens


def test_settings_that_a_model_refuses_to_write_with_are_refused_in_words() -> None:
    model, tokenizer = copy.deepcopy(language_model("Llama"))
    model.generation_config.num_beams, model.generation_config.num_return_sequences = 2, 3
    with pytest.raises(ModelError, match=r"generation_config.*num_return_sequences"):
        Explainer((model, tokenizer))("I love the", trust="none", method="random")


# ---- sentence-transformers ------------------------------------------------------------------------------------------------

PAIR = ("I love you, I like you", "a dull, predictable mess of a film")
WAYS: list[dict[str, Any]] = [
    {},
    {"truncate_dim": 4},
    {"prompts": {"query": "what a terrible night "}, "default_prompt_name": "query"},
    {"prompts": {"query": "terr"}, "default_prompt_name": "query"},
    {"similarity_fn_name": "dot"},
    {"similarity_fn_name": "euclidean"},
    {"similarity_fn_name": "manhattan", "truncate_dim": 7},
    {"max_seq_length": 8},
    {"normalize": True, "similarity_fn_name": "dot", "truncate_dim": 5},
]


def sentence_transformer(
    folder: Path, *more: str, normalize: bool = False, max_seq_length: int = 64, **settings: Any
) -> Any:
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    model, tokenizer = fresh("bert", "vector")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parts = [modules.Transformer(str(folder)), modules.Pooling(32, pooling_mode="mean")]
    parts += [modules.Normalize()] if normalize else []
    parts += [modules.Dense(32, 32)] if "Dense" in more else []
    made = library.SentenceTransformer(modules=parts, device="cpu", **settings)
    made.max_seq_length = max_seq_length
    return made


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("settings", WAYS)
def test_a_sentence_transformer_is_explained_with_its_own_settings(tmp_path: Any, settings: Any, saved: bool) -> None:
    made = sentence_transformer(tmp_path / "base", **settings)
    vectors = made.encode(list(PAIR), convert_to_tensor=True)
    right = float(made.similarity(vectors[0], vectors[1]))
    if saved:
        made.save(str(tmp_path / "made"))
    explainer = Explainer(str(tmp_path / "made") if saved else made)
    e = explainer(PAIR, trust="none", method="occlusion", absent="drop")
    assert e.value == pytest.approx(right, abs=1e-4)
    assert explainer.predict([PAIR])[0][1] == pytest.approx(right, abs=1e-4)
    if "max_seq_length" not in settings:  # what was cut off stays away
        gone = float(made.similarity(made.encode("I you, I like you", convert_to_tensor=True), vectors[1]))
        assert e.scores[1] == pytest.approx(e.value - (gone + right) / 2, abs=1e-4)
    assert "".join(e.words).replace(" ", "").startswith("Iloveyou")
    assert any("terr" in note for note in e.notes) == ("prompts" in settings)
    assert any("truncated" in note for note in e.notes) == ("max_seq_length" in settings)


@pytest.mark.parametrize("saved", [False, True])
def test_a_sentence_transformer_that_puts_texts_in_lower_case(tmp_path: Any, saved: bool) -> None:
    made = sentence_transformer(tmp_path / "base")
    made.tokenizer.backend_tokenizer.normalizer = None
    made.save(str(tmp_path / "made"))
    settings = tmp_path / "made" / "sentence_bert_config.json"
    shouted = (PAIR[0].upper(), PAIR[1])
    values = {}
    for small in (False, True):
        settings.write_text(json.dumps({"max_seq_length": 64, "do_lower_case": small}), encoding="utf-8")
        again = type(made)(str(tmp_path / "made"), device="cpu")
        right = float(again.similarity(*again.encode(list(shouted), convert_to_tensor=True)))
        values[small] = Explainer(str(tmp_path / "made") if saved else again)(shouted, trust="none").value
        assert values[small] == pytest.approx(right, abs=1e-4)
    assert abs(values[True] - values[False]) > 0.01


@pytest.mark.parametrize("saved", [False, True])
def test_a_sentence_transformer_with_another_module_is_refused_as_a_folder_too(tmp_path: Any, saved: bool) -> None:
    made = sentence_transformer(tmp_path / "base", "Dense")
    made.save(str(tmp_path / "made"))
    with pytest.raises(ModelError, match="Dense"):
        Explainer(str(tmp_path / "made") if saved else made)


def test_a_cross_encoders_own_prompt_stands_before_the_first_text(tmp_path: Any) -> None:
    library = pytest.importorskip("sentence_transformers")
    model, tokenizer = fresh("bert")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    own = {"prompts": {"q": "what a terrible night "}, "default_prompt_name": "q"}
    made = library.CrossEncoder(str(tmp_path), device="cpu", **own)
    explainer = Explainer(made)
    right = made.predict([PAIR])[0].tolist()
    assert [e.value for e in explainer.each_target(PAIR, trust="none")] == pytest.approx(right, abs=1e-4)
    e = explainer(PAIR, trust="none", method="occlusion", absent="drop", target=0)
    gone = made.predict([("I you, I like you", PAIR[1])])[0][0]
    assert e.scores[1] == pytest.approx(right[0] - gone, abs=1e-4)


# ---- what the outputs are -------------------------------------------------------------------------------------------------


class Own(nn.Module):
    """A module of the caller's own around a classifier."""

    def __init__(self, ending: Any = None, labels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = _bert(num_labels=labels).eval()
        with torch.no_grad():
            for p in self.inner.parameters():
                p.mul_(2.0 if p.dim() > 1 else 1.0)
        self.ending = ending or nn.Identity()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return self.ending(self.inner(input_ids=input_ids, attention_mask=attention_mask).logits)


LABELS = ["neg", "mid", "pos"]


def test_a_module_that_ends_in_softmax_is_known_to_give_probabilities() -> None:
    soft = Own(nn.Softmax(-1))
    inputs = {
        name: values for name, values in word_piece()(TEXT, return_tensors="pt").items() if name != "token_type_ids"
    }
    with torch.no_grad():
        right = soft(**inputs)[0]
    explainer = Explainer(soft, word_piece(), labels=LABELS)
    assert explainer.predict([TEXT])[0] == (LABELS[int(right.argmax())], pytest.approx(float(right.max()), abs=1e-6))
    e = explainer(TEXT, target="pos", trust="none")
    assert (e.target.unit, e.value) == ("prob", pytest.approx(float(right[2]), abs=1e-6))
    odds = explainer(TEXT, target="pos", unit="log-odds", trust="none").value
    assert odds == pytest.approx(float(torch.logit(right[2])), abs=1e-4)
    taken = Explainer(soft, word_piece(), labels=LABELS, output="logit")
    assert taken.predict([TEXT])[0][1] == pytest.approx(float(right.softmax(-1).max()), abs=1e-6)


def test_logits_stay_logits_and_what_a_caller_says_of_outputs_is_checked_against_answers() -> None:
    logits = Explainer(Own(), word_piece(), labels=LABELS)
    assert logits(TEXT, trust="none").target.unit == "logit"
    assert Explainer(Own(nn.ReLU()), word_piece(), labels=LABELS)(TEXT, trust="none").target.unit == "logit"
    with pytest.raises(OptionError, match="answers numbers from"):
        Explainer(Own(), word_piece(), labels=LABELS, output="probability")
    several = Explainer(Own(nn.Sigmoid()), word_piece(), labels=LABELS, output="probability")
    assert several(TEXT, trust="none").target.unit == "prob"
    assert Explainer(Own(), word_piece(), labels=LABELS, output="score")(TEXT, trust="none").target.unit == "score"
    with pytest.raises(OptionError, match="output"):
        Explainer(Own(), word_piece(), labels=LABELS, output="percent")


# ---- how an answer is handed out ------------------------------------------------------------------------------------------


class Answering(nn.Module):
    """A class whose name tells no task, around a model whose answer it hands out in another form."""

    def __init__(self, inner: nn.Module, form: Any) -> None:
        super().__init__()
        self.inner, self.form, self.config = inner, form, inner.config

    def forward(self, input_ids: Tensor, attention_mask: Any = None, token_type_ids: Any = None) -> Any:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.form(self.inner(input_ids=input_ids, attention_mask=attention_mask, **types))


def members(out: Any) -> list[Tensor]:
    return [out.start_logits, out.end_logits] if "start_logits" in out else [out[next(iter(out))]]


FORMS = {
    "tuple": lambda out: tuple(members(out)),
    "no loss": lambda out: (None, *members(out)),
    "loss": lambda out: [torch.tensor(0.3), *members(out), (torch.zeros(2),)],
    "named otherwise": lambda out: (
        dict(zip(("start_logits", "end_logits"), members(out), strict=True))
        if "start_logits" in out
        else {"loss": torch.tensor(0.3), "output": members(out)[0]}
    ),
}
ASKED: dict[str, tuple[str, Any]] = {
    "labels": ("text-classification", "a good film"),
    "tokens": ("token-classification", "a good film"),
    "span": ("question-answering", ("who is good?", "a good film")),
    "blanks": ("fill-mask", "a good [MASK]"),
    "vector": ("sentence-similarity", ("a good film", "a dull mess")),
    "next": ("text-generation", {"prompt": "I love the", "continuation": " film"}),
}


@pytest.mark.parametrize("form", ["return_dict", *FORMS])
@pytest.mark.parametrize("head", ASKED)
def test_an_answer_is_read_in_whatever_form_it_is_handed_out(head: str, form: str) -> None:
    task, given = ASKED[head]
    if (head, form) == ("next", "return_dict"):
        pytest.skip("a language model of transformers cannot be called so itself")
    model, tokenizer = language_model("Llama") if head == "next" else headed("bert", head)
    right = Explainer(model, tokenizer, task=task)(given, trust="none", method="occlusion")
    if form == "return_dict":
        other = copy.deepcopy(model)
        other.config.return_dict = False
    else:
        other = Answering(model, FORMS[form])
    e = Explainer(other, tokenizer, task=task)(given, trust="none", method="occlusion")
    assert (e.target.label, e.value) == (right.target.label, pytest.approx(right.value, abs=1e-5))
    np.testing.assert_allclose(e.scores, right.scores, atol=1e-5)


def test_an_answer_with_two_members_that_could_be_meant_is_refused_with_their_shapes() -> None:
    model, tokenizer = headed("bert", "labels")
    other = Answering(model, lambda out: {"one": out.logits, "two": out.logits})
    with pytest.raises(ModelError, match=r"dict of \(2, 3\), \(2, 3\) where this task reads 2 x 3"):
        Explainer(other, tokenizer)("a good film")


# ---- images ---------------------------------------------------------------------------------------------------------------


def sees_images() -> tuple[Any, Any]:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    model = ViTForImageClassification(ViTConfig(**small, image_size=32, patch_size=8, num_labels=3)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8.0 if p.dim() > 1 else 1.0)
    return model, ViTImageProcessor(size={"height": 32, "width": 32})


def picture_of(mode: str) -> Any:
    from PIL import Image

    numbers = np.random.default_rng(0).random((40, 60, 4))
    if mode == "F":
        return Image.fromarray(numbers[..., 0].astype(np.float32))
    if mode == "I;16":
        return Image.fromarray((numbers[..., 0] * 65535).astype(np.uint16))
    image = Image.fromarray((numbers * 255).astype(np.uint8))
    return image.convert(mode) if "A" in mode else image.convert("RGB").convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L", "I;16", "F", "CMYK"])
@pytest.mark.parametrize("saved", [False, True])
def test_a_pipeline_sees_an_image_of_any_mode_as_it_does_itself(mode: str, saved: bool, tmp_path: Any) -> None:
    model, processor = sees_images()
    image = picture_of(mode)
    if saved:
        if mode == "F":
            pytest.skip("no common format keeps it")
        image.save(tmp_path / ("x.tiff" if mode == "CMYK" else "x.png"))
        image = str(next(tmp_path.iterdir()))
    pipe = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    best = max(pipe(image), key=lambda each: each["score"])
    explainer = Explainer(pipe)
    assert explainer.predict([image])[0] == (best["label"], pytest.approx(best["score"], abs=1e-5))
    assert explainer(image, trust="none", method="occlusion", by=(2, 2)).notes == ()
    notes = Explainer((model, processor))(image, trust="none", method="occlusion", by=(2, 2)).notes
    assert bool(notes) == (mode in ("RGBA", "LA", "I;16", "F"))


def test_an_open_file_of_an_image_is_read(tmp_path: Any) -> None:
    picture_of("RGB").save(tmp_path / "x.png")
    explainer = Explainer(sees_images())
    with (tmp_path / "x.png").open("rb") as file:
        assert explainer.predict([file]) == explainer.predict([str(tmp_path / "x.png")])
    with (tmp_path / "x.png").open(encoding="latin-1") as file, pytest.raises(InputError, match="'rb'"):
        explainer.predict([file])


# ---- what a pipeline cuts off ---------------------------------------------------------------------------------------------

LONG = " ".join([TEXT] * 8)


def test_a_pipeline_for_tokens_cuts_a_long_text_itself() -> None:
    model, tokenizer = fresh("bert", "tokens")
    pipe = pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu", ignore_labels=[])
    told = pipe(LONG)
    explainer = Explainer(pipe)
    found = explainer.each_target(LONG, method="random", unit="prob", trust="none")
    assert [e.value for e in found] == pytest.approx([float(each["score"]) for each in told], abs=1e-5)
    assert any("truncated" in note for note in found[0].notes)


def label_at(found: Any, label: str) -> int:
    return [e.target.label for e in found].index(label)


@pytest.mark.parametrize("label", ["love", " ".join(["what"] * 25)])
def test_a_zero_shot_pipeline_cuts_a_long_text_and_never_its_hypotheses(label: str) -> None:
    model, tokenizer = fresh("bert", "labels")
    pipe = pipeline(
        "zero-shot-classification", model=model, tokenizer=tokenizer, device="cpu", candidate_labels=[label, "film"]
    )
    told = pipe(LONG)
    explainer = Explainer(pipe)
    assert explainer.predict([LONG])[0] == (told["labels"][0], pytest.approx(told["scores"][0], abs=1e-5))
    found = explainer.each_target(LONG, method="occlusion", unit="prob", trust="none", absent="mask")
    assert {e.target.label: e.value for e in found} == pytest.approx(
        dict(zip(told["labels"], told["scores"], strict=True)), abs=1e-5
    )
    masked = {"truncation": "only_first", "max_length": 64, "return_tensors": "pt"}
    logits = []
    for each in (label, "film"):  # without the last word that the model sees beside the shorter hypothesis
        shown = tokenizer(LONG, f"This example is {each}.", return_offsets_mapping=True, **masked)
        start, end = found[0].features[-1].spans[0]
        inside = [a >= start and b <= end and b > a for a, b in shown.pop("offset_mapping")[0].tolist()]
        gone = torch.tensor(inside) & torch.tensor([part == 0 for part in shown.sequence_ids()])
        shown["input_ids"][0, gone] = tokenizer.mask_token_id
        with torch.no_grad():
            logits.append(model(**shown).logits[0, 2])
    without = torch.stack(logits).softmax(0)
    scores = {e.target.label: e.scores[-1] for e in found}
    assert scores[label] == pytest.approx(found[label_at(found, label)].value - float(without[0]), abs=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_note_says_which_end_of_a_text_the_model_saw(side: str) -> None:
    model, tokenizer = fresh("bert", "labels")
    tokenizer.truncation_side = side
    pipe = pipeline(
        "text-classification", model=model, tokenizer=tokenizer, device="cpu", truncation="only_first", max_length=8
    )
    e = Explainer(pipe)(TEXT, trust="none", unit="prob")
    assert e.value == pytest.approx(
        pipe(TEXT)["score"] if isinstance(pipe(TEXT), dict) else pipe(TEXT)[0]["score"], abs=1e-5
    )
    assert "".join(e.words).endswith("dislikeyou") == (side == "left")
    end = "last" if side == "left" else "first"
    assert any(f"the {end} 8 of" in note for note in e.notes)
    with pytest.raises(InputError, match=f"its {end} 64 tokens"):
        Explainer((model, tokenizer))(LONG)


@pytest.mark.parametrize(
    ("task", "head", "setting", "said"),
    [
        ("fill-mask", "blanks", {"targets": ["go"]}, r"targets=\['go'\]"),
        ("token-classification", "tokens", {"stride": 2, "aggregation_strategy": "simple"}, "stride=2"),
    ],
)
def test_a_setting_is_refused_as_the_caller_wrote_it(task: Any, head: str, setting: Any, said: str) -> None:
    model, tokenizer = fresh("bert", head)
    with pytest.raises(OptionError, match=said):
        Explainer(pipeline(task, model=model, tokenizer=tokenizer, device="cpu", **setting))


# ---- compiled and recorded modules ----------------------------------------------------------------------------------------


def part_compiled(model: Any) -> None:
    model.bert = torch.compile(model.bert, backend="eager")


def layer_compiled(model: Any) -> None:
    model.bert.encoder.layer[0] = torch.compile(model.bert.encoder.layer[0], backend="eager")


def compiled_in_place(model: Any) -> None:
    model.compile(backend="eager")


def part_compiled_in_place(model: Any) -> None:
    model.bert.compile(backend="eager")


def forward_compiled(model: Any) -> None:
    model.forward = torch.compile(model.forward, backend="eager")


@pytest.mark.parametrize(
    "how", [part_compiled, layer_compiled, compiled_in_place, part_compiled_in_place, forward_compiled]
)
def test_a_model_compiled_in_whatever_way_is_explained_as_if_it_were_not(how: Any) -> None:
    model, tokenizer = fresh("bert", "labels")
    right = Explainer(*headed("bert", "labels"))(TEXT, trust="none", target=1)
    how(model)
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    e = Explainer(model, tokenizer)(TEXT, trust="none", target=1)
    assert (e.method, e.value) == (right.method, pytest.approx(right.value, abs=1e-6))
    np.testing.assert_allclose(e.scores, right.scores, atol=1e-6)
    for name, module in model.named_modules():
        assert {key: id(value) for key, value in vars(module).items()} == {
            key: id(v) for key, v in before[name].items()
        }


def test_recorded_programs_are_refused_in_words_or_explained_as_far_as_they_go() -> None:
    model, tokenizer = fresh("bert", "labels")
    inputs = dict(tokenizer([TEXT, TEXT], return_tensors="pt"))
    lengths = {name: {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO} for name in inputs}
    for shapes in (None, lengths):
        made = torch.export.export(copy.deepcopy(model), (), inputs, dynamic_shapes=shapes).module()
        if shapes is None:
            with pytest.raises(ModelError, match="one shape alone"):
                Explainer(made, tokenizer, labels=LABELS)
            continue
        e = Explainer(made, tokenizer, labels=LABELS)(TEXT, trust="none", target=1)
        assert e.value == pytest.approx(float(said(model, tokenizer, TEXT)[1]), abs=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of a way that goes
        recorded = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    with pytest.raises(OptionError, match="TorchScript"):
        Explainer(recorded, tokenizer, labels=LABELS)


# ---- modules of the caller's own ------------------------------------------------------------------------------------------


class Batch(Own):
    def forward(self, batch: Any) -> Tensor:
        return self.inner(**batch).logits


class Named(Own):
    def forward(self, batch: Any) -> Tensor:
        return self.inner(input_ids=batch["input_ids"], attention_mask=batch.attention_mask).logits


class Turned(Own):
    def forward(self, attn_mask: Tensor, tokens: Tensor) -> Tensor:
        return self.inner(input_ids=tokens, attention_mask=attn_mask).logits


class Ids(Own):
    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).logits


class Positional(Own):
    def forward(self, *args: Tensor) -> Tensor:
        return self.inner(*args).logits


class Failing(Own):
    def forward(self, batch: Any) -> Tensor:
        raise ValueError("nothing will do")


@pytest.mark.parametrize("kind", [Batch, Named, Turned, Ids])
@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_a_forward_is_called_with_what_it_takes(kind: Any, method: str) -> None:
    given, plain = kind(), Own()
    right = Explainer(plain.inner, word_piece(), labels=LABELS)(TEXT, trust="none", target=1, method=method)
    e = Explainer(given, word_piece(), labels=LABELS)(TEXT, trust="none", target=1, method=method)
    assert e.value == pytest.approx(right.value, abs=1e-5)
    np.testing.assert_allclose(e.scores, right.scores, atol=1e-4)


def test_a_forward_that_cannot_be_called_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="nothing by name"):
        Explainer(Positional(), word_piece(), labels=LABELS)
    with pytest.raises(ModelError, match="nothing will do"):
        Explainer(Failing(), word_piece(), labels=LABELS)
    model, tokenizer = language_model("Llama")

    class Writer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Tensor) -> Any:
            return self.inner(x)

    with pytest.raises(ModelError, match="takes no input_ids"):
        Explainer((Writer(), tokenizer), task="text-generation")


@pytest.mark.parametrize("method", ["attention_rollout", "raw_attention", "gradient_rollout"])
def test_attention_of_a_module_that_cannot_be_asked_for_it_is_refused_in_words(method: str) -> None:
    with pytest.raises(MethodError, match="output_attentions"):
        Explainer(Own(), word_piece(), labels=LABELS)(TEXT, method=method)


def test_an_image_module_of_the_callers_own_is_called_with_what_it_takes() -> None:
    inner, processor = sees_images()

    class Sees(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).logits.softmax(-1)

    image = picture_of("RGB")
    right = Explainer(inner, processor)(image, target=1, unit="prob", trust="none", method="occlusion", by=(2, 2))
    own = Explainer(Sees(), processor, task="image-classification", labels=LABELS)
    e = own(image, target=1, trust="none", method="occlusion", by=(2, 2))
    assert (e.target.unit, e.value) == ("prob", pytest.approx(right.value, abs=1e-6))
    np.testing.assert_allclose(e.scores, right.scores, atol=1e-5)


def test_a_pipeline_whose_own_task_is_named_keeps_its_settings():
    model, tokenizer = headed("bert", "tokens")
    pipe = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="max", device="cpu")
    alone = Explainer(pipe).task
    assert alone.group == "max"
    assert Explainer(pipe, task="token-classification").task == Explainer(pipe, task="ner").task == alone
