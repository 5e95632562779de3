"""TensorFlow 1's session, with which programs set the memory of a GPU. It has no effect here."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

from lamina.compat.tensorflow.stand_in import StandIn
from lamina.compat.told import say


class Options:
    """An object on which any attribute can be set."""

    def __init__(self, **kwargs: Any) -> None:
        vars(self).update(kwargs)

    def __getattr__(self, name: str) -> Options:
        if name.startswith("__"):
            raise AttributeError(name)
        return vars(self).setdefault(name, Options())  # type: ignore[no-any-return]


class ConfigProto(Options):
    """The settings of a session."""


class GPUOptions(Options):
    """The settings of a GPU's memory."""


class Session(metaclass=StandIn):
    """A session without effect."""

    def __init__(self, target: str = "", graph: None = None, config: object = None) -> None:
        say("tf.Session has no effect: XLA_PYTHON_CLIENT_PREALLOCATE=false lets the memory of a GPU grow.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None: ...

    def run(self, fetches: Any, feed_dict: object = None, **kwargs: object) -> Any:
        """Return the values, which are computed already."""
        return fetches

    def as_default(self) -> Self:
        """Return the session."""
        return self

    def close(self) -> None:
        """Have no effect."""


InteractiveSession = Session


class Graph(metaclass=StandIn):
    """A graph without effect. Programs keep one for the threads of a server, but models here work in each thread."""

    def as_default(self) -> AbstractContextManager[None]:
        """A context that does nothing."""
        return nullcontext()

    def finalize(self) -> None:
        """Have no effect."""


_graph = Graph()


def get_default_graph() -> Graph:
    """The graph, which has no effect."""
    return _graph


def reset_default_graph() -> None:
    """Have no effect. `keras.utils.clear_session` drops compiled programs."""
