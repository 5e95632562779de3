"""FeatureSpace: encodes each column of a table by its kind, and joins them to one vector for each row."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, NoReturn, Self

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array, HostArray
from lamina._arrays.shapes import Shape
from lamina._data.raw_stream import first_rows
from lamina._data.raw_table import RawTable, is_record, raw_table
from lamina._data.source import is_stream
from lamina._imports.lazy import homes
from lamina._layer.host import require_host
from lamina._layer.layer import Layer
from lamina._layer.layer_state import LayerState
from lamina._layer.layers_by_name import registry
from lamina._layer.structure import restored_on_error
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import positive
from lamina._settings.settings import Configured, Converted, State, setting
from lamina.errors import ArgumentError, NotAdaptedError, ShapeError, StackError
from lamina.layers.feature_space import guess
from lamina.layers.feature_space.encoding import (
    BITS,
    Learned,
    Part,
    check_codes,
    encode,
    has_codes,
    learn,
    learns,
    on_host,
    parts_of,
)
from lamina.layers.feature_space.kinds import Cross, Feature, Kinds, feature_of
from lamina.layers.features.crossing import HashedCrossing
from lamina.layers.features.numbers import Normalization
from lamina.layers.wrappers import fresh


def columns(value: object) -> dict[str, Any]:
    """The kind of each column, by the names of columns."""
    if not isinstance(value, Mapping) or not value:
        raise ArgumentError(f"expected the kind of each column, as {{'age': 'float_normalized'}}, got {value!r}.")
    return {str(name): kind for name, kind in value.items()}


def concatenated(value: object) -> str:
    """The output mode "concat"."""
    if value == "dict":
        raise ArgumentError("a stack hands on one tensor, so the columns are joined: leave output_mode='concat'.")
    if value != "concat":
        raise ArgumentError(f"expected 'concat', got {value!r}.")
    return "concat"


def several(value: object) -> list[Any]:
    """None, or a list of combinations of columns."""
    if value is not None and not isinstance(value, (list, tuple)):
        raise ArgumentError(f"expected a list of combinations, as [('city', 'job')], got {value!r}.")
    return list(value or [])


@dataclass(eq=False, repr=False)
class SpaceState(LayerState):
    """The state of a FeatureSpace: what it has learned of each column, and the layout of its array."""

    parts: tuple[Part, ...] = ()
    settings: str = ""
    """The config from before it learned."""

    def compiled_in(self) -> list[tuple[str, object]]:
        return [*super().compiled_in(), ("parts", tuple(str(part[1:]) for part in self.parts))]


class FeatureSpace(Kinds, Layer):
    """Maps each row of a table to one vector: the columns in the order of their names, then the crosses.

    It is the first layer of a stack, which then takes frames, dicts of columns and lists of dicts. `fit` adapts it to
    the rows that it trains on, unless `adapt` was called before.

    >>> table = {"age": [30.0, 40.0, 50.0], "city": ["Rome", "Oslo", "Rome"]}
    >>> space = FeatureSpace(features={"age": "float_normalized", "city": "string_categorical"})
    >>> space.adapt(table)
    >>> space({"age": [40.0], "city": ["Oslo"]})
    Array([[0., 0., 0., 1.]], dtype=float32)

    The kinds of columns are `float`, `float_normalized`, `float_rescaled`, `float_discretized`, `integer_categorical`,
    `string_categorical`, `integer_hashed`, `string_hashed`, `date`, `text`, `float_piecewise` and `float_periodic`.
    For each kind there is a method with its settings, such as `FeatureSpace.string_categorical(max_tokens=100)`.

    A gap in a column of numbers is filled with the median of the training data. If a column had gaps in training, the
    vector has a flag for its gaps; a column of categories has one more category. A category that was not in the
    training data adds nothing to the output, unless rare categories shared a slot for unknown ones in training.

    Args:
        features: the kind of each column, by its name.
        output_mode: "concat": the columns are joined to one vector.
        crosses: combinations of columns, each a tuple of names or a `FeatureSpace.cross`.
        crossing_dim: the number of bins of a combination.
        hashing_dim: the number of bins of "integer_hashed" and "string_hashed".
        num_discretization_bins: the number of bins of "float_discretized".

    Raises:
        ArgumentError: for an unknown kind, and for what a stack cannot take.
    """

    activity_regularizer: Any = setting(default=None, init=False)
    _lamina_trainable: bool = setting(init=False, alias="trainable", default=True)
    _lamina_dtype: Any = setting(init=False, alias="dtype", default=None)
    autocast: bool = setting(default=False, init=False)
    _lamina_input_shape: Any = setting(default=None, init=False, alias="input_shape")
    _lamina_input_dim: Any = setting(default=None, init=False, alias="input_dim")
    _lamina_batch_input_shape: Any = setting(default=None, init=False, alias="batch_input_shape")
    _lamina_input_length: Any = setting(default=None, init=False, alias="input_length")
    name: Name = setting(init=False)
    features: dict[str, Any] = setting(columns)
    output_mode: str = setting(concatenated, default="concat")
    crosses: Converted[Sequence[Any] | None, list[Any]] = setting(several, default=None)
    crossing_dim: int = setting(positive, default=32)
    hashing_dim: int = setting(positive, default=32)
    num_discretization_bins: int = setting(positive, default=32)
    _lamina_name: Name = setting(default=None, alias="name")

    _lamina: SpaceState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = SpaceState
    _lamina_module: ClassVar[str | None] = "keras.utils"
    _lamina_on_host: ClassVar[bool] = True
    _lamina_takes_frames: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        bins = {name: getattr(self, name) for name in ("hashing_dim", "num_discretization_bins")}
        self.features = {name: feature_of(name, kind, bins) for name, kind in self.features.items()}
        self.crosses = [_cross(self, each) for each in self.crosses]
        seen: set[int] = set()
        for name, feature in self.features.items():
            if id(layer := feature.preprocessor) in seen:  # each column needs a layer that learns from it alone
                feature = self.features[name] = Feature(feature.dtype, fresh(layer), feature.output_mode)
            seen.add(id(layer))
            if feature.output_mode == "int":
                raise ArgumentError(
                    f"features[{name!r}] has output_mode='int': codes cannot be joined to one vector. Take 'one_hot'."
                )
            if has_codes(feature):
                check_codes(name, feature.preprocessor)
        self.preprocessors = {name: feature.preprocessor for name, feature in self.features.items()}
        self.crossers = {each.name: HashedCrossing(each.crossing_dim, name=each.name) for each in self.crosses}
        self.autocast = False
        if not any(map(learns, self.preprocessors.values())):
            _lay_out(self)

    @user_facing
    def adapt(self, dataset: Any) -> None:
        """Learn vocabularies, means, edges of bins and medians from a table, or from batches of one.

        Args:
            dataset: a frame, a dict of columns, a list of dicts, the path of a CSV or Parquet file, or an iterable of
                dicts with batches or rows.
        """
        streams = is_stream(dataset)
        adapt(self, first_rows(dataset, np.inf, "dataset")[0] if streams else guess.opened_table(dataset, "dataset"))

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Save the settings of the space and what it has learned to a `.keras` file, which `load_model` reads.

        >>> import tempfile
        >>> from lamina.models import load_model
        >>> path = os.path.join(tempfile.mkdtemp(), "space.keras")
        >>> FeatureSpace({"city": FeatureSpace.string_hashed(num_bins=4)}).save(path)
        >>> load_model(path)({"city": "Rome"}).shape
        (4,)

        Args:
            filepath: a name that ends in ".keras".

        Raises:
            FileError: the file cannot be written.
        """
        import_module(homes["file"][0]).save_space(self, filepath)

    @property
    def _lamina_needs_adapting(self) -> bool:
        return self._lamina.learned is None

    @property
    def _lamina_columns(self) -> list[str | None]:
        columns: list[str | None] = []
        for part in self._lamina.parts:
            width = part.columns.stop - part.columns.start
            whole = width == 1 and part.name in self.features
            columns += [part.name if whole else None] * width + [None] * part.flag
        return columns

    def _lamina_adapt(self, table: RawTable, every: RawTable | None = None) -> None:
        adapt(self, table, every)

    @property
    def _lamina_learned(self) -> dict[str, Any]:
        scales = {name: layer for name, layer in self.preprocessors.items() if isinstance(layer, Normalization)}
        weights = {name: [array.tolist() for array in layer.get_weights()] for name, layer in scales.items()}
        return {"settings": self._lamina.settings, "config": self.get_config() | {"name": None}, "weights": weights}

    def _lamina_recall(self, kept: dict[str, Any]) -> None:
        """Take over what an equal space had learned in a run that is resumed."""
        if kept["settings"] == _settings(self):
            equal = type(self).from_config(kept["config"] | {"name": self.name})
            for name, weights in kept["weights"].items():
                equal.preprocessors[name].set_weights([*map(np.array, weights)])
            self.features, self.preprocessors = equal.features, equal.preprocessors
            self._lamina.learned, self._lamina.settings = equal._lamina.learned, kept["settings"]
            _lay_out(self)

    def _lamina_require_adapted(self) -> None:
        if not self._lamina.parts:
            raise NotAdaptedError(
                f"{self.name!r} (FeatureSpace) has not seen data yet: call {self.name}.adapt(table) or fit first."
            )

    def _lamina_host(self, x: Any) -> HostArray:
        self._lamina_require_adapted()
        table = raw_table(x)
        return table.encoded(lambda: encode(self, table), lambda: _settings(self))

    @user_facing
    def __call__(self, data: Any, *others: Any, **named: Any) -> Any:
        """Returns one vector for each row of a table, or one vector for a dict with one value for each column."""
        if self._lamina.running is not None:
            return super().__call__(data, *others, **named)
        require_host(self, {}, [*map(str, others), *named], "Put it first in the stack.")
        self._lamina_require_adapted()
        y = super().__call__(encode(self, raw_table(data, "data"), alone=True))
        return y[0] if is_record(data) else y

    def call(self, x: Array) -> Array:  # (batch, columns)
        outputs = []
        for part in self._lamina.parts:
            numbers = x[:, part.columns]
            if part.depth:
                y = (numbers == jnp.arange(part.depth, dtype=x.dtype)).astype(self.compute_dtype)  # (batch, depth)
            elif part.words:
                bits = numbers.astype(jnp.int32)[..., None] >> jnp.arange(BITS) & 1  # (batch, columns, 24)
                y = bits.reshape(len(x), -1)[:, : part.words]  # (batch, words)
            else:
                layer = self.preprocessors[part.name]
                y = numbers if on_host(layer) else layer(numbers)
            outputs.append(y.astype(self.compute_dtype))
            if part.flag:
                outputs.append(x[:, part.end - 1 : part.end].astype(self.compute_dtype))
        return jnp.concatenate(outputs, axis=-1)  # (batch, units)

    def _lamina_check_input(self, shape: Shape) -> None:
        width = (self._lamina.wanted_shape or (None, None))[-1]
        if width is None or tuple(shape)[1:] != (width,):
            raise ShapeError(f"takes tables, got an Input of {tuple(shape)}. Leave the Input out")

    def get_inputs(self) -> NoReturn:
        """Refused: a stack has no symbolic inputs."""
        raise StackError("get_inputs is for graphs of layers. Put the FeatureSpace first in a Sequential.")

    def get_encoded_features(self) -> NoReturn:
        """Refused: a stack has no symbolic tensors."""
        raise StackError("get_encoded_features is for graphs of layers. Put the FeatureSpace first in a Sequential.")

    def _lamina_arguments(self) -> dict[str, Any]:
        return Configured._lamina_arguments(self)

    def get_config(self) -> dict[str, Any]:
        config = Configured.get_config(self) | {"name": self.name}
        if self._lamina.learned is not None:
            config["learned"] = {name: each.get_config() for name, each in self._lamina.learned.items()}
        return config

    @classmethod
    @user_facing
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A FeatureSpace with the settings that `get_config` returned, and what it had learned."""
        config = dict(config)
        learned = config.pop("learned", None)
        space = super().from_config(config)
        if learned is not None:
            _restore(space, learned)
        return space

    @classmethod
    @user_facing
    def from_frame(cls, table: Any, features: Mapping[str, Any] | None = None, **settings: Any) -> Self:
        """Make a space for a table, with the kind of each column guessed from its values.

        The guessed kinds are printed. The space is not adapted yet.

        Text is `string_categorical`, or `text` where most values are sentences; dates are `date`; whole numbers of at
        most 10 different values are `integer_categorical`; other numbers are `float_normalized`. A column of ids, with
        a value of its own in each of at least 100 rows, is left out.

        >>> table = {"age": [30.5, 40.0, 50.0], "city": ["Rome", "Oslo", "Rome"]}
        >>> space = FeatureSpace.from_frame(table, features={"age": "float_rescaled"})
        float_rescaled: 'age'
        string_categorical: 'city'

        Args:
            table: a frame, a dict of columns, a list of dicts, or the path of a CSV or Parquet file.
            features: the kinds of columns that you know; None leaves a column out.
            settings: the other arguments of a FeatureSpace.

        Raises:
            DataError: two columns have one name, or a column is empty.
        """
        found, ids, words = guess.guessed(table, features)
        space = cls(found, **settings)
        print(guess.told(words, ids))
        return space

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: Any = "one_hot") -> Cross:
        """A combination of columns, with its number of bins."""
        return Cross(tuple(feature_names), crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Layer, output_mode: Any) -> Feature:
        """A column that is read as `dtype`, and encoded by a layer of your own choice."""
        return Feature(dtype, preprocessor, output_mode)


registry.add("FeatureSpace")(FeatureSpace)


def adapt(space: FeatureSpace, table: RawTable, every: RawTable | None = None) -> None:
    """Adapt a space to the rows of a table; after an error it is as it was before."""
    with restored_on_error(space):
        space._lamina.settings = space._lamina.settings or _settings(space)
        learn(space, table, every)
        _lay_out(space)


def _settings(space: FeatureSpace) -> str:
    return str(space.get_config() | {"name": None})


def _lay_out(space: FeatureSpace) -> None:
    """Fix the layout of the array, and so the shape of the output. In a built stack, the shape must not change."""
    parts = parts_of(space)
    if space.built and space._lamina.shapes is not None and parts != space._lamina.parts:
        raise ArgumentError(
            f"{space.name!r} is in a stack that is built, and the new data would change the width of its output. "
            "Make a new stack."
        )
    space._lamina.parts = parts
    space._lamina.wanted_shape = (None, max(part.end for part in parts))


def _restore(space: FeatureSpace, learned: Any) -> None:
    """Restore what a space has learned, from a config."""
    if not isinstance(learned, dict) or learned.keys() != space.features.keys():
        raise ArgumentError("learned: expected what was learned of each column.")
    space._lamina.learned = {name: Learned.from_config(each) for name, each in learned.items()}
    for layer in space.preprocessors.values():
        if hasattr(layer, "_lamina_vocabulary"):
            layer._lamina_vocabulary.given = False
    _lay_out(space)


def _cross(space: FeatureSpace, value: Any) -> Cross:
    """Make a `Cross` from the description in an argument or a config."""
    if isinstance(value, dict):
        value = Cross.from_config(value.get("config", value))
    cross = value if isinstance(value, Cross) else Cross(value, space.crossing_dim)
    if unknown := [name for name in cross.feature_names if name not in space.features]:
        raise ArgumentError(f"crosses: {unknown[0]!r} is none of the features {', '.join(map(repr, space.features))}.")
    if numbers := [name for name in cross.feature_names if not has_codes(space.features[name])]:
        raise ArgumentError(
            f"crosses: {numbers[0]!r} is a column of numbers, and a cross takes codes. Make it 'float_discretized'."
        )
    if cross.output_mode == "int":
        raise ArgumentError(f"the cross {cross.name!r} has output_mode='int', which cannot be joined. Take 'one_hot'.")
    return cross
