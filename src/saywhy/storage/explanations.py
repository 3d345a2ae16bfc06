"""To files and back: JSON with a format version, Arrow tables, and the renderings by file ending."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import FileError, OptionError, missing
from ..core.explanation import Explanation, Explanations, Interactions, Trust
from ..core.types import Cost, Feature, Picture, Target
from .atomic import write
from .manifest import Kind, checked, list_of, object_of, of_type, read_json
from .paths import as_path, output_file

if TYPE_CHECKING:
    import pandas
    import pyarrow

FORMAT = "saywhy.explanations"
VERSION = 1
COLUMNS = (
    *("explanation", "text", "prediction", "target", "unit", "method", "value", "base", "gap"),
    *("feature", "label", "part", "start", "end", "score", "stderr", "left", "top", "right", "bottom", "pairs"),
)
_PLACE = ("left", "top", "right", "bottom")
_PNG = b"\x89PNG\r\n\x1a\n"
ENDINGS = (".html", ".json", ".parquet", ".png", ".svg", ".txt")


def to_dict(explanation: Explanation) -> dict[str, Any]:
    """Plain data: strings, numbers, lists and dicts only."""
    e = explanation
    return {
        "texts": dict(e.texts),
        "target": {
            **asdict(e.target),
            "index": list(e.target.index),
            "against": None if e.target.against is None else list(e.target.against),
        },
        "method": e.method,
        "options": {key: _plain(value) for key, value in e.options.items()},
        "value": e.value,
        "base": e.base,
        "complete": e.complete,
        "prediction": e.prediction,
        "probability": e.probability,
        "features": [_feature_to_dict(f) for f in e.features],
        "scores": e.scores.tolist(),
        "stderr": None if e.stderr is None else e.stderr.tolist(),
        "without": None if e.without is None else list(e.without),
        "notes": list(e.notes),
        "cost": e.cost._asdict(),
        **({} if e.trust is None else {"trust": {**e.trust._asdict(), "figures": dict(e.trust.figures)}}),
        **({} if e.image is None else {"image": _image_to_dict(e.image)}),
        **({} if e.interactions is None else {"pairs": _pairs_to_dict(e.interactions)}),
    }


def _pairs_to_dict(pairs: Interactions) -> dict[str, Any]:
    """Of every two features (0, 1), (0, 2), …, (n - 2, n - 1)."""
    scores, errors = ({i: a.tolist() for i, a in (each or {}).items()} for each in pairs)
    return {"scores": scores, "stderr": None if pairs.stderr is None else errors}


def _feature_to_dict(f: Feature) -> dict[str, Any]:
    place: dict[str, Any] = {} if f.box is None else {"box": list(f.box)}
    if f.more_spans:  # beside "span", so that readers of one span find the first
        place["spans"] = [list(span) for span in f.spans]
    if f.column:
        place["column"] = True
    return {"label": f.label, "span": None if f.span is None else list(f.span), "part": f.part, **place}


def _image_to_dict(image: Picture) -> dict[str, Any]:
    png, seen = (base64.b64encode(data).decode("ascii") for data in (image.png, image.seen))
    return {"png": png, "size": list(image.size), "seen": seen, "view": list(image.view)}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_plain(inner) for inner in value]
    return repr(value)


# ---- and back: every field is checked, so that what is loaded can be drawn -------------------------------------------

_NONE = type(None)
_FIELDS: Mapping[str, Kind] = {
    "texts": dict, "target": dict, "method": str, "options": dict, "value": float, "base": float, "complete": bool,
    "prediction": (str, _NONE), "probability": (float, _NONE), "features": list, "scores": list, "stderr": (list, _NONE),
    "without": (list, _NONE), "notes": list, "cost": dict,
}  # fmt: skip
_MORE = ("trust", "image", "pairs")  # fields that need not be there
_COST = {"rows": int, "backward_rows": int, "forwards": int, "backwards": int, "seconds": float}


def from_dict(data: Mapping[str, Any], name: str = "the explanation", at: str = "explanation") -> Explanation:
    """The explanation that `to_dict` described. Raises FileError, which names the field, for what it did not describe."""
    object_of(data, _FIELDS, name, at, others=_MORE)
    for part, text in data["texts"].items():
        of_type(text, str, name, f"{at}.texts[{part!r}]")
    features = tuple(
        _feature(each, data["texts"], name, f"{at}.features[{i}]") for i, each in enumerate(data["features"])
    )
    n = len(features)
    stderr = None if data["stderr"] is None else list_of(data["stderr"], float, name, f"{at}.stderr", n)
    without = None if data["without"] is None else list_of(data["without"], str, name, f"{at}.without", n)
    return Explanation(
        features=features,
        scores=np.array(list_of(data["scores"], float, name, f"{at}.scores", n), dtype=np.float64),
        stderr=None if stderr is None else np.array(stderr, dtype=np.float64),
        target=_target(data["target"], name, f"{at}.target"),
        without=None if without is None else tuple(without),
        notes=tuple(list_of(data["notes"], str, name, f"{at}.notes")),
        cost=Cost(**object_of(data["cost"], _COST, name, f"{at}.cost", others=())),
        image=None if data.get("image") is None else _image(data["image"], name, f"{at}.image"),
        trust=None if data.get("trust") is None else _trust(data["trust"], name, f"{at}.trust"),
        interactions=None if data.get("pairs") is None else _pairs(data["pairs"], n, name, f"{at}.pairs"),
        method=data["method"],
        value=float(data["value"]),
        base=float(data["base"]),
        texts=data["texts"],
        options=data["options"],
        prediction=data["prediction"],
        probability=None if data["probability"] is None else float(data["probability"]),
        complete=data["complete"],
    )


def _target(data: Mapping[str, Any], name: str, at: str) -> Target:
    object_of(data, {"label": str, "index": list, "unit": str, "against": (list, _NONE)}, name, at, others=())
    index = tuple(list_of(data["index"], int, name, f"{at}.index"))
    against = None if data["against"] is None else tuple(list_of(data["against"], int, name, f"{at}.against"))
    return Target(data["label"], index, data["unit"], against)


def _feature(data: Mapping[str, Any], texts: Mapping[str, str], name: str, at: str) -> Feature:
    object_of(data, {"label": str, "span": (list, _NONE), "part": str}, name, at, others=("box", "spans", "column"))
    spans = list_of(data.get("spans", [] if data["span"] is None else [data["span"]]), list, name, f"{at}.spans")
    part = data["part"] if data["part"] in texts else next(iter(texts), "")  # a slot stands in the prompt
    length = len(texts.get(part, ""))
    for span in spans:
        start, end = list_of(span, int, name, f"{at}.span", 2)
        if not 0 <= start <= end <= length:
            raise FileError(
                f"{name!r} is damaged: {at}.span is [{start}, {end}], and its text {part!r} has {length} characters."
            )
    box = None if data.get("box") is None else list_of(data["box"], float, name, f"{at}.box", 4)
    return Feature(
        data["label"],
        (spans[0][0], spans[0][1]) if spans else None,
        data["part"],
        None if box is None else (box[0], box[1], box[2], box[3]),
        tuple((start, end) for start, end in spans[1:]),
        of_type(data.get("column", False), bool, name, f"{at}.column"),
    )


def _trust(data: Mapping[str, Any], name: str, at: str) -> Trust:
    object_of(data, {"level": str, "said": str, "figures": dict}, name, at, others=())
    for figure, value in data["figures"].items():
        of_type(value, float, name, f"{at}.figures[{figure!r}]")
    if data["level"] not in ("high", "medium", "low", "unknown"):
        raise FileError(
            f"{name!r} is damaged: {at}.level is {data['level']!r:.60}; it is high, medium, low or unknown."
        )
    return Trust(**data)


def _pairs(data: Mapping[str, Any], n: int, name: str, at: str) -> Interactions:
    object_of(data, {"scores": dict, "stderr": (dict, _NONE)}, name, at, others=())
    kinds = {"scores": data["scores"], **({} if data["stderr"] is None else {"stderr": data["stderr"]})}
    arrays = {
        kind: {
            index: np.array(list_of(numbers, float, name, f"{at}.{kind}.{index}", n * (n - 1) // 2), dtype=np.float64)
            for index, numbers in of_index.items()
        }
        for kind, of_index in kinds.items()
    }
    if "stderr" in arrays and arrays["stderr"].keys() != arrays["scores"].keys():
        raise FileError(f"{name!r} is damaged: {at}.stderr is not of the same indices as {at}.scores.")
    return Interactions(arrays["scores"], arrays.get("stderr"))


def _image(data: Mapping[str, Any], name: str, at: str) -> Picture:
    of_type(data, dict, name, at)
    files = []
    for field in ("png", "seen"):
        try:
            files.append(base64.b64decode(of_type(data.get(field), str, name, f"{at}.{field}"), validate=True))
        except ValueError:
            raise FileError(f"{name!r} is damaged: the field {at}.{field} is not base64.") from None
        if not files[-1].startswith(_PNG):
            raise FileError(f"{name!r} is damaged: the field {at}.{field} is not a PNG file.")
    width, height = list_of(data.get("size"), int, name, f"{at}.size", 2)
    left, top, right, bottom = list_of(data.get("view"), float, name, f"{at}.view", 4)
    return Picture(files[0], (width, height), files[1], (float(left), float(top), float(right), float(bottom)))


def save(what: Explanation | Explanations, path: str | Path, view: str = "overlay") -> Path:
    """Write by the ending of `path`; the file appears whole or not at all. Returns the path written."""
    known = output_file(path, ENDINGS)
    write(known, content(what, known.suffix.lower(), view))
    return known


def content(what: Explanation | Explanations, ending: str, view: str = "overlay") -> bytes:
    """What `save` writes into a file with this ending; `view` says how images are drawn."""
    from ..render import figure, html, terminal

    if ending == ".parquet":
        return _parquet(what)
    if ending == ".png":
        return figure.png(what, view=view)
    if ending in (".html", ".svg"):
        drawn = html.page(what, view=view) if ending == ".html" else figure.svg(what, view=view)
    else:
        drawn = terminal.plain(what) if ending == ".txt" else _json(what)
    return drawn.encode("utf-8")


def _json(what: Explanation | Explanations) -> str:
    single = isinstance(what, Explanation)
    items = [what] if isinstance(what, Explanation) else list(what)
    data = {"format": FORMAT, "version": VERSION, "single": single, "explanations": [to_dict(e) for e in items]}
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _parquet(what: Explanation | Explanations) -> bytes:
    table = what.to_arrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def load(path: str | Path) -> Explanation | Explanations:
    """What was saved as .json.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Explanation or Explanations
        As it was saved.

    Raises
    ------
    FileError
        For a missing, damaged or newer file, with the field that is wrong.
    OptionError
        For a file of another ending.
    """
    known = as_path(path)
    if known.suffix.lower() != ".json":
        raise OptionError(
            f"Only .json files can be loaded back, not {known.name!r}; pictures and tables are for reading."
        )
    data = read_json(known, FORMAT, VERSION, {"explanations": list})
    return parsed(data, str(known))


def parsed(data: object, name: str) -> Explanation | Explanations:
    """The explanations in the data of a JSON file; `name` is for the error."""
    whole = checked(data, name, FORMAT, VERSION, {"explanations": list})
    items = tuple(from_dict(each, name, f"explanations[{i}]") for i, each in enumerate(whole["explanations"]))
    single = of_type(whole.get("single", False), bool, name, "single")
    return items[0] if single and len(items) == 1 else Explanations(items)


def to_arrow(explanations: Sequence[Explanation]) -> pyarrow.Table:
    """One row a feature: text, target, method, value, base, gap, then the feature's index, label, span, score, stderr and box.

    `pairs` lists the feature's Shapley interaction with each feature after it, or is null where the method tells of none.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise missing("pyarrow", "An Arrow table", "table") from None
    rows = [row for i, e in enumerate(explanations) for row in _rows(i, e)]
    text = ("text", "prediction", "target", "unit", "method", "label", "part")
    whole = ("explanation", "feature", "start", "end")
    kinds = {name: pa.string() for name in text} | {name: pa.int64() for name in whole}
    pair = pa.struct([("feature", pa.int64()), ("score", pa.float64()), ("stderr", pa.float64())])
    kinds["pairs"] = pa.list_(pair)
    schema = pa.schema(
        [(name, kinds.get(name, pa.float64())) for name in COLUMNS], metadata={"saywhy.version": str(VERSION)}
    )
    return pa.Table.from_pylist(rows, schema=schema)


def to_pandas(explanations: Sequence[Explanation]) -> pandas.DataFrame:
    """The columns of `to_arrow`, as a pandas frame."""
    return frame([row for i, e in enumerate(explanations) for row in _rows(i, e)])


def frame(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """A pandas frame of these rows. Raises MissingError without pandas."""
    try:
        import pandas as pd
    except ImportError:
        raise missing("pandas", "A data frame", "table") from None
    return pd.DataFrame(rows)


def _rows(i: int, e: Explanation) -> list[dict[str, Any]]:
    about = {"explanation": i, "text": e.text, "prediction": e.prediction, "target": e.target.label, "unit": e.target.unit,
             "method": e.method, "value": e.value, "base": e.base, "gap": e.gap}  # fmt: skip
    pairs: list[list[dict[str, Any]]] | None = None
    if e.interactions is not None:
        pairs = [[] for _ in e.features]
        for pair in sorted(e.pairs(None), key=lambda pair: pair.indexes):
            first, second = pair.indexes
            pairs[first].append({"feature": second, "score": pair.score, "stderr": pair.stderr})
    return [
        {
            **about,
            "feature": j,
            "label": f.label,
            "part": f.part,
            "start": None if f.span is None else f.span[0],
            "end": None if f.span is None else f.span[1],
            "score": float(e.scores[j]),
            "stderr": None if e.stderr is None else float(e.stderr[j]),
            **dict(zip(_PLACE, f.box or (None,) * 4, strict=True)),
            "pairs": None if pairs is None else pairs[j],
        }
        for j, f in enumerate(e.features)
    ]
