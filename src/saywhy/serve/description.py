"""The API as OpenAPI describes one, for /openapi.json."""

from __future__ import annotations

from typing import Any

from .. import __version__
from .files import MEDIA

_TEXT = {"type": "string"}
_NAME = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array"}]}


def _field(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {**schema, "description": about}


_ASKED: dict[str, Any] = {
    "model": _field(_TEXT, "A name of /api/models; the first by default."),
    "input": {
        "description": "A text; two texts (a pair, or for similarity); {question, context}; {text, labels} for zero-shot "
        "classification; {prompt, continuation}, {template, values, baselines} or {messages} for a language model; {image: "
        "base64}; a row of a table.",
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2},
            {"type": "object"},
        ],
    },
    "method": _field(_TEXT, "A name among the model's methods; by default the best that it can be asked."),
    "options": _field({"type": "object"}, "Options of the method, for example {steps: 50}."),
    "target": _field(
        _NAME, "What is explained: a label by name or index, a token, a continuation. Default: the prediction."
    ),
    "against": _field(_NAME, "Why the target rather than this one."),
    "unit": _field(_TEXT, "One of the model's units: logit, log-prob, prob, log-odds, …"),
    "by": {
        "description": "The features: word, token, sentence, line, paragraph, focus, in a conversation message, or spans "
        "[[start, end], …].",
        "anyOf": [{"type": "string"}, {"type": "array"}, {"type": "object"}],
    },
    "absent": _field(_TEXT, "What takes an absent feature's place: one of the model's."),
    "overlong": _field(
        {"type": "string", "enum": ["refuse", "truncate", "window"]}, "For a text longer than it reads."
    ),
    "embedding": _field(_TEXT, "The embeddings that gradients follow."),
    "background": {
        "description": "Of a row of a table, what stands in for absent columns: an object of column to value, or a list of rows "
        "to average over.",
        "anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}],
    },
    "trust": _field(
        {"type": "string", "enum": ["quick", "full", "none"]}, "How the scores are checked against removal."
    ),
}
_CITED: dict[str, Any] = {
    "model": _ASKED["model"],
    "question": _field(_TEXT, "What was asked."),
    "documents": {"type": "array", "description": "Texts, or objects with text, id and title."},
    "answer": _field(_TEXT, "What was answered; the model writes it where it is left out."),
    "prompt": _field(_TEXT, "The wording, with {documents} and {question} once each."),
    "budget": _field({"type": "integer"}, "The most forwards."),
    "confidence": _field({"type": "number"}, "How sure it must be which sentences count."),
    "max_new_tokens": _field({"type": "integer"}, "The longest answer that the model writes."),
}
_SCORED = {
    "type": "object",
    "description": "The format of explanation files (`Explanation.save('why.json')`): `saywhy.load` reads it and passes over "
    "the fields that an answer has beside those of a file.",
    "properties": {
        "format": {"const": "saywhy.explanations"},
        "version": {"type": "integer"},
        "single": {"type": "boolean"},
        "explanations": {"type": "array", "items": {"type": "object"}},
    },
}
_BADGE = {"type": ["object", "null"], "properties": {"kind": _TEXT, "text": _TEXT}}
_ANSWERED = {
    **_SCORED,
    "properties": {
        **_SCORED["properties"],  # type: ignore[dict-item]
        "headline": {"type": "object", "properties": {"sentence": _TEXT, "badge": _BADGE}},
        "shown": {
            "type": "array",
            "description": "For each explanation: what a page says and draws of it.",
            "items": {
                "type": "object",
                "properties": {
                    "sentence": _TEXT,
                    "badge": _BADGE,
                    "reason": _field(_TEXT, "Why it is trusted so far."),
                    "colour_end": _field({"type": "number"}, "The |score| of the strongest colour."),
                    "pale": _field(_TEXT, "Why no colour is strong; empty where one is."),
                    "means": {"type": "array", "items": _TEXT, "description": "What the numbers mean."},
                },
            },
        },
        "refused": {
            "type": "array",
            "description": "Where several methods were asked for: those that this input cannot be asked with, and why.",
            "items": {"type": "object", "properties": {"method": _TEXT, "message": _TEXT}},
        },
    },
}
_NUMBERS = {
    "type": "object",
    "properties": {
        "target": _TEXT,
        "unit": _TEXT,
        "features": {"type": "array", "items": _TEXT},
        "numbers": {
            "type": "array",
            "description": "For each set of absent features the target's value, and what the model predicts then.",
            "items": {
                "type": "object",
                "properties": {
                    "value": {"type": "number"},
                    "prediction": {"type": ["string", "null"]},
                    "probability": {"type": ["number", "null"]},
                },
            },
        },
    },
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": {"kind": _TEXT, "message": _TEXT}}},
}
_STATUSES = {
    "401": "The token is missing or wrong.",
    "403": "The page that asks is another site's.",
    "409": "Cancelled.",
    "413": "The body is too long.",
    "421": "The Host header names another server.",
    "422": "What was asked cannot be done: the message says what was given and what is allowed.",
    "429": "Too many requests wait for this model: ask again after the seconds in Retry-After.",
    "500": "The model failed.",
    "504": "It took longer than a request may.",
}


def openapi() -> dict[str, Any]:
    """The description, as plain data."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "saywhy serve",
            "version": __version__,
            "description": "Why did the model say that? A POST that accepts text/event-stream is answered by the events job "
            "{id, waiting, model}, progress {state, rows, expected} and result or error; any other by the result alone. Whoever "
            "leaves before the answer cancels what was asked.",
        },
        "paths": {
            "/api/models": {"get": _get()},
            "/api/explain": {"post": _post("Explain an input", _explained(), ["input"], _ANSWERED)},
            "/api/predict": {
                "post": _post("What the target is with features absent", _predicted(), ["input"], _NUMBERS)
            },
            "/api/cite": {
                "post": _post(
                    "Which sentences stand behind an answer", _CITED, ["question", "documents"], {"type": "object"}
                )
            },
            "/api/render": {
                "post": _post("Explanations or citations as another kind of file", _rendered(), ["as"], None)
            },
            "/api/jobs/{id}": {"delete": _delete()},
        },
    }


def _explained() -> dict[str, Any]:
    return {
        **_ASKED,
        "each_target": _field(
            {"type": "boolean"}, "Explain every target (every label, say), from the same model inputs."
        ),
        "methods": _field(
            {"type": "array", "items": _TEXT, "minItems": 2},
            "Several methods in place of one: an explanation by each of them, of the same target.",
        ),
    }


def _predicted() -> dict[str, Any]:
    sets = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
    return {**_ASKED, "absent_features": _field(sets, "Lists of indices of features; [[]] is the input as it is.")}


def _rendered() -> dict[str, Any]:
    kinds = "Explanations become html, svg, png, json, txt or parquet; citations html, md, json or txt."
    return {
        "format": {"enum": ["saywhy.explanations", "saywhy.citations"]},
        **{name: {} for name in ("version", "single", "explanations")},
        "as": _field({"type": "string", "enum": list(MEDIA)}, kinds),
    }


def _responses(answer: dict[str, Any] | None) -> dict[str, Any]:
    content = {"*/*": {}} if answer is None else {"application/json": {"schema": answer}}
    refused = {"application/json": {"schema": _ERROR}}
    return {
        "200": {"description": "The result.", "content": content},
        **{status: {"description": about, "content": refused} for status, about in _STATUSES.items()},
    }


def _post(summary: str, fields: dict[str, Any], required: list[str], answer: dict[str, Any] | None) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": required}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"summary": summary, "requestBody": body, "responses": _responses(answer)}


def _get() -> dict[str, Any]:
    wait = {"name": "wait", "in": "query", "schema": {"type": "number"}, "description": "Seconds to wait for loading."}
    about = "The models, with labels, units, methods and what may stand in for an absent feature"
    return {"summary": about, "parameters": [wait], "responses": _responses({"type": "object"})}


def _delete() -> dict[str, Any]:
    parameter = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
    return {
        "summary": "Cancel what is running or waiting",
        "parameters": [parameter],
        "responses": _responses({"type": "object"}),
    }
