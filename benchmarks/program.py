"""The base class of the programs to time.

The programs import nothing, because each peer's worker reads them, and the runner, which has only the standard library.
"""

from __future__ import annotations

from typing import Any, ClassVar

Goals = dict[str, tuple[float, float]]


class Program:
    """A training step to time.

    `multiply_adds` is the number in one sample's forward pass, in matrix products and convolutions only.
    `goals` are the ratios by which this library shall be faster than a peer, with oneDNN's kernels and without them;
    "best" is the fastest peer.
    """

    title: str
    batch: int
    epochs: int
    """The number of epochs in one timed fit, the same for each peer."""
    multiply_adds: int
    goals: ClassVar[Goals]
    torch_loss: str
    """The name of the loss in `torch.nn.functional`."""
    policy: str = ""
    """Keras's dtype policy if it is not float32. Torch then uses autocast."""

    def data(self, rng: Any) -> tuple[Any, Any]:
        """Make synthetic x and y with the shapes of the real data, from a NumPy generator."""
        raise NotImplementedError

    def keras(self, keras: Any, layers: Any) -> Any:
        """Make the compiled model, as a user writes it. `keras` is Keras or this library."""
        raise NotImplementedError

    def torch(self, nn: Any) -> Any:
        """Make the same stack with `torch.nn`."""
        raise NotImplementedError
