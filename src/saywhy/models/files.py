"""Estimators on disk: skops and ONNX. A pickle runs code while it is read, so it is refused, with how to convert it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..core.errors import FileError, ModelError, missing
from ..core.types import Array

PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill")
ENDINGS = (".skops", ".onnx")


def estimator_file(path: Path) -> bool:
    """Is it the name of a file of an estimator, readable or refused?"""
    return path.suffix.lower() in (*ENDINGS, *PICKLES) and not path.is_dir()


def read_estimator(path: Path) -> object:
    """The estimator in a .skops or .onnx file. Raises FileError, ModelError for pickles and unknown types, MissingError."""
    ending = path.suffix.lower()
    if ending in PICKLES:
        raise ModelError(
            f"{path.name!r} is a pickle, which may run any code while it is read: it is not opened here. Convert it once where "
            "you trust it: import joblib, skops.io; skops.io.dump(joblib.load('model.joblib'), 'model.skops'); or load it "
            "yourself and give the object, Explainer(model)."
        )
    if not path.is_file():
        raise FileError(f"{path}: there is no such file.")
    return _skops(path) if ending == ".skops" else OnnxModel(path)


def _skops(path: Path) -> object:
    """What skops itself trusts: types of scikit-learn, numpy and scipy."""
    try:
        import skops.io
    except ImportError:
        raise missing("skops", "Reading a .skops file", "estimator") from None
    try:
        unknown = skops.io.get_untrusted_types(file=path)
    except Exception as error:  # a damaged file may fail in any way
        raise FileError(f"{path} is no sound skops file: {type(error).__name__}: {error}.") from None
    if unknown:
        raise ModelError(
            f"{path.name!r} holds types that skops does not know to be harmless: {', '.join(unknown[:4])}. Look at them, then "
            f"load it yourself: Explainer(skops.io.load({path.name!r}, trusted=[…]))."
        )
    try:
        return skops.io.load(path)
    except Exception as error:
        raise FileError(f"{path} cannot be read: {type(error).__name__}: {error}.") from None


class OnnxInput(Protocol):
    """What onnxruntime tells of an input of a file."""

    name: str
    type: str  # such as "tensor(float)"
    shape: Sequence[int | str | None]  # a text or None where any size will do


class OnnxModel:
    """An ONNX file as an estimator: of texts, where its one input is strings, or of columns. It runs on the CPU.

    A classifier that was written with `zipmap` gives its labels by name; of others they are numbers from 0.
    """

    def __init__(self, path: Path):
        try:
            import onnxruntime
        except ImportError:
            raise missing("onnxruntime", "Reading an .onnx file", "estimator") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of onnxruntime, whose errors have no common kind
            raise FileError(
                f"{path} could not be opened by onnxruntime: {' '.join(str(error).split())[:200]}."
            ) from None
        self.__name__ = path.name
        self.inputs: dict[str, OnnxInput] = {each.name: each for each in self.session.get_inputs()}
        self.output = self.session.get_outputs()[-1].name  # of a classifier: the labels, then their probabilities
        one = next(iter(self.inputs.values()))
        wide = one.shape[-1] if len(one.shape) == 2 and isinstance(one.shape[-1], int) else 1
        text = len(self.inputs) == 1 and "string" in one.type and wide == 1
        several = len(self.inputs) > 1
        self.n_features_in_ = None if text else len(self.inputs) if several else wide
        if several:
            self.feature_names_in_ = np.array(list(self.inputs))
        self.classes_, self.regression = self._outputs()
        if not self.regression:
            self.predict_proba = self._answer  # an estimator that has it is asked for it

    def _outputs(self) -> tuple[Array | None, bool]:
        """The names of the classes, and whether there are none: from what the file says of its outputs."""
        outputs = self.session.get_outputs()
        if len(outputs) == 1:
            return None, True
        rows = self._run({name: _blank(each) for name, each in self.inputs.items()})
        if isinstance(rows, list) and rows and isinstance(rows[0], Mapping):
            return np.array([str(name) for name in rows[0]]), False
        return np.arange(np.asarray(rows).shape[-1]), False

    def _run(self, given: dict[str, Any]) -> object:
        return self.session.run([self.output], given)[0]

    def _answer(self, batch: object) -> Array:
        """[B, K], float64."""
        rows = self._run(self._given(batch))
        if isinstance(rows, list):  # zipmap: a mapping a row
            return np.array([[row[name] for name in row] for row in rows], dtype=np.float64)
        return np.asarray(rows, dtype=np.float64)

    def predict(self, batch: object) -> Array:
        """What a regression says, [B] or [B, K]."""
        found = self._answer(batch)
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def _given(self, batch: Any) -> dict[str, Any]:
        if len(self.inputs) > 1:
            return {name: _typed(np.asarray(batch[name].tolist())[:, None], each) for name, each in self.inputs.items()}
        [(name, each)] = self.inputs.items()
        rows = batch.to_numpy() if hasattr(batch, "to_numpy") else np.asarray(batch)
        return {name: _typed(rows if rows.ndim == len(each.shape) else rows.reshape(len(rows), -1), each)}


_TYPES: dict[str, Callable[[Any], Any]] = {
    "tensor(string)": lambda rows: rows.astype(str).astype(object),
    "tensor(float)": lambda rows: rows.astype(np.float32),
    "tensor(double)": lambda rows: rows.astype(np.float64),
    "tensor(int64)": lambda rows: rows.astype(np.int64),
}


def _typed(rows: Array, wanted: OnnxInput) -> object:
    """The rows in the type that an input of the file has."""
    if wanted.type not in _TYPES:
        raise ModelError(f"The ONNX input {wanted.name!r} is of the type {wanted.type}; known are {', '.join(_TYPES)}.")
    return _TYPES[wanted.type](rows)


def _blank(wanted: OnnxInput) -> object:
    """One row that says nothing, to see what comes out."""
    shape = [size if isinstance(size, int) and k else 1 for k, size in enumerate(wanted.shape)]
    return _typed(np.full(shape, "a" if "string" in wanted.type else 0), wanted)


__all__ = ["ENDINGS", "PICKLES", "OnnxModel", "estimator_file", "read_estimator"]
