"""The base class of `Sequential` that training uses: a line of layers, and the state of its training."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lamina._arrays.shapes import Shape
from lamina._layer.host import LayerChain
from lamina._layer.layer import Layer
from lamina._layer.layer_state import LayerState
from lamina._settings.settings import State, setting
from lamina._weights.turns import Home

if TYPE_CHECKING:
    from lamina._training.compilation import Compiled
    from lamina.callbacks import History


@dataclass(eq=False, repr=False)
class ModelState(LayerState):
    """The run-time state of a model."""

    entry: Any = None
    """The Input, which describes what the first layer gets."""
    shapes_between: list[Any] = field(default_factory=list)
    """The shapes before the first layer, between the layers and after the last one, up to the last built layer."""
    outputs: dict[Shape, Shape | list[Shape]] = field(default_factory=dict)
    """The shape of the output for samples of other shapes, by the shape of one sample."""
    compiled: Compiled | None = None
    """The arguments of `compile`; None before it."""
    history: History | None = None
    stop_training: bool = False
    stop_evaluating: bool = False
    stop_predicting: bool = False
    steps_trained: int = 0
    """The number of steps that the model was trained, over all calls."""
    columns: tuple[str, ...] | None = None
    """The names of the columns that it was trained on, if x was a data frame."""
    classes: tuple[Any, ...] | None = None
    """The names of the classes in the order of their numbers, if y held names."""
    home: Home | None = None
    """The thread that last trained the model."""
    busy: bool = False
    """Whether a thread trains the model now."""
    kept: dict[str, Any] = field(default_factory=dict)
    """Objects made from the layers, such as trainers. They are made again after a layer has changed."""

    def compiled_in(self) -> list[tuple[str, Any]]:
        rank = self.entry and len(self.entry.batch_shape)  # the program may add a last axis
        dtype = self.entry and self.entry._lamina_whole_dtype  # and cast to whole numbers
        return [*super().compiled_in(), ("rank", rank), ("dtype", str(dtype))]

    def __copy__(self) -> Self:
        """The state of a copy of the model for one pass."""
        twin = super().__copy__()
        twin.kept = {}
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """The state for a copy or a pickle, without trainers and programs: the copy makes its own."""
        own = self.compiled is not None and self.compiled.optimizer._lamina.is_of(self)
        return {**super().__getstate__(), "kept": {}, "home": None, "busy": False, "owns_optimizer": own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = state.pop("owns_optimizer")
        vars(self).update(state)
        if own and self.compiled is not None:
            self.compiled.optimizer._lamina.owner = weakref.ref(self)
        for layer in self.inner["stack"]:
            layer._lamina.siblings = self.inner["stack"]


class Model(LayerChain):
    """The part of `Sequential` that training, saving and display use, so that they need not import `Sequential`.

    The methods that are only declared here are those of `Sequential`.
    """

    _lamina: ModelState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = ModelState
    _lamina_own_steps: ClassVar[frozenset[str]] = frozenset()
    """Which of `train_step`, `test_step`, `predict_step`, `compute_loss`, `compute_metrics` a subclass overrides."""

    if TYPE_CHECKING:

        @property
        def layers(self) -> list[Layer]: ...

        @property
        def optimizer(self) -> Any: ...

        @property
        def compiled(self) -> bool: ...

        stop_training = stop_evaluating = stop_predicting = False

        def compile(self, *args: Any, **kwargs: Any) -> None: ...

        def compile_from_config(self, config: dict[str, Any]) -> None: ...

        @property
        def _lamina_chain(self) -> list[Layer]: ...

        @property
        def _lamina_body(self) -> list[Layer]: ...

        @property
        def _lamina_body_shape(self) -> Shape: ...

        def _lamina_require_layers(self) -> None: ...


def compiled_of(model: Model) -> Compiled:
    """The arguments of `compile`, which was called before."""
    assert model._lamina.compiled is not None
    return model._lamina.compiled


def output_of(model: Model, shape: Shape) -> Any:
    """The shape of the output for data of `shape`, or a list of shapes if the last layer has several outputs."""
    model._lamina_build(shape)
    assert model._lamina.shapes is not None
    return model._lamina.outputs.get(shape[1:], model._lamina.shapes[1])
