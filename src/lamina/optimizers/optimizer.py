"""The base class of optimizers: one step of all weights with clipping, decay and averages, and the public methods."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike, DTypeLike

from lamina._arrays.arrays import Array, as_array, copied
from lamina._arrays.nested import leaves
from lamina._arrays.shapes import Shape
from lamina._messages.spelling import free_name
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Named, overridable
from lamina._settings.registry import Registry
from lamina._weights.weight import Weight, read
from lamina.dtypes import floatx, wide
from lamina.errors import ArgumentError
from lamina.initializers.adapters import keyed
from lamina.optimizers.clipping import clipped
from lamina.optimizers.in_step import require_of_step
from lamina.optimizers.overwriting import after_overwriting, by_path, overwritten
from lamina.optimizers.state import Stateful, filled, rate_in
from lamina.optimizers.step import averaged, by_weight, moved
from lamina.optimizers.variables import State, Variable, replace

Arrays = dict[str, Array]

registry = Registry("optimizer")


class Optimizer(Stateful):
    """The base class of optimizers. A subclass defines `update_step`, and `build` if the formula keeps variables.

    In `update_step` the gradient, the weight and its variables are of one dtype, at least float32, whatever dtype the
    model's weights have. In `fit` it runs compiled, on a copy of the optimizer that holds the arrays of the step.

    >>> class Momentum(Optimizer):
    ...     def __init__(self, learning_rate=0.5, momentum=0.5, **kwargs):
    ...         super().__init__(learning_rate=learning_rate, **kwargs)
    ...         self.momentum = momentum
    ...     def build(self, variables):
    ...         super().build(variables)
    ...         self.moments = {v.path: self.add_variable_from_reference(v, "moment") for v in variables}
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         moment = self.moments[variable.path]
    ...         moment.assign(self.momentum * moment - learning_rate * gradient)
    ...         variable.assign_add(moment)
    >>> w, own = Weight(jnp.array([1.0, -1.0]), name="w"), Momentum()
    >>> own.apply([jnp.array([3.0, -2.0])], [w])
    >>> print(w.numpy())
    [-0.5  0. ]

    Args:
        learning_rate: a number, a schedule, a function of the step, or a function without arguments.
        weight_decay: the share of a weight, times the learning rate, that is subtracted from it before each update.
        clipnorm: the largest norm that the gradient of one weight may have; a larger one is scaled down to it.
        clipvalue: the largest absolute value of each number in a gradient; larger ones are set to it.
        global_clipnorm: the largest norm of all gradients together.
        use_ema: keep an exponential moving average of each weight, and set the weights to it at the end of `fit`.
        ema_momentum: the weight of the old average: `average = ema_momentum * average + (1 - ema_momentum) * weight`.
        ema_overwrite_frequency: also set the weights to their averages every `ema_overwrite_frequency` steps.
        loss_scale_factor: the loss is multiplied by it, and gradients divided, so that float16 does not lose them.
        gradient_accumulation_steps: update only every `gradient_accumulation_steps` steps, with their mean gradient.
        name: the optimizer's name, the first part of the paths of its variables.
    """

    # The methods that the author of an optimizer overrides or calls.

    @overridable
    @user_facing
    def build(self, variables: Iterable[Weight]) -> None:
        """Make the state for these weights, if there is none yet. A subclass calls `super().build` first."""
        weights = by_path(variables)
        self._lamina.weights = tuple(weights.values())
        if not self.built:
            self._lamina_arrays = self._lamina_init({path: weight.array for path, weight in weights.items()})

    @overridable
    def update_step(self, gradient: Array, variable: Weight, learning_rate: Array) -> None:
        """Assign the new values to `variable` and to the variables of the formula."""
        slots, t = self._lamina.variables["slots"][variable.path], (self.iterations + 1).astype(gradient.dtype)
        old = {name: slot.array for name, slot in slots.items()}
        value, new = self._lamina_step(gradient, variable.value, old, learning_rate, t)
        for name, array in new.items():
            slots[name].array = array
        variable.assign(value)

    @user_facing
    def add_variable(
        self,
        shape: Shape,
        initializer: Named | ArrayLike = "zeros",
        dtype: DTypeLike | None = None,
        aggregation: str = "none",
        layout: None = None,
        name: str | None = None,
    ) -> Weight:
        """Add a variable to the optimizer, to which `update_step` may assign; call it in `build`."""
        return _added(self, ("own",), name or "variable", shape, initializer, dtype or floatx())

    @user_facing
    def add_variable_from_reference(
        self, reference_variable: Weight, name: str | None = None, initializer: Named | ArrayLike = "zeros"
    ) -> Weight:
        """Add a variable with the shape of a weight, such as its running mean; call it in `build`."""
        path, dtype = reference_variable.path, wide(reference_variable.dtype)  # 16 bits would round means to nothing
        name, known = name or "var", path in self._lamina.paths  # or `build` did not get the weight
        place, name = (("slots", path), name) if known else (("own",), f"{path.replace('/', '_')}_{name}")
        return _added(self, place, name, reference_variable.shape, initializer, dtype)

    @overload
    def add_optimizer_variables(
        self, trainable_variables: Iterable[Weight], name: str, initializer: Named = ...
    ) -> list[Weight]: ...

    @overload
    def add_optimizer_variables(
        self,
        trainable_variables: Iterable[Weight],
        name: list[str] | tuple[str, ...],
        initializer: Named | Sequence[Named] = ...,
    ) -> tuple[list[Weight], ...]: ...

    def add_optimizer_variables(
        self,
        trainable_variables: Iterable[Weight],
        name: str | list[str] | tuple[str, ...],
        initializer: Named | Sequence[Named] = "zeros",
    ) -> list[Weight] | tuple[list[Weight], ...]:
        """Call `add_variable_from_reference` for each weight; with a list of names, each weight gets a list."""
        names = [name] if isinstance(name, str) else list(name)
        fills = initializer if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        rows = [
            [self.add_variable_from_reference(weight, each, fill) for each, fill in zip(names, fills, strict=True)]
            for weight in trainable_variables
        ]
        lists = tuple([row[place] for row in rows] for place in range(len(names)))
        return lists[0] if isinstance(name, str) else lists

    def assign(self, variable: Weight, value: ArrayLike) -> None:
        """`variable.assign(value)`."""
        variable.assign(value)

    def assign_add(self, variable: Weight, value: ArrayLike) -> None:
        """`variable.assign_add(value)`."""
        variable.assign_add(value)

    def assign_sub(self, variable: Weight, value: ArrayLike) -> None:
        """`variable.assign_sub(value)`."""
        variable.assign_sub(value)

    def _get_variable_index(self, variable: Weight) -> int:
        """Return the position of a weight in the list that `build` got, as in Keras."""
        return self._lamina.paths.index(variable.path)

    # The built-in formulas, as pure functions of one array and its slots.

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        """Return the initial slots of one array, by name. `p` has the dtype that `_lamina_step` gets."""
        return {}

    def _lamina_decay_of(self, slots: Arrays) -> float | None:
        """Return the `weight_decay` of the array with these slots."""
        return self.weight_decay

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        """Return one array and its slots after step `t` (1, 2, ...); `g` is its gradient, `lr` the learning rate."""
        raise NotImplementedError(
            f"{type(self).__name__} needs a method update_step(self, gradient, variable, learning_rate)."
        )

    # Pure functions of all arrays, for use inside a compiled program.

    def _lamina_init(self, params: Arrays) -> State:
        """Return the state before the first step, for arrays by path."""
        state: State = {"iteration": as_array(np.int32(0))}
        if self._lamina.schedule is None:
            state["learning_rate"] = copied(jnp.asarray(self.learning_rate, wide()))
        params = {path: p.astype(wide(p.dtype)) for path, p in params.items()}  # 16 bits would round means to nothing
        state["slots"] = {path: self._lamina_slots(p, path) for path, p in params.items()}
        if self.use_ema:
            state["average"] = {path: filled(p) for path, p in params.items()}
        if self.gradient_accumulation_steps:
            state["accumulator"] = {path: filled(p) for path, p in params.items()}
        return state

    def _lamina_scale(self, loss: Array, state: State) -> Array:
        """Multiply the loss by the number by which `_lamina_update` divides the gradients."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def _lamina_update(
        self, grads: Arrays, params: Arrays, state: State, decay: dict[str, bool] | None = None
    ) -> tuple[Arrays, State]:
        """Make one step, and return the new parameters and the new state.

        The order is: unscale, accumulate, clip, decay, the optimizer's formula, average. Weights with
        `overwrite_with_gradient` are left out.

        Args:
            decay: which weights decay. The default is all except those of `exclude_from_weight_decay`.
        """
        step, every = state["iteration"], self.gradient_accumulation_steps
        due = (step + 1) % every == 0 if every else True
        grads, values, waiting = after_overwriting(self._lamina, grads, params, state.get("accumulator"), due)
        lr = rate_in(self, state)
        decays = {path: not self._lamina_excludes(path) for path in params} if decay is None else decay
        grads = {path: g.astype(wide(g.dtype)) for path, g in grads.items()}
        if self.loss_scale_factor is not None:
            grads = {path: g / self.loss_scale_factor for path, g in grads.items()}

        def move(grads: Arrays) -> tuple[Arrays, State]:
            return moved(self, clipped(self, grads), params, state, lr, decays)

        if every:
            total = {path: g + state["accumulator"][path] for path, g in grads.items()}
            held = {**state["accumulator"], **total}
            params, changed, accumulator = lax.cond(
                due,
                lambda: (*move({path: g / every for path, g in total.items()}), jax.tree.map(jnp.zeros_like, held)),
                lambda: (params, {part: state[part] for part in ("slots", "own") if part in state}, held),
            )
            changed["accumulator"] = {**accumulator, **waiting}
        else:
            params, changed = move(grads)
        if self.use_ema:
            known = {path: p for path, p in params.items() if path not in values}
            known, average = averaged(self, known, state["average"], step // every if every else step)
            params, changed["average"] = {**params, **known}, {**state["average"], **average}
        return {**params, **values}, {**state, **changed, "iteration": step + 1}

    def _clip_gradients(self, grads: Sequence[Array]) -> list[Array]:
        """Clip the gradients by `clipnorm`, `global_clipnorm` or `clipvalue`; the name is Keras's."""
        return list(clipped(self, dict(enumerate(map(jnp.asarray, grads)))).values())

    def _lamina_finalize(self, params: Arrays, state: State) -> Arrays:
        """Return the parameters at the end of training; with `use_ema` these are copies of their averages."""
        if not self.use_ema:
            return params
        known = params.keys() - overwritten(self._lamina)
        averages = {path: jnp.array(state["average"][path], params[path].dtype, copy=True) for path in known}
        return {**params, **averages}

    def _lamina_excludes(self, weight_path: str) -> bool:
        """Whether `exclude_from_weight_decay` matches this weight."""
        return self._lamina.excluding is not None and self._lamina.excluding.search(weight_path) is not None

    # Methods for custom training loops, which change weights in place.

    @user_facing
    def apply(self, grads: Iterable[ArrayLike | None], trainable_variables: Iterable[Weight] | None = None) -> None:
        """Update weights in place by their gradients, and apply constraints. A gradient may be None.

        >>> from lamina.optimizers import SGD
        >>> w = Weight(jnp.ones(2), name="w")
        >>> SGD(0.5).apply([jnp.array([1.0, 0.0])], [w])
        >>> print(w.numpy())
        [0.5 1. ]
        """
        require_of_step(self)
        weights = by_path(self._lamina.weights if trainable_variables is None else trainable_variables)
        arrays = by_weight(list(grads), weights)
        if not self.built or not self._lamina.weights:
            self.build(list(weights.values()))
        places = {weight: path for path, weight in by_path(self._lamina.weights).items()}
        if unknown := [weight.path for weight in weights.values() if weight not in places]:
            raise ArgumentError(
                f"this {type(self).__name__} was built for other weights, without {unknown[0]!r}. Make a new "
                "optimizer for a new set of weights, or build this one for all of them: optimizer.build(a + b)."
            )
        arrays = {places[weights[path]]: g for path, g in arrays.items()}
        params = {places[weight]: read(weight) for weight in weights.values()}
        now = overwritten(self._lamina)
        if self._lamina.compiled is None or now != self._lamina.overwritten:
            self._lamina.overwritten = now
            # A method alone would be the same function to JAX, which then keeps the program of the old settings.
            self._lamina.compiled = jax.jit(functools.partial(self._lamina_update))
        params, self._lamina_arrays = self._lamina.compiled(arrays, params, self._lamina_arrays)
        for weight in weights.values():
            value = params[places[weight]]
            weight.value = value if weight.constraint is None else weight.constraint(value)

    @user_facing
    def stateless_apply(
        self,
        optimizer_variables: Sequence[Array],
        grads: Sequence[ArrayLike | None],
        trainable_variables: Sequence[Array],
    ) -> tuple[list[Array], list[Array]]:
        """Return the weights and the variables after one step: a pure function of arrays, for custom compiled steps.

        Args:
            optimizer_variables: arrays in the order of `variables`.
            grads: one array for each weight that `build` was given, in that order.
            trainable_variables: the arrays of these weights.
        """
        weights = by_path(self._lamina.weights)
        if not weights or len(weights) != len(trainable_variables):
            raise ArgumentError(
                f"this {type(self).__name__} was built for {len(weights)} weights, and got {len(trainable_variables)}: "
                "call optimizer.build(model.trainable_variables) first."
            )
        twin = self._lamina_with(self._lamina_arrays or {})
        for variable, array in zip(twin.variables, optimizer_variables, strict=True):
            variable.array = array
        params = dict(zip(weights, trainable_variables, strict=True))
        given = by_weight(list(grads), weights)
        params, twin._lamina_arrays = twin._lamina_update(given, params, twin._lamina_arrays or {})
        after = [params[path] if w.constraint is None else w.constraint(params[path]) for path, w in weights.items()]
        return after, [variable.array for variable in twin.variables]

    @user_facing
    def apply_gradients(self, grads_and_vars: Iterable[tuple[ArrayLike | None, Weight]]) -> Any:
        """Call `apply` for pairs of a gradient and a weight; return `iterations`."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [weight for _, weight in pairs])
        return self.iterations

    def scale_loss(self, loss: Array) -> Array:
        """Multiply the loss by `loss_scale_factor`; `apply` takes the gradients of the result."""
        return self._lamina_scale(loss, self._lamina_arrays or {})

    @user_facing
    def finalize_variable_values(self, var_list: Iterable[Weight]) -> None:
        """With `use_ema`, set weights to their averages."""
        weights = by_path(var_list)
        params = {path: weight.value for path, weight in weights.items()}
        for path, value in self._lamina_finalize(params, self._lamina_arrays or {}).items():
            weights[path].value = value

    @user_facing
    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Set the weights that do not decay, from the next `fit` on.

        >>> from lamina.optimizers import AdamW
        >>> adam, bias = AdamW(weight_decay=0.5), Weight(jnp.ones(2), path="dense/bias")
        >>> adam.exclude_from_weight_decay(var_names=["bias", "gamma|beta"])
        >>> adam.apply([jnp.zeros(2)], [bias])
        >>> print(bias.numpy())
        [1. 1.]

        Args:
            var_list: weights.
            var_names: patterns that are searched in the paths of weights, such as "dense/bias".
        """
        if isinstance(var_names, str):
            raise ArgumentError(f"var_names: expected a list of names, got {var_names!r}; type [{var_names!r}].")
        patterns = [*(var_names or ()), *(rf"\A{re.escape(weight.path)}\Z" for weight in var_list or ())]
        self._lamina.excluding = re.compile("|".join(patterns)) if patterns else None


def extend(optimizer: Optimizer, trained: Sequence[Weight], weights: Sequence[Weight]) -> None:
    """Make the state for the weights that are trainable now, and keep the state of those trained before.

    Existing arrays are kept if their shape is the same.
    """
    inner: Stateful = getattr(optimizer, "inner_optimizer", optimizer)
    state, now = inner._lamina, {weight.path for weight in trained}
    known, old = now.union(state.paths), dict[str, Any](leaves(inner._lamina_variables))
    state.variables, state.added = {}, []
    optimizer.build([weight for weight in weights if weight.path in known])

    def kept(variable: Variable, place: str) -> Variable:
        before: Variable = old.get(place, variable)
        return before if before.shape == variable.shape else variable

    replace(inner, kept)


def _added(
    optimizer: Optimizer,
    place: tuple[str, ...],
    name: str,
    shape: Shape,
    initializer: Named | ArrayLike,
    dtype: DTypeLike,
) -> Weight:
    """Add a variable to the dict at `place` among the optimizer's variables."""
    if not optimizer.built:
        raise ArgumentError(
            f"{type(optimizer).__name__} adds a variable too early: add it in build, after super().build(variables)."
        )
    held = optimizer._lamina.variables
    for key in place:
        held = held.setdefault(key, {})
    name = free_name(name, set(held))
    held[name] = Variable(optimizer, (*place, name), keyed(initializer)(tuple(shape), jnp.dtype(dtype), None))
    optimizer._lamina.added.append(held[name])
    added: Variable = held[name]
    return added
