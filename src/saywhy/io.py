"""To files and back: JSON with a format version, Arrow tables, and the renderings by file ending."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import FileError, OptionError, missing, unknown
from .explanation import Explanation, Explanations, Interactions, Trust
from .types import Cost, Feature, Picture, Target
from .writing import write

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


def _pairs(data: Mapping[str, Any], n: int) -> Interactions:
    """Raises ValueError where a number is missing or is none."""
    kinds = [data["scores"], *([] if data["stderr"] is None else [data["stderr"]])]
    for index, found in chain.from_iterable(kind.items() for kind in kinds):
        if np.asarray(found, dtype=np.float64).shape != (n * (n - 1) // 2,):
            raise ValueError(f"its pairs ({index}) are not {n * (n - 1) // 2} numbers")
    if data["stderr"] is not None and set(data["stderr"]) != set(data["scores"]):
        raise ValueError("the standard errors of its pairs are not of the same indices")
    return Interactions(data["scores"], data["stderr"])


def _feature_to_dict(f: Feature) -> dict[str, Any]:
    place = {} if f.box is None else {"box": list(f.box)}
    return {"label": f.label, "span": None if f.span is None else list(f.span), "part": f.part, **place}


def _feature(data: Mapping[str, Any]) -> Feature:
    span, box = data["span"], data.get("box")
    return Feature(
        data["label"],
        None if span is None else (span[0], span[1]),
        data["part"],
        None if box is None else (box[0], box[1], box[2], box[3]),
    )


def _image_to_dict(image: Picture) -> dict[str, Any]:
    png, seen = (base64.b64encode(data).decode("ascii") for data in (image.png, image.seen))
    return {"png": png, "size": list(image.size), "seen": seen, "view": list(image.view)}


def _image(data: Mapping[str, Any]) -> Picture:
    png, seen = (base64.b64decode(data[name], validate=True) for name in ("png", "seen"))
    if not (png.startswith(_PNG) and seen.startswith(_PNG)):
        raise ValueError("its image is not a PNG file")
    (width, height), (left, top, right, bottom) = data["size"], data["view"]
    return Picture(png, (int(width), int(height)), seen, (float(left), float(top), float(right), float(bottom)))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_plain(inner) for inner in value]
    return repr(value)


def from_dict(data: Mapping[str, Any]) -> Explanation:
    """The explanation that `to_dict` described."""
    t = data["target"]
    return Explanation(
        features=tuple(_feature(f) for f in data["features"]),
        scores=data["scores"],
        target=Target(t["label"], tuple(t["index"]), t["unit"], None if t["against"] is None else tuple(t["against"])),
        stderr=data["stderr"],
        without=None if data["without"] is None else tuple(data["without"]),
        notes=tuple(data["notes"]),
        cost=Cost(**data["cost"]),
        image=None if data.get("image") is None else _image(data["image"]),
        trust=None if data.get("trust") is None else Trust(**data["trust"]),
        interactions=None if data.get("pairs") is None else _pairs(data["pairs"], len(data["features"])),
        **{
            key: data[key]
            for key in ("method", "value", "base", "texts", "options", "prediction", "probability", "complete")
        },
    )


def save(what: Explanation | Explanations, path: str | Path, view: str = "overlay") -> Path:
    """Write by the ending of `path`; the file appears whole or not at all. Returns the path written."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise unknown("file ending", ending or path.name, ENDINGS)
    if not path.parent.is_dir():
        raise FileError(f"The folder {str(path.parent)!r} does not exist; create it first.")
    write(path, content(what, ending, view))
    return path


def content(what: Explanation | Explanations, ending: str, view: str = "overlay") -> bytes:
    """What `save` writes into a file with this ending; `view` says how images are drawn."""
    from .render import figure, html, terminal

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
    """What was saved as .json: an Explanation or Explanations. A missing, damaged or newer file is a FileError."""
    path = Path(path)
    if path.suffix.lower() != ".json":
        raise OptionError(
            f"Only .json files can be loaded back, not {path.name!r}; pictures and tables are for reading."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"There is no file {str(path)!r}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{str(path)!r} is damaged or only half written: {error}") from error
    return parsed(data, str(path))


def parsed(data: Any, name: str) -> Explanation | Explanations:
    """The explanations in the data of a JSON file; `name` is for the error."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FileError(f'{name!r} was not written by saywhy: it lacks "format": "{FORMAT}".')
    if not isinstance(data.get("version"), int) or data["version"] > VERSION:
        raise FileError(
            f"{name!r} has format version {data.get('version')!r}; this saywhy reads up to {VERSION}. "
            "Update it: pip install -U saywhy"
        )
    try:
        items = tuple(from_dict(item) for item in data["explanations"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FileError(f"{name!r} is damaged: {type(error).__name__} {error} in its explanations.") from error
    return items[0] if data.get("single") and len(items) == 1 else Explanations(items)


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
