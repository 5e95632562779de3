"""The one idea: an object holds settings, its arrays are handed in and handed back.

A `Layer` keeps its arrays in `Weight`s between passes. A pass works on a copy of the layer (`passes.Pass`) in
which the arrays of that pass stand where the weights stood, so `call` reads `self.kernel` and may assign
`self.moving_mean`, and yet is a pure function of arrays that JAX can differentiate and compile.
"""

from __future__ import annotations

import functools
import inspect
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from lamina import constraints, dtypes, initializers, regularizers
from lamina._base.converters import flag
from lamina._base.frames import caller, is_running, user_facing
from lamina._base.settings import serialize, setting
from lamina._base.shapes import InputSpec, Shape, full_shape, shape_of
from lamina._base.spelling import free_name, to_snake_case
from lamina._base.weight import Array, Weight
from lamina._kernels.bits import fold
from lamina._layer.calls import as_array, by_name, naming, output
from lamina._layer.forward import Pass, output_shape
from lamina._layer.structure import Tree, followed_by
from lamina.errors import ArgumentError, NotBuiltError, ShapeError, StackError
from lamina.random import key_of, next_seed

_HEAD = (
    "name trainable dtype activity_regularizer autocast input_shape input_dim batch_input_shape input_length".split()
)


class Layer(Tree):
    """One step of the stack. Subclass it and write `call(x)`; write `build(input_shape)` if it has weights.

    >>> class Scale(Layer):
    ...     start: float = 1.0
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), initializers.Constant(self.start))
    ...     def call(self, x):                       # (..., n)
    ...         return x * self.factor               # (..., n)
    >>> Scale(start=3.0)(jnp.ones((1, 2)))
    Array([[3., 3.]], dtype=float32)

    `call` may also take `training` (bool) and `mask`. Weights made with `trainable=False` may be assigned in
    `call`, with `self.count.assign(...)` or `self.count = ...`. A class with an `__init__` of its own, which calls
    `super().__init__(**kwargs)` as in Keras, works as well.
    """

    activity_regularizer: Any = setting(regularizers.get, default=None, kw_only=True)
    trainable: bool = setting(flag, default=True, kw_only=True)
    dtype: Any = setting(dtypes.get, default=None, kw_only=True)
    autocast: bool = setting(flag, default=True, kw_only=True)
    input_shape: Any = setting(default=None, kw_only=True)
    input_dim: int | None = setting(default=None, kw_only=True)
    batch_input_shape: Any = setting(default=None, kw_only=True)
    input_length: int | None = setting(default=None, kw_only=True)

    output_shape: ClassVar[Any]

    keras_module: ClassVar[str | None] = "keras.layers"
    supports_masking: ClassVar[bool] = False
    integer_input: ClassVar[bool] = False
    """Whether integers reach this layer as they are; others are given them as floats, as in Keras."""

    lacks: ClassVar[dict[str, Any]] = {}
    """What Keras's configs also hold for this layer, with the only value that is good here."""

    unshared: ClassVar[frozenset[str]] = frozenset(
        "_arguments name _named added_at _seed _pass _calls _draws _shapes _flow _beside wanted_shape".split()
    )
    _call_takes: ClassVar[tuple[str, ...]] = ()
    """The arguments that `call` has after x."""
    _call_needs: ClassVar[tuple[str, ...]] = ()
    """Those of them that the caller has to give."""

    trains_alone: ClassVar[bool] = False
    """Whether it does what it does while training where it is called by itself and not told otherwise, as in Keras."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        parameters = list(inspect.signature(cls.call).parameters.values())[2:]
        taken = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        cls._call_takes = tuple(p.name for p in taken)
        cls._call_needs = tuple(p.name for p in taken if p.default is p.empty and p.name not in ("training", "mask"))
        if "build" in vars(cls):
            cls.build = followed_by(cls.build, Layer.build)  # type: ignore[method-assign]

    def prepare(self) -> None:
        super().prepare()
        self.added_at = caller()
        """Where in the user's code this layer was made, as `train.py:14`; errors name it."""
        self.wanted_shape: Shape | None = None
        """The shape without the batch axis that `input_shape=` or `input_dim=` gave, for the first layer of a stack."""
        self.input_spec: InputSpec | None = None
        self.dtype_policy: dtypes.DTypePolicy = dtypes.get(None)
        self.autocast, self.activity_regularizer = True, None
        self._named = False
        self._pass: Pass | None = None
        self._shapes: tuple[Shape, Shape] | None = None
        self._calls = [0]
        """How often it was called by itself; a list, for the attributes of a layer stay the same objects."""
        self._draws = 0
        self._beside: Sequence[Layer] = ()
        """The layers of the stack that it was last put in."""

    def validate(self) -> None:
        if self.name is not None and (not isinstance(self.name, str) or "/" in self.name):
            raise ArgumentError(f"{type(self).__name__}(name={self.name!r}): a name is a string without '/'.")
        self._named, self.name = self.name is not None, self.name or to_snake_case(type(self).__name__)
        given = vars(self)
        length = given.pop("input_length")
        for name, shape in (
            ("input_shape", given.pop("_given_shape")),
            ("input_dim", given.pop("input_dim")),
            ("batch_input_shape", given.pop("batch_input_shape")),
        ):
            if shape is not None:
                shape = (length, shape) if length is not None else (shape,) if name == "input_dim" else shape
                full = full_shape(shape, name)
                self.wanted_shape = full[1:] if name == "batch_input_shape" else full

    @functools.cached_property
    def _seed(self) -> int:
        """Drawn when the layer is built, so that stacks made in different ways get equal weights from one seed."""
        return next_seed()

    # What a layer's author writes.

    def build(self, input_shape: Shape) -> None:
        """Make the weights, with `add_weight`; `input_shape` has None for the batch axis."""
        self.built = True
        _ = self._seed  # drawn now at the latest: copies of the layer then share it
        for attribute, value in vars(self).items():
            if isinstance(value, Weight) and not value.name:
                value.name = attribute
        taken: set[str] = set()
        for number, weight in enumerate(self._weights):
            weight.name = free_name(weight.name or f"variable_{number}", taken)
            weight.path = f"{self.name}/{weight.name}"
            taken.add(weight.name)

    def call(self, x: Any) -> Any:
        """The layer's function of one tensor."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, x).")

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The mask that the next layer gets."""
        return mask if self.supports_masking else None

    def uses_mask(self) -> bool:
        """Whether the layer heeds a mask or decides itself what becomes of it, so that none is lost unsaid."""
        return "mask" in self._call_takes or type(self).compute_mask is not Layer.compute_mask

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Any:
        """A `Weight` of this layer, filled by `initializer` (glorot_uniform unless told) from the layer's own seed."""
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if None in shape:
            raise ShapeError(f"needs to know every size of a weight, got shape {shape}")
        dtype = jnp.dtype(dtype or self.dtype_policy.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if jnp.issubdtype(dtype, jnp.floating) else "zeros"
        key = np.random.SeedSequence([self._seed, len(self._weights)]).generate_state(2)
        weight = Weight(
            initializers.get(initializer)(shape, dtype, key),
            name=name or "",
            trainable=trainable,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            autocast=autocast,
        )
        self._weights = (*self._weights, weight)
        return weight

    add_variable = add_weight

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to the training loss; for use inside `call`."""
        if self._pass is not None:
            self._pass.losses.extend(jnp.asarray(each) for each in (loss if isinstance(loss, list) else [loss]))

    def random_key(self) -> Array:
        """A key for this layer in this step, another at each call: pure in (seed, layer, step).  -> (2,) uint32"""
        if self._pass is None or self._pass.key is None:
            return fold(key_of(self._seed), 0)
        self._draws += 1
        return fold(self._pass.key, np.uint32(zlib.crc32(f"{self._pass.paths[id(self)]}:{self._draws}".encode())))

    # What its user calls.

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """The output for `x`; what else `call` takes is handed on, and `training` and `mask` are known without."""
        if self._pass is not None:
            return self._run(x, others, named)
        x = as_array(self, x)
        with nullcontext() if self.built else self.unchanged_on_error():  # a refused first call settles no shapes
            return self._called(x, others, named)

    def _called(self, x: Array, others: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A pass of its own, whose random numbers are others than those of the call before."""
        try:
            self._build_outside(x)
        except ShapeError as error:
            raise naming(self, error, shape_of(x)) from None
        training = by_name(self, others, named).get("training")
        self._calls[0] += 1
        key = fold(key_of(self._seed), np.uint32(2**32 - self._calls[0]))  # from above: steps count from below
        weights = {w: w.value for w in self.weights}
        now = Pass(weights, training=self.trains_alone if training is None else bool(training), key=key)
        y = now.copy_of(self)._run(x, others, named)
        for weight, value in now.changed():
            if not isinstance(value, jax.core.Tracer):
                weight.value = value
        return y

    @user_facing
    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        x: Any,
        training: bool = False,
        mask: Any = None,
        return_losses: bool = False,
    ) -> tuple[Any, ...]:
        """The output for given arrays, and the non-trainable ones after the pass: a pure function, for `jax.grad`.

        The arrays stand in the order of `trainable_weights` and of `non_trainable_weights`.
        """
        trained, kept = self.trainable_weights, self.non_trainable_weights
        if (len(trained), len(kept)) != (len(trainable_variables), len(non_trainable_variables)):
            raise ArgumentError(
                f"{self.name} has {len(trained)} trainable and {len(kept)} non-trainable weights; got arrays for "
                f"{len(trainable_variables)} and {len(non_trainable_variables)}."
            )
        values = dict(zip((*trained, *kept), (*trainable_variables, *non_trainable_variables), strict=True))
        now = Pass(values, training=training, key=fold(key_of(self._seed), 1))
        y = now.copy_of(self)(x, mask=mask)
        after = values | dict(now.changed())
        return (y, [after[weight] for weight in kept], *([now.losses] if return_losses else []))

    def _run(self, x: Any, others: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> Any:
        """`call` inside a pass, with the input cast and what `call` asks for told."""
        assert self._pass is not None
        try:
            y = output(self, x, others, named or {})
        except ShapeError as error:
            if self._pass.building and not self._pass.paths[id(self)]:
                raise  # who builds it says where it stands
            raise naming(self, error, shape_of(x)) from None
        if self.activity_regularizer is not None:
            self.add_loss([self.activity_regularizer(each) / each.shape[0] for each in jax.tree.leaves(y)])
        return y

    def build_for(self, shape: Shape) -> None:
        """Build this layer, and what it holds, for an input of `shape` (with the batch axis), if it is not built."""
        if self.built:
            return
        self._check_input(shape)
        with self.unchanged_on_error():
            self.build((None, *shape[1:]))
            if not all(part.layer.built for part in self.walk()):
                output_shape(self, (None, *shape[1:]))  # sublayers are built where `call` first reaches them

    def _build_outside(self, x: Any) -> None:
        """Build for `x` where no pass is under way, and refuse weights that nobody would ever train or see again."""
        fresh = not self.built
        self.build_for(shape_of(x))
        if fresh and self._weights and isinstance(x, jax.core.Tracer) and is_running(Layer._run):
            raise StackError(
                f"{self.name} is made anew in each call of {self.added_at}, and its weights with it. Make the layers "
                "that a custom layer uses in its __init__ or build, and keep them as attributes."
            )

    def _check_input(self, shape: Shape) -> None:
        if self.input_spec is not None:
            self.input_spec.check(shape)

    @user_facing
    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's, both with None for the batch size; nothing is computed."""
        self.build_for(tuple(input_shape))
        return output_shape(self, tuple(input_shape))

    @property
    def compute_dtype(self) -> str:
        return str(self.dtype_policy.compute_dtype)

    @property
    def variable_dtype(self) -> str:
        return str(self.dtype_policy.variable_dtype)

    def given(self) -> dict[str, Any]:
        own = vars(self).get("_arguments")
        if own is None:
            own = {name: getattr(self, name) for name in self.settings if name not in _HEAD}
        told = {name: value for name, value in own.items() if name not in _HEAD}
        if self.activity_regularizer is not None:
            told["activity_regularizer"] = self.activity_regularizer
        if not self.autocast:
            told["autocast"] = False
        if self.wanted_shape is not None:
            told["input_shape"] = self.wanted_shape
        return told

    def get_config(self) -> dict[str, Any]:
        head = {"name": self.name, "trainable": self.trainable, "dtype": serialize(self.dtype_policy)}
        config = head | super().get_config()
        config.pop("input_shape", None)  # the stack's Input holds it
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer with the settings that `get_config` returned, and fresh weights."""
        takes = inspect.signature(cls.__init__).parameters
        late = set(_HEAD) - takes.keys()  # for an __init__ that hands no **kwargs on to Layer's
        if any(p.kind is p.VAR_KEYWORD for p in takes.values()):
            late = set()
        for name, off in cls.lacks.items():
            if config.get(name, off) != off:
                raise ArgumentError(f"{cls.__name__} has no {name}; the config sets it to {config[name]!r}.")
        layer = cls(**{name: value for name, value in config.items() if name not in late and name not in cls.lacks})
        for name in late & config.keys():
            setattr(layer, name, config[name])
        return layer

    def __repr__(self) -> str:
        full = super().__repr__()
        return full.replace("(", f"(name={self.name!r}, ", 1).replace(", )", ")") if self._named else full


def _set_trainable(self: Layer, value: bool) -> None:
    for part in self.walk():
        vars(part.layer)["_trainable"] = flag(value)


def _set_dtype(self: Layer, policy: Any) -> None:
    self.dtype_policy = dtypes.get(policy)


def _shape(which: int) -> Any:
    @user_facing
    def read(self: Layer) -> Shape:
        if self._shapes is None:
            raise NotBuiltError(
                f"{self.name!r} has no {'output' if which else 'input'} shape yet: put Input(shape) first, or call the "
                "model on data."
            )
        return self._shapes[which]

    return read


# Settings that are more than an attribute: freezing a layer freezes all that it holds, Keras's `layer.dtype` reads
# as the dtype of the weights, and `layer.input_shape` as the shape that the layer has in its stack.
Layer.trainable = property(lambda self: self._trainable, _set_trainable)  # type: ignore[assignment]
Layer.dtype = property(lambda self: self.variable_dtype, _set_dtype)
Layer.input_shape = property(_shape(0), lambda self, shape: vars(self).update(_given_shape=shape))
Layer.output_shape = property(_shape(1))
