"""The run-time state of a layer, which stands in its attribute `_lamina`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lamina import dtypes
from lamina._arrays.shapes import Shape
from lamina._layer.passes import Pass
from lamina._layer.structure import ModuleState
from lamina._weights.weight import Weight

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


@dataclass(eq=False, repr=False)
class LayerState(ModuleState):
    """The state of a layer while it is used, apart from its settings and weights."""

    trainable: bool = True
    dtype: dtypes.DTypePolicy = field(default_factory=dtypes.dtype_policy)
    """The dtype policy."""
    named: bool = False
    """Whether the user chose the name."""
    added_at: str = ""
    """The line of the user's code that made this layer, such as `train.py:14`; errors name it."""
    made_in_pass: bool = False
    """Whether the layer was made during a pass, such as in the `call` of another layer."""
    wanted_shape: Shape | None = None
    """The shape, with the batch axis, that `input_shape=`, `input_dim=` or `batch_input_shape=` gave to the first layer
    of a stack."""
    built_for: dict[str, Any] | None = None
    """The shapes that `build` received, in the form that files use."""
    shapes: tuple[Any, Any] | None = None
    """The shapes of the input and output in the stack to which the layer was last added."""
    mask_in: int = 0
    """The number of axes of the input's mask when the layer was built; 0 without a mask."""
    mask_out: int = 0
    """The number of axes of the output's mask when the layer was built; 0 without a mask."""
    whole_in: Any = None
    """The dtype of the input when the layer was built, if it was an integer or boolean dtype."""
    whole_out: Any = None
    """The dtype of the output when the layer was built, if it was an integer or boolean dtype."""
    siblings: Sequence[Layer] = ()
    """The layers of the stack to which the layer was last added."""
    batch_size: int | None = None
    """The batch size for which a stateful layer was built."""
    seed: int | None = None
    seed_state: Weight | None = None
    """The variable that represents the seed; made when the variables are first read."""
    calls: int = 0
    """The number of direct calls so far."""
    draws: int = 0
    """The number of random keys that `call` has used in this pass."""
    losses: list[Any] = field(default_factory=list)
    """The losses that the layers added in the latest direct call."""
    running: Pass | None = None
    """The pass that this object is a copy for; None for the user's own object."""
    fits: set[Any] = field(default_factory=set)
    """The input shapes of direct calls for whose outputs there is enough memory."""
    said: set[str] = field(default_factory=set)
    """The warnings already given for this object. The object and its copies in a pass share the set."""
    learned: Any = None
    """The state of `adapt` between two batches of data. No compiled program reads it."""

    def __getstate__(self) -> dict[str, Any]:
        """The state for a copy or a pickle: without the stack; the dtype is first, since it may enable 64 bits."""
        return {"dtype": self.dtype, **vars(self), "siblings": (), "losses": []}

    def compiled_in(self) -> list[tuple[str, object]]:
        settings = [(name, value) for name, value in vars(self).items() if name not in self.__dataclass_fields__]
        return [*super().compiled_in(), *settings, ("trainable", self.trainable), ("dtype", self.dtype)]
