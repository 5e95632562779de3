"""The Sequential model: Keras's verbs as short calls into the files that do the work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import jax

from lamina import _onnx as onnx
from lamina import _saving as saving
from lamina import _views as views
from lamina._arrays.arrays import HostArray
from lamina._data.sample_weights import ClassWeight
from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import registry
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config, Named, overridable
from lamina._settings.converters import checked, flag
from lamina._settings.settings import MISSING, setting
from lamina._training import diagnosis, loop
from lamina._training import predict as prediction
from lamina._training.compilation import Compiled
from lamina._training.own_steps import STEPS, known_metrics
from lamina._training.request import Callbacks, DataRequest, RunPlan
from lamina._training.targets import class_of_each, given_classes
from lamina._weights.weight import under_way
from lamina.callbacks import Checkpoint, History
from lamina.callbacks.checkpoint import keeping_of
from lamina.errors import ArgumentError, NotCompiledError, StackError
from lamina.metrics import Metric
from lamina.models import default_steps
from lamina.models.assembly import append
from lamina.models.stack import Stack
from lamina.optimizers import Optimizer

if TYPE_CHECKING:
    from lamina._diagnosis.findings import Findings
    from lamina._saving.paths import FilePath  # A script that saves nothing does not load this module.


@registry.add()
class Sequential(Stack):
    """A straight stack of layers: one tensor in, one tensor out.

    >>> from lamina import layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
    >>> model.output_shape
    (None, 1)

    If the input's shape is known (`Input` first, or `input_shape=` on the first layer), each layer is built when it is
    added, so a wrong shape is an error on that line. Otherwise the first data give the shape.

    As in Keras, a layer or a model in an attribute of a subclass, such as a teacher, is not part of the stack: it is
    not in `weights`, and only a `train_step` of your own trains it. It is also not saved in files. Weights made by
    `add_weight`, and metrics, are part of the model.

    Args:
        layers: the layers, first to last.
        trainable: whether training changes any weight.
        name: the model's name.
    """

    _lamina_module: ClassVar[str | None] = "keras"
    if TYPE_CHECKING:  # what a subclass without an __init__ takes by position
        _lamina_layers: Sequence[Layer] | None = setting(default=None, alias="layers")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = (name for names in STEPS.values() for name in names)
        cls._lamina_own_steps = frozenset(name for name in names if getattr(cls, name) is not getattr(Sequential, name))

    @user_facing
    def __init__(self, layers: Sequence[Layer] | None = None, trainable: bool = True, name: str | None = None) -> None:
        if not isinstance(trainable, bool):
            raise ArgumentError(f"the layers go in one list: Sequential([a, b, c]); got trainable={trainable!r}.")
        super().__init__(name=name, trainable=trainable)
        if isinstance(layers, Layer):
            raise StackError(f"the layers go in a list: Sequential([{type(layers).__name__}(...), ...]).")
        for layer in layers or ():
            append(self, layer)

    @user_facing
    def __call__(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The output for `x`, as a JAX array. `training=True` lets layers such as Dropout work as in training.

        Without `training=`, each layer uses its own default: Dropout does nothing, random image layers change images.
        """
        inferring = training is False or (training is None and not _trains_by_default(self))
        plain = under_way.get() is None and mask is None and not isinstance(x, (jax.core.Tracer, Layer))
        if inferring and plain and not self._lamina_is_sample(getattr(x, "shape", ())):
            return prediction.forward(self, x)
        return super().__call__(x, training=training, mask=mask)

    @user_facing
    def summary(
        self, line_length: int | None = None, positions: Sequence[float] | None = None,
        print_fn: Callable[[str], object] | None = None, expand_nested: bool = False, show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Print the layers, their output shapes and how many weights they have.

        Args:
            line_length: the number of characters in a line; the width of the terminal by default.
            positions: the end of each column, as a share of the line.
            print_fn: a function that gets each line, instead of `print`.
            expand_nested: also show the layers of models that are layers here.
            show_trainable: one more column, which says whether a layer is trained.
            layer_range: the names of the first and the last layer that are shown.
        """
        views.summary.summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def _repr_html_(self) -> str:
        return views.summary.html(self)

    @user_facing
    def compile(
        self, optimizer: str | Optimizer | type[Optimizer] | Config = "rmsprop", loss: Named | Sequence[Named] = None,
        loss_weights: float | Sequence[float] | Mapping[str, float] | None = None,
        metrics: Named | Sequence[object] = None, weighted_metrics: Named | Sequence[object] = None,
        run_eagerly: bool = False, steps_per_execution: int | Literal["auto"] = 1, jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:  # fmt: skip
        """Set the optimizer, the loss and the metrics for training.

        Functions and classes of your own are compiled at their first use. Values they read that are not weights, such
        as a setting of a module or an attribute of an object, are fixed at the first use after `compile`. Weights are
        always read with their current values.

        Args:
            optimizer: a name, or an `Optimizer`.
            loss: a name, a `Loss`, or a function of (y_true, y_pred).
            loss_weights: a number that multiplies the loss.
            metrics: a list of names, `Metric`s or functions.
            weighted_metrics: the same, for metrics that are weighted by the sample weights.
            run_eagerly: run each operation without compiling it, to debug a custom layer; slow.
            jit_compile: False does the same as `run_eagerly=True`; "auto" and True compile.
            steps_per_execution: the number of steps between two calls of a batch callback; "auto" is 1, since steps
                without a batch callback always run together.
            auto_scale_loss: scale the loss where the policy is mixed_float16.
        """
        self._lamina.kept = {}  # user code reads its values anew at the next use
        self._lamina.compiled = Compiled(
            optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly, steps_per_execution, jit_compile,
            auto_scale_loss, policy=self.dtype_policy.name,
        )  # fmt: skip

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, as plain data; {} before `compile`."""
        return saving.compiling.get_compile_config(self)

    @user_facing
    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Call `compile` with what `get_compile_config` returned."""
        saving.compiling.compile_from_config(self, config)

    @user_facing
    def to_json(self, **kwargs: Any) -> str:
        """Return the layers and their settings, without weights, as JSON for `models.model_from_json`.

        Args:
            kwargs: arguments of `json.dumps`, such as `indent=2`.
        """
        return json.dumps(saving.config.serialized(self), **kwargs)

    @user_facing
    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1,
        verbose: int | str = "auto", callbacks: Callbacks = None, validation_split: float = 0.0,
        validation_data: Any = None, shuffle: bool | Literal["batch"] = True, class_weight: ClassWeight = None,
        sample_weight: Any = None, initial_epoch: int = 0, steps_per_epoch: int | None = None,
        validation_steps: int | None = None, validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1, checkpoint: FilePath | Checkpoint | None = None,
    ) -> History:  # fmt: skip
        """Train for `epochs` passes over the data, and return the `History`.

        Other threads may predict, evaluate, read weights and save while `fit` runs. Each such call sees the weights
        after a whole chunk of steps, and waits at most for the current chunk. Only one thread at a time can train a
        model, and only one of the models that share a layer.

        Args:
            x: arrays, lists or a frame with one row per sample, or a stream of batches (a generator, a DataLoader). The
                rows of an array in a file, `numpy.load("x.npy", mmap_mode="r")`, are read when they are needed.
            y: the targets, one row per sample; a stream has them in its batches.
            batch_size: rows per batch, 32 by default.
            epochs: the number of the last epoch, counted from 1.
            verbose: 0 prints nothing, 1 a bar, 2 a line per epoch, 3 only the epoch's number. "auto" is 1 on a terminal
                and in a notebook, else 2. "rich" adds rows per second, memory and the remaining time to the bar.
            callbacks: a `Callback`, or a list of them.
            validation_split: the share of the rows to hold out for validation, taken from the end before shuffling.
            validation_data: (x, y), (x, y, sample_weight) or a stream, evaluated at the end of an epoch.
            shuffle: reorder the rows in each epoch; "batch" only within batches.
            class_weight: a weight for every class, or "balanced".
            sample_weight: a weight for every row.
            initial_epoch: the number of epochs already trained, to resume a run.
            steps_per_epoch: the number of steps in an epoch; the next epoch continues in the data from there. If the
                data ends first, the epoch ends there with a warning, and the next one starts the data again.
            validation_steps: the number of steps in a validation.
            validation_batch_size: rows per batch in validation; `batch_size` by default.
            validation_freq: the number of epochs between validations, or a list of epochs (counted from 1) to validate.
            checkpoint: a folder in which the state of the run is saved after each epoch, or a `callbacks.Checkpoint`.
                If the process is killed, start the same program again: it resumes the run, and gives the same weights
                and history to the last bit. If the run has ended, `fit` returns its history, unless `epochs` is now
                larger. Ctrl-C and SIGTERM save the current state.

        Raises:
            BusyError: while another thread trains this model, or one that shares a layer with it.
            FileError: if the folder has the state of another run, or cannot be written or read.
            DataError, LabelError: before the first step, if the data does not fit the model.
            NonFiniteError: if the loss is NaN or infinite, unless `config.set_non_finite` allows it. The model then
                has the weights from before that epoch.
        """
        callbacks, keeping = keeping_of(callbacks, checkpoint)
        store = saving.checkpoint.FolderStore(keeping) if keeping else None
        validation = DataRequest(validation_data, batch_size=validation_batch_size, steps=validation_steps)
        data = DataRequest(x, y, sample_weight, class_weight, batch_size, steps_per_epoch, shuffle)
        plan = RunPlan(verbose, callbacks, epochs, initial_epoch, validation, validation_split, validation_freq, store)
        return loop.fit(self, data, plan)

    @user_facing
    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: int | str = "auto",
        sample_weight: Any = None, steps: int | None = None, callbacks: Callbacks = None, return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """The loss, or a list of the loss and the metrics, on all of the data.

        Args:
            x: arrays, lists or a frame with one row per sample, or a stream of batches.
            y: the targets, one row per sample; a stream has them in its batches.
            batch_size: rows per batch, 32 by default.
            verbose: 0 silent, 1 a bar, 2 one line; "auto" is 1 on a terminal and in a notebook, else 2.
            sample_weight: a weight for every row.
            steps: the number of steps.
            callbacks: a `Callback`, or a list of them.
            return_dict: return a dict by the names of the metrics.
        """
        data = DataRequest(x, y, sample_weight, batch_size=batch_size, steps=steps)
        return loop.evaluate(self, data, RunPlan(verbose, callbacks), return_dict)

    @user_facing
    def check(self, x: Any, y: Any = None, sample_weight: Any = None, validation_data: Any = None) -> Findings:
        """Look for probable mistakes in the data.

        The checks find: a column that holds the label, columns or targets on another scale, constant or equal columns,
        rows in both the training and the validation data, and rare classes. `fit` does the same checks on a sample of
        the rows. The model must be compiled. It is not trained.

        >>> from lamina import layers
        >>> import numpy as np
        >>> model = Sequential([layers.Input((3,)), layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(500, 3)) * [1, 1, 5000]
        >>> [finding.where for finding in model.check(x, x[:, 0])]
        ['x[:, 0]', 'x[:, 2]']

        Args:
            x: the inputs, all rows: an array or a frame.
            y: the targets.
            sample_weight: a weight for each row.
            validation_data: (x, y), as for `fit`.

        Returns:
            A sequence of findings, each with `check`, `where`, `found` and `advice`. `print` shows it as a table.
        """
        return diagnosis.check(self, DataRequest(x, y, sample_weight), validation_data)

    @user_facing
    def predict(
        self, x: Any, batch_size: int | None = None, verbose: int | str = "auto", steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> Any:  # fmt: skip
        """The output for every row, as a NumPy array, or as a tuple of arrays if the last layer returns several.

        Args:
            x: arrays, lists or a frame with one row per sample, or a stream of batches.
            batch_size: rows per batch. The default keeps activations in the CPU cache.
            verbose: 0 silent, 1 a bar, 2 one line; "auto" is 1 on a terminal and in a notebook, else 2.
            steps: the number of batches.
            callbacks: a `Callback`, or a list of them.
        """
        data = DataRequest(x, batch_size=batch_size, steps=steps)
        return prediction.predict(self, data, RunPlan(verbose, callbacks))

    @user_facing
    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: int | str = "auto", steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> HostArray:  # fmt: skip
        """The class of each row: a name if the y of `fit` had names, else a number.

        The number is the index of the largest output. If there is one output, the number is 1 where the output is above
        0.5, or above 0 if the loss takes logits.

        >>> from lamina import layers
        >>> import numpy as np
        >>> model = Sequential([layers.Dense(1, activation="sigmoid")])
        >>> model.compile("adam", "binary_crossentropy")
        >>> x = np.linspace(-1, 1, 8)[:, None]
        >>> _ = model.fit(x, np.where(x[:, 0] > 0, "high", "low"), verbose=0)
        >>> model.classes_, model.predict_classes(x, verbose=0).shape
        (('high', 'low'), (8,))

        Args: those of `predict`.

        Returns:
            Names of shape (rows,), or numbers of shape (rows,). For one output, the shape is (rows, 1), as in Keras 2.
        """
        return class_of_each(self, self.predict(x, batch_size, verbose, steps, callbacks))

    @property
    def classes_(self) -> tuple[Any, ...] | None:
        """The names of the classes in the order of their numbers, or None if the y of `fit` had no names.

        Set them before `train_on_batch`, or before training on a stream of batches with names: the first batch may not
        contain all classes.
        """
        return self._lamina.classes

    @classes_.setter
    @user_facing
    def classes_(self, classes: Sequence[Any] | None) -> None:
        self._lamina.classes = given_classes(classes)

    @user_facing
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: ClassWeight = None,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """One step on one batch; returns the loss, or the loss and the metrics."""
        return loop.train_on_batch(self, DataRequest(x, y, sample_weight, class_weight), return_dict)

    @user_facing
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss, or the loss and the metrics, of one batch."""
        return loop.test_on_batch(self, DataRequest(x, y, sample_weight), return_dict)

    @user_facing
    def predict_on_batch(self, x: Any) -> Any:
        """The output for all rows at once."""
        return prediction.predict_on_batch(self, x)

    @user_facing
    def export(
        self, filepath: FilePath, format: str = "tf_saved_model", verbose: bool | None = None,
        input_signature: Sequence[Any] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        """Write what `predict` computes to a file that runs without this package.

        The file contains the weights and takes batches of any size. With format="onnx" it is a graph of ONNX's
        operators, for onnxruntime, browsers, OpenVINO and others. With format="jax" it is a JAX program, which needs
        only `jax` and `flatbuffers` to run:

            from pathlib import Path
            from jax import export, jit
            predict = jit(export.deserialize(bytearray(Path("model.jax").read_bytes())).call)

        Then `predict(x)` is the output for an array `x`. JAX guarantees that a file runs with the releases of the six
        months after the release that wrote it, and of the three weeks before it (docs.jax.dev, "Compatibility
        guarantees"). To keep a model longer, or to train it further, use `save`.

        Args:
            filepath: the file to write.
            format: "onnx" or "jax". For Keras's other formats, the error names the tool that converts a .onnx file.
            verbose: whether to print a line about the file.
            input_signature: a list of one object with the shape of the input, batch axis included, and its dtype, such
                as `jax.ShapeDtypeStruct((1, 28, 28), "uint8")` or an array. The default is the shape of the Input, with
                int32 if the first layer looks up numbers, as an Embedding does, and a floating-point dtype otherwise.
            kwargs: for "jax" `platforms`, a list of "cpu", "cuda", "rocm" and "tpu" (all by default). For "onnx"
                `opset_version`, the version of the operators (18 by default).

        Raises:
            ArgumentError: for another format.
            StackError: if the first layer takes text, if a layer is stateful, and for operations that the file format
                lacks, such as a call of a Python function.
            MissingPackageError: without the package onnx, or flatbuffers for "jax".
        """
        if format == "onnx":
            onnx.export.write(self, filepath, verbose, input_signature, kwargs.pop("opset_version", None))
            return
        saving.export.write(self, filepath, format, verbose, input_signature, kwargs)

    @user_facing
    def load_torch_state_dict(self, state_dict: Mapping[str, object] | FilePath, verbose: bool = True) -> None:
        """Copy the weights of a torch model with the same layers, and print which array became which weight.

        The modules with arrays are matched in order with the layers with weights, by torch's names of the arrays and by
        the shapes. Axes are moved, the gates of a GRU are put in Keras's order, and the two biases of an LSTM are
        added. After a convolution, torch flattens the channels first, and a stack here flattens them last. So the rows
        of the next Dense are reordered, and also the columns of a Dense whose output is reshaped for a convolution.
        Only weights are copied: the layers here keep their `epsilon`, `padding` and other settings.

            model.load_torch_state_dict(torch.load("net.pt", weights_only=True))

        Args:
            state_dict: the tensors or NumPy arrays by name, as `module.state_dict()` returns them, or the name of a
                ".safetensors" file. Each layer of a recurrent module with `num_layers` is one layer here.
            verbose: whether to print the table.

        Raises:
            ShapeError: a layer or a module has no partner. The message lists both sides, and no weight is changed.
            StackError: torch has no module for a layer with weights.
            ArgumentError: `state_dict` is not a state dict. A file of torch is a pickle and is not read.
        """
        saving.torch.load(self, state_dict, verbose)

    @user_facing
    def torch_state_dict(self, like: Mapping[str, object] | None = None, verbose: bool = False) -> dict[str, HostArray]:
        """The weights as a state dict for a torch model with the same layers: NumPy arrays by torch's names.

            arrays = model.torch_state_dict(net.state_dict())
            net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})

        Args:
            like: the state dict of the torch model, which gives the names and the order. Without it, the modules have
                the names of the layers.
            verbose: whether to print which weight became which array.

        Raises:
            ShapeError, StackError, ArgumentError: as for `load_torch_state_dict`.
        """
        return saving.torch.state_dict(self, like, verbose)

    @overridable
    def train_step(self, state: Any, data: Any = MISSING) -> Any:
        """Train on one batch. A subclass may override it; `fit` compiles it.

        Write it as `train_step(self, data)`, where `data` is (x, y), (x, y, sample_weight) or x alone. It returns the
        logs. During the step, weights, metrics and optimizers hold the arrays of the step, and it may assign to them:

            def train_step(self, data):
                x, y = data

                def objective(params):
                    kept = [weight.value for weight in self.non_trainable_variables]
                    y_pred, after = self.stateless_call(params, kept, x, training=True)
                    return self.compute_loss(x, y, y_pred)

                loss, grads = jax.value_and_grad(objective)([weight.value for weight in self.trainable_variables])
                self.optimizer.apply(grads, self.trainable_variables)
                return {"loss": loss}

        Keras's form `train_step(self, state, data)` also works. `state` has four lists of arrays: the trainable
        weights, the other weights, the optimizer's variables and the metrics' variables. This form returns the logs
        and the state after the step.
        """
        return default_steps.in_either_form(self, default_steps.train_step, state, data, (0, 1, 2, 3))

    @overridable
    def test_step(self, state: Any, data: Any = MISSING) -> Any:
        """Evaluate one batch. Keras's form gets a state of three lists: as in `train_step`, without the optimizer's."""
        return default_steps.in_either_form(self, default_steps.test_step, state, data, (0, 1, 3))

    @overridable
    def predict_step(self, state: Any, data: Any = MISSING) -> Any:
        """Return the output for a batch.

        Keras's form gets a state of two lists, the trainable and the other weights. It returns the output and the
        other weights after the step.
        """
        return default_steps.in_either_form(self, default_steps.predict_step, state, data, (0, 1))

    @overridable
    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of `compile`, plus the regularizers and the losses that layers added.

        A subclass may override it.

        Args:
            x: the inputs of a batch.
            y: the targets.
            y_pred: the output for `x`.
            sample_weight: a weight for every row, or None.
            training: whether the call is part of a training step.
        """
        return default_steps.compute_loss(self, y, y_pred, sample_weight)

    @overridable
    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the metrics of `compile` with a batch, and return the logs. A subclass may override it.

        Args:
            x: the inputs of a batch.
            y: the targets.
            y_pred: the output for `x`.
            sample_weight: a weight for every row, or None.
        """
        return default_steps.compute_metrics(self, y, y_pred, sample_weight)

    @user_facing
    def save(
        self, filepath: FilePath, overwrite: bool = True, zipped: bool | None = None, *,
        include_optimizer: bool = True, save_format: str | None = None,
    ) -> None:  # fmt: skip
        """Write the model to a file that `load_model` reads: `model.save("model.keras")`.

        Args:
            filepath: a name that ends in ".keras", or in ".h5" or ".hdf5" for the format of Keras 2. With
                `zipped=False`, the name of a folder.
            overwrite: whether to replace an existing file. If False, a terminal asks; elsewhere an existing file is an
                error.
            zipped: False writes a folder instead of an archive.
            include_optimizer: whether the file contains the arguments of `compile` and the optimizer's variables.
            save_format: has no effect: the name of the file decides the format. Programs for Keras 2 pass it.
        """
        saving.models.save_model(
            self, filepath, overwrite, zipped, include_optimizer=include_optimizer, save_format=save_format
        )

    @user_facing
    def save_weights(self, filepath: FilePath, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Write the weights, and the variables of the optimizer, to a file.

        Args:
            filepath: a name that ends in ".weights.h5", or in ".safetensors", which does not contain the optimizer.
                With `max_shard_size`, it ends in ".weights.json".
            overwrite: whether to replace an existing file. If False, a terminal asks; elsewhere an existing file is an
                error.
            max_shard_size: the largest size of one file in gigabytes; the weights are split into several files.
        """
        saving.weight_files.save_weights(self, filepath, overwrite, max_shard_size)

    @user_facing
    def load_weights(
        self, filepath: FilePath, skip_mismatch: bool = False, by_name: bool | None = None,
        objects_to_skip: Sequence[Layer] | None = None,
    ) -> None:  # fmt: skip
        """Assign the weights in a file. If there is an error, no weight changes.

        Args:
            filepath: a file that `save_weights` wrote, or a file of a whole model: ".keras", ".h5", ".hdf5".
            skip_mismatch: do not change layers whose weights do not fit, and give a warning that names them.
            by_name: for ".h5" and ".hdf5", find the layers by their names instead of by their order.
            objects_to_skip: layers that do not change.
        """
        saving.weight_files.load_weights(self, filepath, skip_mismatch, by_name, objects_to_skip)

    @property
    def history(self) -> History | None:
        """The `History` of the latest `fit`; None before."""
        return self._lamina.history

    @history.setter
    def history(self, history: History | None) -> None:
        self._lamina.history = history

    @property
    def stop_training(self) -> bool:
        """Whether `fit` ends after this epoch; a callback may set it."""
        return self._lamina.stop_training

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        self._lamina.stop_training = stop

    @property
    def stop_evaluating(self) -> bool:
        """Whether `evaluate`, or a validation, ends after this batch; a callback may set it."""
        return self._lamina.stop_evaluating

    @stop_evaluating.setter
    def stop_evaluating(self, stop: bool) -> None:
        self._lamina.stop_evaluating = stop

    @property
    def stop_predicting(self) -> bool:
        """Whether `predict` ends after this batch; a callback may set it."""
        return self._lamina.stop_predicting

    @stop_predicting.setter
    def stop_predicting(self, stop: bool) -> None:
        self._lamina.stop_predicting = stop

    @property
    def optimizer(self) -> Any:
        """The optimizer given to `compile`; None before. After `compile`, another one can be set."""
        return self._lamina.compiled.optimizer if self._lamina.compiled else None

    @optimizer.setter
    @user_facing
    def optimizer(self, optimizer: Any) -> None:
        _compile_again(self, "optimizer", optimizer)

    @property
    def loss(self) -> Any:
        """The loss as given to `compile`; None before. After `compile`, another one can be set."""
        return self._lamina.compiled.given_loss if self._lamina.compiled else None

    @loss.setter
    @user_facing
    def loss(self, loss: Any) -> None:
        _compile_again(self, "loss", loss)

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._lamina.compiled is not None

    @property
    def run_eagerly(self) -> bool:
        """Whether each operation runs without compilation. `compile` sets it; it can be changed later."""
        return bool(self._lamina.compiled and self._lamina.compiled.told["run_eagerly"])

    @run_eagerly.setter
    @user_facing
    def run_eagerly(self, value: bool) -> None:
        _set_eager(self, checked("Sequential", "run_eagerly", flag, value))

    @property
    def jit_compile(self) -> bool:
        """Whether the steps are compiled; False is the same as `run_eagerly`."""
        return self._lamina.compiled is None or not self._lamina.compiled.eager

    @jit_compile.setter
    @user_facing
    def jit_compile(self, value: bool) -> None:
        _set_eager(self, not checked("Sequential", "jit_compile", flag, value))

    @property
    def metrics(self) -> list[Metric]:
        """The mean of the loss, the metrics of `compile` once the first data is known, and those in attributes."""
        return known_metrics(self)

    @property
    def metrics_names(self) -> list[str]:
        """The names under which `fit` logs: `loss` and the metrics."""
        return self._lamina.compiled.names if self._lamina.compiled else []

    @user_facing
    def reset_metrics(self) -> None:
        """Set all metrics to their initial values."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The metrics by name."""
        return {metric.name: metric.result() for metric in self.metrics}


def _compile_again(model: Sequential, name: str, value: Any) -> None:
    """Compile the model with another value of one argument; the other arguments stay as they were."""
    before = model._lamina.compiled
    if before is None:
        raise NotCompiledError(f"{model.name!r} is not compiled yet. Give the {name} to compile: compile({name}=...).")
    told = before.told | {"run_eagerly": before.eager, "auto_scale_loss": before.auto_scale_loss}
    optimizer: Any = before.optimizer
    optimizer = optimizer.inner_optimizer if before.scales else optimizer
    Sequential.compile(model, **{"optimizer": optimizer, **told, name: value})


def _set_eager(model: Sequential, eager: bool) -> None:
    compiled = model._lamina.compiled
    if compiled is None:
        raise NotCompiledError(f"{model.name!r} is not compiled yet. Write compile(..., run_eagerly=True).")
    compiled.told["run_eagerly"] = compiled.eager = eager
    model._lamina.kept = {}


def _trains_by_default(layer: Layer) -> bool:
    default = layer._lamina_trains_by_default
    return any(map(_trains_by_default, layer._lamina_chain)) if default is None else default  # type: ignore[attr-defined]
