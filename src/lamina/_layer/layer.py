"""The base class `Layer`: an object holds settings; its arrays are passed in and returned.

A `Layer` keeps its arrays in `Weight`s between passes. A pass works on a copy of the layer (`passes.Pass`), in which
the arrays of that pass replace the weights. So `call` reads `self.kernel` and may assign `self.moving_mean`, and yet
it is a pure function of arrays that JAX can differentiate and compile.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lamina import constraints, dtypes, regularizers
from lamina._arrays.arrays import Array, own_array
from lamina._arrays.shapes import Shape, full_shape
from lamina._layer import building
from lamina._layer.forward import hand_on_losses, key_alone, losses_of, regularization, run, run_alone
from lamina._layer.in_stack import ShapeInStack, TensorInStack
from lamina._layer.inputs import Inputs, build_config, check_specs, inputs_of
from lamina._layer.keys import next_state, of_states, random_key, seed_of, seed_states
from lamina._layer.layer_state import LayerState
from lamina._layer.passes import Pass
from lamina._layer.specs import InputSpec
from lamina._layer.structure import parts
from lamina._layer.tracking import WithWeights, built, named_after
from lamina._messages.spelling import to_snake_case
from lamina._messages.tracebacks import caller, user_facing
from lamina._process.memory import require
from lamina._settings.arguments import InputShape, Name, Named, RegularizerSetting, overridable
from lamina._settings.converters import checked, flag, layer_name
from lamina._settings.older import of_today
from lamina._settings.settings import State, serialize, setting, value_of
from lamina._weights.weight import Unset, Weight, read, under_way, values_follow
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.adapters import keyed
from lamina.initializers.base import makes_new


class Layer(WithWeights):
    """The base class of layers. A subclass defines `call(x)`, and `build(input_shape)` if it has weights.

    >>> from lamina import initializers
    >>> class Scale(Layer):
    ...     start: float = 1.0
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), initializers.Constant(self.start))
    ...     def call(self, x):                       # (..., n)
    ...         return x * self.factor               # (..., n)
    >>> Scale(start=3.0)(jnp.ones((1, 2)))
    Array([[3., 3.]], dtype=float32)

    `call` may also have the parameters `training` (bool) and `mask`. `call` may assign to weights made with
    `trainable=False`, by `self.count.assign(...)` or `self.count = ...`. As in Keras, a subclass may also define
    `__init__`, which calls `super().__init__(**kwargs)`.

    Args:
        name: the layer's name. The default is made from the class's name.
        activity_regularizer: a function of the output, whose value is added to the training loss.
        trainable: whether training changes the weights.
        dtype: the dtype policy, or the name of a dtype. The default is the global policy.
        autocast: whether floating-point inputs are cast to the policy's compute dtype.
        input_shape: for the first layer of a stack, the shape of its input without the batch axis.
        input_dim: the same for an input with one axis: the size of that axis.
        batch_input_shape: the same as `input_shape`, but with the batch axis.
        input_length: with `input_dim`, the length of the sequences.
    """

    name: Name = setting(default=None, kw_only=True)
    activity_regularizer: RegularizerSetting = setting(regularizers.get, default=None, kw_only=True)
    _lamina_trainable: bool = setting(flag, default=True, kw_only=True, alias="trainable")
    _lamina_dtype: dtypes.Dtype = setting(dtypes.get, default=None, kw_only=True, alias="dtype")
    autocast: bool = setting(flag, default=True, kw_only=True)
    _lamina_input_shape: InputShape = setting(default=None, kw_only=True, alias="input_shape", in_config=False)
    _lamina_input_dim: int | None = setting(default=None, kw_only=True, alias="input_dim", in_config=False)
    _lamina_batch_input_shape: InputShape = setting(
        default=None, kw_only=True, alias="batch_input_shape", in_config=False
    )
    _lamina_input_length: int | None = setting(default=None, kw_only=True, alias="input_length", in_config=False)

    input_spec: InputSpec | None = setting(default=None, init=False)
    """What the layer expects of its input's shape."""
    supports_masking: ClassVar[bool] = False

    _lamina: LayerState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = LayerState
    _lamina_module: ClassVar[str | None] = "keras.layers"
    _lamina_takes_integers: ClassVar[bool] = False
    """Whether this layer receives integers unchanged; other layers receive them as floats, as in Keras."""
    _lamina_makes_floats: ClassVar[bool] = False
    """Whether integers become floats wherever the layer is, also in a direct call."""
    _lamina_trains_by_default: ClassVar[bool | None] = False
    """Whether `layer(x)` without `training=` runs in training mode, as for some of Keras's layers. None: each sublayer
    decides."""
    _lamina_on_host: ClassVar[bool] = False
    """Whether the layer processes the user's raw data before the compiled program; see host.py."""
    _lamina_one_tensor: ClassVar[bool | None] = None
    """Whether the first argument of `call` is always one tensor, so that a list is one array. This is True for built-in
    layers unless their class or a base says otherwise. The `call` of a custom layer takes any structure."""
    _lamina_joins: ClassVar[str] = ""
    """For a layer that joins tensors, and so cannot be in a stack: the expression to write in the `call` of another
    layer, such as `self.add([x, self.inner(x)])`."""
    _lamina_call_signature: ClassVar[inspect.Signature] = inspect.Signature()
    """The parameters of `call`."""
    _lamina_call_arguments: ClassVar[tuple[str, ...]] = ()
    """The names of the parameters after the first."""
    _lamina_call_required: ClassVar[tuple[str, ...]] = ()
    """The names of the parameters that the caller must give."""
    _lamina_uses_mask: ClassVar[bool] = False
    """Whether the layer uses a mask or decides what becomes of it. If not, a lost mask gives a warning."""
    _lamina_bare: ClassVar[bool] = False
    """Whether it is a built-in layer without weights, or a subclass of one: such a layer is built when it is made."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        takes = list(inspect.signature(cls.call).parameters.values())
        if not takes or takes[0].kind is not takes[0].VAR_POSITIONAL:  # otherwise self is one of *args
            takes = takes[1:]
        cls._lamina_call_signature = inspect.Signature(takes)
        taken = [p for p in takes[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if "call" in vars(cls) and "_lamina_one_tensor" not in vars(cls):
            ours = cls.__module__.startswith("lamina.")
            cls._lamina_one_tensor = ours and cls._lamina_one_tensor is not False
        cls._lamina_call_arguments = tuple(p.name for p in taken)
        required = (p.name for p in taken if p.default is p.empty and p.name not in ("training", "mask"))
        cls._lamina_call_required = tuple(required)
        cls._lamina_uses_mask = "mask" in cls._lamina_call_arguments or cls.compute_mask is not Layer.compute_mask
        here = cls._lamina_bare or cls.__module__.startswith("lamina.")
        cls._lamina_bare = here and cls.build is Layer.build
        if "build" in vars(cls):
            cls.build = named_after(cls.build)  # type: ignore[method-assign]

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        """Returns a layer with the attributes that a custom `__init__` may read or set before it calls Layer's."""
        layer = super().__new__(cls)
        layer._lamina.added_at, layer._lamina.made_in_pass = caller(), under_way.get() is not None
        layer.name = to_snake_case(cls.__name__)
        layer.built, layer.autocast, layer.activity_regularizer, layer.input_spec = cls._lamina_bare, True, None, None
        return layer

    def __post_init__(self) -> None:
        if self.name is not None:
            checked(type(self).__name__, "name", layer_name, self.name)
        state = self._lamina
        state.named, self.name = self.name is not None, self.name or to_snake_case(type(self).__name__)
        given = vars(state)
        length = given.pop("input_length", None)
        for name in ("input_shape", "input_dim", "batch_input_shape"):
            if (shape := given.pop(name, None)) is not None:
                shape = (length, shape) if length is not None else (shape,) if name == "input_dim" else shape
                full = full_shape(shape, name)
                state.wanted_shape = full if name == "batch_input_shape" else (None, *full)

    # Methods that a custom layer overrides or calls.

    @overridable
    def build(self, input_shape: Shape) -> None:
        """Make the weights with `add_weight`. `input_shape` has None for the batch axis."""
        built(self, build_config(self, Layer.build, (input_shape,), {}))

    @overridable
    def call(self, x: Any) -> Any:
        """Returns the layer's output for one tensor."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, x).")

    @overridable
    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Returns the mask for the next layer."""
        return mask if self.supports_masking else None

    @user_facing
    def add_weight(
        self, shape: Any = (), initializer: Named | ArrayLike = None, dtype: DTypeLike | None = None,
        trainable: bool = True, autocast: bool = True, regularizer: Named = None, constraint: Named = None,
        aggregation: str = "none", overwrite_with_gradient: bool = False, name: str | None = None,
    ) -> Any:  # fmt: skip
        """Returns a new `Weight`, filled by `initializer` (default glorot_uniform) from the layer's seed."""
        if isinstance(shape, str):
            raise ArgumentError(f"add_weight takes the shape first: add_weight((8, 3), name={shape!r}).")
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if None in shape:
            raise ShapeError(f"needs to know every size of a weight, got shape {shape}")
        dtype = jnp.dtype(dtype or self.dtype_policy.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if jnp.issubdtype(dtype, jnp.floating) else "zeros"
        key = np.random.SeedSequence([seed_of(self), len(self._lamina.weights)]).generate_state(2)
        fill = keyed(initializer)
        weight = Weight(
            Unset.of(shape, dtype) if values_follow.get() else _first_value(fill, shape, dtype, key),
            name=name or "",
            path=name or "",
            trainable=trainable,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            autocast=autocast,
        )
        weight.shown, weight.overwrite_with_gradient = not makes_new(fill), flag(overwrite_with_gradient)
        # Keras's order, which does not change when `weight.trainable` is set later.
        self._lamina.weights = tuple(sorted((*self._lamina.weights, weight), key=lambda each: not each.trainable))
        return weight

    add_variable = add_weight

    def add_loss(self, loss: ArrayLike | list[ArrayLike]) -> None:
        """Add a scalar to the training loss. Call it in `call`."""
        if self._lamina.running is not None:
            losses = loss if isinstance(loss, list) else [loss]
            self._lamina.running.losses.extend(jnp.asarray(each) for each in losses)

    @property
    def losses(self) -> list[Array]:
        """The losses that the layers added in the latest call, and the penalties of the regularizers."""
        return losses_of(self)

    def random_key(self) -> Array:
        """A key for this layer in this step, new at each call: a function of (seed, layer, step).  -> (2,) uint32"""
        return random_key(self)

    # Methods that users call.

    @user_facing
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the output of `call`: a tensor, or nested lists, tuples and dicts of tensors.

        If `training` and the masks that `call` asks for are not given, they are filled in. With one tensor the mask is
        `mask`; with several tensors an argument `query` has the mask `query_mask`.
        """
        now, inputs = self._lamina.running, inputs_of(self, args, kwargs)
        return run_alone(self, inputs) if now is None else run(now, self, inputs)

    @user_facing
    def stateless_call(
        self, trainable_variables: Sequence[ArrayLike], non_trainable_variables: Sequence[ArrayLike], *args: Any,
        training: bool = False, return_losses: bool = False, **kwargs: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Returns the output for given arrays, and the non-trainable arrays after the pass: pure, for `jax.grad`.

        The arguments after the arrays are those of a call of the layer.

        The arrays are in the order of `trainable_variables` and of `non_trainable_variables`. The latter include the
        random states. With the states that the latest call returned, dropout draws new numbers.
        """
        trained, kept, seeds = self.trainable_variables, self.non_trainable_variables, seed_states(self)
        if (len(trained), len(kept)) != (len(trainable_variables), len(non_trainable_variables)):
            raise ArgumentError(
                f"{self.name} has {len(trained)} trainable and {len(kept)} non-trainable variables; got arrays for "
                f"{len(trainable_variables)} and {len(non_trainable_variables)}."
            )
        given = (*trainable_variables, *non_trainable_variables)
        arrays = (read(each) if isinstance(each, Weight) else each for each in given)
        values = dict(zip((*trained, *kept), arrays, strict=True))
        around = under_way.get()
        inside = isinstance(around, Pass)
        key, draws = (key_alone(self, around), None) if inside else of_states(self, {s: values[s] for s in seeds})
        with Pass(values, training=training, key=key, draws=draws) as now:
            y = now.copy_of(self)(*args, **kwargs)
            hand_on_losses(self, now, around)
        after = values | dict(now.changed()) | {seed: next_state(values[seed]) for seed in seeds}
        losses = [[*now.losses, *regularization(self, now.read)]] if return_losses else []
        return (y, [after[weight] for weight in kept], *losses)

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shapes that `build` received, for `build_from_config`. None if the layer is not built."""
        return self._lamina.built_for

    @user_facing
    def build_from_config(self, config: dict[str, Any]) -> None:
        """Make the weights for the shapes that `get_build_config` returned."""
        building.build_from(self, config)

    def _lamina_build(self, shape: Any, inputs: Inputs | None = None) -> None:
        """Build this layer and its sublayers for an input of `shape` (with the batch axis), unless they are built.

        Args:
            inputs: the arguments of the call, if it has more than one tensor.
        """
        building.build(self, shape, inputs)

    def _lamina_check_input(self, shape: Any) -> None:
        if self.input_spec is not None:
            check_specs(self.input_spec, shape)

    def _lamina_is_sample(self, shape: Shape) -> bool:
        """Whether an input of this shape is one sample without a batch axis, which a direct call accepts."""
        return False

    def _lamina_require_adapted(self) -> None:
        """Raise an error if the layer learns from data and has not seen any."""

    @overridable
    @user_facing
    def compute_output_shape(self, *shapes: Any, **named: Any) -> Any:
        """Returns the output's shape for the inputs' shapes, with None for the batch size. Nothing is computed.

        Args:
            shapes, named: a shape for each argument of `call`, by position or as `query_shape` for `query`; a list,
                tuple or dict of shapes for an argument that takes several tensors.
        """
        return building.shape_of_output(self, shapes, named)

    # Dtypes, shapes and weights.

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights. Setting it also sets every sublayer's `trainable`."""
        return self._lamina.trainable

    @trainable.setter
    @user_facing
    def trainable(self, value: bool) -> None:
        for part in parts(self):
            part.layer._lamina.trainable = flag(value)

    @property
    def dtype_policy(self) -> dtypes.DTypePolicy:
        """The dtypes of the weights and of the computation."""
        return self._lamina.dtype

    @dtype_policy.setter
    def dtype_policy(self, policy: dtypes.Dtype) -> None:
        self._lamina.dtype = dtypes.get(policy)

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        return self.variable_dtype

    @dtype.setter
    def dtype(self, policy: dtypes.Dtype) -> None:
        self.dtype_policy = policy

    input_shape = ShapeInStack(0)
    """The shape of the input in the layer's stack, with None for the batch axis."""
    output_shape = ShapeInStack(1)
    """The shape of the output in the layer's stack, with None for the batch axis."""
    input = TensorInStack(0)
    """The shape and dtype of the input in the stack. It is not a symbolic tensor: no layer can be called on it."""
    output = TensorInStack(1)
    """The shape and dtype of the output in the stack."""

    @property
    def compute_dtype(self) -> str:
        return str(self.dtype_policy.compute_dtype)

    @property
    def variable_dtype(self) -> str:
        return str(self.dtype_policy.variable_dtype)

    def _lamina_arguments(self) -> dict[str, Any]:
        own = self._lamina.arguments
        if own is None:
            own = {name: value_of(self, name) for name, field in self._lamina_fields.items() if field.in_config}
        told = {name: value for name, value in own.items() if name not in Layer._lamina_fields}
        if self.activity_regularizer is not None:
            told["activity_regularizer"] = self.activity_regularizer
        if not self.autocast:
            told["autocast"] = False
        if (wanted := self._lamina.wanted_shape) is not None:
            told |= {"batch_input_shape": wanted} if wanted[0] else {"input_shape": wanted[1:]}
        return told

    def get_config(self) -> dict[str, Any]:
        head = {"name": self.name, "trainable": self.trainable, "dtype": serialize(self.dtype_policy)}
        of_input = ("input_shape", "batch_input_shape")  # the stack's Input holds the shape
        return {name: value for name, value in (head | super().get_config()).items() if name not in of_input}

    @classmethod
    @user_facing
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns a layer with the settings that `get_config` returned, and new weights."""
        takes = inspect.signature(cls.__init__).parameters
        hands_on = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        late = set() if hands_on else Layer._lamina_fields.keys() - takes.keys()  # arguments that Layer's does not get
        config = of_today(cls, config, takes.keys() | cls._lamina_fields.keys() - {"input_length"})
        if isinstance(described := config.get("dtype"), dict):  # as in Keras, an `__init__` is given the name
            policy = dtypes.get(described)
            config = config | {"dtype": policy.name if type(policy) is dtypes.DTypePolicy else policy}
        layer = cls(**{name: value for name, value in config.items() if name not in late})
        for name in late & config.keys():
            setattr(layer, name, config[name])
        return layer

    def __repr__(self) -> str:
        full = super().__repr__()
        return full.replace("(", f"(name={self.name!r}, ", 1).replace(", )", ")") if self._lamina.named else full


def _first_value(
    fill: Callable[..., Any], shape: tuple[int, ...], dtype: np.dtype[np.generic], key: NDArray[np.generic]
) -> Any:
    """The initializer's array. If memory does not suffice, as after a typo in a size, this is an error."""
    count = math.prod(shape)
    what = f"has a weight of the shape {shape} with {count:,} parameters, which needs"
    require(count * dtype.itemsize, what, ShapeError, weight=True)
    values = fill(shape, dtype, key)
    return own_array(values) if isinstance(values, np.ndarray) else values


def weight_from_settings(layer: Layer, prefix: str, shape: Sequence[int | None], **told: Any) -> Any:
    """A new weight with the settings `{prefix}_initializer`, `{prefix}_regularizer` and `{prefix}_constraint`."""
    initializer, regularizer, constraint = (
        getattr(layer, f"{prefix}_{what}") for what in ("initializer", "regularizer", "constraint")
    )
    return layer.add_weight(shape, initializer, regularizer=regularizer, constraint=constraint, **told)
