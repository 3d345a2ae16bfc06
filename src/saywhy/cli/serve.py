"""`saywhy serve`: a page on which a text can be changed and its explanation seen at once."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import TrustRemoteCode

EXAMPLES = """Examples:

  saywhy serve

  saywhy serve --model my-folder --model question-answering=my-qa-folder --port 8080

  SAYWHY_TOKEN=… saywhy serve --host 0.0.0.0
"""

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="MODEL | TASK=MODEL",
        help="What may be explained, several times: a Hugging Face id or folder, a server's address, a GGUF or .skops file; "
        "before it, where the model does not tell, a task and '='. By default the model in the package.",
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 takes a free port.")]
Host = Annotated[str, typer.Option(help="The address it listens at; any but this machine's own needs --token.")]
Token = Annotated[
    str | None,
    typer.Option(envvar="SAYWHY_TOKEN", help="What whoever asks must show; SAYWHY_TOKEN in the environment hides it."),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--allow-host", help="Another name of this machine, as browsers send it. Repeatable."),
]
Seconds = Annotated[float, typer.Option("--time-limit", min=1, max=86_400, help="Seconds that one request may run.")]
Waiting = Annotated[int, typer.Option("--queue", min=1, help="Requests that may wait for one model; more are refused.")]


def serve(
    model: Models = None,
    port: Port = 8765,
    host: Host = "127.0.0.1",
    token: Token = None,
    allow_host: Names = None,
    time_limit: Seconds = 120.0,
    waiting: Waiting = 16,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Open a page on this machine: words are coloured as you type, and each can be switched off and on."""
    from ..serve.run import run

    run(
        model or (),
        host=host,
        port=port,
        token=token,
        allow_hosts=allow_host or (),
        seconds=time_limit,
        waiting=waiting,
        trust_remote_code=trust_remote_code,
        say=lambda text: typer.echo(text, err=True),
    )
