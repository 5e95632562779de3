"""The import hook: `import keras` and `import tensorflow` find Lamina, while it is installed.

A served module is a `Mirror`: each name of it is looked up in the module of Lamina that stands behind it, when it
is asked for. So there is no list of names here; what Lamina learns, `keras` and `tensorflow.keras` know too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import lamina
from lamina._base.frames import user_facing
from lamina._base.public import missing_attribute
from lamina.compat import tensorflow
from lamina.compat.instead import instead_of
from lamina.errors import LaminaError

VERSIONS = {"keras": "3.15.1", "tf_keras": "2.20.0", "tensorflow": "2.20.0"}
"""What `__version__` says: the release whose names and defaults are served."""

ROOTS = {
    "tensorflow.python.keras": lamina,
    "tensorflow.keras": lamina,
    "tensorflow.python": tensorflow,
    "tensorflow": tensorflow,
    "tf_keras": lamina,
    "keras._tf_keras.keras": lamina,
    "keras._tf_keras": lamina,
    "keras.api": lamina,
    "keras.src": lamina,
    "keras": lamina,
}
"""What stands behind the first part of a path; longer ones come before the shorter ones that they begin with."""

MOVED = {
    "": "engine engine.base_layer engine.input_layer engine.sequential engine.topology engine.training",
    "layers": """layers.core layers.convolutional layers.convolutional_recurrent layers.pooling layers.recurrent
        layers.recurrent_v2 layers.normalization layers.embeddings layers.advanced_activations layers.noise
        layers.wrappers layers.local layers.preprocessing layers.experimental layers.experimental.preprocessing""",
    "optimizers": """optimizers.legacy optimizers.experimental optimizer_v2 optimizer_v2.adadelta optimizer_v2.adagrad
        optimizer_v2.adam optimizer_v2.adamax optimizer_v2.gradient_descent optimizer_v2.nadam optimizer_v2.rmsprop""",
    "utils": """utils.np_utils utils.data_utils utils.vis_utils utils.generic_utils utils.layer_utils
        utils.image_utils preprocessing preprocessing.image preprocessing.sequence""",
}
"""For each module of today, where older releases of Keras kept its names."""

TODAY = {old: new for new, paths in MOVED.items() for old in paths.split()}


class AlreadyImportedError(LaminaError, ImportError):
    """The real Keras or TensorFlow is in use, and cannot be replaced any more."""


class UnknownModuleError(LaminaError, ModuleNotFoundError):
    """A module of Keras or TensorFlow that is not served."""


class Mirror(ModuleType):
    """A module named as the user typed it, whose names are those of `target`."""

    def __init__(self, name: str, target: ModuleType) -> None:
        super().__init__(name, target.__doc__)
        self.target = target
        self.__path__: list[str] = []

    @user_facing
    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__}.{name}"
        if name == "__all__":
            return dir(self)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if locate(path) is not None:
            return importlib.import_module(path)
        try:
            return getattr(self.target, name)
        except (AttributeError, ImportError):
            names = dir(self)
            raise missing_attribute(self.__name__, name, names, instead_of(canonical(path), names)) from None

    def __dir__(self) -> list[str]:
        return list(getattr(self.target, "__all__", ())) or [n for n in dir(self.target) if not n.startswith("_")]


def split(path: str) -> tuple[str, list[str]]:
    """A dotted path as its root and the parts below; the root is "" where it is none of ours.

    >>> split("tensorflow.keras.layers.core")
    ('tensorflow.keras', ['layers', 'core'])
    """
    for root in ROOTS:
        if path == root or path.startswith(root + "."):
            return root, path.removeprefix(root).split(".")[1:]
    return "", []


def canonical(path: str) -> str:
    """A path that begins with one of our roots, as it begins in today's Keras or TensorFlow.

    >>> canonical("tensorflow.python.keras.layers")
    'keras.layers'
    """
    root, parts = split(path)
    return ".".join(["keras" if ROOTS[root] is lamina else "tensorflow", *parts])


def locate(path: str) -> ModuleType | None:
    """The module behind a dotted path that a program may import; None where there is none."""
    root, parts = split(path)
    if not root:
        return None
    module = ROOTS[root]
    if module is lamina:
        parts = TODAY.get(".".join(parts), ".".join(parts)).split(".")
    try:
        for part in filter(None, parts):
            module = getattr(module, part)
            if not isinstance(module, ModuleType) or not module.__name__.startswith("lamina."):
                return None
    except (AttributeError, ImportError):  # errors.missing_attribute raises either
        return None
    return module


class Finder(MetaPathFinder, Loader):
    """Finds and loads the served modules; it stands first, so it wins over a Keras that is installed."""

    @user_facing
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if not split(fullname)[0]:
            return None
        if locate(fullname) is None:
            hint = instead_of(canonical(fullname)) or f"{fullname.partition('.')[0]} is Lamina here."
            raise UnknownModuleError(f"no module named {fullname!r}. {hint}", name=fullname)
        return ModuleSpec(fullname, self, origin=f"Lamina {lamina.__version__}", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        target = locate(spec.name)
        assert target is not None, "find_spec has asked"
        return Mirror(spec.name, target)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in ROOTS:
            module.__dict__["__version__"] = VERSIONS[canonical(module.__name__).partition(".")[0]]


_finder = Finder()


@user_facing
def install() -> None:
    """Let `import keras` and `import tensorflow` find Lamina from now on, in this process.

        lamina.compat.install()
        from tensorflow.keras.layers import Dense  # is lamina.layers.Dense

    Raises:
        AlreadyImportedError: the real Keras or TensorFlow was imported before.
    """
    for name in VERSIONS:
        if name in sys.modules and not isinstance(sys.modules[name], Mirror):
            raise AlreadyImportedError(
                f"{name!r} was imported before lamina.compat.install(), so parts of it are already in use. "
                f"Call install() before the first `import {name}`."
            )
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undo `install`; what was imported in between goes on working where it is held."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name in [name for name, module in sys.modules.items() if isinstance(module, Mirror)]:
        del sys.modules[name]
