"""A GGUF file at hand: llama.cpp's server started in this process, on this machine alone, and asked as any other server."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from ...core.errors import FileError, ModelError, missing
from .client import Client
from .model import RemoteModel
from .probe import probe
from .server import Server

CONTEXT = 4_096  # tokens that a request may have
MAGIC = b"GGUF"


class GgufModel(RemoteModel):
    """The model of a file; its server ends with it."""

    running: Any = None

    def __getstate__(self) -> dict[str, Any]:
        raise ModelError(
            "A GGUF model runs in this process and cannot be copied: make an Explainer where it is needed."
        )


@dataclass(frozen=True)
class Gguf:
    """The path of a GGUF file, and how many requests are computed at once."""

    path: Path
    concurrency: int = 4
    task: ClassVar[str] = "text-generation"

    def adapter(self) -> RemoteModel:
        """The model, loaded by llama.cpp (the package xllamacpp). Raises FileError, MissingError, ModelError."""
        path = self.path.expanduser()
        _checked(path)
        try:
            import xllamacpp
        except ImportError:
            raise missing("xllamacpp", "A GGUF file", "gguf") from None
        key = secrets.token_urlsafe(16)  # other users of this machine reach the port too
        settings = xllamacpp.CommonParams()
        settings.model.path = str(path)
        settings.n_ctx = CONTEXT * self.concurrency
        settings.n_parallel = self.concurrency
        settings.hostnames, settings.port, settings.api_keys = ["127.0.0.1"], 0, [key]
        settings.warmup = settings.ui = False
        settings.cpuparams.n_threads = torch.get_num_threads()
        settings.verbosity = 1  # errors alone
        try:
            running = xllamacpp.Server(settings)
        except Exception as error:  # of llama.cpp, which says little
            raise ModelError(f"llama.cpp could not load {str(path)!r}: {error}") from error
        server = Server(f"{running.listening_address}/v1", key=key, concurrency=self.concurrency, timeout=600)
        client = Client(server.url, key, server.timeout, server.concurrency)
        found = probe(client, None, None, server.samples)
        made = GgufModel(server, client, found)
        made.running, made.name = running, path.name
        return made


def _checked(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise FileError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from None
    if head != MAGIC:
        raise FileError(f"{str(path)!r} is no GGUF file: it does not begin with GGUF.")
