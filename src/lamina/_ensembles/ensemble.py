"""Several models of one stack, which differ in their seeds, trained as one program."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._base.converters import checked, positive, short
from lamina._base.frames import user_facing
from lamina._checks import columns
from lamina._data.arrays import HostArray
from lamina._data.source import is_stream
from lamina._data.weights import split
from lamina._display.verbosity import verbosity
from lamina._ensembles.group import Group, Job
from lamina._training.feeds import given_batch_size
from lamina._training.inputs import check, measured_table, require_compiled, weighted_table
from lamina._training.request import DataRequest, RunPlan, fit_request
from lamina.callbacks import History
from lamina.errors import ArgumentError, DataError
from lamina.models.cloning import clone_model
from lamina.models.sequential import Sequential


class Ensemble:
    """Models of one stack with different first weights, orders of the rows and dropout, trained as one program.

    Each member is trained as `fit` would train it alone: it differs by the rounding of its products. The mean of their
    answers is mostly better than each of them, and their spread says how sure it is (Lakshminarayanan et al. 2017,
    "Simple and scalable predictive uncertainty estimation using deep ensembles").

    >>> import numpy as np
    >>> from lamina import Sequential, layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> ensemble = Ensemble(model, members=3)
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> histories = ensemble.fit(x, x[:, 0], epochs=2, verbose=0)
    >>> mean, deviation = ensemble.predict(x, spread=True)
    >>> len(histories), mean.shape, deviation.shape
    (3, (64, 1), (64, 1))

    Args:
        model: a compiled Sequential; the members are made like it, with fresh weights.
        members: how many there are.

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
        callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None, shuffle: Any = True,
        class_weight: Any = None, sample_weight: Any = None, initial_epoch: int = 0,
        validation_batch_size: int | None = None, validation_freq: Any = 1,
    ) -> list[History]:  # fmt: skip
        """Train all members, and return the history of each.

        The arguments are those of `Sequential.fit`. Each member has a copy of the callbacks: one that has stopped early
        keeps its weights, while the others go on. What is shown are the means over the members.

        Raises:
            StackError: for a stack with a stateful layer, or with a training step of its own.
            ArgumentError: for a callback with a method for each batch.
        """
        if is_stream(x):
            raise DataError(f"an Ensemble is trained on arrays; x is a {type(x).__name__}, a stream of batches.")
        asked = DataRequest(x, y, sample_weight, class_weight, batch_size, shuffle=shuffle)
        validation = DataRequest(validation_data, batch_size=validation_batch_size)
        plan = RunPlan(verbose, callbacks, epochs, initial_epoch, validation, validation_split, validation_freq)
        data, plan = fit_request(asked, plan)
        first = self.members[0]
        table, held = weighted_table(first, data), None
        if plan.validation_split:
            table, held = split(table, plan.validation_split)
        size = given_batch_size(batch_size) if batch_size is not None else 32
        data = data._replace(batch_size=size)
        plan = plan._replace(validation=plan.validation._replace(batch_size=validation_batch_size or size))
        if plan.validation.x is not None:
            held = measured_table(first, plan.validation, columns.named(table.columns))
        for member in self.members:
            check(member, table, data)
            member._lamina.columns = columns.named(table.columns)
        rows = [np.arange(table.rows)] * len(self.members)
        return Group(self.members, Job(table, rows, held, data, plan)).fit()

    @user_facing
    def evaluate(self, x: Any, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> list[dict[str, float]]:
        """The loss and the metrics of each member.

        Args:
            x: (rows, ...).
            y: the targets.
            batch_size: rows a step.
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
            batch_size: rows at a time.
            verbose: 0 silent, else a bar for the first member.
            spread: whether to return the standard deviation as well.
        """
        shown = verbosity(verbose)
        mean: Any = np.float64(0)
        squares: Any = np.float64(0)
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
