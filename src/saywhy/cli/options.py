"""The options that commands share, each written once: those of a request, of a model, and of a method."""

from __future__ import annotations

import ast
import inspect
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from ..models.protocol import Model as Adapter

F = TypeVar("F", bound=Callable[..., Any])

Model = Annotated[
    str | None,
    typer.Option(
        help="A Hugging Face id or folder, a .skops or .onnx file, a server's address (http://…/v1) or a GGUF file; by default "
        "the model in the package."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        help="A file with the key of a server; by default SAYWHY_API_KEY or OPENAI_API_KEY of the environment."
    ),
]
Cache = Annotated[
    Path | None, typer.Option(help="A SQLite file of a server's answers: an interrupted run goes on from there.")
]
Budget = Annotated[int | None, typer.Option(min=1, help="The most requests that a server is sent.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Let a model folder run its own code.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.")]
Top = Annotated[int, typer.Option(min=1, help="How many features the terminal table shows.")]

# The settings of a request: name -> (kind and help, default). `with_settings` gives them to a command.
SETTINGS: Mapping[str, tuple[Any, Any]] = {
    "method": (
        Annotated[str | None, typer.Option(help="One of `saywhy methods`; integrated_gradients by default.")],
        None,
    ),
    "target": (
        Annotated[
            str | None,
            typer.Option(help="What to explain: a label by name or index, a token, a word; by default the prediction."),
        ],
        None,
    ),
    "against": (Annotated[str | None, typer.Option(help="Why the target rather than this label.")], None),
    "unit": (Annotated[str | None, typer.Option(help="logit (default), log-prob, prob or log-odds.")], None),
    "by": (Annotated[str, typer.Option(help="word, token, sentence, line, paragraph or focus.")], "word"),
    "absent": (
        Annotated[
            str | None,
            typer.Option(help="What stands in for a missing feature: mask, pad, unk, zero, drop or hide."),
        ],
        None,
    ),
    "overlong": (
        Annotated[str, typer.Option(help="A text longer than the model reads: refuse, truncate or window.")],
        "refuse",
    ),
    "embedding": (
        Annotated[str, typer.Option(help="The embeddings that gradients follow: word, position or token_type.")],
        "word",
    ),
    "trust": (Annotated[str, typer.Option(help="How far to believe it: a quick check, a full one, or none.")], "quick"),
    "background": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="Of a model of rows, a table that stands in for absent columns: by its mean, or see --background-rows.",
            ),
        ],
        None,
    ),
    "background_rows": (
        Annotated[
            int | None,
            typer.Option(min=1, help="Average over so many rows of --background, drawn with a fixed seed."),
        ],
        None,
    ),
    "option": (
        Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the method, e.g. steps=50.")],
        None,
    ),
}


def with_settings(
    *, without: Sequence[str] = (), defaults: Mapping[str, Any] | None = None, helps: Mapping[str, str] | None = None
) -> Callable[[F], F]:
    """Gives a command that ends in `**settings` the options of SETTINGS, some of them with another default or another help."""

    def shown(name: str) -> inspect.Parameter:
        kind, default = SETTINGS[name]
        if helps and name in helps:
            plain, option = kind.__origin__, kind.__metadata__[0]
            kind = Annotated[plain, typer.Option(*(option.param_decls or ()), metavar=option.metavar, help=helps[name])]
        default = (defaults or {}).get(name, default)
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)

    def decorate(command: F) -> F:
        own = inspect.signature(command, eval_str=True)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [shown(name) for name in SETTINGS if name not in without]
        keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in kept]
        command.__signature__ = own.replace(parameters=[*keyword, *added])  # type: ignore[attr-defined]
        command.__annotations__ |= {p.name: p.annotation for p in added}
        command.__annotations__.pop("settings", None)
        return command

    return decorate


def request_settings(
    settings: Mapping[str, Any], model: Adapter[Any], options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of a command as keyword arguments of a request: targets by name or index, and the method's options."""
    plain = {name: value for name, value in settings.items() if name not in ("option", "background", "background_rows")}
    named: dict[str, Any] = {
        name: label_of(plain[name], model.labels) for name in ("target", "against") if name in plain
    }
    rows = _background(settings.get("background"), settings.get("background_rows"), model)
    return {**plain, **named, **({} if rows is None else {"background": rows}), **(options or {})}


def _background(path: Path | None, many: int | None, model: Adapter[Any]) -> object:
    """What stands in for absent columns, of a file: its mean, or so many of its rows. Raises BadParameter for other models."""
    if path is None:
        if many is not None:
            raise typer.BadParameter("--background-rows is of --background FILE.")
        return None
    if not model.row_columns:
        raise typer.BadParameter(f"--background stands in for absent columns, and {model.name} reads no rows.")
    from ..storage.tables import columns, rows

    there = next(rows(path), {})  # of a column that lacks the request says whether it is needed
    read = columns(path, [name for name in model.row_columns if name in there])
    return ("mean", read) if many is None else random.Random(0).sample(read, min(many, len(read)))


def options_of(pairs: Sequence[str] | None, flags: Iterable[str] = (), passed: Iterable[str] = ()) -> dict[str, Any]:
    """NAME=VALUE pairs for the method; a name that the command has an option for (`flags`), or passes itself, is refused."""
    flags, passed = {*SETTINGS, *flags} - {"option"}, {"given", "progress", *passed}
    options: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"--option {pair!r}: write NAME=VALUE, for example steps=50.")
        if name in flags or name in passed:
            advice = (
                f"write --{name.replace('_', '-')} instead" if name in flags else f"{name} is no option of a method"
            )
            raise typer.BadParameter(f"--option {name}=…: {advice}; --option is for the method's own.")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            options[name] = value
    return options


def served(
    model: str | None, key_file: Path | None = None, cache: Path | None = None, budget: int | None = None
) -> object:
    """The model as an Explainer takes it: a server's address with its settings. Raises BadParameter for these beside another."""
    if model is None or not model.lower().startswith(("http://", "https://")):
        for name, value in (("--key-file", key_file), ("--cache", cache), ("--budget", budget)):
            if value is not None:
                raise typer.BadParameter(f"{name} is for a server: --model http://….")
        return model
    from ..models.remote.server import Server

    key = None
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"--key-file {str(key_file)!r} cannot be read: {error}.") from None
        if not key:
            raise typer.BadParameter(f"--key-file {str(key_file)!r} is empty.")
    return Server(model, key=key, cache=cache, budget=budget)


def label_of(given: str | None, labels: Sequence[str]) -> str | int | None:
    """A label by its name, else by its index: a label may be called "1"."""
    return int(given) if given is not None and given not in labels and given.isdecimal() and given.isascii() else given
