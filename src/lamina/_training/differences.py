"""A description of a run in words, so that a state is restored only into the run that saved it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import SupportsFloat

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._layer.host import learned_of
from lamina._training.feeds import ArrayFeed
from lamina._training.model import compiled_of
from lamina._training.stream_feed import Feed
from lamina._training.trainer import Trainer
from lamina.errors import FileError
from lamina.random import seed_given

Description = dict[str, str]

HASHED = 2**26
"""The most bytes of an array that go into its digest; they are rows at equal distances."""
SHOWN = 8
LONGEST = 60


def describe(trainer: Trainer, feed: Feed, validation: Feed | None) -> Description:
    """Describe the stack, its weights, the arguments of `compile` and `fit`, and the data."""
    model, compiled = trainer.model, compiled_of(trainer.model)
    said = {
        f"layer {number}": f"{_text(layer)} {layer.dtype_policy.name}".removesuffix(" float32")
        for number, layer in enumerate(model._lamina_chain, 1)
    }
    if (learned := learned_of(model)) is not None:
        said["what its first layer has learned"] = hashlib.sha256(json.dumps(learned).encode()).hexdigest()[:12]
    for trained, weights in ((True, trainer.spec.trained), (False, trainer.spec.fixed)):
        for path, weight in weights.items():
            said[path.removeprefix("stack.")] = f"{weight.shape} {weight.dtype}{', trained' * trained}"
    said |= {
        "loss": _text(compiled.loss),
        "loss_weights": str(compiled.loss_weight),
        "optimizer": re.sub(r"learning_rate=[\d.e+-]+(, )?", "", _text(compiled.optimizer)),
        "metrics": ", ".join(metric.name for metric in trainer.metrics),
    }
    if not callable(rate := compiled.optimizer._lamina.learning_rate):
        said["learning_rate"] = rate_text(rate)
    if seed_given() is not None:
        said["set_random_seed"] = str(seed_given())
    said |= _described("", feed)
    return said | (_described("validation_data's ", validation) if validation is not None else {})


def rate_text(rate: SupportsFloat) -> str:
    return f"{float(rate):.7g}"


def require_same(kept: Description, now: Description, where: str) -> None:
    """Raise an error if the stack, the loss, the optimizer or the data differ from those of the saved run."""
    one_seed = "set_random_seed" not in kept or "set_random_seed" not in now
    names = [name for name in {**kept, **now} if not (one_seed and name == "set_random_seed")]
    other = [name for name in names if kept.get(name) != now.get(name)]
    if not other:
        return
    lines = [
        f"  {name}: it was {_cut(kept.get(name, 'not there'))}, and is {_cut(now.get(name, 'not there'))}"
        for name in other[:SHOWN]
    ]
    more = [f"  and {len(other) - SHOWN} more"] if len(other) > SHOWN else []
    raise FileError(
        "\n".join(
            [
                f"the checkpoints in {where!r} are of another run:", *lines, *more,
                "Delete that folder to begin anew, or name another one: fit(..., checkpoint=\"another folder\").",
            ]
        )
    )  # fmt: skip


def _described(of: str, feed: Feed) -> Description:
    said = {f"{of}steps of an epoch": str(feed.steps)}
    if isinstance(feed, ArrayFeed):
        said |= {f"{of}{name}": _data(array) for name, array in feed.arrays.items()}
        return said | {f"{of}batch_size": str(feed.size), f"{of}shuffle": str(feed.shuffle)}
    batch = feed.sample or ()
    shapes = [f"{array.shape[1:]} {array.dtype}" for array in batch[:3] if array is not None]
    return said | {f"{of}x": f"batches of a {type(feed.stream.source).__name__}: {', '.join(shapes)}"}


def _data(array: HostArray) -> str:
    step = max(array.nbytes // HASHED, 1)
    digest = hashlib.sha256(np.ascontiguousarray(array[::step]).tobytes()).hexdigest()
    return f"{array.shape} {array.dtype} {digest[:12]}"


def _text(value: object) -> str:
    """A description of an object that is the same in each process."""
    said = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return said if len(said) <= 500 else f"{said[:400]}... {hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 16]}...{text[-12:]}"
