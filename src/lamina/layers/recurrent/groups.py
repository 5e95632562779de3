"""The arguments of the recurrent layers and of their cells, in groups that both are put together from."""

from __future__ import annotations

from typing import Any

from lamina import activations, constraints, initializers, regularizers
from lamina._base.converters import flag, one_of, positive, rate, seed_value
from lamina._base.settings import Setting, setting
from lamina._layer.layer import Layer


class Group(Layer):
    """Some arguments that stand together. A class takes those of its last base first, as dataclasses do."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        fields: dict[str, Setting] = {}
        for base in reversed(cls.__mro__):
            fields |= vars(base).get("_lamina_fields", {})
        cls._lamina_fields = fields
        super().__init_subclass__(**kwargs)


class Units(Group):
    """How wide the state is, and what its candidates go through."""

    units: int = setting(positive)
    activation: Any = setting(activations.get, default="tanh")


class Gate(Group):
    """What the gates go through."""

    recurrent_activation: Any = setting(activations.get, default="sigmoid")


class Starts(Group):
    """Whether there is a bias, and what fills the weights."""

    use_bias: bool = setting(flag, default=True)
    kernel_initializer: Any = setting(initializers.get, default="glorot_uniform")
    recurrent_initializer: Any = setting(initializers.get, default="orthogonal")
    bias_initializer: Any = setting(initializers.get, default="zeros")


class Forget(Group):
    """Whether the bias of the gate that forgets starts at 1."""

    unit_forget_bias: bool = setting(flag, default=True)


class Rules(Group):
    """What holds the weights and the products back."""

    kernel_regularizer: Any = setting(regularizers.get, default=None)
    recurrent_regularizer: Any = setting(regularizers.get, default=None)
    bias_regularizer: Any = setting(regularizers.get, default=None)
    kernel_constraint: Any = setting(constraints.get, default=None)
    recurrent_constraint: Any = setting(constraints.get, default=None)
    bias_constraint: Any = setting(constraints.get, default=None)
    dropout: float = setting(rate, default=0.0)
    recurrent_dropout: float = setting(rate, default=0.0)


class Reset(Group):
    """Whether the state is gated after its product with the kernel."""

    reset_after: bool = setting(flag, default=True)


class Seed(Group):
    """Where the masks of both dropouts begin."""

    seed: int | None = setting(seed_value, default=None)


class Steps(Group):
    """What becomes of the steps and the states."""

    return_sequences: bool = setting(flag, default=False)
    return_state: bool = setting(flag, default=False)
    go_backwards: bool = setting(flag, default=False)
    stateful: bool = setting(flag, default=False)


class Unroll(Group):
    """Whether every step is compiled by itself."""

    unroll: bool = setting(flag, default=False)


class Cudnn(Group):
    """An argument that changes nothing here."""

    use_cudnn: Any = setting(one_of("auto", True, False), default="auto")
