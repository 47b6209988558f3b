"""Import path that saved pipelines record for our classes."""

from typing import TypeVar

Class = TypeVar("Class", bound=type)


def public(cls: Class) -> Class:
    """Pin a class to the package root.

    Files can then move without breaking saved pipelines.

    diffusers writes ``cls.__module__`` to ``model_index.json`` and looks the class up there when loading.
    """
    cls.__module__ = "stylediff"
    return cls
