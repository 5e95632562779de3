"""A straight stack of layers: its layers, its build, its call and its config."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar, Self

import jax.numpy as jnp

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape, full_shape
from lamina._data.raw_table import raw_table
from lamina._layer.forward import output_shape
from lamina._layer.host import raw, takes_frames
from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import registry
from lamina._layer.masks import with_mask
from lamina._layer.specs import OfLayer, TensorSpec
from lamina._layer.structure import require_adapted
from lamina._messages.spelling import nearest
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.arguments import overridable
from lamina._settings.converters import checked, flag, short
from lamina._settings.custom_objects import LeftOutError, Opening, known, opening
from lamina._settings.settings import serialize
from lamina._training.model import Model
from lamina._weights.turns import making
from lamina.errors import ArgumentError, FixedError, LaminaError, NotBuiltError, ShapeError, StackError
from lamina.models.assembly import append, build_for, keep_shapes, wanted_shape


class Stack(Model):
    """A straight line of layers: each gets the output of the one before it. No layer is used twice."""

    supports_masking: ClassVar[bool] = True

    _lamina_takes_integers: ClassVar[bool] = True

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        stack = super().__new__(cls)
        stack._lamina.inner["stack"] = []
        return stack

    @user_facing
    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Add a layer to the end of the stack."""
        checked("add", "rebuild", flag, rebuild)
        append(self, layer)

    @user_facing
    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer, and return it."""
        if not isinstance(rebuild, bool):
            raise ArgumentError(
                f"pop({rebuild!r}): pop() removes the last layer, and no other.\n"
                "To remove another layer, make a new stack, such as Sequential(model.layers[1:])."
            )
        if not self._lamina_chain:
            raise StackError(f"{self.name!r} has no layer that pop() could remove.")
        layer = self._lamina_chain.pop()
        keep_shapes(self, self._lamina.shapes_between[: len(self._lamina_chain) + 1])
        return layer

    @overridable
    @user_facing
    def build(self, input_shape: Any = None) -> None:
        """Make the weights for an input of this shape, which includes the batch axis: `build((None, 16))`."""
        if input_shape is None and self.built:
            return
        whole = isinstance(input_shape, (tuple, list)) and len(input_shape) > 0
        if not whole or (len(input_shape) == 1 and input_shape[0] is not None):
            raise ArgumentError(
                f"build takes a shape with the batch axis, as in build((None, 16)); got {input_shape!r}."
            )
        if self._lamina.entry is not None:
            if tuple(input_shape)[1:] != self._lamina.entry.batch_shape[1:]:
                raise ShapeError(
                    f"{self.name!r} is already built for {self._lamina.entry.batch_shape}; got {input_shape}."
                )
            return
        build_for(self, tuple(input_shape))

    def _lamina_build(self, shape: Shape, inputs: object = None) -> None:
        if not self.built:
            with making:
                if not self.built:
                    build_for(self, (None, *shape[1:]))
        wanted, state = self._lamina.entry.batch_shape, self._lamina
        if self._lamina_on_host and (_fits(shape, self._lamina_body_shape) or _fits(_bare(shape), _bare(wanted))):
            return
        if not _fits(shape, wanted) and shape[1:] not in state.outputs:
            state.outputs = {**state.outputs, shape[1:]: output_for(self, shape)}

    @property
    def _lamina_chain(self) -> list[Layer]:
        return self._lamina.inner["stack"]

    @property
    def _lamina_body_shape(self) -> Shape:
        """The shape of the input of the compiled program."""
        body = self._lamina_body
        if body and isinstance(body[0], Stack) and body[0]._lamina_on_host:
            return body[0]._lamina_body_shape
        shape: Shape = self._lamina.shapes_between[len(self._lamina_chain) - len(body)]
        return shape

    def _lamina_host(self, x: Any) -> HostArray:
        if takes_frames(self):
            table, first = raw_table(x), self._lamina_chain[0]
            if not self.built:
                require_adapted(first)
                build_for(self, wanted_shape(first) or (None, table.shape[1]))
            return super()._lamina_host(table)
        data = raw(x, encoding=getattr(self._lamina_chain[0], "encoding", "utf-8"))
        if not self.built:
            build_for(self, (None, *data.shape[1:]))
        wanted = self._lamina.entry.batch_shape
        data = _of_rank(data, wanted)
        sequences = data.ndim == len(wanted) > 1 and wanted[-1] != 1  # they may have any length that the layers take
        if not sequences and not _fits(data.shape, wanted):
            raise ShapeError(f"{self.name!r} takes {wanted}, but the data has the shape {data.shape}.")
        return super()._lamina_host(data)

    def _lamina_is_sample(self, shape: Shape) -> bool:
        entry = self._lamina.entry
        batch = entry is not None and entry.batch_shape[1:][-1:] == (1,) != shape[-1:]  # it has no last axis of 1
        return not batch and super()._lamina_is_sample(shape)

    def _lamina_require_layers(self) -> None:
        """Raise an error if the stack has no layers."""
        if not self._lamina_chain:
            raise StackError(f"{self.name!r} has no layers: add one with model.add(layer).")

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the Input."""
        return list(self._lamina_chain)

    @layers.setter
    def layers(self, layers: object) -> None:
        raise FixedError("layers cannot be set: change them with add(layer) and pop(), or make a new Sequential.")

    @property
    def inputs(self) -> list[TensorSpec]:
        """A list of one object: the shape, the dtype and the name of the input."""
        entry = self._lamina.entry
        if entry is None:
            raise NotBuiltError(f"{self.name!r} has no inputs yet: put Input(shape) first, or call the model on data.")
        return [OfLayer.of(self, False, entry.batch_shape, entry.dtype, entry.name)]

    @property
    def outputs(self) -> list[TensorSpec]:
        """A list of the outputs, usually one: the shape, the dtype and the name of each."""
        shape, last = self.output_shape, self._lamina_chain[-1] if self._lamina_chain else self
        shapes = shape if isinstance(shape, list) else [shape]
        return [OfLayer.of(self, True, each, last.compute_dtype, last.name) for each in shapes]

    @user_facing
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer with this name, or the layer at this index."""
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes a name or an index: get_layer('dense'), get_layer(index=0).")
        if index is not None:
            if not -len(self._lamina_chain) <= index < len(self._lamina_chain):
                raise ArgumentError(f"{self.name!r} has {len(self._lamina_chain)} layers; got the index {index}.")
            return self._lamina_chain[index]
        for layer in self._lamina_chain:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self._lamina_chain]
        hints = [f" Did you mean {found!r}?" for found in nearest(str(name), names)]
        hints += [f" Write get_layer(index={name})."] * isinstance(name, int)
        raise ArgumentError(f"no layer is called {name!r}.{''.join(hints)} The layers: {', '.join(names)}.")

    @overridable
    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        for y in through(self, x, training, mask):
            last = y
        return last

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return None: `call` itself sets the mask of the output."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(map(repr, self._lamina_chain))}])"

    def get_config(self) -> dict[str, Any]:
        entry = self._lamina.entry
        layers = [serialize(layer) for layer in ([entry] if entry else []) + self._lamina_chain]
        head = {"name": self.name, "trainable": self.trainable, "dtype": serialize(self.dtype_policy), "layers": layers}
        return head | ({"build_input_shape": entry.batch_shape} if entry else {})

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shape of the input, with the batch axis; None if the stack is not built."""
        entry = self._lamina.entry
        return {"input_shape": entry.batch_shape} if self.built and entry else None

    @user_facing
    def build_from_config(self, config: dict[str, Any]) -> None:
        """Make the weights for the input shape that `get_build_config` returned."""
        incomplete = opening().left_out  # if layers are left out, each other layer was built by itself
        if not self.built and config.get("input_shape") and not incomplete:
            self.build(full_shape(config["input_shape"], "input_shape"))

    @classmethod
    @user_facing
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """Return a stack with equal layers and new weights.

        Args:
            custom_objects: the classes of your own layers, by name.
        """
        if not isinstance(config, dict) or not isinstance(config.get("layers"), (list, tuple)):
            raise ArgumentError(f"{cls.__name__}.from_config takes what get_config returned, got {short(config)}.")
        model = cls.__new__(cls)  # without the subclass's __init__, which may add layers that the config has too
        trainable, policy = config.get("trainable", True), config.get("dtype")
        Layer.__init__(model, name=config.get("name"), trainable=trainable, dtype=policy)
        missing: list[str] = []
        with known(custom_objects) as now:
            for number, entry in enumerate(config["layers"]):
                _append_described(model, entry, number, missing, now)
            if shape := config.get("build_input_shape") or config.get("batch_input_shape"):
                model.build_from_config({"input_shape": shape})
        return model


def through(stack: Stack, x: Any, training: bool | None, mask: Any) -> Iterator[Any]:
    """Yield the input of the compiled program, and then the output of each layer in it."""
    stack._lamina_require_layers()
    body, entry = stack._lamina_body, stack._lamina.entry
    if entry is not None and not stack._lamina_on_host:
        x = _of_rank(x, entry.batch_shape)
    if entry is not None and (asked := entry._lamina_whole_dtype) is not None:
        x = x.astype(asked)
    elif body and not jnp.issubdtype(x.dtype, jnp.inexact) and not body[0]._lamina_takes_integers:
        x = x.astype(stack.variable_dtype)
    with_mask(x, mask)
    yield x
    for layer in body:
        x = layer(x, training=training)
        yield x


def _append_described(stack: Stack, described: object, number: int, missing: list[str], now: Opening) -> None:
    """Add the layer that a config describes. An error names the layer.

    Args:
        missing: the names of the layers that are left out. If this layer is left out, its name is added.
    """
    told = described if isinstance(described, dict) else {}
    config = told.get("config")
    name = str(config.get("name") or "without a name")[:60] if isinstance(config, dict) else "without a name"
    try:
        if not told:
            raise ArgumentError(f"expected the config of a layer, got {short(described)}.")
        layer = registry.get(told)
        try:
            append(stack, layer)
        except ShapeError as error:
            if not missing or not getattr(layer, "built", False):
                raise
            now.left_out.append(
                f"the order of the layers of {stack.name}, which cannot be called: {name} does not take its input "
                f"without {', '.join(missing)}. All layers have their weights: put them in a new Sequential. ({error})"
            )
            stack._lamina.entry, stack.built = None, False
            keep_shapes(stack, [])
            append(stack, layer)
    except LeftOutError as error:
        missing.append(name)
        now.left_out.append(f"layer {name} ({told['class_name']}): {error}")
    except LaminaError as error:
        if isinstance(error, StackError) or str(error).startswith("layer "):
            raise
        kind = str(told.get("class_name", type(described).__name__))[:60]
        raise type(error)(f"layer {number} ({name}: {kind}): {error}") from None


def _fits(shape: Shape, wanted: Shape) -> bool:
    """Whether a shape is equal to the wanted one, apart from the batch size."""
    return len(wanted) == len(shape) and all(w in (s, None) for w, s in zip(wanted[1:], shape[1:], strict=True))


def output_for(stack: Stack, shape: Shape) -> Shape | list[Shape]:
    """Return the output's shape for an input shape that differs from the one for which the stack was built.

    A last axis of size 1 may be added or missing. As in Keras, the layers decide which other shapes they take: a
    convolution takes images of any height and width, and a recurrent layer takes sequences of any length.
    """
    wanted = stack._lamina_body_shape if stack._lamina_on_host else stack._lamina.entry.batch_shape
    told = f"{stack.name!r} takes {wanted}, but the data has the shape {shape}"
    more = len(shape) - len(wanted)
    done = "added" if more == -1 and wanted[-1] == 1 else "dropped" if more == 1 and shape[-1] == 1 else ""
    if more == -1 and (not done or (shape[1:] and shape[-1] == 1 and wanted[-2] != 1)):
        rows = f"\nIf {wanted[1]} is the number of rows, leave it out of the Input: Input({shape[1:]})."
        raise ShapeError(
            f"{told}. For a single sample, add a batch axis: x[None], or frame.iloc[[i]] in pandas."
            f"{rows * (len(shape) > 1 and wanted[1] is not None and wanted[2:] == shape[1:])}"
        )
    if len(shape) > 1 and wanted[1:] == shape[:0:-1]:
        raise ShapeError(f"{told}. The axes are in reverse order: transpose the data.")
    with suppress(TypeError, ValueError):
        if done or not more:
            output: Shape | list[Shape] = output_shape(stack, (wanted[0], *shape[1:]))
            if done and all(len(known) + 1 == len(wanted) for known in stack._lamina.outputs):  # warn once for a model
                warn(f"{told}: a last axis of size 1 is {done}.")
            return output
    raise ShapeError(f"{told}. Change the Input (or input_shape) of the model, or the columns of the data.")


def _of_rank(x: Any, wanted: Shape) -> Any:
    """Add or drop a last axis of size 1, if `x` then has as many axes as `wanted`."""
    if x.ndim == len(wanted) - 1 and wanted[-1] == 1:
        return x[..., None]
    return x[..., 0] if x.ndim == len(wanted) + 1 and x.shape[-1] == 1 else x


def _bare(shape: Shape) -> Shape:
    """Return the shape without a last axis of size 1, which raw data may have or lack."""
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape
