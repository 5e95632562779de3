"""Keras's own tests, which its wheel holds, run with real Keras or with Lamina in its place: a plugin of pytest.

    KERAS_OWN=lamina pytest -p keras_own --noconftest FILES

Each file gets an `__import__` of its own, for which `keras.src.layers.core.dense` has the names of `lamina.layers`. A
name that is not there fails when a test uses it, and not when the file is read. Nothing of the files is changed.
"""

import builtins
import contextlib
import functools
import importlib
import importlib.util
import inspect
import json
import os
import re
import resource
import signal
import sys
import types
from pathlib import Path

import numpy as np
import pytest

SOURCE = Path(importlib.util.find_spec("keras").origin).parent / "src"
SUBJECT = os.environ.get("KERAS_OWN", "keras")
ELSEWHERE = ("tensorflow", "torch", "grain", "orbax")
TOOLS = ("backend", "utils")
"""Where Lamina has no such name, the tests get Keras's own: they use these to make and to read arrays."""
SECONDS, BYTES = 120, 12 * 2**30
"""What a test may take."""

modules = {}


class Absent:
    """A name that is not there: using it is an error."""

    def __init__(self, path):
        vars(self)["path"] = path

    def _fail(self, *args, **kwargs):
        raise AttributeError(f"there is no {self.path}")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.path}.{name}")

    __call__ = __iter__ = __enter__ = __contains__ = __setattr__ = _fail

    def __mro_entries__(self, bases):
        return (type("Absent", (), {"__init__": self._fail}),)


class Names(types.ModuleType):
    """A module of Keras by its path, with the names of Lamina."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return of_lamina([*self.__name__.split(".")[1:], name])


def of_lamina(parts):
    """What stands for `keras.{parts}`: a module, or a name of Lamina."""
    import lamina
    from lamina._layer import masks
    from lamina.compat import functional

    if "functional" not in modules:  # a layer may be called on an Input, as under `lamina run`
        modules["functional"] = lamina.Layer.__call__ = functional.layer_called(lamina.Layer.__call__)
    path = ".".join(["keras", *parts])
    *family, name = [part for part in parts if part not in ("src", "api")] or ["keras"]
    file = SOURCE.joinpath(*family, name)
    if name.endswith("_test") or (family == ["testing"] and name == "test_utils"):
        return load(file.with_suffix(".py"))
    if family and family[0] == "testing" and name != "test_case":
        return test_case_of_lamina() if name == "TestCase" else getattr(load(SOURCE / "testing/test_case.py"), name)
    if name == "keras" or file.is_dir() or file.with_suffix(".py").exists():
        return modules.setdefault(f"names of {path}", Names(path))
    if name in ("set_keras_mask", "get_keras_mask"):
        return {"set_keras_mask": masks.with_mask, "get_keras_mask": masks.mask_of}[name]
    homes = [*family, *(["ops"] if family[:1] == ["backend"] else []), "config", "utils", "utils.bounding_boxes", ""]
    name = {"GroupedQueryAttention": "GroupQueryAttention"}.get(name, name)  # Keras's name in public
    for home in [".".join(family), *homes]:
        with contextlib.suppress(AttributeError, ImportError):
            return getattr(functools.reduce(getattr, filter(None, home.split(".")), lamina), name)
    if family and family[0] in TOOLS:
        with contextlib.suppress(AttributeError, ImportError):
            return getattr(importlib.import_module(".".join(["keras.src", *family])), name)
    return Absent(path)


def import_for_test(name, globals=None, locals=None, fromlist=(), level=0):
    """The `__import__` of the tests."""
    root, *parts = name.split(".")
    if root in ELSEWHERE:
        return Absent(name)
    if name == "pytest" and SUBJECT == "lamina":
        return types.SimpleNamespace(**{**vars(pytest), "raises": raising})
    if root == "conftest":
        skipped = lambda backend, reason: pytest.mark.skipif(backend == "jax", reason=reason)  # noqa: E731
        return types.SimpleNamespace(skip_if_backend=skipped)
    if root == "keras" and SUBJECT == "lamina":
        return of_lamina(parts if fromlist else [])
    if root == "keras" and name.endswith("_test"):
        return load(SOURCE.joinpath(*parts[1:]).with_suffix(".py"))
    return builtins.__import__(name, globals, locals, fromlist, level)


@contextlib.contextmanager
def raising(expected, match=None):
    """An error of Keras's class, in Keras's words or, if it is one of Lamina's, in Lamina's."""
    from lamina.errors import LaminaError

    with pytest.raises(expected) as caught:
        yield caught
    caught.exception = caught.value
    if not isinstance(caught.value, LaminaError):
        assert match is None or re.search(match, str(caught.value))


def load(file):
    """A file of Keras's wheel as a module with this `__import__`."""
    name = ".".join(["keras", "src", *file.relative_to(SOURCE).with_suffix("").parts])
    if name not in modules:
        module = modules[name] = types.ModuleType(name)
        module.__file__ = str(file)
        module.__builtins__ = {**vars(builtins), "__import__": import_for_test}
        sys.modules.setdefault(name, module)  # inspect and the registry look a class's module up
        exec(compile(file.read_text(), str(file), "exec"), vars(module))
    return modules[name]


def test_case_of_lamina():
    """Keras's TestCase, its check of a layer without symbolic tensors and models of other kinds."""
    if "TestCase" not in modules:
        import lamina
        from lamina import losses, tree

        base = load(SOURCE / "testing/test_case.py")

        class SumOfOutput(losses.Loss):
            def __call__(self, y_true, y_pred, sample_weight=None):
                return lamina.ops.sum(y_pred)

        class Within(lamina.Layer):
            """A layer with inputs of its own, which a stack can hold: they are constants, and so is its place."""

            def __init__(self, layer, inputs, told):
                super().__init__()
                self.layer, self.inputs, self.told = layer, inputs, told

            def call(self, x):
                return called(self.layer, self.inputs, self.told)

        def called(layer, inputs, told):
            return layer(**inputs, **told) if isinstance(inputs, dict) else layer(inputs, **told)

        class TestCase(base.TestCase):
            def setUp(self):
                lamina.utils.clear_session(free_memory=False)

            def assertRaisesRegex(self, expected_exception, expected_regex, *call, **named):
                if call:
                    with raising(expected_exception, expected_regex):
                        call[0](*call[1:], **named)
                return raising(expected_exception, expected_regex)

            def run_class_serialization_test(self, instance, custom_objects=None):
                # Keras imports the classes of its test files by their module; Lamina no module that a config names.
                found = vars(sys.modules[type(self).__module__]).items()
                own = {n: kind for n, kind in found if getattr(kind, "__module__", "") == type(self).__module__}
                return super().run_class_serialization_test(instance, own | (custom_objects or {}))

            def run_layer_test(
                self, layer_cls, init_kwargs, input_shape=None, input_dtype=None, input_sparse=False,
                input_ragged=False, input_data=None, call_kwargs=None, expected_output_shape=None,
                expected_output_dtype=None, expected_output_sparse=False, expected_output_ragged=False,
                expected_output=None, expected_num_trainable_weights=None, expected_num_non_trainable_weights=None,
                expected_num_non_trainable_variables=None, expected_num_seed_generators=None,
                expected_num_losses=None, supports_masking=None, expected_mask_shape=None, custom_objects=None,
                run_training_check=True, run_mixed_precision_check=True, assert_built_after_instantiation=False,
                tpu_atol=None, tpu_rtol=None,
            ):  # fmt: skip
                def new(**more):
                    return layer_cls(**(init_kwargs or {}) | more)

                def check(layer):
                    assert layer.built
                    kept, every = len(layer.non_trainable_weights), len(layer.non_trainable_variables)
                    assert expected_num_trainable_weights in (len(layer.trainable_weights), None)
                    assert expected_num_non_trainable_weights in (kept, None)
                    assert expected_num_non_trainable_variables in (every, None)
                    assert expected_num_seed_generators in (every - kept, None)

                def fits(wanted, shape):
                    assert len(wanted) == len(shape), (wanted, shape)
                    assert all(a in (b, None) for a, b in zip(wanted, shape, strict=True)), (wanted, shape)

                told = call_kwargs or {}
                self.run_class_serialization_test(new(), custom_objects)
                assert supports_masking in (new().supports_masking, None)
                if assert_built_after_instantiation:
                    assert new().built
                    modified = type("Modified", (layer_cls,), {"build": lambda self, *args, **kwargs: None})
                    assert not modified(**init_kwargs or {}).built
                if input_shape is None and input_data is None:
                    return
                assert not (input_sparse or input_ragged), "no sparse or ragged inputs here"
                if input_data is None:
                    dtype = input_dtype or tree.map_shape_structure(lambda _: "float32", input_shape)
                    input_data = base.create_eager_tensors(input_shape, dtype, False, False)
                shapes = input_shape or tree.map_structure(np.shape, input_data)
                by_name = isinstance(shapes, dict)
                layer = new()
                layer.build(**shapes) if by_name else layer.build(shapes)
                check(layer)
                layer = new()
                y = called(layer, input_data, told)
                check(layer)
                if expected_output_shape is not None:
                    tree.map_structure_up_to(y, lambda shape, x: fits(shape, x.shape), expected_output_shape, y)
                    computed = new().compute_output_shape(**shapes) if by_name else new().compute_output_shape(shapes)
                    wanted, found = [], []
                    tree.map_shape_structure(wanted.append, expected_output_shape)
                    tree.map_shape_structure(found.append, computed)
                    for each, shape in zip(wanted, found, strict=True):
                        fits(each, shape)
                if expected_output_dtype is not None:
                    dtypes = tree.map_structure(lambda x: lamina.backend.standardize_dtype(x.dtype), y)
                    assert dtypes == expected_output_dtype
                if expected_output is not None:
                    for wanted, x in zip(tree.flatten(expected_output), tree.flatten(y), strict=True):
                        self.assertAllClose(wanted, x)
                assert expected_num_losses in (len(layer.losses), None)
                if expected_mask_shape is not None:
                    assert expected_mask_shape == layer.compute_mask(input_data).shape
                if run_training_check:
                    one = not isinstance(input_data, (list, tuple, dict)) and not told
                    model = lamina.Sequential([layer if one else Within(layer, input_data, told)])
                    model.compile(optimizer="sgd", loss=SumOfOutput())
                    data = (input_data, y) if one else (np.zeros((1, 1), "float32"),) * 2
                    model.fit(iter([data]), steps_per_epoch=1, verbose=0)
                if run_mixed_precision_check:
                    layer = new(dtype="mixed_float16")
                    called(layer, input_data, told)
                    for weight in layer.weights:
                        assert weight.dtype in ("float32", "int32", "int64", "bool", "uint32")

        modules["TestCase"] = TestCase
    return modules["TestCase"]


class OwnModule(pytest.Module):
    def _getobj(self):
        return load(self.path)


def pytest_collection_modifyitems(items):
    """Of the tests of the trainer, those that train a Sequential: the others check Keras's own trainer class."""
    items[:] = [
        item
        for item in items
        if item.path.name != "trainer_test.py" or "Sequential" in inspect.getsource(inspect.unwrap(item.obj))
    ]


results = {}


def pytest_configure(config):
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"took more than {SECONDS} s"))


def pytest_pycollect_makemodule(module_path, parent):
    return OwnModule.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    signal.alarm(SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        results[report.nodeid] = report.outcome, str(report.longrepr)[-4000:] if report.outcome == "failed" else ""


def pytest_collectreport(report):
    if report.failed:
        results[report.nodeid] = "failed", str(report.longrepr)[-4000:]


def pytest_sessionfinish():
    Path(os.environ["KERAS_OWN_RESULTS"]).write_text(json.dumps(results))
