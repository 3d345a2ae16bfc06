"""The page's client as a widget in notebooks, by anywidget's protocol: the same script, with messages in place of requests."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import SaywhyError, missing, unknown
from . import files
from .questions import Subject, absent_sets, answer, cite, described, predict, question
from .style import stylesheet

if TYPE_CHECKING:
    from ..explain.explainer import Explainer

CLIENT = Path(__file__).parent / "client"
SAMPLE = "I love you, I like you, I also kinda dislike you"
_IMPORT = 'import { mount } from "./client.js";\n'


def script() -> str:
    """The client and the widget as one module, since a notebook has no address to import the other from."""
    client, own = ((CLIENT / name).read_text(encoding="utf-8") for name in ("client.js", "widget.js"))
    return client + own.replace(_IMPORT, "")


def style() -> str:
    """The style sheet of the widget, with the palette."""
    return stylesheet() + (CLIENT / "client.css").read_text(encoding="utf-8")


def widget(explainer: Explainer, text: str | None) -> object:
    """A widget of this explainer; see `Explainer.widget`."""
    try:
        anywidget, traitlets = (importlib.import_module(name) for name in ("anywidget", "traitlets"))
    except ImportError:
        raise missing("anywidget", "A widget", "widget") from None
    subject = Subject(explainer, "explainer")
    members = {"_esm": script(), "_css": style(), "text": traitlets.Unicode(text).tag(sync=True)}
    made = type("ExplainerWidget", (anywidget.AnyWidget,), members)(text=SAMPLE if text is None else text)
    made.on_msg(lambda widget, content, buffers: widget.send(answered(subject, content)))
    return made


def answered(subject: Subject, message: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a message of the client: {"id", "result"}, or {"id", "error"} with one line."""
    try:
        return {"id": message.get("id"), "result": _result(subject, message.get("kind"), message.get("body") or {})}
    except SaywhyError as error:
        return {"id": message.get("id"), "error": str(error)}
    except Exception as error:  # the model's own code: whoever looks at the widget runs it
        return {"id": message.get("id"), "error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def _result(subject: Subject, kind: object, body: dict[str, Any]) -> object:
    match kind:
        case "models":
            code = "# explainer is the one that this widget was made of"
            return [{"name": subject.name, "state": "ready", "code": code, **described(subject)}]
        case "explain":
            return answer(subject, question(body, ("methods",)))
        case "predict":
            return predict(subject, question(body, ("absent_features",)), absent_sets(body))
        case "cite":
            return cite(subject, body)
        case "render":
            return _file(body)
    raise unknown("kind of message", kind, ("models", "explain", "predict", "cite", "render"))


def _file(body: dict[str, Any]) -> dict[str, str]:
    """Explanations or citations as another kind of file, in base64."""
    data, kind = files.content(body, "the message"), files.MEDIA[files.ending_of(body)]
    return {"data": base64.b64encode(data).decode("ascii"), "type": kind}
