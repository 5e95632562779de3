"""Windows of a series, and pairs of nearby words."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import HostArray
from lamina._messages.tracebacks import user_facing
from lamina.errors import ArgumentError
from lamina.utils import PyDataset, pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a series, each with the target of the step after the window.

    >>> series = np.arange(6)
    >>> x, y = TimeseriesGenerator(series, series, length=3)[0]
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2], [1, 2, 3], [2, 3, 4]], [3, 4, 5])

    Args:
        data: the series, with one row for each step.
        targets: one target for each step.
        length: the number of steps that a window covers.
        sampling_rate: the distance between two steps in a window.
        stride: the distance between the beginnings of two windows.
        start_index, end_index: the first and the last step that is used.
        shuffle: whether the windows of a batch are drawn at random.
        reverse: whether the latest step of a window comes first.
        batch_size: the number of windows in a batch.
        kwargs: arguments of `PyDataset`.
    """

    @user_facing
    def __init__(
        self, data: Any, targets: Any, length: int, sampling_rate: int = 1, stride: int = 1, start_index: int = 0,
        end_index: int | None = None, shuffle: bool = False, reverse: bool = False, batch_size: int = 128,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if len(data) != len(targets):
            raise ArgumentError(f"data has {len(data)} steps and targets {len(targets)}; there is one target a step.")
        self.data, self.targets, self.length = data, targets, length
        self.sampling_rate, self.stride, self.shuffle, self.reverse = sampling_rate, stride, shuffle, reverse
        self.start_index, self.batch_size = start_index + length, batch_size
        self.end_index = len(data) - 1 if end_index is None else end_index
        if self.start_index > self.end_index:
            raise ArgumentError(
                f"no window is left: start_index + length = {self.start_index} is above end_index = {self.end_index}."
            )

    def __len__(self) -> int:
        return -(-(self.end_index + 1 - self.start_index) // (self.batch_size * self.stride))

    def __getitem__(self, index: int) -> tuple[HostArray, HostArray]:
        reach = self.batch_size * self.stride
        first = self.start_index + reach * index
        steps = np.arange(first, min(first + reach, self.end_index + 1), self.stride)
        if self.shuffle:
            steps = np.random.randint(self.start_index, self.end_index + 1, self.batch_size)
        windows = np.array([self.data[step - self.length : step : self.sampling_rate] for step in steps])
        return windows[:, ::-1] if self.reverse else windows, np.array([self.targets[step] for step in steps])

    def get_config(self) -> dict[str, Any]:
        """The settings. The series is JSON text."""
        settings = (
            "length", "sampling_rate", "stride", "start_index", "end_index", "shuffle", "reverse", "batch_size",
        )  # fmt: skip
        series = {name: json.dumps(np.asarray(getattr(self, name)).tolist()) for name in ("data", "targets")}
        return series | {name: getattr(self, name) for name in settings}

    def to_json(self, **kwargs: Any) -> str:
        """The settings and the series as JSON; `kwargs` go to `json.dumps`."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> HostArray:
    """The probability of keeping each of the `size` most frequent words, by its rank.  -> (size,)

    It is `min(1, sqrt(sampling_factor / frequency))`, with the frequencies of Zipf's law:
    `1 / frequency = rank * (log(rank) + 0.577) + 1 / 2 - 1 / (12 * rank)`.
    Source: Mikolov et al., 2013, https://arxiv.org/abs/1310.4546
    """
    rank = np.maximum(np.arange(size), 1)
    rarity = rank * (np.log(rank) + 0.577) + 0.5 - 1 / (12 * rank)
    return np.minimum(1, np.sqrt(sampling_factor * rarity))


def skipgrams(
    sequence: Sequence[int], vocabulary_size: int, window_size: int = 4, negative_samples: float = 1.0,
    shuffle: bool = True, categorical: bool = False, sampling_table: ArrayLike | None = None, seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:  # fmt: skip
    """Pairs of nearby words, with the label 1, and pairs of a word and a random word, with the label 0.

    Source: Mikolov et al., 2013, https://arxiv.org/abs/1301.3781

    Args:
        sequence: the numbers of the words in a text; 0 is no word.
        vocabulary_size: one more than the largest number.
        window_size: the largest distance between the two words of a pair.
        negative_samples: the number of random pairs for each pair of nearby words.
        shuffle: whether the pairs are in random order.
        categorical: whether the labels are [0, 1] and [1, 0].
        sampling_table: for each number, the probability that its word is used.
        seed: the seed of the order.
    """
    table = None if sampling_table is None else np.asarray(sampling_table)
    pairs: list[list[int]] = []
    for place, word in enumerate(sequence):
        if not word or (table is not None and table[word] < random.random()):
            continue
        around = (*sequence[max(0, place - window_size) : place], *sequence[place + 1 : place + window_size + 1])
        pairs += [[word, other] for other in around if other]
    labels: list[Any] = [[0, 1] if categorical else 1] * len(pairs)
    count = int(len(pairs) * negative_samples)
    if count > 0:
        words = [pair[0] for pair in pairs]
        random.shuffle(words)
        pairs += [[words[n % len(words)], random.randint(1, vocabulary_size - 1)] for n in range(count)]
        labels += [[1, 0] if categorical else 0] * count
    if shuffle:
        order = list(range(len(pairs)))
        random.Random(random.randint(0, 10**7) if seed is None else seed).shuffle(order)
        pairs, labels = [pairs[n] for n in order], [labels[n] for n in order]
    return pairs, labels
