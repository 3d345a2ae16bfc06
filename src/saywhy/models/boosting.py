"""What XGBoost, LightGBM and CatBoost tell of a fitted model in ways of their own, and boosters that have no frames."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

SEVERAL_LABELS = ("MultiLogloss", "MultiCrossEntropy")  # CatBoost's losses of labels that do not exclude each other


def library_of(model: object) -> str:
    """The library that a model is of: "lightgbm", "xgboost", "catboost" or another; also of its subclasses."""
    of = model.booster if isinstance(model, MatrixBooster) else model
    known = (each.__module__.split(".")[0] for each in type(of).__mro__)
    return next((name for name in known if name in ("lightgbm", "xgboost", "catboost")), "")


class MatrixBooster:
    """A Booster of XGBoost, which reads its own matrices alone, as an estimator of data frames."""

    def __init__(self, booster: Any):
        self.booster, self.__name__ = booster, type(booster).__name__
        if booster.feature_names is not None:
            self.feature_names_in_ = np.array(booster.feature_names, dtype=object)
        else:
            with suppress(Exception):  # of one that was not trained
                self.n_features_in_ = int(booster.num_features())

    def predict(self, batch: object) -> object:
        """What it answers for these rows, with its own objective."""
        matrix = importlib.import_module("xgboost").DMatrix
        types = None if hasattr(batch, "columns") else self.booster.feature_types
        return self.booster.predict(matrix(batch, feature_types=types, enable_categorical=True))


def as_estimator(model: object) -> object:
    """The model, with the methods of an estimator where it is a Booster of XGBoost."""
    matrices = library_of(model) == "xgboost" and hasattr(model, "num_features") and not hasattr(model, "get_params")
    return MatrixBooster(model) if matrices else model


def own_names(model: object) -> Sequence[str] | None:
    """The names of its columns, where it tells them otherwise than scikit-learn does; those of LightGBM have no blanks."""
    names: Sequence[str] | None = getattr(model, "feature_names_", None) if library_of(model) == "catboost" else None
    told = getattr(model, "feature_name", None)  # of a Booster of LightGBM
    return told() if names is None and callable(told) else names


def own_categories(model: object) -> list[int]:
    """The places of the columns that it reads as categories, as it was told to, or as their type said."""
    library = library_of(model)
    inner: Any = _booster(model) if library else None
    if library == "catboost":
        return [int(i) for i in inner.get_cat_feature_indices() or ()]
    if library == "lightgbm":
        lines = inner.model_to_string(num_iteration=1).splitlines()
        told = next((line for line in lines if line.startswith("[categorical_feature:")), "[:]")
        return [int(i) for i in told.strip("[]").partition(":")[2].split(",") if i.strip().isdigit()]
    types: Any = getattr(inner, "feature_types", None) or ()
    return [i for i, kind in enumerate(types) if kind == "c"]


def own_texts(model: Any) -> list[int]:
    """The places of the columns that CatBoost reads as texts."""
    return [int(i) for i in model.get_text_feature_indices() or ()] if library_of(model) == "catboost" else []


def own_dtypes(model: object, columns: Sequence[str]) -> dict[str, Any]:
    """The categories of the columns that were categories in the frame it was fitted on, as types of pandas."""
    library = library_of(model)
    inner: Any = _booster(model) if library else None
    found: dict[str, Any] = {}
    if library == "lightgbm":
        known = inner.pandas_categorical or []
        places = own_categories(model)[: len(known)]
        found = dict(zip((columns[i] for i in places), known, strict=True)) if len(places) == len(known) else {}
    elif library == "xgboost" and own_categories(model):
        with suppress(Exception):  # of a version that does not keep them, or without Arrow
            told = inner.get_categories(export_to_arrow=True).to_arrow()
            found = {str(name): names.to_pylist() for name, names in told if names is not None}
    if not found:
        return {}
    import pandas as pd

    return {name: pd.CategoricalDtype(names) for name, names in found.items() if name in columns}


def several_labels(model: Any) -> int:
    """How many labels it has that do not exclude each other; 0 of any other model."""
    if library_of(model) == "catboost" and model.get_all_params().get("loss_function") in SEVERAL_LABELS:
        return len(model.classes_)
    if library_of(model) == "xgboost" and getattr(model, "n_classes_", 0) == 2:
        told = json.loads(_booster(model).save_config())["learner"]["learner_model_param"]
        return many if (many := int(told.get("num_target", 1))) > 1 else 0
    return 0


def _booster(model: Any) -> Any:
    """The Booster within a model of LightGBM or XGBoost; a model of CatBoost is its own."""
    if isinstance(model, MatrixBooster):
        return model.booster
    return model.get_booster() if hasattr(model, "get_booster") else getattr(model, "booster_", model)
