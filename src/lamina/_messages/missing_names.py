"""Advice for names of Keras that do not exist here: what to use instead, or that Lamina does not have it yet."""

from __future__ import annotations

from collections.abc import Iterable

from lamina._messages.spelling import did_you_mean, nearest
from lamina.errors import UnknownAttributeError

OF_KERAS = {
    "": """Function Quantizer RematScope StatelessScope SymbolicScope Variable distillation export
        quantizers visualization""",
    "callbacks": "OrbaxCheckpoint",
    "config": "enable_unsafe_deserialization is_nnx_enabled set_backend",
    "losses": "LossFunctionWrapper",
    "models": "load_model save_model",
    "optimizers": "MultiOptimizer OptimizerMap",
    "utils": "Config FeatureSpace get_source_inputs",
    "Layer": """compute_output_spec enable_lora input_dtype metrics metrics_variables path quantization_mode quantize
        quantized_build quantized_call rematerialized_call symbolic_call""",
    "Metric": "dtype",
    "Sequential": """compute_loss_and_updates export get_quantization_layer_structure get_state_tree jax_state_sync
        make_predict_function make_test_function make_train_function set_state_tree
        stateless_compute_loss""",
}
"""Names that Keras has, by module or class. They are used only for names that Lamina does not have."""

ONE_MODEL = "a Sequential, one line of layers, where one tensor goes in and one comes out"
LORA = "enable_lora of a Dense, EinsumDense, Embedding or Conv layer; this layer has no LoRA"
NO_QUANTIZATION = "keras.mixed_precision.set_global_policy('mixed_bfloat16') for a smaller, faster model: no int8 here"
SEQUENTIAL = "a Sequential of your own, because a pretrained graph is not a stack"
OWN_LAYER = "a Layer of your own, whose call is written with jax.numpy"

INSTEAD = {
    "Functional": ONE_MODEL,
    "KerasTensor": "a Sequential, because a stack has no symbolic tensors",
    "Layer.add_metric": "metrics=[...] in compile",
    "Layer.enable_lora": LORA,
    "Layer.quantize": NO_QUANTIZATION,
    "Operation": "a Layer of your own",
    "StatelessScope": "model.stateless_call, optimizer.stateless_apply and metric.stateless_update_state",
    "dtype_policies.DTypePolicyMap": "dtype=... of each layer",
    **dict.fromkeys(
        [f"dtype_policies.{name}DTypePolicy" for name in ("AWQ", "GPTQ", "Int4", "Quantized", "QuantizedFloat8")],
        "'mixed_bfloat16'; a stack does not compute with quantized weights",
    ),
    "Sequential.evaluate_generator": "evaluate(generator)",
    "Sequential.fit_generator": "fit(generator)",
    "Sequential.load_state_dict": "load_torch_state_dict(state_dict)",
    "Sequential.predict_generator": "predict(generator)",
    "Sequential.predict_proba": "predict(x), which gives the probabilities",
    "Sequential.quantize": NO_QUANTIZATION,
    "Sequential.reset_states": "layer.reset_state() of each stateful layer",
    "Sequential.state_dict": "torch_state_dict()",
    "Sequential.train_on_generator": "fit(generator)",
    "applications": SEQUENTIAL,
    "compile(learning_rate)": "compile(keras.optimizers.Adam(learning_rate=...), ...)",
    "compile(lr)": "compile(keras.optimizers.Adam(learning_rate=...), ...)",
    "fit(learning_rate)": "compile(keras.optimizers.Adam(learning_rate=...), ...)",
    "fit(lr)": "compile(keras.optimizers.Adam(learning_rate=...), ...)",
    "fit(nb_epoch)": "fit(epochs=...)",
    "fit(metrics)": "compile(..., metrics=[...])",
    "layers.AtrousConvolution1D": "layers.Conv1D(..., dilation_rate=...)",
    "layers.AtrousConvolution2D": "layers.Conv2D(..., dilation_rate=...)",
    "layers.CuDNNGRU": "layers.GRU",
    "layers.CuDNNLSTM": "layers.LSTM",
    "layers.Deconvolution2D": "layers.Conv2DTranspose",
    "layers.FlaxLayer": OWN_LAYER,
    "layers.JaxLayer": OWN_LAYER,
    "layers.LocallyConnected1D": "layers.Conv1D, or a Layer of your own",
    "layers.LocallyConnected2D": "layers.Conv2D, or a Layer of your own",
    "layers.MaxoutDense": "layers.Dense and a Lambda that takes the maximum",
    "layers.RandomHeight": "layers.RandomZoom",
    "layers.RandomWidth": "layers.RandomZoom",
    "layers.TFSMLayer": "a model of Keras's own file format; a SavedModel is a program, which no file can bring in",
    "layers.ThresholdedReLU": "layers.ReLU(threshold=...)",
    "layers.TimeDistributedDense": "layers.Dense",
    "layers.TorchModuleWrapper": OWN_LAYER,
    "layers.experimental": "keras.layers itself",
    "legacy": "the names of today",
    "losses.mae": "losses.mean_absolute_error",
    "losses.mse": "losses.mean_squared_error",
    "metrics.mae": "metrics.mean_absolute_error",
    "metrics.mse": "metrics.mean_squared_error",
    "models.Functional": ONE_MODEL,
    "optimizers.experimental": "keras.optimizers itself",
    "optimizers.legacy": "keras.optimizers itself",
    "preprocessing.text": "layers.TextVectorization or str.split",
    "utils.ImageDataGenerator": "the layers for images, such as layers.RandomFlip",
    "utils.legacy": "the names of today",
    "utils.multi_gpu_model": "jax.sharding",
    "utils.np_utils": "keras.utils itself",
    "version": "keras.__version__",
    **{f"backend.{name}": f"keras.ops.{name}" for name in """
        abs all any arange argmax argmin cast clip concatenate cos dot elu equal exp expand_dims eye floor greater
        greater_equal in_top_k less less_equal log logsumexp max maximum mean min minimum not_equal one_hot ones
        ones_like prod relu repeat reshape round shape sigmoid sign sin softmax softplus softsign sqrt square squeeze
        stack std stop_gradient sum tanh tile transpose var zeros zeros_like""".split()},
}  # fmt: skip
"""The replacements of names of Keras, old and new, by the path below `keras`; of arguments, by `fit(lr)`."""


def hint(family: str, name: str, names: Iterable[str]) -> str:
    """The advice for a missing `name` of a module or class, `family` as in `OF_KERAS`, which has these `names`.

    >>> hint("layers", "CuDNNLSTM", ["Dense", "ConvLSTM3D"])
    'Use instead: layers.LSTM.'
    >>> hint("callbacks", "OrbaxCheckpont", ["History"])
    "Did you mean 'OrbaxCheckpoint'? Keras has it; Lamina does not have it yet."
    """
    missing = OF_KERAS.get(family, "").split()
    instead = INSTEAD.get(f"{family}.{name}".lstrip("."))
    if instead is None:
        return did_you_mean(name, names, missing)
    return f"{'Keras has it; Lamina does not have it yet. ' * (name in missing)}Use instead: {instead}."


def missing_member(thing: object, name: str) -> UnknownAttributeError:
    """The error for an attribute that an object does not have, with a replacement or the nearest name."""

    def message() -> str:
        for family in (cls.__name__ for cls in type(thing).__mro__ if cls.__module__.startswith("lamina.")):
            if name in OF_KERAS.get(family, "").split() or f"{family}.{name}" in INSTEAD:
                return f"{said} {hint(family, name, ())}"
        found = nearest(name, [each for each in dir(thing) if not each.startswith("_")])
        unbuilt = " It is not built yet: put Input(shape) first, or call the model on data."
        return f"{said} Did you mean {found[0]!r}?" if found else said + unbuilt * (vars(thing).get("built") is False)

    said = f"{type(thing).__name__} has no attribute {name!r}."
    return UnknownAttributeError(message, obj=thing)  # with a name, Python would add a suggestion of its own
