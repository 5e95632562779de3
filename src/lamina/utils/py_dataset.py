"""Batches that Python code makes by their numbers, in one thread or in several threads or processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, count, flag, positive


class PyDataset:
    """Base of a class of your own, whose object gives batch i as `batches[i]`; `fit` takes it as x.

    A subclass has `__getitem__(self, index)`, which returns `x`, `(x, y)` or `(x, y, sample_weight)` with the rows of
    one batch, and says by `__len__` how many batches there are. `Sequence` is another name of this class.

        class Photos(keras.utils.PyDataset):
            def __init__(self, files, labels, **kwargs):
                super().__init__(**kwargs)
                self.files, self.labels = files, labels

            def __len__(self):
                return math.ceil(len(self.files) / 32)

            def __getitem__(self, index):
                rows = slice(index * 32, (index + 1) * 32)
                return np.stack([read(name) for name in self.files[rows]]), self.labels[rows]

        model.fit(Photos(files, labels, workers=4), epochs=10)

    With `fit(shuffle=True)` the batches come in another order in each epoch. Each batch is asked for once an epoch.

    Args:
        workers: in how many threads batches are made. With 0 or 1 it is one thread, beside the training.
        use_multiprocessing: whether the workers are processes. Threads are enough where most of the time goes into
            files, images or NumPy. Each epoch has new processes, to which the object is handed as it is then.
        max_queue_size: how many batches the workers may be ahead of the training.
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    @user_facing
    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = checked("PyDataset", "workers", count, workers)
        self.use_multiprocessing = checked("PyDataset", "use_multiprocessing", flag, use_multiprocessing)
        self.max_queue_size = checked("PyDataset", "max_queue_size", positive, max_queue_size)

    def __getitem__(self, index: int) -> Any:
        """The batch of this number."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(self, index): it makes a batch.")

    def __iter__(self) -> Iterator[Any]:
        number = self.num_batches
        return map(self.__getitem__, itertools.count() if number is None else range(number))

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None where they have no end, and `fit` is told `steps_per_epoch`."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} needs a method __len__, or a property num_batches: None where there is no end."
        )

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch, for example to mix the rows of the batches anew."""


Sequence = PyDataset
