"""Several models of one stack, which differ in their seeds."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import numpy as np

from lamina import _display as display
from lamina._arrays.arrays import HostArray
from lamina._data.source import arrays, is_stream
from lamina._display.verbosity import verbosity
from lamina._ensembles.together import build, shared_by, trained
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, positive, short
from lamina._training.inputs import require_compiled
from lamina._training.request import Callbacks
from lamina.callbacks import History
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError
from lamina.models.cloning import clone_model
from lamina.models.sequential import Sequential
from lamina.random import next_seed, seeded


class Ensemble:
    """Several models of one stack, with different initial weights, orders of the rows and dropout.

    The models share one compiled program, and each core trains one at a time. Each is the same as after a `fit` of its
    own. The mean of their outputs is mostly better than the output of one model, and their standard deviation shows
    the uncertainty (Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep
    ensembles").

    An initializer, a Dropout or a SeedGenerator with a given seed draws the same numbers in each member. Leave `seed=`
    out to get different weights and dropout.

    >>> from lamina import layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> ensemble = Ensemble(model, members=3)
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> histories = ensemble.fit(x, x[:, 0], epochs=2, verbose=0)
    >>> mean, deviation = ensemble.predict(x, spread=True)
    >>> len(histories), mean.shape, deviation.shape
    (3, (64, 1), (64, 1))

    Args:
        model: a compiled Sequential. The members are copies with new weights.
        members: the number of models.

    Attributes:
        members: the models, each of which can be used by itself.
    """

    @user_facing
    def __init__(self, model: Sequential, members: int = 8) -> None:
        if not isinstance(model, Sequential):
            raise ArgumentError(f"Ensemble takes a compiled Sequential, got {short(model)}.")
        require_compiled(model, "Ensemble")
        self.members: list[Sequential] = [
            clone_model(model) for _ in range(checked("Ensemble", "members", positive, members))
        ]

    @user_facing
    def fit(
        self, x: Any, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: int | str = "auto",
        callbacks: Callbacks = None, **kwargs: Any,
    ) -> list[History]:  # fmt: skip
        """Train all members, and return the history of each.

        The arguments are those of `Sequential.fit`. Each member has a copy of the callbacks: a member that stops early
        keeps its weights, while the others continue.

        Args:
            x: arrays, lists or a frame with one row per sample.
            y: the targets.
            batch_size: rows per batch, 32 by default.
            epochs: the number of passes of each member over the data.
            verbose: 0 silent, 1 a bar over the members, 2 one line; with the means of the last epochs.
            callbacks: a `Callback`, or a list of them.
            kwargs: further arguments of `Sequential.fit`, except `checkpoint`.
        """
        if is_stream(x):
            raise DataError(f"an Ensemble is trained on arrays; x is a {type(x).__name__}, a stream of batches.")
        if "checkpoint" in kwargs:
            raise ArgumentError("a checkpoint keeps the state of one model: train the members one by one.")
        on_host = self.members[0]._lamina_on_host
        if not on_host:
            build(self.members, arrays(x[:1], floatx=floatx()).x.shape[1:])
        x, y = shared_by(self.members, x, y, kwargs)
        told = [copy.deepcopy(callbacks) for _ in self.members]
        seeds = [next_seed() if on_host else 0 for _ in self.members]

        def fit(number: int) -> History:
            with seeded(seeds[number]) if on_host else nullcontext():  # the fit itself builds such a member
                return self.members[number].fit(x, y, batch_size, epochs, 0, told[number], **kwargs)

        return trained(self.members, fit, verbose, "member")

    @user_facing
    def evaluate(self, x: Any, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> list[dict[str, float]]:
        """The loss and the metrics of each member.

        Args:
            x: (rows, ...).
            y: the targets.
            batch_size: rows per batch.
            kwargs: further arguments of `Sequential.evaluate`.
        """
        told = {"verbose": 0} | kwargs | {"return_dict": True}
        return [member.evaluate(x, y, batch_size, **told) for member in self.members]

    @user_facing
    def predict(
        self, x: Any, batch_size: int | None = None, verbose: int | str = "auto", spread: bool = False
    ) -> HostArray | tuple[HostArray, HostArray]:
        """The mean of the members' outputs; with `spread`, also their standard deviation, in a tuple.

        Args:
            x: (rows, ...).
            batch_size: rows per batch.
            verbose: 0 silent, else a bar for the first member.
            spread: whether to return the standard deviation as well.
        """
        shown = verbosity(verbose)
        mean: HostArray = np.zeros(())
        squares: HostArray = np.zeros(())
        for number, member in enumerate(self.members, 1):  # Welford's way, which keeps two arrays in all
            output = np.asarray(member.predict(x, batch_size, shown if number == 1 else 0))
            away = output - mean
            mean = mean + away / number
            squares = squares + away * (output - mean)
        mean = mean.astype(output.dtype)
        return (mean, np.sqrt(squares / len(self.members)).astype(output.dtype)) if spread else mean

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self)} members of {self.members[0]!r}>"

    def _repr_html_(self) -> str:
        """The view in a notebook: the curve and the last values of each member, and the stack."""
        histories = [member.history or History() for member in self.members]
        names = list(dict.fromkeys(name for history in histories for name in history.history))
        rows = [
            (number, len(history.epoch), *(display.html.shown(history.history.get(name, [""])[-1]) for name in names))
            for number, history in enumerate(histories, 1)
        ]
        table = display.html.table(f"Ensemble of {len(self)} members", ("member", "epochs", *names), rows)
        return display.html.learning_curves(histories, strong=0) + table + self.members[0]._repr_html_()
