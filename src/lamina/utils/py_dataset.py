"""Batches that Python code makes by index, in one thread or in several threads or processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, count, flag, positive


class PyDataset:
    """Base of a custom dataset: `batches[i]` returns batch i, and `fit` takes the object as x.

    A subclass defines `__getitem__(self, index)`, which returns `x`, `(x, y)` or `(x, y, sample_weight)` for one batch,
    and `__len__`, which returns the number of batches. `Sequence` is another name of this class.

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

    With `fit(shuffle=True)` the order of the batches is new in each epoch. Each batch is requested once per epoch.

    Args:
        workers: the number of threads that make batches. 0 or 1 means one thread beside the training.
        use_multiprocessing: whether the workers are processes. Threads suffice if most of the time is spent in files,
            images or NumPy. Each epoch starts new processes, which receive the object as it is at that time.
        max_queue_size: the number of batches that the workers may prepare in advance.
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
        """Returns the batch with this index."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(self, index): it makes a batch.")

    def __iter__(self) -> Iterator[Any]:
        number = self.num_batches
        return map(self.__getitem__, itertools.count() if number is None else range(number))

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None if they never end, and `fit` gets `steps_per_epoch`."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} needs a method __len__, or a property num_batches: None where there is no end."
        )

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch, for example to shuffle the rows for new batches."""


Sequence = PyDataset
