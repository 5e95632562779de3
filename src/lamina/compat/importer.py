"""The import hook: `import keras` and `import tensorflow` find Lamina, while it is installed.

Each of their modules is a `Mirror`, which looks a name up in the corresponding module of Lamina when the name is used.
So there is no list of names here: a new name of Lamina is at once a name of `keras` and of `tensorflow.keras`.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
import multiprocessing.pool
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

import lamina
from lamina._imports.public import missing_attribute
from lamina._messages.missing_names import hint
from lamina._messages.tracebacks import user_facing
from lamina._settings.strictness import AS_KERAS, Strictness, strictness
from lamina.compat import eager, names, scikeras, tensorflow, told, verbs
from lamina.compat.instead import instead_of
from lamina.compat.told import program, say
from lamina.errors import LaminaError

VERSIONS = {"keras": names.KERAS, "tf_keras": "2.20.0", "tensorflow": "2.20.0", "scikeras": "0.13.0"}
"""The value of `__version__`: the release whose names and defaults these modules have."""

NO_TENSORFLOW = "tensorboard.compat.notf"
"""This module makes the package tensorboard work without TensorFlow. Otherwise tensorboard would import Lamina."""

LEANED_ON = (concurrent.futures, importlib.util, multiprocessing.pool, urllib.error, urllib.parse, urllib.request)
"""The real Keras imports these modules. Some programs use them without an import of their own."""

ROOTS = {
    "tensorflow.keras": lamina,
    **{f"tensorflow.{old}.keras": lamina for old in ("compat.v1", "compat.v2", "contrib", "_api.v2", "python")},
    **{f"tensorflow.{old}": tensorflow for old in ("compat.v1", "compat.v2", "_api.v2", "python")},
    "tensorflow": tensorflow,
    "tf_keras": lamina,
    "scikeras": scikeras,
    "keras._tf_keras.keras": lamina,
    "keras._tf_keras": lamina,
    "keras.api": lamina,
    "keras.src": lamina,
    "keras": lamina,
}
"""The module of Lamina for the beginning of a path. The longest path that fits counts."""

MOVED = {
    "": """engine engine.base_layer engine.input_layer engine.sequential engine.topology engine.training
        engine.training_v1 engine.functional""",
    "callbacks": "callbacks.callbacks callbacks.tensorboard_v1 callbacks.tensorboard_v2 callbacks_v1",
    "initializers": "initializations initializers.initializers_v2 initializers.initializers_v1 initializers_v2",
    "losses": "objectives",
    "layers": """layers.core layers.convolutional layers.convolutional_recurrent layers.pooling layers.recurrent
        layers.recurrent_v2 layers.normalization layers.embeddings layers.advanced_activations
        layers.noise layers.wrappers layers.local layers.cudnn_recurrent layers.rnn layers.merge
        layers.reshaping layers.regularization layers.core_layers layers.convolutional.base_conv
        layers.preprocessing layers.experimental layers.experimental.preprocessing""",
    "optimizers": """optimizers.legacy optimizers.experimental optimizer_v2 optimizer_v2.adadelta optimizer_v2.adagrad
        optimizer_v2.adam optimizer_v2.adamax optimizer_v2.gradient_descent optimizer_v2.nadam
        optimizer_v2.rmsprop""",
    "utils": """utils.visualize_util utils.np_utils utils.data_utils utils.vis_utils utils.generic_utils
        utils.layer_utils utils.image_utils utils.io_utils utils.tf_utils utils.legacy legacy legacy.saving""",
}
"""For each present module, the modules of older releases of Keras that had its names."""

TODAY = {old: new for new, paths in MOVED.items() for old in paths.split()}


class AlreadyImportedError(LaminaError, ImportError):
    """The real Keras or TensorFlow was imported before, and can no longer be replaced."""


class UnknownModuleError(LaminaError, ModuleNotFoundError):
    """A module of Keras or TensorFlow that does not exist here."""


class Mirror(ModuleType):
    """A module with the name that the user imported, and with the names of `target`."""

    def __init__(self, name: str, target: ModuleType) -> None:
        super().__init__(name, target.__doc__)
        self.target = target
        self.__path__: list[str] = []

    @user_facing
    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__}.{name}"
        if name == "__all__":
            return [*dir(self), *self._old_names()]
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if locate(path) is not None:
            return importlib.import_module(path)
        if ROOTS[split(path)[0]] is lamina:
            try:
                return names.served(today(path))
            except KeyError:
                pass
        try:
            return getattr(self.target, name)
        except (AttributeError, ImportError):
            if ROOTS[split(path)[0]] is lamina:
                advice = hint(today(self.__name__), name, dir(self))
            else:
                advice = instead_of(canonical(path), dir(self))
            raise missing_attribute(self.__name__, name, advice) from None

    def _old_names(self) -> list[str]:
        """The renamed names, for `import *`. Only those that the program uses are reported."""
        family = today(self.__name__) if ROOTS[split(self.__name__)[0]] is lamina else ""
        old = names.renamed(family)
        for name in old.keys() - _mentioned(program().f_code):
            vars(self)[name] = old[name]
        return list(old)

    def __reduce__(self) -> tuple[Any, ...]:
        return _module_in_child, (self.__name__,)

    def __dir__(self) -> list[str]:
        shown = getattr(self.target, "__all__", None) or [n for n in dir(self.target) if not n.startswith("_")]
        of_keras = ROOTS[split(self.__name__)[0]] is lamina
        return [*shown, *(n for n in names.below(today(self.__name__)) if of_keras and n not in shown)]


def _mentioned(code: CodeType) -> set[str]:
    """The names in a program, including those in its functions and classes."""
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return {*code.co_names, *(name for each in inner for name in _mentioned(each))}


def split(path: str) -> tuple[str, list[str]]:
    """A dotted path as its root and the parts below; the root is "" if it is not in `ROOTS`.

    >>> split("tensorflow.keras.layers.core")
    ('tensorflow.keras', ['layers', 'core'])
    """
    for root in ROOTS:
        if path == root or path.startswith(root + "."):
            return root, path.removeprefix(root).split(".")[1:]
    return "", []


def canonical(path: str) -> str:
    """Convert a path of any root to the present path of Keras or TensorFlow.

    >>> canonical("tensorflow.python.keras.layers")
    'keras.layers'
    """
    root, parts = split(path)
    return ".".join([{lamina: "keras", scikeras: "scikeras"}.get(ROOTS[root], "tensorflow"), *parts])


def today(path: str) -> str:
    """Convert a path of Keras, of any root and release, to the present path below `keras`.

    >>> today("tensorflow.keras.layers.core.Dense"), today("keras.utils")
    ('layers.Dense', 'utils')
    """
    parts = split(path)[1]
    for length in range(len(parts), 0, -1):
        if (old := ".".join(parts[:length])) in TODAY:
            return ".".join([*TODAY[old].split(), *parts[length:]])
    return ".".join(parts)


def locate(path: str) -> ModuleType | None:
    """The module of Lamina for a dotted path that a program imports; None if there is none."""
    root, parts = split(path)
    if not root:
        return None
    module = ROOTS[root]
    if module is lamina:
        new = TODAY.get(".".join(parts), ".".join(parts))
        if new in names.MODULES:
            return names.served(new)  # type: ignore[no-any-return]
        parts = new.split(".")
    elif module is tensorflow:
        parts = names.TENSORFLOW.get(".".join(parts), ".".join(parts)).split(".")
    try:
        for part in filter(None, parts):
            module = getattr(module, part)
            if not isinstance(module, ModuleType) or not module.__name__.startswith("lamina."):
                return None
    except (AttributeError, ImportError):  # errors.missing_attribute raises either
        return None
    return module


class Finder(MetaPathFinder, Loader):
    """Finds and loads these modules. It comes first in `sys.meta_path`, so that an installed Keras is not used."""

    @user_facing
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not split(fullname)[0]:
            return None
        if locate(fullname) is None:
            hint = instead_of(canonical(fullname)) or f"{fullname.partition('.')[0]} is Lamina here."
            raise UnknownModuleError(f"no module named {fullname!r}. {hint}", name=fullname)
        return ModuleSpec(fullname, self, origin=f"Lamina {lamina.__version__}", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        target = locate(spec.name)
        assert target is not None, "find_spec has checked it"
        return Mirror(spec.name, target)

    def exec_module(self, module: ModuleType) -> None:
        root, parts = split(module.__name__)
        if ".".join(parts) in TODAY:
            say(f"{module.__name__} is now {'.'.join([root, *TODAY['.'.join(parts)].split('.')]).rstrip('.')}.")
        if module.__name__ in ROOTS:
            module.__dict__["__version__"] = VERSIONS[canonical(module.__name__).partition(".")[0]]


class Arguments(list[str]):
    """The `sys.argv` of a program. A child process unpickles it first, and this installs the hook there too."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _arguments_in_child, (list(self),)


def _arguments_in_child(arguments: list[str]) -> Arguments:
    install()
    return Arguments(arguments)


def _module_in_child(name: str) -> ModuleType:
    install()
    return importlib.import_module(name)


_finder = Finder()
_before: Strictness = strictness.copy()
"""The settings from before `install`, which `uninstall` restores."""


@user_facing
def install() -> None:
    """Make `import keras` and `import tensorflow` import Lamina from now on, in this process.

        lamina.compat.install()
        from tensorflow.keras.layers import Dense  # is lamina.layers.Dense

    Arguments, methods and names of Keras 1 and 2 work too. The first use of each prints its replacement to stderr.
    Two of Lamina's errors become warnings, because older programs rely on these cases: a loss that is not finite
    (`lamina.config.set_non_finite("warn")`) and a class without a weight in `class_weight`, which weighs 1.

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
        _before.update(strictness)
        strictness.update(AS_KERAS)
        told.said.clear()
        sys.modules[NO_TENSORFLOW] = ModuleType(NO_TENSORFLOW)
        verbs.patch()
        eager.patch()


def uninstall() -> None:
    """Undo `install`. A module that a program imported before still works."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        sys.modules.pop(NO_TENSORFLOW, None)
        eager.restore()
        verbs.restore()
        strictness.update(_before)
    for name in [name for name, module in sys.modules.items() if isinstance(module, Mirror)]:
        del sys.modules[name]
