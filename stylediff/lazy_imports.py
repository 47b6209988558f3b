"""Modules that are loaded when they are first used."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any


def import_lazily(name: str) -> None:
    """Register a module that is loaded when it is first used.

    It is for slow modules that other packages import but that are rarely needed. Python's ``LazyLoader`` does not work
    here, because it loads a module as soon as ``inspect`` asks for its file.

    Raises:
        ModuleNotFoundError: no such module.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader, module = spec.loader, importlib.util.module_from_spec(spec)

    def load(attribute: str) -> Any:
        if vars(module).get("__getattr__") is load:
            del module.__getattr__
            loader.exec_module(module)
            return getattr(module, attribute)
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    module.__getattr__ = load  # type: ignore[method-assign]
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Import and use diffusers without loading torch's compiler.

    diffusers marks functions and classes for the compiler, and asks whether a model is compiled. Each of these imports
    ``torch._dynamo`` with 800 modules, which takes as long as torch itself. Nothing can be compiled inside the context.
    What was imported inside stays unmarked, which has no effect on code that is not compiled.
    """
    name = "torch._dynamo"
    if name in sys.modules:
        yield
        return
    import torch

    stand_in: Any = ModuleType(name)
    stand_in.allow_in_graph = stand_in.disable = leave_unmarked
    stand_in.eval_frame = SimpleNamespace(OptimizedModule=())  # nothing is an instance of it
    sys.modules[name] = torch._dynamo = stand_in
    try:
        yield
    finally:
        del sys.modules[name], torch._dynamo


def leave_unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    """Stand-in for a decorator of the compiler, with or without arguments."""
    return function if function is not None else lambda decorated: decorated
