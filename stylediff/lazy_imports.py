"""Modules that are loaded when they are first used."""

import importlib.util
import sys
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
