"""The classifier by its name: a tokenizer, a network and a value encoder, trained, asked, saved and loaded."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from ...classifier import TextClassifier, Values
from ...classifier.adapter import ClassifierModel
from ...classifier.network import has_attention
from ...core.errors import FileError, InputError, ModelError, OptionError
from .building import built
from .config import ModelConfig, TrainingConfig
from .running import Labels, answered, checked, labelled, problem_of, trained
from .tokenizers import BaseTokenizer, inner_of, of_ours
from .value_encoder.value_encoder import ValueEncoder, encoder_from_json, encoder_to_json

CARD = "torch_text_classifiers.json"


class torchTextClassifiers:  # noqa: N801
    """A text classifier by their names. `classifier` is the saywhy classifier within, and `saywhy.Explainer` takes it."""

    def __init__(
        self,
        tokenizer: BaseTokenizer,
        model_config: ModelConfig,
        ragged_multilabel: bool = False,
        value_encoder: ValueEncoder | None = None,
    ):
        if not tokenizer.trained:
            raise ModelError(f"The {type(tokenizer).__name__} must be trained before the classifier is made.")
        sizes = model_config.categorical_vocabulary_sizes if value_encoder is None else value_encoder.vocabulary_sizes
        classes = model_config.num_classes if value_encoder is None else value_encoder.num_classes
        if not isinstance(classes, int):
            raise OptionError(
                "num_classes must be given where there is no value_encoder, as one number; for several levels build "
                "contrib.MultiLevelTextClassificationModel and use from_model."
            )
        self.model_config = model_config
        network = built(tokenizer, model_config, classes, sizes)
        self._hold(tokenizer, network, classes, sizes, value_encoder, ragged_multilabel)
        self.enable_label_attention = model_config.n_heads_label_attention is not None
        self.embedding_dim = model_config.embedding_dim
        self.token_embedder, self.sentence_embedder = network.token_embedder, network.sentence_embedder
        self.classification_head = network.classification_head

    @classmethod
    def from_model(
        cls,
        tokenizer: BaseTokenizer,
        pytorch_model: nn.Module,
        value_encoder: ValueEncoder | None = None,
        ragged_multilabel: bool = False,
    ) -> torchTextClassifiers:
        """A classifier around the caller's own network.

        It has forward(input_ids, attention_mask, categorical_vars) -> logits (or a list of them, a level each), `num_classes`
        and `categorical_variable_net` (or None).
        """
        made = cls.__new__(cls)
        made.model_config, made.enable_label_attention = None, has_attention(pytorch_model)
        net: Any = getattr(pytorch_model, "categorical_variable_net", None)
        sizes = None if net is None else list(net.categorical_vocabulary_sizes)
        classes: Any = getattr(pytorch_model, "num_classes", None)
        if classes is None:
            raise OptionError("The model must tell its classes: an attribute num_classes, a number or a list of them.")
        made._hold(tokenizer, pytorch_model, classes, sizes, value_encoder, ragged_multilabel)
        return made

    model_config: ModelConfig | None

    def _hold(
        self,
        tokenizer: BaseTokenizer,
        network: nn.Module,
        classes: int | list[int],
        sizes: list[int] | None,
        encoder: ValueEncoder | None,
        ragged: bool,
    ) -> None:
        self.tokenizer, self.pytorch_model, self.value_encoder = tokenizer, network, encoder
        self.num_classes, self.categorical_vocabulary_sizes, self.ragged_multilabel = classes, sizes, ragged
        self.categorical_var_net = getattr(network, "categorical_variable_net", None)
        self.vocab_size = tokenizer.vocab_size
        self.lightning_module = self.checkpoint_path = None  # nothing of a run is kept
        self.save_path: str | None = None
        self._problem = "multi-label" if ragged else "multi-class"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.pytorch_model.parameters()).device

    @property
    def coded(self) -> TextClassifier:
        """The saywhy classifier within, its labels and categorical values as the numbers that stand for them."""
        classes = self.num_classes if isinstance(self.num_classes, list) else [self.num_classes]
        names = [f"level {i}" for i in range(len(classes))] if len(classes) > 1 else ["label"]
        levels = tuple(Values(name, tuple(range(size))) for name, size in zip(names, classes, strict=True))
        names = [v.column for v in self.value_encoder.variables] if self.value_encoder else []
        sizes = self.categorical_vocabulary_sizes or []
        names = names or [f"column {i + 1}" for i in range(len(sizes))]
        variables = tuple(Values(name, tuple(range(size))) for name, size in zip(names, sizes, strict=True))
        return TextClassifier(inner_of(self.tokenizer), self.pytorch_model, levels, variables, self._problem)

    @property
    def classifier(self) -> TextClassifier:
        """The saywhy classifier within, with the value encoder's own labels and values."""
        if self.value_encoder is None:
            return self.coded
        own = self.value_encoder
        levels = [replace(level, column=held.column) for level, held in zip(own.levels, self.coded.levels, strict=True)]
        return replace(self.coded, levels=tuple(levels), variables=own.variables)

    def adapter(self) -> ClassifierModel:
        """What `saywhy.Explainer` asks for."""
        return ClassifierModel(self.classifier)

    def train(
        self,
        X_train: ArrayLike,  # noqa: N803
        y_train: Labels,
        *more: object,
        training_config: TrainingConfig | None = None,
        X_val: ArrayLike | None = None,  # noqa: N803
        y_val: Labels | None = None,
        verbose: bool = False,
    ) -> None:
        """Train in place, and end with the best weights.

        After the labels come `training_config, X_val, y_val, verbose`, or `X_val, y_val, training_config`, as their manual
        and their tutorials have it. What was trained is saved in the configuration's `save_path`, unless that is None.
        """
        if more and isinstance(more[0], TrainingConfig):
            named = ("training_config", "X_val", "y_val", "verbose")
        else:
            named = ("X_val", "y_val", "training_config", "verbose")
        given: dict[str, Any] = {"training_config": training_config, "X_val": X_val, "y_val": y_val, "verbose": verbose}
        given |= dict(zip(named, more, strict=False))
        config: Any = given["training_config"]
        if not isinstance(config, TrainingConfig) or len(more) > len(named):
            raise OptionError("train(X_train, y_train, training_config, X_val=None, y_val=None, verbose=False).")
        if (given["X_val"] is None) != (given["y_val"] is None):
            raise InputError("X_val and y_val are given together or not at all.")
        labels = labelled(self, y_train, config)
        self._problem = problem_of(self, labels, config)
        texts, columns = checked(self, X_train, config.raw_categorical_inputs)
        held = None
        if given["X_val"] is not None:
            held_texts, held_columns = checked(self, given["X_val"], config.raw_categorical_inputs)
            held = (held_texts, labelled(self, given["y_val"], config), held_columns)
        trained(self, (texts, labels, columns), held, config, bool(given["verbose"]))
        if config.save_path is not None:
            self._keep(config.save_path)

    def _keep(self, path: str) -> None:
        """Save what was trained; where that cannot be done as plain data, a warning, and the training is not lost."""
        try:
            self.save(path)
        except ModelError as error:
            warnings.warn(
                f"The trained classifier was not saved in {path!r}: {error} It is in memory; with save_path=None "
                "nothing is written.",
                UserWarning,
                stacklevel=3,
            )
        else:
            self.save_path = path

    def predict(
        self,
        X_test: ArrayLike,  # noqa: N803
        raw_categorical_inputs: bool = True,
        top_k: int = 1,
        explain_with_label_attention: bool = False,
        explain_with_captum: bool = False,
        device: str | None = None,
    ) -> dict[str, Any]:
        """{"prediction", "confidence"} [N, top_k], for several levels [N, top_k, levels], and explanations if asked for.

        "prediction" is an int64 tensor, or an array of labels with a value encoder. For several labels a text both are the
        independent probabilities [N, C]. With an explain flag also "captum_attributions" [N, top_k, T] (integrated
        gradients of the logit; sums to its change from a baseline of unknown tokens), "label_attention_attributions"
        [N, H, C, T], "offset_mapping" [N, T, 2] and "word_ids" [N, T]. `device` moves the network; None leaves it.
        """
        if explain_with_label_attention and not self.enable_label_attention:
            raise ModelError(
                "Label attention explainability is enabled, but the model was not configured with label attention. "
                "Set n_heads_label_attention in ModelConfig and train again."
            )
        texts, columns = checked(self, X_test, raw_categorical_inputs)
        if device is not None:
            self.pytorch_model.to(device)
        flags = (explain_with_captum, explain_with_label_attention)
        return answered(self, texts, columns, top_k, flags)

    def predict_proba(self, X_test: ArrayLike, raw_categorical_inputs: bool = True) -> NDArray[np.float32]:  # noqa: N803
        """float32 array [N, C]: every class's probability."""
        return self.coded.predict_proba(*checked(self, X_test, raw_categorical_inputs))

    def save(self, path: str | Path) -> None:
        """Write a folder of JSON and safetensors, trained or not; `saywhy explain --model` reads it too."""
        self.classifier.save(path)
        config = None if self.model_config is None else self.model_config.to_dict()
        card = {
            "model_config": config,
            "ragged_multilabel": self.ragged_multilabel,
            "value_encoder": encoder_to_json(self.value_encoder),
            "output_dim": self.tokenizer.output_dim,
        }
        (Path(path) / CARD).write_text(json.dumps(card, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(
        cls, path: str | Path, device: str = "auto", *, allow_code: bool = False, pytorch_model: nn.Module | None = None
    ) -> torchTextClassifiers:
        """The classifier in a folder; nothing in it is run.

        A network of the caller's own is imported by its path only with `allow_code`; or give a fresh one as `pytorch_model`.
        """
        folder = Path(path)
        if not (folder / CARD).is_file():
            raise FileNotFoundError(f"{str(folder)!r} holds no classifier: there is no {CARD} in it.")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        held = TextClassifier.load(folder, allow_code=allow_code, network=pytorch_model, device=device)
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            config = card["model_config"] and ModelConfig.from_dict(card["model_config"])
            encoder = encoder_from_json(card["value_encoder"])
            tokenizer = of_ours(held.tokenizer, card["output_dim"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{str(folder / CARD)!r} is damaged: {type(error).__name__} {error}") from error
        made = cls.from_model(tokenizer, held.network, encoder, bool(card["ragged_multilabel"]))
        made.model_config, made._problem = config, held.problem
        made.enable_label_attention = (
            config.n_heads_label_attention is not None if config else made.enable_label_attention
        )
        for name in ("token_embedder", "sentence_embedder", "classification_head"):
            if hasattr(held.network, name):
                setattr(made, name, getattr(held.network, name))
        return made

    def __repr__(self) -> str:
        return f"<torchTextClassifiers: {self.num_classes} classes, {type(self.pytorch_model).__name__}>"
