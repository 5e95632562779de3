"""The program of test_integers.py: huge whole numbers in each setting of each class that a file may name.

`python integers.py FAMILY [CLASS ...]` prints a line for each that takes too long, takes too much memory, or ends in an
error of Python's own, and then how many were tried.
"""

import contextlib
import copy
import faulthandler
import functools
import io
import json
import signal
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import hostile
from cases import CASES

import lamina
from lamina._saving import config, show
from lamina.errors import LaminaError

VALUES = (10**6, 10**9, 10**18)
SECONDS, KILOBYTES = 10, 2**20
DENSE = {"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}, "registered_name": None}
DECAY = {"initial_learning_rate": 0.1, "decay_steps": 10}
WORDS = {"vocabulary": ["a", "b"]}
VECTORS = {"output_mode": "multi_hot", "max_tokens": 9, "pad_to_max_tokens": True}
WEIGHED = {"output_mode": "tf_idf", "idf_weights": [1.0, 2.0], "max_tokens": 9, "pad_to_max_tokens": True}
CELL = {"class_name": "GRUCell", "module": "keras.layers", "config": {"units": 2}}
BINS = {"class_name": "Discretization", "module": "keras.layers", "config": {"num_bins": 3}, "registered_name": None}
FEATURE = {
    "module": "keras.src.layers.preprocessing.feature_space", "class_name": "Feature", "registered_name": None,
    "config": {"dtype": "float32", "preprocessor": BINS, "output_mode": "one_hot"},
}  # fmt: skip
NEEDED = {
    "AUC": [{}, {"multi_label": True, "num_labels": 2}, {"exact": True}],
    "IoU": [{"num_classes": 2, "target_class_ids": [0]}], "MeanIoU": [{"num_classes": 2}],
    "OneHotIoU": [{"num_classes": 2, "target_class_ids": [0]}], "OneHotMeanIoU": [{"num_classes": 2}],
    "SensitivityAtSpecificity": [{"specificity": 0.5}], "SpecificityAtSensitivity": [{"sensitivity": 0.5}],
    "PrecisionAtRecall": [{"recall": 0.5}], "RecallAtPrecision": [{"precision": 0.5}],
    "MeanMetricWrapper": [{"fn": {"module": "keras.losses", "class_name": "function", "config": "mean_squared_error"}}],
    "CosineDecay": [DECAY], "PolynomialDecay": [DECAY], "CosineDecayRestarts": [
        {"initial_learning_rate": 0.1, "first_decay_steps": 10}
    ],
    "ExponentialDecay": [DECAY | {"decay_rate": 0.9}], "InverseTimeDecay": [DECAY | {"decay_rate": 0.9}],
    "PiecewiseConstantDecay": [{"boundaries": [1], "values": [1.0, 0.5]}],
    "LossScaleOptimizer": [{"inner_optimizer": {"class_name": "SGD", "module": "keras.optimizers", "config": {}}}],
    "Discretization": [{"bin_boundaries": [0.5]}, {"num_bins": 3}, {"num_bins": 3, "output_mode": "one_hot"}],
    "Hashing": [{"num_bins": 3}, {"num_bins": 3, "output_mode": "one_hot"}],
    "IntegerLookup": [{"vocabulary": [1, 2]}, {"vocabulary": [1, 2]} | VECTORS, {"vocabulary": [1, 2]} | WEIGHED],
    "StringLookup": [WORDS, WORDS | VECTORS, WORDS | WEIGHED, WORDS | {"invert": True}],
    "TextVectorization": [WORDS, WORDS | VECTORS, WORDS | WEIGHED, WORDS | {"output_sequence_length": 3}],
    "EinsumDense": [{"equation": "ab,bc->ac", "output_shape": [3]}], "HashedCrossing": [{"num_bins": 3}],
    "Embedding": [{"input_dim": 3, "output_dim": 2}], "ReversibleEmbedding": [{"input_dim": 3, "output_dim": 2}],
    "CategoryEncoding": [{"num_tokens": 3}], "Pipeline": [{"layers": []}], "MaxNumBoundingBoxes": [{"max_number": 3}],
    "GRUCell": [{"units": 2}], "LSTMCell": [{"units": 2}], "SimpleRNNCell": [{"units": 2}],
    "StackedRNNCells": [{"cells": [CELL]}], "Wrapper": [{"layer": DENSE}], "InputLayer": [{"batch_shape": [None, 3]}],
    "MultiHeadAttention": [{"num_heads": 2, "key_dim": 2}], "Dot": [{"axes": 1}],
    "GroupQueryAttention": [{"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}],
    "Sequential": [{"name": "inner", "layers": [DENSE]}], "FeatureSpace": [{"features": {"a": FEATURE}}],
}  # fmt: skip
ELSEWHERE = ["Lambda", "Functional", "Model"]
"""What takes a function, or is a model of its own."""


SEVERAL = [
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot", "GroupQueryAttention", "Maximum",
    "MaxNumBoundingBoxes", "Minimum", "MultiHeadAttention", "Multiply", "Subtract",
]  # fmt: skip
"""What may be refused, as it takes several tensors."""


def plain(value):
    """A setting of a case, as a config holds it."""
    if hasattr(value, "settings"):
        return {"class_name": value.name, "module": "keras.layers", "config": plain(value.settings)}
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return json.loads(json.dumps(value, default=lambda each: config.settings.serialize(each)))


def classes(family):
    """The classes of a family, and for each the settings that it needs and the shape of an input."""
    for kind in dict.fromkeys(thing for thing in config.FAMILIES[family].named.values() if isinstance(thing, type)):
        cases = [(plain(case.settings), case.shape) for case in CASES if case.name == kind.__name__]
        needed = NEEDED.get(kind.__name__, [] if cases else [{}])
        for settings, shape in [*cases, *((each, (3,)) for each in needed)]:
            yield kind, settings, shape


def changed(kind, needed):
    """The settings, each with a huge number in the place of one."""
    for name in {**getattr(kind, "_lamina_fields", {}), **needed}:
        for value in VALUES:
            yield name, value, {**needed, name: value}
            if isinstance(needed.get(name), list):
                yield name, [value], {**needed, name: [value for _ in needed[name]]}


def described(family, kind, settings):
    return {"module": family, "class_name": kind.__name__, "config": settings, "registered_name": None}


def stack_with(family, one, shape):
    """The config of a stack that holds an object of a family somewhere."""
    first = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None}
    first["config"] = {"batch_shape": [None, *shape], "dtype": "float32", "name": "input"}
    dense, compiled = copy.deepcopy(DENSE), None
    if family in ("keras.layers", "keras.utils"):  # a FeatureSpace stands first in a stack
        dense = one
    elif family in ("keras.initializers", "keras.regularizers", "keras.constraints"):
        dense["config"][f"kernel_{family.removeprefix('keras.')[:-1]}"] = one
    else:
        compiled = {"optimizer": "sgd", "loss": "mse"}
        rate = {"class_name": "SGD", "module": "keras.optimizers", "config": {"learning_rate": one}}
        if family == "keras.optimizers.schedules":
            compiled["optimizer"] = rate
        else:
            name = {"keras.optimizers": "optimizer", "keras.losses": "loss", "keras.metrics": "metrics"}[family]
            compiled[name] = [one] if name == "metrics" else one
    layers = [first, dense]
    whole = {"module": "keras", "class_name": "Sequential", "config": {"name": "net", "layers": layers}}
    return whole | ({"compile_config": compiled} if compiled else {})


def peak():
    """The most memory that this process has held since the last call, in kilobytes."""
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    return int(status.split("VmHWM:")[1].split()[0])


def held():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


class TooSlow(BaseException):
    pass


def stop(*_):
    raise TooSlow


def problem(make):
    """What is wrong with how `make` ends; "" if nothing is."""
    peak()
    base, begun = held(), time.monotonic()
    faulthandler.dump_traceback_later(6 * SECONDS, exit=True)  # where no signal comes through
    signal.alarm(SECONDS + 1)
    said = ""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            made = make()
            repr(made)
        del made
    except LaminaError:
        pass
    except BaseException as error:
        said += f" {type(error).__name__}: {str(error)[:200]}"
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()
    seconds, kilobytes = time.monotonic() - begun, peak() - base
    if seconds > SECONDS:
        said += f" {seconds:.1f} s"
    if kilobytes > KILOBYTES:
        said += f" {kilobytes / 2**20:.1f} GB"
    return said


def tried(family, kind, needed, shape, path):
    """How many ways were tried to make this class with a huge number, and a line for each that went wrong."""
    lines, count = [], 0
    for name, value, settings in changed(kind, needed):
        one = described(family, kind, settings)
        hostile.keras_file(path.parent, stack_with(family, one, shape), name=path.name)
        for way in (config.deserialized, lamina.saving.load_model, lambda each: show.show(str(each))):
            wrong = problem(functools.partial(way, one if way is config.deserialized else path))
            count += 1
            if wrong:
                lines.append(f"{kind.__name__}({needed}, {name}={value}) by {way.__name__}:{wrong}")
    return count, lines


def main(family, *only):
    signal.signal(signal.SIGALRM, stop)
    config.load_families()
    total = 0
    with TemporaryDirectory() as folder:
        for kind, needed, shape in classes(family):
            if kind.__name__ in ELSEWHERE or (only and kind.__name__ not in only):
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    config.deserialized(described(family, kind, needed))
            except LaminaError as error:
                if kind.__name__ not in SEVERAL:
                    print(f"{kind.__name__} cannot be made at all: {error}")
                continue
            count, lines = tried(family, kind, needed, shape, Path(folder, "model.keras"))
            total += count
            print(*lines, sep="\n", end="\n" * bool(lines), flush=True)
    print(total)


if __name__ == "__main__":
    main(*sys.argv[1:])
