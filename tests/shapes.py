"""Checks the shapes that annotations say, in every call that the tests make.

`Float[Tensor, "K n"]` in a signature of core, methods, metrics or engine is a string at run time (`from __future__ import
annotations`), whose names are there for type checkers alone. `install` puts a finder before Python's own: when a module of
those rooms is imported, its functions, and the dataclasses whose fields have shapes, are wrapped. The first call evaluates the
annotations, with jaxtyping's own types; every call checks arguments and result, one size for each letter. What has no shape in
its annotation is not looked at and costs nothing.
"""

from __future__ import annotations

import builtins
import collections.abc
import dataclasses
import functools
import importlib.abc
import importlib.machinery
import inspect
import re
import sys
import types
import typing

import jaxtyping
import numpy as np
import torch

ROOMS = ("core", "methods", "metrics", "engine")
DTYPES = ("Bool", "Float", "Float32", "Float64", "Int", "Shaped")
SHAPED = re.compile(rf"\b(?:{'|'.join(DTYPES)})\[")
ARRAYS = {"Bools": np.ndarray, "Floats": np.ndarray, "Ints": np.ndarray, "Array": np.ndarray, "Tensor": torch.Tensor}


class ShapeError(TypeError):
    """A tensor has another shape, or numbers of another kind, than its annotation says."""


class _Names(dict):
    """What the names in an annotation mean; one that is there for type checkers alone means any object."""

    def __init__(self, module: types.ModuleType):
        known = {name: getattr(jaxtyping, name) for name in DTYPES}
        super().__init__({**vars(builtins), **vars(module), **known, **ARRAYS, "torch": torch, "np": np})

    def __missing__(self, name: str) -> object:
        return object


def fits(value: object, hint: object) -> bool:
    """Has the value, and what is in it, the shapes of this type? What a type says beside shapes is not looked at."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return True
        shaped = [part for part in parts if isinstance(part, type) and issubclass(part, jaxtyping.AbstractArray)]
        if isinstance(value, torch.Tensor | np.ndarray) and shaped:
            return any(isinstance(value, part) for part in shaped)
        return any(fits(value, part) for part in parts if part not in shaped and part is not type(None))
    if origin is tuple and isinstance(value, tuple) and Ellipsis not in parts:
        return len(value) == len(parts) and all(map(fits, value, parts))
    if origin in (list, tuple, collections.abc.Sequence) and isinstance(value, list | tuple):
        return all(fits(each, parts[0]) for each in value)
    if origin in (dict, collections.abc.Mapping) and isinstance(value, collections.abc.Mapping):
        return all(fits(each, parts[1]) for each in value.values())
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return isinstance(value, hint)
    return True


def _shown(value: object) -> str:
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {', '.join(map(_shown, value[:4]))}"
    return type(value).__name__


def _refuse(where: str, name: str, value: object, annotation: str) -> typing.NoReturn:
    raise ShapeError(f"{where}: {name} is {_shown(value)}, and its annotation says {annotation}")


class _Hints:
    """The annotations with shapes of a function or of a dataclass, evaluated when they are first needed."""

    def __init__(self, annotations: dict[str, str], module: types.ModuleType, where: str):
        self.texts = {n: a for n, a in annotations.items() if isinstance(a, str) and SHAPED.search(a)}
        self.module, self.where = module, where

    @functools.cached_property
    def types(self) -> dict[str, object]:
        names = _Names(self.module)
        return {name: eval(text, names) for name, text in self.texts.items()}

    def check(self, name: str, value: object, yields: bool = False) -> None:
        hint = self.types[name]
        if yields:  # of a generator: what it returns
            hint = typing.get_args(hint)[-1]
        if not fits(value, hint):
            _refuse(self.where, "the result" if name == "return" else f"`{name}`", value, self.texts[name])


def checked(function: types.FunctionType, module: types.ModuleType) -> typing.Any:
    """The function, checking what its annotations say of shapes; itself where they say nothing."""
    hints = _Hints(function.__annotations__, module, f"{module.__name__}.{function.__qualname__}")
    if not hints.texts:
        return function
    signature = inspect.signature(function)
    given = [name for name in hints.texts if name != "return"]

    def arguments(args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        bound = signature.bind(*args, **kwargs).arguments
        for name in given:
            if name in bound:
                hints.check(name, bound[name])

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: object, **kwargs: object) -> typing.Any:
            result = yield from function(*args, **kwargs)
            with jaxtyping.jaxtyped("context"):
                arguments(args, kwargs)
                if "return" in hints.texts:
                    hints.check("return", result, yields=True)
            return result

        return generator

    @jaxtyping.jaxtyped(typechecker=None)
    @functools.wraps(function)
    def called(*args: object, **kwargs: object) -> object:
        arguments(args, kwargs)
        result = function(*args, **kwargs)
        if "return" in hints.texts:
            hints.check("return", result)
        return result

    return called


def _check_class(kind: type, module: types.ModuleType) -> None:
    """Checks the methods of a class, and the fields of a dataclass when one is made."""
    for name, member in list(vars(kind).items()):
        if name == "__init__" and dataclasses.is_dataclass(kind):
            continue
        if isinstance(member, types.FunctionType) and member.__module__ == module.__name__:
            setattr(kind, name, checked(member, module))
        elif isinstance(member, property) and member.fget is not None:
            setattr(kind, name, property(checked(member.fget, module), member.fset, member.fdel, member.__doc__))
        elif isinstance(member, staticmethod | classmethod):
            setattr(kind, name, type(member)(checked(member.__func__, module)))
    if not dataclasses.is_dataclass(kind):
        return
    hints = _Hints(vars(kind).get("__annotations__", {}), module, f"{module.__name__}.{kind.__qualname__}")
    made = kind.__init__
    if not hints.texts:
        return

    @functools.wraps(made)
    def init(self: object, *args: object, **kwargs: object) -> None:
        made(self, *args, **kwargs)
        with jaxtyping.jaxtyped("context"):
            for name in hints.texts:
                hints.check(name, getattr(self, name))

    kind.__init__ = init  # type: ignore[misc]


def check_module(module: types.ModuleType) -> None:
    """Checks all that is written in a module from now on."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, types.FunctionType):
            setattr(module, name, checked(value, module))
        elif isinstance(value, type):
            _check_class(value, module)


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        super().exec_module(module)
        check_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: typing.Any = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(tuple(f"saywhy.{room}" for room in ROOMS)):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """From now on, check what is imported of the rooms; what was imported before stays unchecked, and is refused."""
    early = [name for name in sys.modules if name.startswith(tuple(f"saywhy.{room}" for room in ROOMS))]
    if early:
        raise RuntimeError(f"{early[0]} was imported before its shapes could be checked")
    sys.meta_path.insert(0, _Finder())
