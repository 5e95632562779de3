"""What a program to time says of itself.

Nothing is imported by the programs, since each peer's worker and the runner (which has the standard library only) read
them.
"""

from __future__ import annotations

from typing import Any, ClassVar

Goals = dict[str, tuple[float, float]]


class Program:
    """A training step to time.

    `multiply_adds` counts those of one sample's forward pass, in the matrix products and convolutions alone.
    `goals` says how many times faster than a peer this library is to be, with oneDNN's kernels and without them;
    "best" is the fastest of the peers.
    """

    title: str
    batch: int
    epochs: int
    """In one timed fit, the same for each peer."""
    multiply_adds: int
    goals: ClassVar[Goals]
    torch_loss: str
    """Its name in `torch.nn.functional`."""
    policy: str = ""
    """Keras's dtype policy, if it is not float32; torch runs in its autocast then."""

    def data(self, rng: Any) -> tuple[Any, Any]:
        """Synthetic x and y of the real data's shape, from a NumPy generator."""
        raise NotImplementedError

    def keras(self, keras: Any, layers: Any) -> Any:
        """The compiled model, as its user writes it; `keras` is Keras or this library."""
        raise NotImplementedError

    def torch(self, nn: Any) -> Any:
        """The same stack from `torch.nn`."""
        raise NotImplementedError
