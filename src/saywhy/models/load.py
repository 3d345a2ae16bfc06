"""From what the caller has - a hub id, a folder, a model and its tokenizer, a pipeline, a function - to an adapter."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..core.errors import ModelError, OptionError, SaywhyError
from .estimator import black_box, is_estimator
from .files import estimator_file, read_estimator
from .flair_classifier import is_flair
from .lock import loading
from .outputs import own_outputs, told_outputs
from .pipelines import PipelineSettings, settings_of
from .protocol import Model
from .registry import loader_of
from .remote.gguf import Gguf
from .remote.server import Server
from .sentence_encoders import add_lowercasing, cross_encoder_settings, encoder_folder, encoder_of
from .wrappers import adapter_base, unwrapped

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from transformers import Pipeline, PreTrainedModel


class BringsAdapter(Protocol):
    """A classifier of saywhy's own, a server, or a caller's class with an adapter of its own."""

    def adapter(self) -> Model[Any]:
        """The adapter that answers for it."""
        ...


@dataclass(frozen=True, eq=False)
class ModelSource:
    """What the caller gave, taken apart: the model (or its name, not loaded yet), its tokenizer, and what both tell."""

    model: Any
    tokenizer: Any = None
    task: str | None = None  # of a pipeline
    architecture: str | None = None  # the name of a transformers class
    pooling: str | None = None  # of a sentence-transformer
    settings: PipelineSettings | None = None  # of a pipeline
    load: Callable[[Path, str], Any] | None = None  # what loads a folder that is no Hugging Face one


def inspect_source(model: object, tokenizer: object = None, trust_remote_code: bool = False) -> ModelSource:
    """What was given, looked at but not loaded. Raises OptionError for what cannot be explained, ModelError for a bad name."""
    if isinstance(model, tuple) and len(model) == 2 and tokenizer is None:
        model, tokenizer = model
    if not hasattr(model, "parameters") and hasattr(tokenizer, "parameters"):
        raise OptionError("The model comes first: Explainer(model, tokenizer), or Explainer((model, tokenizer)).")
    if isinstance(model, str | Path):
        with loading():
            return _by_name(model, tokenizer, trust_remote_code)
    if hasattr(model, "model") and hasattr(model, "tokenizer") and hasattr(model, "postprocess"):
        pipe = cast("Pipeline", model)
        inner = unwrapped(pipe.model)
        reader = pipe.image_processor if str(pipe.task) == "image-classification" else pipe.tokenizer
        return ModelSource(inner, tokenizer or reader, str(pipe.task), type(inner).__name__, settings=settings_of(pipe))
    if hasattr(model, "adapter"):  # a classifier of saywhy's own, or a server
        return ModelSource(model, tokenizer, getattr(model, "task", None))
    if type(model).__name__ == "SentenceTransformer":
        inner, pooling, settings = encoder_of(cast("SentenceTransformer", model))
        reads = tokenizer or model.tokenizer  # type: ignore[attr-defined]
        return ModelSource(inner, reads, "sentence-similarity", type(inner).__name__, pooling, settings)
    if type(model).__name__ == "CrossEncoder":
        encoder = cast("CrossEncoder", model)
        inner, settings = unwrapped(encoder.model), cross_encoder_settings(encoder)
        reads = tokenizer or encoder.tokenizer
        return ModelSource(inner, reads, "text-classification", type(inner).__name__, settings=settings)
    model = unwrapped(model)
    _refuse_unexplainable(model)
    return ModelSource(model, tokenizer, None, type(model).__name__ if hasattr(model, "config") else None)


def _by_name(model: str | Path, tokenizer: object, trust_remote_code: bool) -> ModelSource:
    if str(model).lower().startswith(("http://", "https://")):
        return ModelSource(Server(str(model), tokenizer=tokenizer), None, Server.task)
    if str(model).lower().endswith(".gguf"):
        return ModelSource(Gguf(Path(model)), tokenizer, Gguf.task)
    name = str(Path(model).expanduser()) if os.sep in str(model) else str(model)
    if estimator_file(Path(name)):
        return ModelSource(read_estimator(Path(name)), tokenizer)
    if (isinstance(model, Path) or model.startswith((".", "~", "/"))) and not Path(name).is_dir():
        raise ModelError(
            f"There is no folder {str(model)!r}. A hub id is written as owner/name, without a dot before it."
        )
    if (loader := loader_of(Path(name))) is not None:
        return ModelSource(Path(name), tokenizer, load=loader)
    base = adapter_base(Path(name))
    architecture = _architecture(base or name, trust_remote_code)
    encoder = encoder_folder(name) if head_of(architecture) == "vector" else None
    pooling, settings = encoder or (None, None)
    return ModelSource(name, tokenizer, None, architecture, pooling, settings)


def _refuse_unexplainable(model: object) -> None:
    if type(model).__module__.startswith("torch.jit"):
        raise OptionError(
            f"A TorchScript module ({type(model).__name__}) is a recorded program, whose embeddings cannot be followed. Give the "
            "module that it was made of, or a function around it: Explainer(function, labels=[…])."
        )
    if hasattr(model, "parameters"):
        return
    if not callable(model) and not is_estimator(model):
        raise OptionError(
            f"A model cannot be of type {type(model).__name__}. Give a hub id, a folder, (model, tokenizer), a pipeline, a "
            "fitted estimator (predict_proba, decision_function or predict), or a function from a list of strings to an array "
            "[B, K] with labels=[...]."
        )


def is_transformers_class(model: object) -> bool:
    """Does the class's name tell for sure what it can do? A class of the caller's own may be called anything."""
    return isinstance(model, str) or type(model).__module__.startswith("transformers.")


def head_of(architecture: str | None) -> str | None:
    """The row of HEADS that a class name tells of; None where it tells nothing."""
    from .heads import HEADS

    if architecture is None:
        return None
    for name, head in HEADS.items():
        if name != "vector" and architecture.endswith(head.suffixes):
            return name
    return "vector" if architecture.endswith(HEADS["vector"].suffixes) else None


def adapt(
    given: ModelSource,
    head: str = "labels",
    *,
    labels: Sequence[str] | None = None,
    device: str | None = None,
    mask_token: str | None = None,
    trust_remote_code: bool = False,
    output: str | None = None,
    background: object = None,
) -> Model[Any]:
    """The adapter for what was given. A model loaded here goes to `device`; the caller's own model stays where it is."""
    model, tokenizer = given.model, given.tokenizer
    if given.load is not None:
        with loading():
            model, device = given.load(model, device or _device()), None
    if isinstance(model, str):
        with loading():
            model, loaded = _from_pretrained(given, head, device, trust_remote_code)
        tokenizer = loaded if tokenizer is None else tokenizer
    elif device is not None:
        raise OptionError("`device` is for models loaded by name; move your own model with model.to(device).")
    if hasattr(model, "adapter"):
        return _own_adapter(model, head, tokenizer is labels is mask_token is output is background is None)
    if not hasattr(model, "parameters") or is_flair(model):
        if head != "labels":
            raise OptionError("A callable does text-classification; other tasks need a transformers model.")
        return black_box(model, labels, mask_token, output, background)
    if background is not None:
        raise OptionError("`background` is for functions and estimators that read rows of a table.")
    if mask_token is not None:
        raise OptionError("`mask_token` is for callables; a tokenizer brings its own mask token.")
    make = _loaded if is_transformers_class(given.model) else _own_maker(model)
    made: Model[Any] = make(model, tokenizer, labels, head, given.pooling or "mean")
    if given.settings is not None and (given.pooling is None or head == "vector"):
        made.follow(given.settings)
    if output is not None:
        made.kind = told_outputs(made, output)
    elif given.settings is None and not is_transformers_class(given.model):
        made.kind = own_outputs(made)
    return made


def _own_maker(model: object) -> Callable[..., Model[Any]]:
    """What makes the adapter of a module of the caller's own."""
    return _exported if hasattr(model, "range_constraints") else _wrapped


def _own_adapter(model: BringsAdapter, head: str, plain: bool) -> Model[Any]:
    """The adapter of what makes its own: a classifier of saywhy's, a served model. `plain`: was nothing else given?"""
    made: Model[Any] = model.adapter()
    if head != made.head or not plain:
        does = "text-generation" if made.head == "next" else "text-classification"
        raise OptionError(f"{made.name} does {does}, and brings its own tokenizer and labels.")
    return made


def _exported(model: Any, reader: object, labels: Sequence[str] | None, head: str, pooling: str) -> Model[Any]:
    """The adapter of a module of `torch.export`, which says by an assertion what shapes it does not take."""
    try:
        return _wrapped(model, reader, labels, head, pooling)
    except AssertionError as error:
        raise ModelError(
            f"The exported module takes inputs of one shape alone: {_first_line(error)} Export it with dynamic_shapes for the "
            "batch and the length, or give the module that it was made of."
        ) from error


def _loaded(
    model: PreTrainedModel, reader: object, labels: Sequence[str] | None, head: str, pooling: str
) -> Model[Any]:
    """The adapter of what is transformers' own, where nothing says that its parts fit each other, or that texts are enough."""
    try:
        return _wrapped(model, reader, labels, head, pooling)
    except SaywhyError:
        raise
    except Exception as error:  # of torch or transformers
        name = getattr(model, "name_or_path", "") or type(model).__name__
        what = "images" if head == "image" else "texts"
        raise ModelError(
            f"{name!r} is a {type(model).__name__}, and fails when it is asked about {what} alone: {_first_line(error)} Do its "
            "weights, config.json and tokenizer belong together?"
        ) from error


def _wrapped(model: PreTrainedModel, reader: Any, labels: Sequence[str] | None, head: str, pooling: str) -> Model[Any]:
    """The adapter of a transformers model and what reads its input: a tokenizer, or an image processor."""
    if head != "image" and reader is not None and (isinstance(reader, type) or not hasattr(reader, "pad_token_id")):
        raise OptionError(
            f"`tokenizer` is a tokenizer of transformers, such as AutoTokenizer.from_pretrained(…) gives, not {reader!r:.60}."
        )
    if reader is None:
        name = "image_processor" if head == "image" else "tokenizer"
        raise OptionError(f"A model needs its {name}: Explainer(model, {name}) or Explainer((model, {name})).")
    if head == "image":
        from .image.model import ImageModel

        return ImageModel(model, reader, labels)
    if head == "next":
        from .causal.model import LanguageModel

        return LanguageModel(model, reader)
    from .text.model import TextModel

    return TextModel(model, reader, labels, head, pooling)


def _architecture(name: str, trust: bool) -> str | None:
    """The class that a name's config was saved from; None where it does not say. Raises ModelError for a bad name."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust)
    except Exception as error:  # a damaged config may fail in any way
        raise _unloadable(name, error) from error
    found = getattr(config, "architectures", None)
    if found is not None and not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        raise ModelError(
            f'Could not load {name!r}: "architectures" in its config.json is {found!r:.60}, not a list of names.'
        )
    return found[0] if found else None


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """No progress bars of transformers while inside, if wanted: a folder loads at once, and pipes stay clean."""
    from transformers.utils import logging as named

    logging: Any = named
    shown = logging.is_progress_bar_enabled()
    if wanted and shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if wanted and shown:
            logging.enable_progress_bar()


def _from_pretrained(given: ModelSource, head: str, device: str | None, trust: bool) -> tuple[Any, Any]:
    """The model of a name, and what reads its input."""
    import transformers

    from .heads import HEADS

    name, loader = cast("str", given.model), getattr(transformers, HEADS[head].loader)
    if head == "next":  # one that decodes what it encoded has another loader; its own class is always right
        loader = getattr(transformers, given.architecture or "", loader)
    reader = transformers.AutoImageProcessor if head == "image" else transformers.AutoTokenizer
    try:
        with _quiet(Path(name).is_dir() or not sys.stderr.isatty()):
            tokenizer = reader.from_pretrained(name, trust_remote_code=trust)
            # safetensors alone: any other weights are pickles, which may run code while they are read
            model, info = loader.from_pretrained(
                name, trust_remote_code=trust, output_loading_info=True, use_safetensors=True
            )
    except Exception as error:  # of transformers, tokenizers, safetensors and torch, which have no common kind
        raise _unloadable(name, error) from error
    missing = sorted(str(key) for key in info.get("missing_keys", ()) if HEADS[head].trained)
    if missing:
        raise ModelError(
            f"{name!r} has no trained head for this task: its weights lack {', '.join(missing[:4])}. "
            "An untrained head would be explained as if it meant something; fine-tune the model first."
        )
    if given.settings is not None and given.settings.lowercase:
        add_lowercasing(tokenizer)
    return unwrapped(model.to(device or _device())), tokenizer


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _unloadable(name: str, error: Exception) -> ModelError:
    said = str(error).strip().splitlines()
    if any("trust_remote_code" in line for line in said):
        return ModelError(
            f"Could not load {name!r}: it holds code of its own, which is not run unless you say so. Read it; if you trust "
            "it, Explainer(…, trust_remote_code=True), or --trust-remote-code."
        )
    if any("model.safetensors" in line for line in said) and not any(Path(name).glob("*.safetensors")):
        return ModelError(
            f"Could not load {name!r}: it has no weights in safetensors, and other weights are not unpickled here. Convert "
            "them once, with AutoModel….from_pretrained(folder).save_pretrained(folder), or load the model yourself and give "
            "Explainer(model, tokenizer)."
        )
    return ModelError(
        f"Could not load {name!r}: {_first_line(error)} "
        "Give a hub id, or a folder with config.json, the weights and the tokenizer."
    )


def _first_line(error: Exception) -> str:
    """The first line of what an error says, as a sentence; its kind where it says nothing."""
    said = str(error).strip().splitlines()
    line = said[0].strip() if said else type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."
