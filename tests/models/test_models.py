"""Every architecture answers as the model itself does, alone or in any batch, and stays as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from transformers import ByT5Tokenizer, pipeline

import saywhy
from conftest import ARCHITECTURES, TEXTS, tiny, word_piece
from saywhy.core.errors import InputError, MethodError, ModelError, OptionError
from saywhy.models.load import ModelSource, adapt
from saywhy.models.protocol import EncodingOptions
from saywhy.models.text.tokens import found_again


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_predictions_equal_the_models_own_and_the_pipelines(name):
    model, tokenizer = tiny(name)
    explainer = saywhy.Explainer(model, tokenizer)
    found = explainer(TEXTS, method="random")
    pipe = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    for text, e in zip(TEXTS, found, strict=True):
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        i = int(logits.argmax())
        assert e.target.index == (i,)
        assert e.value == pytest.approx(float(logits[i]), abs=1e-5)
        best = max(pipe([text])[0], key=lambda row: row["score"])
        assert e.prediction == best["label"]
        assert e.probability == pytest.approx(best["score"], abs=1e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_integrated_gradients_and_shapley_share_both_ends(name):
    """One reference point: both sum to value - base of the same two numbers, for every architecture."""
    model, tokenizer = tiny(name)
    explainer = saywhy.Explainer(model, tokenizer)
    text = "a dull movie, not good at all"
    for absent in explainer.model.absences:
        shapley = explainer(text, method="shapley_sampling", permutations=2, absent=absent)
        assert abs(shapley.gap) < 1e-9
        if absent in ("drop", "hide"):
            continue
        ig = explainer(text, method="integrated_gradients", absent=absent, target=shapley.target.index[0], budget=400)
        assert (ig.value, ig.base) == pytest.approx((shapley.value, shapley.base), abs=1e-5)
        assert abs(ig.gap) < 0.02 * np.abs(ig.scores).sum() + 1e-5, (absent, ig.notes)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("method", ["occlusion", "input_x_gradient"])
def test_a_batch_gives_the_numbers_of_one_alone(name, method):
    model, tokenizer = tiny(name)
    explainer = saywhy.Explainer(copy.deepcopy(model).double(), tokenizer)  # so that no rounding hides a wrong mask
    together = explainer(TEXTS, method=method, target=1)
    for text, e in zip(TEXTS, together, strict=True):
        alone = explainer(text, method=method, target=1)
        np.testing.assert_allclose(e.scores, alone.scores, atol=1e-9 * max(1.0, np.abs(alone.scores).max()))
        assert e.value == pytest.approx(alone.value, abs=1e-9)


@pytest.mark.parametrize("name", ["bert", "gpt2", "bart", "modernbert"])
def test_dropping_a_token_is_the_model_without_that_id(name):
    model, tokenizer = tiny(name)
    text = "I also kinda dislike you"
    e = saywhy.Explainer(model, tokenizer)(text, method="occlusion", absent="drop", by="token")
    ids = tokenizer(text)["input_ids"]
    special = tokenizer(text, return_special_tokens_mask=True)["special_tokens_mask"]
    places = [i for i, s in enumerate(special) if not s]
    assert len(places) == len(e.features)
    for feature, place in enumerate(places):
        kept = torch.tensor([ids[:place] + ids[place + 1 :]])
        with torch.no_grad():
            logit = float(model(input_ids=kept).logits[0, e.target.index[0]])
        assert e.scores[feature] == pytest.approx(e.value - logit, abs=1e-5)


def test_masking_is_the_mask_tokens_id(bert):
    model, tokenizer = bert
    text = "I dislike you"
    e = saywhy.Explainer(model, tokenizer)(text, method="occlusion")
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    owner = np.array([-1, *np.repeat(np.arange(3), [len(tokenizer.tokenize(w)) for w in text.split()]), -1])
    for i in range(3):
        masked = ids.clone()
        masked[0, owner == i] = tokenizer.mask_token_id
        with torch.no_grad():
            logit = float(model(input_ids=masked).logits[0, e.target.index[0]])
        assert e.scores[i] == pytest.approx(e.value - logit, abs=1e-5)


def test_the_zero_embedding_is_zero(bert):
    explainer = saywhy.Explainer(*bert)
    encoding = explainer.model.encode({"text": "I dislike you"}, EncodingOptions(absent="zero"))
    row = encoding.at(np.zeros((1, 3), dtype=bool))[0]
    vectors = explainer.model.embed(row)
    assert (vectors[encoding.owner >= 0] == 0).all()
    assert (vectors[encoding.owner < 0] != 0).any(1).all()


def test_the_model_stays_as_it_was(make):
    model, tokenizer = make()
    model.train()
    model.bert.encoder.layer[0].eval()
    model.classifier.weight.requires_grad_(False)
    flags = [m.training for m in model.modules()]
    asks = [p.requires_grad for p in model.parameters()]
    weights = {name: p.clone() for name, p in model.state_dict().items()}
    vocabulary, config = dict(tokenizer.get_vocab()), model.config.to_dict()
    explainer = saywhy.Explainer(model, tokenizer)

    def interrupted(module, args):
        raise KeyboardInterrupt

    first = explainer(TEXTS[0])
    handle = model.classifier.register_forward_pre_hook(interrupted)
    with pytest.raises(KeyboardInterrupt):
        explainer(TEXTS[0])
    handle.remove()
    assert [m.training for m in model.modules()] == flags
    assert [p.requires_grad for p in model.parameters()] == asks
    assert all(torch.equal(p, weights[name]) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert tokenizer.get_vocab() == vocabulary
    assert model.config.to_dict() == config
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    np.testing.assert_array_equal(explainer(TEXTS[0]).scores, first.scores)  # dropout is off while explaining


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_gradients_work_where_the_caller_switched_them_off(bert, guard):
    explainer = saywhy.Explainer(*bert)
    outside = explainer("I dislike you")
    with guard():
        inside = explainer("I dislike you")
    np.testing.assert_array_equal(inside.scores, outside.scores)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_keep_their_sums(make, dtype):
    model, tokenizer = make()
    precise = saywhy.Explainer(model, tokenizer)("I dislike you", method="shapley_values", target=0)
    half = saywhy.Explainer(model.to(dtype), tokenizer)
    e = half("I dislike you", method="shapley_values", target=0)
    assert abs(e.gap) < 1e-9
    np.testing.assert_allclose(e.scores, precise.scores, atol=0.05 * np.abs(precise.scores).max() + 0.05)
    assert np.isfinite(half("I dislike you", target=0).scores).all()


def test_a_model_that_padding_changes_gets_rows_of_one_length(make):
    model, tokenizer = make()

    def forgetful(module, args, kwargs):
        return args, {**kwargs, "attention_mask": torch.ones_like(kwargs["attention_mask"])}

    lengths = []
    model.register_forward_pre_hook(forgetful, with_kwargs=True)
    explainer = saywhy.Explainer(model, tokenizer)
    assert explainer.model.uniform
    model.register_forward_pre_hook(lambda m, a, k: lengths.append(k["input_ids"].shape), with_kwargs=True)
    together = explainer(TEXTS, method="occlusion", absent="drop", target=0)
    for text, e in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(
            e.scores, explainer(text, method="occlusion", absent="drop", target=0).scores, atol=1e-5
        )
    assert not saywhy.Explainer(*make()).model.uniform
    assert max(rows for rows, _ in lengths) > 1


def test_without_a_padding_token_rows_go_one_at_a_time():
    model, tokenizer = tiny("gpt2-no-pad")
    explainer = saywhy.Explainer(model, tokenizer)
    assert explainer.model.most_rows == 1
    sizes = []
    handle = model.register_forward_pre_hook(lambda m, a, k: sizes.append(len(k["input_ids"])), with_kwargs=True)
    e = explainer("not good at all", method="occlusion")
    handle.remove()
    assert set(sizes) == {1}
    assert any("padding" in note for note in e.notes)


def test_pipelines_tuples_and_folders_are_understood(bert, tmp_path):
    model, tokenizer = bert
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    text = "I dislike you"
    expected = saywhy.Explainer(model, tokenizer)(text, method="occlusion").scores
    for given in (
        (model, tokenizer),
        pipeline("text-classification", model=model, tokenizer=tokenizer),
        str(tmp_path),
        tmp_path,
    ):
        np.testing.assert_allclose(saywhy.Explainer(given)(text, method="occlusion").scores, expected, atol=1e-5)


def test_a_tokenizer_without_offsets_is_aligned_or_refused(bert):
    from transformers import T5Config, T5ForSequenceClassification

    tokenizer = ByT5Tokenizer()
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, decoder_start_token_id=0
    )
    explainer = saywhy.Explainer(T5ForSequenceClassification(config).eval(), tokenizer)
    e = explainer("naïve café 😀!", method="occlusion")
    assert e.words == ("naïve", "café", "😀", "!")
    tokens = explainer("naïve", method="occlusion", by="token")
    assert len(tokens.features) == len("naïve".encode())

    class Opaque(ByT5Tokenizer):
        def convert_tokens_to_string(self, tokens):
            return "?" * len(tokens)

    opaque = saywhy.Explainer(explainer.model.model, Opaque())
    with pytest.raises(InputError, match="offsets"):
        opaque("naïve", method="occlusion")


@pytest.mark.parametrize(
    ("text", "pieces", "spans"),
    [
        ("Café  bar", ["[CLS]", "caf", "##e", "bar"], [None, "Caf", "é", "bar"]),
        ("a 漢字 b", ["a", "[UNK]", "[UNK]", "b"], ["a", "漢", "字", "b"]),
        ("one two, end", ["[UNK]", "[UNK]", ",", "end"], ["one", "two", ",", "end"]),
        ("ends unknown", ["ends", "[UNK]"], ["ends", "unknown"]),
        ("ﾊﾝ", ["ハ", "ン"], ["ﾊ", "ﾝ"]),
        ("abc", ["a", "c"], None),
        ("abc", ["a"], None),
        ("one two three", ["[UNK]", "[UNK]"], None),
    ],
)
def test_pieces_are_found_again_in_a_text(text, pieces, spans):
    found = found_again(text, pieces, [piece == "[CLS]" for piece in pieces], "[UNK]")
    told = found if found is None else [span if span is None else text[slice(*span)] for span in found]
    assert told == spans


class TestRefusals:
    def test_a_model_without_its_tokenizer(self, bert):
        with pytest.raises(OptionError, match="tokenizer"):
            saywhy.Explainer(bert[0])

    def test_a_checkpoint_without_a_head(self, bert, tmp_path):
        bert[0].bert.save_pretrained(tmp_path)
        bert[1].save_pretrained(tmp_path)
        with pytest.raises(ModelError, match="BertModel cannot do text-classification; it can do sentence-similarity"):
            saywhy.Explainer(tmp_path, task="text-classification")
        config = tmp_path / "config.json"
        config.write_text(config.read_text().replace('"BertModel"', '"BertForPreTraining"'))
        with pytest.raises(ModelError, match="no trained head"):
            saywhy.Explainer(tmp_path)

    def test_a_model_of_another_kind(self):
        from transformers import BertConfig, BertForMaskedLM, BertLMHeadModel

        config = BertConfig(
            vocab_size=120, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=37
        )
        with pytest.raises(ModelError, match="cannot do text-classification; it can do fill-mask"):
            saywhy.Explainer(BertForMaskedLM(config), word_piece(), task="text-classification")
        with pytest.raises(ModelError, match="cannot do text-classification; it can do text-generation"):
            saywhy.Explainer(BertLMHeadModel(config), word_piece(), task="text-classification")

    def test_a_name_that_is_nowhere(self, tmp_path):
        with pytest.raises(ModelError, match="There is no folder"):
            saywhy.Explainer(str(tmp_path / "nothing"))
        with pytest.raises(ModelError, match="Could not load"):
            saywhy.Explainer(str(tmp_path))

    def test_something_else(self):
        with pytest.raises(OptionError, match="cannot be of type int"):
            saywhy.Explainer(7)

    def test_wrong_number_of_labels(self, bert):
        with pytest.raises(OptionError, match="2 labels were given"):
            saywhy.Explainer(*bert, labels=["a", "b"])
        assert saywhy.Explainer(*bert, labels=["a", "b", "c"]).model.labels == ("a", "b", "c")

    def test_device_of_the_callers_own_model(self, bert):
        with pytest.raises(OptionError, match="device"):
            saywhy.Explainer(*bert, device="cpu")

    def test_gradients_with_dropped_tokens(self, bert):
        with pytest.raises(MethodError, match="occlusion"):
            saywhy.Explainer(*bert)("I dislike you", method="integrated_gradients", absent="drop")


def test_black_boxes():
    def count(texts):
        return [[0.0, float(t.count("good")) - t.count("bad")] for t in texts]

    explainer = saywhy.Explainer(count, labels=["neg", "pos"])
    e = explainer("good film, good cast, bad end", target="pos")
    assert dict(zip(e.words, e.scores, strict=True)) == pytest.approx(
        {"good": 1, "film": 0, ",": 0, "cast": 0, "bad": -1, "end": 0}, abs=1e-8
    )
    assert (e.value, e.base, e.target.unit) == (1.0, 0.0, "score")
    assert e.gap == pytest.approx(0)
    assert explainer("bad", target="neg", method="occlusion").base == 0
    with pytest.raises(MethodError, match="no gradients"):
        explainer("good", method="integrated_gradients")
    with pytest.raises(OptionError, match="tokens"):
        explainer("good", by="token")


def test_black_boxes_of_the_wrong_shape_or_kind():
    with pytest.raises(OptionError, match="labels="):
        saywhy.Explainer(len)
    with pytest.raises(ModelError, match=r"shape \(1,\)|shape \(2,\)"):
        saywhy.Explainer(lambda texts: [1.0] * len(texts), labels=["a", "b"])("x")
    with pytest.raises(ModelError, match="must return numbers"):
        saywhy.Explainer(lambda texts: [["many"]] * len(texts), labels=["a"])("x")
    with pytest.raises(ModelError, match="nan"):
        saywhy.Explainer(lambda texts: [[float("nan")]] * len(texts), labels=["a"])("x")


def test_black_boxes_see_the_text_with_words_taken_out():
    heard = []

    def spy(texts):
        heard.extend(texts)
        return [[0.0]] * len(texts)

    saywhy.Explainer(spy, labels=["a"])("Ah,  well done!", method="occlusion")
    assert set(heard) == {
        "Ah,  well done!",
        ",  well done!",
        "Ah  well done!",
        "Ah, done!",
        "Ah,  well!",
        "Ah,  well done",
        "",
    }
    heard.clear()
    saywhy.Explainer(spy, labels=["a"], mask_token="…")("Ah,  well", method="occlusion")
    assert set(heard) == {"Ah,  well", "…,  well", "Ah…  well", "Ah,  …", "……  …"}


def test_black_boxes_keep_the_spacing_of_what_stays():
    heard = []

    def spy(texts):
        heard.extend(texts)
        return [[0.0]] * len(texts)

    saywhy.Explainer(spy, labels=["a"])("  good\n bad ", method="occlusion")
    assert set(heard) == {"  good\n bad ", "bad ", "  good ", ""}


def test_nan_logits_are_told_with_the_text(make):
    model, tokenizer = make()
    model.classifier.bias.data[1] = float("nan")
    with pytest.raises(ModelError, match="nan"):
        saywhy.Explainer(model, tokenizer)("I dislike you", target=1)


def test_an_adapter_says_how_features_can_be_absent():
    assert adapt(ModelSource(*tiny("bert"))).absences == ("mask", "pad", "unk", "zero", "drop", "hide")
    assert not {"mask", "hide"} & {
        *adapt(ModelSource(*tiny("gpt2"))).absences
    }  # no mask token; nothing is left to look at
    assert "hide" not in adapt(ModelSource(*tiny("bart"))).absences  # its decoder reads the same ids


QUANTISED = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


@QUANTISED
@pytest.mark.parametrize("name", ["bert", "llama", "t5"])
def test_quantised_models_get_coalitions_and_refuse_gradients(name):
    import copy

    model, tokenizer = tiny(name)
    int8 = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.Linear}, dtype=torch.qint8)
    explainer = saywhy.Explainer(int8, tokenizer)
    with torch.no_grad():
        logit = float(int8(**tokenizer("I dislike you", return_tensors="pt")).logits[0, 0])
    e = explainer("I dislike you", target=0)
    assert e.method == "kernel_shap"
    assert e.value == pytest.approx(logit, abs=1e-5)
    assert abs(e.gap) < 1e-9
    assert np.abs(e.scores).max() > 0
    for method in ("integrated_gradients", "libra", "integrated_rules"):
        with pytest.raises(MethodError, match=r"gives no gradients.*kernel_shap"):
            explainer("I dislike you", method=method, target=0)


def test_a_model_that_refuses_a_backward_pass_is_told_plainly(make):
    model, tokenizer = make()

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise AssertionError("train me first")

    model.classifier.register_forward_pre_hook(lambda module, args: (Forward.apply(args[0]),))
    with pytest.raises(MethodError, match=r"train me first.*kernel_shap"):
        saywhy.Explainer(model, tokenizer)("I dislike you")


def test_gradients_that_are_not_finite_are_refused(make):
    model, tokenizer = make()
    model.classifier.register_forward_pre_hook(lambda module, args: (args[0] + (args[0] * 0).sqrt(),))
    with pytest.raises(ModelError, match=r"not finite.*float32"):
        saywhy.Explainer(model, tokenizer)("I dislike you", method="input_x_gradient")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gpt2", "qwen2"])
def test_half_precision_gives_the_methods_of_full(name, dtype):
    import copy

    model, tokenizer = tiny(name)
    half = saywhy.Explainer(copy.deepcopy(model).to(dtype), tokenizer)
    for method, options in (("occlusion", {}), ("integrated_gradients", {"steps": 4}), ("libra", {})):
        precise = saywhy.Explainer(model, tokenizer)("I dislike you", method=method, target=0, **options).scores
        scores = half("I dislike you", method=method, target=0, **options).scores
        np.testing.assert_allclose(scores, precise, atol=0.1 * np.abs(precise).max() + 0.05)


def test_embeddings_that_are_no_table_of_the_ids():
    """CANINE hashes characters, Longformer fills its input up, I-BERT's table is its own, T5Gemma's decoder has another."""
    from saywhy.selftest.architectures.build import TEXT, words
    from saywhy.selftest.architectures.build import tiny as built

    kinds = {"canine": "Canine", "longformer": "Longformer", "ibert": "IBert", "t5gemma": "T5Gemma"}
    for kind, name in kinds.items():
        model = built(kind, f"{name}ForSequenceClassification", "sequence classification")
        explainer = saywhy.Explainer(model, words("sequence classification"))
        e = explainer(TEXT, target=0)
        assert e.method == "integrated_gradients"
        base = explainer(TEXT, target=0, method="occlusion").base
        assert e.base == pytest.approx(base, abs=1e-5)
        assert abs(e.gap) <= 0.011 * np.abs(e.scores).sum() + 1e-5, name
        assert np.abs(e.scores).max() > 0
