"""The file that lets an interrupted comparison go on: what was asked, then one text a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from ..core.errors import FileError, OptionError
from ..explain.answer_fingerprint import answer_fingerprint, same_model
from ..explain.explainer import Explainer
from ..storage.manifest import Kind, checked, list_of, object_of, parsed, read_text
from .entries import ORACLE
from .estimates import SHARES
from .files import FORMAT, VERSION
from .plan import Plan
from .run import Found


class Parts:
    """The texts that are done, one line of JSON each after a line that says what was asked."""

    def __init__(self, path: Path, plan: Plan, explainer: Explainer):
        self.path, self.plan, self.asked = path, plan, json.loads(json.dumps(plan.asked, default=str))
        self.answers = answer_fingerprint(explainer, plan.inputs, plan.request)
        self.done: list[Found] = self._read() if os.path.exists(path) else []

    def _read(self) -> list[Found]:
        lines = read_text(self.path).split("\n")
        try:
            head = parsed(lines[0])
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("format") != f"{FORMAT}.part":
            raise FileError(f"{self.path} is not an unfinished comparison; give another file to resume from.")
        theirs = checked(head, str(self.path), f"{FORMAT}.part", VERSION, {"asked": dict})["asked"]
        self._same_model(head.get("answers"))
        if theirs != self.asked:
            other = sorted(k for k in {*theirs, *self.asked} if theirs.get(k) != self.asked.get(k))
            raise OptionError(
                f"{self.path} belongs to a comparison with other {', '.join(other)}: ask the same again, or give another file."
            )
        return [self._found(line, i) for i, line in enumerate(lines[1:-1], 2)]  # a line that was cut off has no end

    def _same_model(self, before: object) -> None:
        """Refuses texts that another model was asked about; files of earlier releases do not tell what it said."""
        pair = (str, float, type(None))
        known = [] if before is None else list_of(before, list, str(self.path), "answers")
        for i, each in enumerate(known):
            list_of(each, pair, str(self.path), f"answers[{i}]", 2)
        if before is not None and not same_model(known, self.answers):
            raise OptionError(
                f"{self.plan.asked['model']} answers otherwise than it did when {self.path} was begun: it is another model. Give "
                "another file, or the model as it was."
            )

    def _found(self, line: str, number: int) -> Found:
        """One text's numbers, held against what the comparison asks for. Raises FileError."""
        name = f"{self.path}, line {number}"
        try:
            data = parsed(line)
        except ValueError as error:
            raise FileError(f"{name!r} is damaged: {error}. Remove the line, or give another file.") from None
        kinds: dict[str, Kind] = {"values": dict, "curves": dict, "scores": dict, "spent": dict, "rows": int}
        object_of(data, kinds | {"rows_alone": int}, name, "", ())
        labels = [entry.label for entry in self.plan.entries]
        judged = {label: list for label in (*labels, ORACLE) if label in data["values"]}
        for label, cells in object_of(data["values"], judged, name, "values", ()).items():
            for i, pair in enumerate(list_of(cells, list, name, f"values.{label}", len(self.plan.columns))):
                list_of(pair, (float, type(None)), name, f"values.{label}[{i}]", 2)
        for removal, curves in object_of(data["curves"], {}, name, "curves", ("None", *self.plan.removals)).items():
            for label, curve in object_of(curves, {}, name, f"curves.{removal}", judged).items():
                list_of(curve, float, name, f"curves.{removal}.{label}", len(SHARES))
        listed: dict[str, Kind] = dict.fromkeys(labels, list)
        lengths = {
            len(list_of(scores, float, name, f"scores.{label}"))
            for label, scores in object_of(data["scores"], listed, name, "scores", ()).items()
        }
        if len(lengths) > 1:
            raise FileError(
                f"{name!r} is damaged: the fields of 'scores' have {sorted(lengths)} entries, where all have as many."
            )
        for label, spent in object_of(data["spent"], listed, name, "spent", ()).items():
            list_of(list_of(spent, (float, type(None)), name, f"spent.{label}", 4)[:3], float, name, f"spent.{label}")
        return Found(**data)

    @contextmanager
    def open(self) -> Iterator[IO[str]]:
        """The file, ready for the next text: what was cut off is gone."""
        about = {"format": f"{FORMAT}.part", "version": VERSION, "asked": self.asked, "answers": self.answers}
        head = json.dumps(about)
        text = "".join(line + "\n" for line in [head, *(json.dumps(asdict(f)) for f in self.done)])
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.path)
        with self.path.open("a", encoding="utf-8") as file:
            yield file


def add(file: IO[str], found: Found) -> None:
    """One more text, written before the next begins."""
    file.write(json.dumps(asdict(found)) + "\n")
    file.flush()
