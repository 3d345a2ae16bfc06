"""torchTextClassifiers' module paths, its default folder, and the errors that its components raise."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from saywhy.compat.torch_text_classifiers import ModelConfig, TrainingConfig, torchTextClassifiers
from saywhy.compat.torch_text_classifiers.model import components
from saywhy.compat.torch_text_classifiers.tokenizers import BaseTokenizer, TokenizerOutput, WordPieceTokenizer

PACKAGE = "saywhy.compat.torch_text_classifiers."
TEXTS = ["a good film", "a bad film", "good", "bad and long"] * 4
CODES = np.array([1, 0, 1, 0] * 4)


def config(**more):
    return TrainingConfig(num_epochs=1, batch_size=8, lr=1e-2, **more)


def classifier(tokenizer=None, **more):
    if tokenizer is None:
        tokenizer = WordPieceTokenizer(60, output_dim=6)
        tokenizer.train(TEXTS)
    return torchTextClassifiers(tokenizer, ModelConfig(embedding_dim=8, num_classes=2, **more))


@pytest.mark.parametrize(
    ("module", "package", "names"),
    [
        ("tokenizers.base", "tokenizers", ("BaseTokenizer", "HuggingFaceTokenizer", "TokenizerOutput", "HAS_HF")),
        ("tokenizers.ngram", "tokenizers", ("NGramTokenizer",)),
        ("tokenizers.WordPiece", "tokenizers", ("WordPieceTokenizer",)),
        ("model.model", "model", ("TextClassificationModel",)),
        ("model.lightning", "model", ("TextClassificationModule",)),
        ("dataset.dataset", "dataset", ("TextClassificationDataset",)),
        ("value_encoder.value_encoder", "value_encoder", ("DictEncoder", "ValueEncoder")),
        ("contrib.multilevel", "contrib", ("MultiLevelTextClassificationModel", "MultiLevelCrossEntropyLoss")),
    ],
)
def test_every_name_at_its_place(module, package, names):
    place, above = (importlib.import_module(PACKAGE + name) for name in (module, package))
    for name in names:
        assert getattr(place, name) is getattr(above, name)


class TestFolder:
    def test_the_default_folder_is_loaded_as_there(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert config().save_path == "my_ttc"
        made = classifier()
        made.train(np.array(TEXTS), CODES, config())
        assert made.save_path == "my_ttc"
        again = made.load(made.save_path)
        given = np.array(TEXTS[:4])
        torch.testing.assert_close(again.predict(given)["confidence"], made.predict(given)["confidence"])
        assert [path.name for path in tmp_path.iterdir()] == ["my_ttc"]

    def test_what_cannot_be_saved_is_trained_all_the_same(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        class Words(BaseTokenizer):
            def __init__(self):
                super().__init__(40, 0)

            def tokenize(self, text, return_offsets_mapping=False, return_word_ids=False):
                texts = [text] if isinstance(text, str) else list(text)
                ids = nn.utils.rnn.pad_sequence(
                    [torch.tensor([1 + sum(map(ord, word)) % 39 for word in t.split()]) for t in texts],
                    batch_first=True,
                )
                return TokenizerOutput(ids, (ids > 0).long())

        made = classifier(Words())
        with pytest.warns(UserWarning, match="was not saved in 'my_ttc'"):
            made.train(np.array(TEXTS), CODES, config())
        assert made.save_path is None
        assert made.predict(np.array(TEXTS[:2]))["prediction"].shape == (2, 1)
        made.train(np.array(TEXTS), CODES, config(save_path=None))
        assert list(tmp_path.iterdir()) == []


class TestErrors:
    def test_a_category_out_of_range_names_its_column(self):
        for dims, joining in (([3, 6], None), (8, None), (None, 16)):
            net = components.CategoricalVariableNet([4, 5], dims, joining)
            assert net(torch.tensor([[3, 4], [0, -1]])).shape[0] == 2
            with pytest.raises(ValueError, match=r"Column 1, row 1: the code 5 .*\[0, 4\]"):
                net(torch.tensor([[3, 4], [0, 5]]))
            with pytest.raises(ValueError, match="Column 0, row 0: the code -2"):
                net(torch.tensor([[-2.0, 4.0]]))
            with pytest.raises(ValueError, match=r"\[N, 2\]"):
                net(torch.tensor([[1, 2, 3]]))

    def test_shapes_that_do_not_fit(self):
        embedder = components.TokenEmbedder(components.TokenEmbedderConfig(20, 8, 0))
        with pytest.raises(ValueError, match=r"\(2, 3\) and attention_mask \(2, 4\)"):
            embedder(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 4, dtype=torch.long))
        sentence = components.SentenceEmbedder(components.SentenceEmbedderConfig())
        with pytest.raises(ValueError, match="rows and positions"):
            sentence(torch.ones(2, 3, 8), torch.ones(2, 4))


def test_a_tokenizer_by_its_members_alone():
    from unittest.mock import Mock

    tokenizer = Mock(vocab_size=50, padding_idx=1, output_vectorized=False, output_dim=6)
    made = classifier(tokenizer, categorical_vocabulary_sizes=[4, 5], categorical_embedding_dims=[3, 4])
    assert made.token_embedder.embedding_layer.weight.shape == (50, 8)
    assert made.classification_head.input_dim == 8 + 3 + 4
