"""The classifier as a whole: predictions in any order and number, and its folder."""

from __future__ import annotations

import json
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from opinions import opinions
from saywhy.classifier import Architecture, TextClassifier, Values, hugging_face, ngrams, prediction, word_piece
from saywhy.core.errors import FileError, InputError, ModelError, OptionError

TEXTS, _, COUNTRIES = opinions()
LEVEL, COUNTRY = Values("label", ("bad", "good", "so-so")), Values("country", ("DE", "FR", "IT"))
SMALL = Architecture(width=16, label_heads=2, layers=1, heads=2)


def untrained(tokenizer=None, levels=(LEVEL,), variables=(), **more):
    made = TextClassifier.new(tokenizer or word_piece(TEXTS), levels, variables, architecture=SMALL, seed=3, **more)
    with torch.no_grad():
        for p in made.network.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    return made


class Counting(nn.Module):
    """A caller's own network."""

    def __init__(self, size: int, width: int = 4):
        super().__init__()
        self.size, self.width = size, width
        self.table = nn.Embedding(size, width)
        self.head = nn.Linear(width, 3)

    def forward(self, ids, mask, codes=None):
        return self.head((self.table(ids) * mask[..., None]).sum(1))

    def settings(self):
        return {"size": self.size, "width": self.width}


class Stubborn(Counting):
    settings = None


# ---- prediction ----------------------------------------------------------------------------------------------------


def test_probabilities_are_the_networks_own_alone_and_in_any_batch():
    made = untrained()
    found = made.predict_proba(TEXTS[:40])
    assert found.shape == (40, 3)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    for text, row in zip(TEXTS[:5], found, strict=False):
        ids = torch.tensor(made.tokenizer.ids([text]))
        expected = made.network(ids, torch.ones_like(ids)).softmax(-1)[0]
        np.testing.assert_allclose(row, expected.detach().numpy(), atol=1e-5)
    assert not np.array_equal(found, found.round(2))


def test_top_k_is_the_best_first():
    made = untrained()
    found, every = made.predict(TEXTS[:9], top_k=2), made.predict_proba(TEXTS[:9])
    order = np.argsort(-every, axis=1)[:, :2]
    assert found.labels.tolist() == [[LEVEL.known[i] for i in row] for row in order]
    np.testing.assert_allclose(found.probabilities, np.take_along_axis(every, order, 1))
    for wrong in (0, 4, True, 1.5):
        with pytest.raises(OptionError, match="from 1 to 3"):
            made.predict(TEXTS[:1], top_k=wrong)


def test_predictions_stream_in_constant_memory(monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK", 64)
    made, most = untrained(variables=(COUNTRY,)), 0

    def texts(count):
        nonlocal most
        for i in range(count):
            most = max(most, i)
            yield TEXTS[i % 240]

    def peak(count):
        tracemalloc.start()
        found = made.predict(texts(count), {"country": (COUNTRIES[i % 240] for i in range(count))})
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, size

    made.predict(TEXTS[:3], {"country": COUNTRIES[:3]})
    few, small = peak(240)
    many, large = peak(2400)
    assert large < small + 2400 * 200  # the answers alone
    assert np.array_equal(many.labels[-240:], few.labels)
    np.testing.assert_allclose(many.probabilities[-240:], few.probabilities, atol=1e-6)


def test_a_chunk_is_read_only_when_it_is_needed(monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK", 8)
    stream = prediction.answers(untrained(), (TEXTS[i] if i < 10 else pytest.fail("read ahead") for i in range(240)))
    assert next(stream).shape == (8, 3)


def test_the_network_keeps_its_mode_and_no_graph_is_kept():
    made = untrained()
    made.network.train()
    [logits] = prediction.answers(made, TEXTS[:3])
    assert made.network.training
    assert not logits.requires_grad


def test_nothing_to_predict_and_empty_texts():
    made = untrained()
    assert made.predict([]).labels.shape == (0, 1)
    assert made.predict_proba([]).shape == (0, 3)
    assert made.predict_sets([]) == []
    assert made.predict(["", "   "]).labels.shape == (2, 1)
    assert untrained(ngrams(TEXTS, buckets=50)).predict(["", " "]).labels.shape == (2, 1)


def test_bad_rows_are_refused_by_their_number(monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK", 8)
    made = untrained(variables=(COUNTRY,))
    good = {"country": COUNTRIES}
    with pytest.raises(InputError, match="row 11 is not a string"):
        made.predict([*TEXTS[:11], None, *TEXTS[12:]], good)
    with pytest.raises(InputError, match=r"Column 'country', row 20: unknown value 'Fr'\. Did you mean 'FR'"):
        made.predict(TEXTS, {"country": [*COUNTRIES[:20], "Fr", *COUNTRIES[21:]]})
    with pytest.raises(InputError, match="'country' is missing"):
        made.predict(TEXTS)
    with pytest.raises(OptionError, match="Did you mean 'country'"):
        made.predict(TEXTS, {**good, "contry": COUNTRIES})
    with pytest.raises(InputError, match="not as many values of 'country'"):
        made.predict(TEXTS, {"country": COUNTRIES[:-1]})
    with pytest.raises(InputError, match="not as many values of 'country'"):
        made.predict(TEXTS[:-1], good)
    with pytest.raises(InputError, match="one string"):
        made.predict("text")


def test_label_attention_of_many_texts():
    made = untrained()
    for text, each in zip(TEXTS[:40], prediction.maps(made, TEXTS[:40]), strict=True):
        assert each.shape == (2, 3, len(made.tokenizer.ids([text])[0]))
        torch.testing.assert_close(each.sum(-1), torch.ones(2, 3))


# ---- values --------------------------------------------------------------------------------------------------------


def test_values_there_and_back():
    assert Values.of("x", np.array(["b", "a", "b"])).known == ("a", "b")
    whole = Values.of("x", np.array([3, 1, 3]))
    assert whole.known == (1, 3)
    assert whole.encode([1, np.int64(3)]).tolist() == [0, 1]
    assert whole.decode([[0], [1]]).tolist() == [[1], [3]]
    mixed = Values.of("x", [True, 1, "1"])
    assert len(mixed) == 3
    assert mixed.decode(mixed.encode(["1", 1, True])).tolist() == ["1", 1, True]
    for value in (1.5, None, ["a"]):
        with pytest.raises(InputError, match="Column 'x', row 1"):
            Values.of("x", ["a", value])
    with pytest.raises(InputError, match="unknown value"):
        whole.encode([[1]])
    with pytest.raises(OptionError, match="differ"):
        Values("x", ("a", "a"))


# ---- the folder ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", ["word_piece", "ngrams", "hugging_face"])
def test_a_saved_classifier_predicts_the_same_trained_or_not(tokenizer, tmp_path):
    from conftest import word_piece as bert_like

    kinds = {
        "word_piece": lambda: word_piece(TEXTS, longest=9),
        "ngrams": lambda: ngrams(TEXTS, buckets=99),
        "hugging_face": lambda: hugging_face(bert_like()),
    }
    levels = (LEVEL, Values("section", (1, 2)))
    made = untrained(kinds[tokenizer](), levels, (COUNTRY,))
    folder = made.save(tmp_path / "new" / "model")
    again = TextClassifier.load(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["saywhy.json", "weights.safetensors"]
    assert (again.levels, again.variables, again.problem) == (made.levels, made.variables, made.problem)
    beside = {"country": COUNTRIES[:20]}
    first, second = (each.predict_levels(TEXTS[:20], beside, top_k=2) for each in (made, again))
    for name in ("label", "section"):
        assert np.array_equal(first[name].probabilities, second[name].probabilities)
        assert np.array_equal(first[name].labels, second[name].labels)
    made.save(folder)  # over itself


def test_one_level_is_not_saved_alone(tmp_path):
    with pytest.raises(OptionError, match="save the whole"):
        untrained(levels=(LEVEL, COUNTRY)).level("label").save(tmp_path / "m")


def test_the_callers_network_is_imported_only_when_that_is_allowed(tmp_path):
    pieces = word_piece(TEXTS)
    made = TextClassifier(pieces, Counting(pieces.size, 6), (LEVEL,))
    folder = made.save(tmp_path / "m")
    with pytest.raises(OptionError, match="allow_code=True"):
        TextClassifier.load(folder)
    for again in (
        TextClassifier.load(folder, allow_code=True),
        TextClassifier.load(folder, network=Counting(pieces.size, 6)),
    ):
        assert np.array_equal(again.predict_proba(TEXTS[:9]), made.predict_proba(TEXTS[:9]))
    with pytest.raises(FileError, match="do not fit"):
        TextClassifier.load(folder, network=Counting(pieces.size, 7))
    stubborn = TextClassifier(pieces, Stubborn(pieces.size), (LEVEL,)).save(tmp_path / "s")
    with pytest.raises(ModelError, match="settings"):
        TextClassifier.load(stubborn, allow_code=True)
    assert TextClassifier.load(stubborn, network=Stubborn(pieces.size)).predict(["x"]).labels.shape == (1, 1)


@pytest.mark.parametrize("path", ["os:system", "pathlib:Path", "no.such.module:Net", "test_classifier:Gone"])
def test_a_path_that_is_no_network_is_refused_even_when_allowed(path, tmp_path):
    folder = untrained().save(tmp_path / "m")
    card = json.loads((folder / "saywhy.json").read_text())
    card["network"] = {"kind": "code", "path": path, "settings": {}}
    (folder / "saywhy.json").write_text(json.dumps(card))
    with pytest.raises(OptionError, match="outside saywhy"):
        TextClassifier.load(folder)
    with pytest.raises(ModelError, match=r"is no network|cannot be imported"):
        TextClassifier.load(folder, allow_code=True)


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("a planted file was unpickled",))


def test_planted_pickles_are_never_touched(tmp_path):
    folder = untrained().save(tmp_path / "m")
    planted = pickle.dumps(Payload())
    for name in ("metadata.pkl", "tokenizer.pkl", "value_encoder.pkl", "pytorch_model.bin", "model_checkpoint.ckpt"):
        (folder / name).write_bytes(planted)
    TextClassifier.load(folder, allow_code=True)
    (folder / "weights.safetensors").write_bytes(planted)
    with pytest.raises(FileError, match="damaged or half saved"):
        TextClassifier.load(folder)
    (folder / "saywhy.json").write_bytes(planted)
    with pytest.raises(FileError, match="damaged"):
        TextClassifier.load(folder)


def test_damaged_newer_and_missing_folders(tmp_path):
    folder = untrained().save(tmp_path / "m")
    card = json.loads((folder / "saywhy.json").read_text())

    def written(**changes):
        (folder / "saywhy.json").write_text(json.dumps({k: v for k, v in {**card, **changes}.items() if v is not None}))

    for changes, said in (
        ({"version": 2}, "format version 2.*up to 1"),
        ({"version": "x"}, "format version 'x'"),
        ({"format": "other"}, "not written by saywhy"),
        ({"levels": None}, "lacks the field 'levels'"),
        ({"levels": [1]}, r"levels\[0\].*holds 1, where an object belongs"),
        ({"network": {**card["network"], "settings": {}}}, "damaged: KeyError"),
        ({"tokenizer": {"kind": "abacus"}}, "abacus"),
    ):
        written(**changes)
        with pytest.raises(FileError, match=said):
            TextClassifier.load(folder)
    written()
    TextClassifier.load(folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(FileError, match=r"no weights\.safetensors"):
        TextClassifier.load(folder)
    with pytest.raises(FileError, match="no classifier"):
        TextClassifier.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="is a file"):
        untrained().save(tmp_path / "file")


def test_a_save_that_fails_leaves_the_old_folder_whole(tmp_path, monkeypatch):
    import saywhy.classifier.files as files

    folder = untrained().save(tmp_path / "m")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(files.Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        untrained().save(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
