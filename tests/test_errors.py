"""Wrong programs: each gets its error on the user's own line, with a message that says what to type instead."""

import builtins
import os
import re
import subprocess
import sys
import traceback
import warnings
from typing import NamedTuple

import jax
import keras
import numpy as np
import pandas as pd
import pytest

import lamina
from lamina import errors, layers
from lamina._messages import missing_names as absent
from lamina._messages import tracebacks as frames
from lamina._messages.spelling import to_snake_case

RNG = np.random.default_rng(0)
X = RNG.random((64, 8), dtype="float32")
Y = np.arange(64) % 3
TARGETS = X[:, :3].copy()


class Row(NamedTuple):
    model: str | None
    """The model called `m` that the text uses, from MODELS."""
    text: str
    kind: str
    """The class in errors.py, and after it the built-in exception that Keras raises, if it is no ValueError."""
    said: tuple[str, ...]
    """Regular expressions for parts of the message."""


def rows(model: str | None, *entries: tuple[str, ...]) -> list[Row]:
    return [Row(model, text, kind, tuple(said)) for text, kind, *said in entries]


NAMES = rows(
    None,
    ("layers.dense(3)", "UnknownAttributeError AttributeError", "'dense'", r"Did you mean 'Dense'\?"),
    ("layers.Desne(3)", "UnknownAttributeError AttributeError", r"Did you mean 'Dense'\?"),
    ("layers.BatchNorm()", "UnknownAttributeError AttributeError", r"Did you mean 'BatchNormalization'\?"),
    ("from lamina.layers import dense", "UnknownImportError ImportError", r"Did you mean 'Dense'\?"),
    ("from lamina import Sequental", "UnknownImportError ImportError", r"Did you mean 'Sequential'\?"),
    ("keras.Sequental()", "UnknownAttributeError AttributeError", r"Did you mean 'Sequential'\?"),
    ("keras.optimizers.Adma()", "UnknownAttributeError AttributeError", r"Did you mean 'Adam'\?"),
    ("keras.optimizers.adam()", "UnknownAttributeError AttributeError", r"Did you mean 'Adam'\?"),
    ("keras.losses.MeanSquareError()", "UnknownAttributeError AttributeError", r"Did you mean 'MeanSquaredError'\?"),
    ("keras.metrics.Acuracy()", "UnknownAttributeError AttributeError", r"Did you mean 'Accuracy'\?"),
    ("keras.callbacks.EarlyStop()", "UnknownAttributeError AttributeError", r"Did you mean 'EarlyStopping'\?"),
    ("keras.activations.rleu", "UnknownAttributeError AttributeError", r"Did you mean 'relu'\?"),
    ("keras.initializers.GlorotUnifrom()", "UnknownAttributeError AttributeError", r"'GlorotUniform'\?"),
    ("keras.regularizers.l3(0.1)", "UnknownAttributeError AttributeError", "There are: .*l1, l1_l2, l2"),
    ("keras.constraints.maxnorm(2)", "UnknownAttributeError AttributeError", r"'MaxNorm'|'max_norm'"),
    ("keras.utils.set_random_seed('a')", "CallError", r"seed='a'\): expected a whole number"),
    ("keras.utils.set_random_seed(-1)", "ArgumentError", r"seed=-1\): expected a whole number from 0 to"),
    ("keras.utils.set_random_seed(None)", "CallError", "expected a whole number, got None"),
    ("keras.utils.to_categoric([1])", "UnknownAttributeError AttributeError", r"Did you mean 'to_categorical'\?"),
    ("keras.layer.Dense(3)", "UnknownAttributeError AttributeError", r"Did you mean 'layers'\?"),
    ("keras.optimizer", "UnknownAttributeError AttributeError", r"Did you mean 'optimizers'\?"),
    ("from lamina.constraints import maxnorm", "UnknownImportError ImportError", r"Did you mean 'MaxNorm'\?"),
    ("layers.CuDNNLSTM(3)", "UnknownAttributeError AttributeError", r"Use instead: layers\.LSTM\."),
    ("keras.ops.meen(X)", "UnknownAttributeError AttributeError", r"Did you mean 'mean'\?"),
    ("keras.backend.mean(X)", "UnknownAttributeError AttributeError", r"Use instead: keras\.ops\.mean\."),
    ("keras.ops.mean(layers.Dense(3))", "ArgumentError", r"no symbolic tensors\. Put the\s+function into .* Lambda"),
    ("keras.ops.add(X)", "CallError", "missing a required argument: 'x2'"),
    ("keras.ops.sum(X, axes=1)", "CallError", r"no argument 'axes'\. Did you mean 'axis'\?"),
    ("keras.ops.conv(X, X)", "ShapeError", "with 1 to 3 axes between them"),
    ("keras.ops.image.resize(X, (2, 2))", "ShapeError", "expected 3 axes, or 4 with a batch"),
    ("keras.ops.max_pool(X[None], 65)", "ShapeError", r"a window of \(65,\) is larger than \(64,\)"),
    ("keras.ops.segment_sum([1.0], [0])", "ArgumentError", "num_segments is needed"),
    ("keras.ops.linalg.cholesky([[-1.0]])", "ArgumentError", "positive definite"),
    ("keras.ops.cast([1], 'flaot32')", "ArgumentError", r"Did you mean 'float32'\?"),
    ("keras.ops.image.pad_images(X[..., None], 1, 1, 1)", "ArgumentError", "exactly two of left_padding"),
    ("from lamina.callbacks import OrbaxCheckpoint", "UnknownImportError ImportError", "Lamina does not have it yet"),
    ("keras.metrics.Recal()", "UnknownAttributeError AttributeError", r"Did you mean 'Recall'\?"),
    (
        "keras.callbacks.OrbaxCheckpont()",
        "UnknownAttributeError AttributeError",
        r"'OrbaxCheckpoint'\? Keras has it; Lamina",
    ),
    ("keras.losses.mse(T, T)", "UnknownAttributeError AttributeError", "losses.mean_squared_error"),
    (
        "keras.optimizers.OptimizerMap()",
        "UnknownAttributeError AttributeError",
        "Keras has it; Lamina does not have it yet",
    ),
)
MEMBERS = rows(
    "mse",
    ("m.predict_proba(X)", "UnknownAttributeError AttributeError", r"Use instead: predict\(x\)"),
    ("m.fit_generator(iter([]))", "UnknownAttributeError AttributeError", r"Use instead: fit\(generator\)\."),
    ("m.save_weights('a.h5')", "FileError ValueError", r"ends in one of '\.weights\.h5'"),
    ("m.layers[0].kernel.asign(3)", "UnknownAttributeError AttributeError", r"Weight has no.*Did you mean 'assign'\?"),
    (
        "m.fit(X, T, callbacks=keras.callbacks.CSVLogger('/no/such/folder/a.csv'))",
        "MissingFileError FileNotFoundError",
        "cannot write '/no/such/folder/a.csv': the folder '/no/such/folder' does not exist",
    ),
    ("m.get_layer(0)", "ArgumentError", r"get_layer\(index=0\). The layers: dense.$"),
    ("m.layers[0].get_weights(0)", "CallError TypeError", "^get_weights: too many positional .* arguments are: none"),
    ("m.history.histroy", "UnknownAttributeError AttributeError", r"Did you mean 'history'\?"),
    ("m.history.loss", "UnknownAttributeError AttributeError", r"Write history\.history\['loss'\]"),
    ("m.pop(0)", "ArgumentError", r"pop\(0\): pop\(\) removes the last layer"),
    ("m.add(layers.Dense(2), 1)", "CallError", r"add\(rebuild=1\): expected True or False"),
    ("m.layers[0].add_weight('w', (8, 3))", "ArgumentError", r"shape first: add_weight\(\(8, 3\), name='w'\)"),
    ("m.layers[0].quantize('int8')", "UnknownAttributeError AttributeError", "Lamina does not have it yet"),
)
ARGUMENTS = rows(
    None,
    (
        "layers.Dense(3, activatoin='relu')",
        "CallError",
        "Dense has no argument 'activatoin'",
        "'activation'",
        "units, ",
    ),
    ("layers.Dense(3, activation='rleu')", "UnknownNameError", r"Dense\(activation='rleu'\)", r"'relu'\?"),
    ("layers.Dense(3, activation=3)", "ArgumentError", "name of an activation, an object or a function, got 3"),
    ("layers.Dense(X)", "ArgumentError", r"units=an array of shape \(64, 8\)", r"Dense\(\.\.\.\)\(data\)"),
    ("keras.losses.MeanSquaredError(T, T)", "ArgumentError", r"MeanSquaredError\(\.\.\.\)\(data\)"),
    (
        "keras.metrics.Accuracy(T, T)",
        "ArgumentError",
        r"dtype=an array of shape \(64, 3\)",
        r"Accuracy\(\.\.\.\)\(data\)",
    ),
    ("keras.utils.pad_sequences([[1]], padding='left')", "ArgumentError", r"pad_sequences\(padding='left'\)"),
    ("layers.Dense(3.5)", "CallError", r"Dense\(units=3.5\): expected a whole number, got 3.5"),
    ("layers.Dense(-1)", "ArgumentError", "at least 1, got -1"),
    ("layers.Dense('3')", "CallError", "whole number, got '3'"),
    ("layers.Dense(True)", "CallError", "whole number, got True"),
    (
        "layers.Dense()",
        "CallError TypeError",
        "missing a required argument: 'units'",
        "Its arguments are: units, activation",
    ),
    ("layers.Dense(3, *range(20))", "CallError TypeError", "Dense: too many positional arguments"),
    ("layers.Dense(3, kernel_initializer='glorot_unifrom')", "UnknownNameError", r"'glorot_uniform'\?"),
    (
        "layers.Dense(3, kernel_initializer='glorot')",
        "UnknownNameError",
        "'glorot'",
        "'glorot_normal'|'glorot_uniform'",
    ),
    ("layers.Dense(3, bias_initializer='zeroes')", "UnknownNameError", r"Did you mean 'zeros'\?"),
    (
        "layers.Dense(3, kernel_regularizer='l3')",
        "UnknownNameError",
        "no regularizer is called 'l3'",
        "There are: l1, l1_l2",
    ),
    (
        "layers.Dense(3, kernel_regularizer='l2(0.1)')",
        "UnknownNameError",
        r"without quotes: keras\.regularizers\.l2\(0.1\)",
    ),
    ("keras.Input((8,), dtype='flot32')", "ArgumentError|UnknownNameError", r"'float32'\?"),
    ("layers.Dense(3, kernel_constraint='non_negg')", "UnknownNameError", r"Did you mean 'non_neg'\?"),
    ("layers.Dense(3, name=5)", "ArgumentError", "name=5", "a string without '/'"),
    ("layers.Dense(3, name='a/b')", "ArgumentError", "a string without '/'"),
    ("layers.Dense(3, dtype='flaot32')", "UnknownNameError", r"Did you mean 'float32'\?"),
    ("layers.Dense(3, trainable='yes')", "CallError", r"trainable='yes'\): expected True or False"),
    ("layers.Dense(3, input_shape=8)", "ArgumentError TypeError|ValueError", r"input_shape=\(8,\)"),
    ("layers.Dropout(1.5)", "ArgumentError", r"Dropout\(rate=1.5\): expected a number from 0 to 1"),
    ("layers.Dropout('0.5')", "CallError", "a number, got '0.5'"),
    ("layers.Dropout(0.5, seed=-1)", "ArgumentError", "seed=-1", "0 to"),
    ("layers.BatchNormalization(momentum=2)", "ArgumentError", "momentum=2", "from 0 to 1"),
    ("layers.BatchNormalization(axis='last')", "CallError", "axis='last'", "whole number"),
    ("layers.Flatten(data_format='channel_last')", "UnknownNameError|ArgumentError", r"Did you mean 'channels_last'\?"),
    ("layers.Reshape(5)", "ArgumentError", r"Reshape\(\(5,\)\)"),
    ("layers.Reshape((-1, -1))", "ArgumentError", "one of them may be -1"),
    ("layers.ReLU(max_value=-1)", "ArgumentError", "max_value=-1", "at least 0"),
    ("layers.Lambda('relu')", "ArgumentError", "wraps a function, got 'relu'"),
    ("layers.Activation('sofmax')", "UnknownNameError", r"'softmax'\?"),
    ("layers.Activation()", "CallError TypeError", "missing a required argument: 'activation'"),
    ("keras.Input(8)", "ArgumentError", r"write shape=\(8,\)"),
    ("keras.Input()", "ArgumentError", r"Input\(shape=\(784,\)\)"),
    ("keras.Input((0,))", "ArgumentError", "at least 1, or None"),
    ("keras.Input((8,), sparse=True)", "ArgumentError", "one dense tensor"),
    ("keras.Input(shap=(8,))", "CallError TypeError", r"Did you mean 'shape'\?"),
    ("keras.Sequential([], nam='x')", "CallError TypeError", r"Did you mean 'name'\?"),
    ("keras.optimizers.Adam(lr=0.1)", "CallError", "Adam has no argument 'lr'", "learning_rate"),
    ("keras.optimizers.SGD('0.1')", "ArgumentError", "learning_rate='0.1'"),
    ("keras.optimizers.SGD(-0.1)", "ArgumentError", "learning_rate=-0.1"),
    ("keras.optimizers.SGD(0.1, clipnorm=1.0, clipvalue=1.0)", "ArgumentError", "clipnorm", "clipvalue"),
    ("keras.callbacks.EarlyStopping(patience='3')", "CallError", "patience='3'"),
    ("keras.callbacks.EarlyStopping(monitr='loss')", "CallError", r"Did you mean 'monitor'\?"),
    ("keras.losses.get('binary_crossentropi')", "UnknownNameError", r"Did you mean 'binary_crossentropy'\?"),
    (
        "keras.losses.MeanSquaredError(reduction='average')",
        "ArgumentError",
        "reduction='average'",
        "'sum_over_batch_size'",
    ),
)
STACKS = rows(
    None,
    ("keras.Sequential([layers.Dense])", "StackError", r"Dense is a class.*Dense\(\.\.\.\)"),
    (
        "keras.Sequential(['dense'])",
        "StackError",
        "layers, not their names: got 'dense'",
        r"keras\.layers\.Dense\(\.\.\.\)",
    ),
    ("keras.Sequential().add('Dense')", "StackError", r"Write keras\.layers\.Dense\(\.\.\.\)"),
    ("layers.Dense(3)(keras.Input((4,)))", "ArgumentError", r"Sequential\(\[Input\(\(4,\)\), Dense\(3\)\]\)"),
    ("keras.Sequential([layers.Dense(3)])(keras.Input((4,)))", "ArgumentError", "no symbolic tensors"),
    ("layers.Dropout(.5)(layers.Dense(4))", "ArgumentError", r"Sequential\(\[Dense\(4\), Dropout\(0.5\)\]\)"),
    ("keras.Sequential([layers.Dense(3), keras.activations.relu])", "StackError", r"Wrap a function: Lambda\(relu\)"),
    ("keras.Sequential([(8,), layers.Dense(3)])", "StackError", r"a shape is not a layer: write Input\(\(8,\)\)"),
    ("keras.Sequential([layers.Dense(3), None])", "StackError", "got None"),
    ("keras.Sequential([real.layers.Dense(3)])", "StackError", r"a layer of keras: use lamina\.layers\.Dense"),
    ("keras.Sequential([[layers.Dense(3)]])", "StackError", r"write \*layers"),
    ("keras.Sequential(layers.Dense(3))", "StackError TypeError|ValueError", r"Sequential\(\[Dense\(\.\.\.\)"),
    ("keras.Sequential(layers.Dense(3), layers.Dense(2))", "ArgumentError", r"in one list: Sequential\(\[a, b, c\]\)"),
    (
        "keras.Sequential([keras.Input((8,)), keras.Input((8,))])",
        "StackError",
        "already has an Input.*takes one tensor",
    ),
    ("keras.Sequential([layers.Dense(8), keras.Input((8,))])", "StackError", "Input comes first"),
    (
        "d = layers.Dense(8)\nkeras.Sequential([d, d])",
        "StackError",
        "layer 1 of this stack already.*one line",
        "second Dense",
    ),
    (
        "keras.Sequential([layers.Dense(4, name='a'),\n  layers.Dense(3, name='a')])",
        "StackError",
        "two layers are called 'a', made at user.py:2 and user.py:1",
    ),
    ("m = keras.Sequential()\nm.add(m)", "StackError", "cannot contain itself"),
    ("keras.Sequential().add()", "CallError TypeError", "'layer'"),
    (
        "keras.Sequential([keras.Input((64, 8)), layers.Dense(3)]).predict(X)",
        "ShapeError",
        r"If 64 is the number of rows, leave it out of the Input: Input\(\(8,\)\)",
    ),
    (
        "m = keras.Sequential([keras.Input(X.shape), layers.Dense(3)])\nm.compile('sgd', 'mse')\nm.fit(X, Y)",
        "ShapeError",
        r"If 64 is the number of rows, leave it out of the Input: Input\(\(8,\)\)",
    ),
    (
        "keras.utils.to_categorical([1, 2, 3], num_classes=3)",
        "LabelError",
        r"from 0 to 2, got 3\. The labels go from 1 to 3\.",
        r"Count from 0: y - 1\.$",
    ),
    ("keras.utils.to_categorical([0, 3], num_classes=3)", "LabelError", r"Give num_classes=4\.$"),
    ("keras.utils.to_categorical([-1, 1], num_classes=2)", "LabelError", r"Number the classes: numpy\.unique"),
    (
        "keras.Sequential([keras.Input((8,)), layers.Add()])",
        "StackError",
        "one tensor between two layers",
        r"return self\.add\(\[x, self\.inner\(x\)\]\)",
    ),
    ("layers.concatenate([X, X[:5]])", "ShapeError", "concatenate"),
    ("keras.Model(X, X)", "StackError", "Sequential"),
    (
        "class Join(layers.Layer):\n  def call(self, a, b): return a + b\nkeras.Sequential([Join()])",
        "StackError",
        "Join.call also needs b",
        "one tensor to each layer",
    ),
    (
        "class Two(layers.Layer):\n  def call(self, x): return x, x\n"
        "keras.Sequential([keras.Input((8,)), Two(), layers.Dense(2)])",
        "StackError",
        "'two' returns 2 tensors, so it can only be the last layer",
    ),
    (
        "class No(layers.Layer):\n  def call(self, x): x + 1\nkeras.Sequential([keras.Input((8,)), No()])",
        "ShapeError",
        "returns None: its call has no return",
        "added at user.py:3",
    ),
    (
        "keras.Sequential([keras.Input((10,)), layers.Dense(4), layers.Reshape((3, 4))])",
        "ShapeError",
        r"layer 2 \(reshape: Reshape\) cannot take \(None, 4\) +added at user.py:1",
        r"   1  dense    Dense\(4\)  \(None, 10\) -> \(None, 4\)",
        r"->   2  reshape",
        "does not hold the 4 elements",
    ),
    (
        "d = layers.Dense(4)\nd.build((None, 7))\nkeras.Sequential([keras.Input((8,)), d])",
        "ShapeError",
        "expects size 7 on axis -1, got 8",
        "built for 7 features before",
    ),
    (
        "keras.Sequential([keras.Input((None,)), layers.Dense(4)])",
        "ShapeError",
        r"Input\(\(n,\)\)",
        "added at user.py:1",
    ),
    (
        "keras.Sequential([keras.Input(()), layers.Dense(4)])",
        "ShapeError",
        r"x\[:, None\]|dimensions",
        "added at user.py:1",
    ),
    (
        "keras.Sequential([keras.Input((8,)),\n layers.BatchNormalization(axis=3)])",
        "ShapeError",
        r"layer 1 \(batch_normalization: BatchNormalization\).*added at user.py:2",
        "axis=3",
    ),
    (
        "class My(layers.Layer):\n  def call(self, x): return x @ np.ones((5, 5))\n"
        "keras.Sequential([keras.Input((8,)), My(), layers.Dense(3)])",
        "ShapeError TypeError|ValueError",
        r"fails at user.py:2: dot_general.*\(8,\) and \(5,\)",
        "added at user.py:3",
    ),
    ("keras.Sequential([layers.Dense(3)]).build(8)", "ArgumentError", r"build\(\(None, 16\)\); got 8"),
    (
        "m = keras.Sequential([layers.Dense(3)])\nm.build((None, 8))\nm.build((None, 9))",
        "ShapeError",
        "already built for",
    ),
    (
        "keras.Sequential([layers.Dense(3)]).count_params()",
        "NotBuiltError",
        r"Input\(shape\)",
        "call the model on data",
    ),
    ("keras.Sequential([layers.Dense(3)]).output_shape", "NotBuiltError AttributeError", "no output shape yet"),
    ("keras.Sequential()(X)", "StackError", r"model\.add\(layer\)"),
    ("keras.Sequential().pop()", "StackError IndexError|ValueError", r"no layer that pop\(\) could remove"),
    ("m = keras.Sequential()\nm.compile('adam', 'mse')\nm.fit(X, X)", "StackError", "has no layers"),
)
COMPILING = rows(
    "mse",
    ("m.compile('adam', 'msee')", "UnknownNameError", r"no loss is called 'msee'\. Did you mean 'mse'\?"),
    ("m.compile('adma', 'mse')", "UnknownNameError", r"no optimizer is called 'adma'\. Did you mean 'adam'\?"),
    ("m.compile('adam', 'mse', metrics=['acuracy'])", "UnknownNameError", r"Did you mean 'accuracy'\?"),
    ("m.compile('adam', 'mse', metrics='acuracy')", "UnknownNameError", r"Did you mean 'accuracy'\?"),
    ("m.compile('adam', 'mse', weighted_metrics=['maee'])", "UnknownNameError", r"Did you mean 'mae'\?"),
    ("m.compile('adam', 'mse', metrics=[3])", "ArgumentError", "metric", "got 3"),
    ("m.compile('adam', loss=3)", "ArgumentError", "loss", "got 3"),
    (
        "m.compile('adam', losses='mse')",
        "CallError TypeError",
        "compile has no argument 'losses'",
        r"Did you mean 'loss",
    ),
    ("m.compile('adam', ['mse', 'mae'])", "ArgumentError", "2 entries.*one output"),
    ("m.compile(None, 'mse')", "ArgumentError", "needs an optimizer"),
    ("m.compile('adam', 'mse', ['mae'])", "ArgumentError", "expected a number", r"metrics=\['mae'\]"),
    ("m.compile('adam', 'mse', 'accuracy')", "ArgumentError", "metrics='accuracy'"),
    ("m.compile('mse', 'adam')", "ArgumentError", r"'mse' is a loss.*compile\('adam', 'mse'\)"),
    ("m.compile('adam', 'huber_loss')", "UnknownNameError", r"Did you mean 'huber'\?"),
    ("m.compile('adam', 'mse', metrics=['mae', None])", "ArgumentError", "metrics holds None"),
    ("m.compile('adam', 'mse', lr=0.1)", "CallError TypeError", r"compile has no argument 'lr'.*learning_rate=\.\.\."),
    ("m.compile('adam', 'mse', metrics={'a': 'mae', 'b': 'mse'})", "ArgumentError", r"metrics=\['mae', 'mse'\]"),
    ("m.compile('adam', lambda y: y)", "ArgumentError", r"function of \(y_true, y_pred\), and <lambda> takes other"),
    ("m.compile('adam', 'mse', run_eagerly='yes')", "CallError", r"run_eagerly='yes'\): expected True or False"),
    (
        "m.compile('adam', 'mse', jit_compile='no')",
        "ArgumentError",
        r"jit_compile='no'\): expected one of 'auto'",
    ),
    ("m.compile('adam', 'mse', [lambda y, p: y - p, 'mae'])", "ArgumentError", "metrics="),
    ("m.compile('adam', 'mse', loss_weights=[1, 2])", "ArgumentError", "2 entries.*one output"),
    ("m.compile('adam', 'mse', loss_weights={1})", "CallError", r"loss_weights=\{1\}\): expected a number, got"),
    ("m.compile('adam', 'mse', steps_per_execution=0)", "ArgumentError", "at least 1, got 0"),
)
FITTING = rows(
    "mse",
    (
        "m.fit(X, T, epoch=3)",
        "CallError TypeError",
        r"fit has no argument 'epoch'. Did you mean 'epochs'\?",
        "batch_size",
    ),
    ("m.fit(X, T, nb_epoch=3)", "CallError TypeError", r"Use instead: fit\(epochs=\.\.\.\)\."),
    ("m.evaluate(X, T, batchsize=3)", "CallError TypeError", r"Did you mean 'batch_size'\?"),
    ("m.predict(X, verbos=0)", "CallError TypeError", r"Did you mean 'verbose'\?"),
    (
        "m.predict()",
        "CallError TypeError",
        "predict: missing a required argument: 'x'",
        "Its arguments are: x, batch_size",
    ),
    ("m.predict(X, T)", "ArgumentError", r"batch_size=an array of shape \(64, 3\): expected a whole number"),
    ("m.fit('data.csv', T)", "DataError", r"keras.utils.table_dataset\('data.csv', label='...', batch_size=32\)"),
    ("m.fit(X, T, sample_weight=2.0)", "DataError", r"numpy\.full\(len\(x\), 2\.0\)"),
    (
        "m.fit(X, T, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch: 1)])",
        "ArgumentError",
        r"LambdaCallback\.on_epoch_end does not take .* Write lambda epoch, logs: \.\.\.",
    ),
    ("m.fit(X, T, callbacks={'a': 1})", "ArgumentError", "got a dict. Write a list"),
    (
        "class C(keras.callbacks.Callback):\n  def on_epoch_end(self): pass\nm.fit(X, T, callbacks=[C()])",
        "ArgumentError",
        r"C\.on_epoch_end does not take what it is called with\. Write def on_epoch_end\(self, epoch, logs\)",
    ),
    ("m.compile('adam', keras.losses)", "ArgumentError", r"or a function, got lamina\.losses \(module\)\."),
    ("m.fit(T, X)", "ShapeError", r"The given y has the shape of an input: pass x first, then y\."),
    ("m.fit(X, T, epochs=2.5)", "CallError", "epochs=2.5", "whole number"),
    ("m.fit(X, T, batch_size=0)", "ArgumentError", "batch_size=0", "at least 1"),
    ("m.fit(X, T, batch_size='8')", "ArgumentError", "batch_size='8'"),
    ("m.predict(X, batch_size=0)", "ArgumentError", "batch_size=0", "at least 1"),
    ("m.save_()", "UnknownAttributeError AttributeError", "Sequential has no attribute 'save_'"),
    ("m.sumary()", "UnknownAttributeError AttributeError", "Did you mean 'summary'?"),
    ("m.layers[0].kernal", "UnknownAttributeError AttributeError", "Did you mean 'kernel'?"),
    ("m.fit(X, T, steps_per_epoch=0)", "ArgumentError", "steps_per_epoch=0"),
    ("m.fit(X, T, validation_split=1.5)", "ArgumentError", "validation_split.*between 0 and 1, got 1.5"),
    ("m.fit(X[:1], T[:1], validation_split=0.2)", "DataError", "1 row leaves nothing to train"),
    ("m.fit(X, T, validation_data=X)", "ArgumentError", r"validation_data is \(x, y\)", "got a ndarray"),
    ("m.fit(X, T, validation_data=(X, T, T, T))", "ArgumentError", r"\(x, y, sample_weight\)", "a tuple of 4"),
    ("m.fit(X, T, validation_data=(X[:, :7], T))", "ShapeError", r"takes \(None, 8\).*\(None, 7\)"),
    ("m.fit(X, T, validation_data=(X, T[:9]))", "DataError", "validation_data: x has 64 rows and y has 9"),
    ("m.fit(X, T, validation_data=(X, T), validation_freq=0)", "ArgumentError", "validation_freq=0|at least 1"),
    ("m.fit(X, T, validation_split=0.2, validation_batch_size=0)", "ArgumentError", "validation_batch_size=0"),
    ("m.fit(X, T, validation_split=0.2, validation_steps=-1)", "ArgumentError", "validation_steps=-1"),
    ("m.evaluate(X, T, steps=0)", "ArgumentError", "steps=0.*at least 1"),
    ("m.predict(X, steps=0)", "ArgumentError", "at least 1, got 0"),
    ("m.fit(X, T, verbose='loud')", "ArgumentError", "verbose='loud'", "0 .*1 .*2"),
    ("m.fit(X, T, verbose=4)", "ArgumentError", "verbose=4", "0 .*1 .*2"),
    ("m.fit(X, T, shuffle='bach')", "ArgumentError", "shuffle='bach'", "'batch'"),
    ("m.fit(X, T, initial_epoch='2')", "CallError", "initial_epoch='2'"),
    (
        "m.fit(X, T, callbacks=[keras.callbacks.EarlyStopping])",
        "ArgumentError",
        r"class EarlyStopping.*Write EarlyStopping\(",
    ),
    ("m.fit(X, T, callbacks=[print])", "ArgumentError", "callback", "print"),
    ("m.fit(X, T, callbacks='EarlyStopping')", "ArgumentError", "the name 'EarlyStopping'. Callbacks are objects"),
    ("m.fit()", "DataError", r"x is missing\. .* fit\(x, y\)"),
    ("m.fit((X, T))", "DataError", r"x is a tuple of 2 arrays, \(64, 8\), \(64, 3\)", r"fit\(x, y\)"),
    ("m.evaluate([X, Y])", "DataError", r"x is a list of 2 arrays, \(64, 8\), \(64,\)", r"evaluate\(x, y\)"),
    ("m.fit(X, T, sample_weight='balanced')", "DataError", "class_weight='balanced'"),
    ("m.fit(X, T, sample_weight={0: 1.0})", "DataError", r"class_weight=\{0: 1\.0\}"),
    ("m.fit(X)", "LabelError", "MeanSquaredError needs targets"),
    ("m.fit(T)", "ShapeError|LabelError", r"takes \(None, 8\)|needs targets"),
    ("m.fit(X, T[:63])", "DataError", r"x has 64 rows and y has 63"),
    ("m.fit(X, T, sample_weight=np.ones(9))", "DataError", "x has 64 rows and sample_weight has 9"),
    ("m.fit(X[:0], T[:0])", "DataError", r"x is empty: its shape is \(0, 8\)"),
    ("m.evaluate(X[:0], T[:0])", "DataError", "x is empty"),
    ("m.fit(X, T.T)", "DataError", r"y is transposed: y = y\.T"),
    ("m.fit(X, Y)", "LabelError", "y has 1 column, the model has 3", r'softmax.*loss="sparse_categorical'),
    ("m.fit(zip(X, T))", "DataError", "batch 0 of x: .*Each item of a stream is a batch of rows.*single row"),
    ("m.fit(X.T, T)", "DataError|ShapeError", "rows", r"x\.T|axes"),
    (
        "m.fit(X[:, :7], T)",
        "ShapeError",
        r"takes \(None, 8\), but the data has the shape \(None, 7\)",
        "columns",
    ),
    ("m(X[:, :7])", "ShapeError", r"takes \(None, 8\), but the data has the shape \(64, 7\)"),
    ("m.predict(X[0])", "ShapeError", r"x\[None\]"),
    ("m.predict(X.T)", "ShapeError", "other way round|columns"),
    ("m.fit([X, X], T)", "DataError", "list of 2 arrays.*one tensor", r"numpy\.concatenate"),
    ("m.fit({'a': X, 'b': X}, T)", "DataError", "a dict of 'a', 'b'.*one tensor"),
    ("m.fit(X, {'out': T})", "DataError", "y is a dict"),
    ("m.predict('hello')", "DataError", "x is the text 'hello'"),
    ("m.predict([['a'] * 8])", "DataError", "x holds text", "FeatureSpace"),
    ("m.predict([[1, 2], [3]])", "DataError", r"x\[0\] has shape \(2,\), x\[1\] has \(1,\)", "pad_sequences"),
    ("m.predict(np.array([[{1}] * 8]))", "DataError", "a model takes numbers"),
    ("m.predict(X * 1j)", "DataError", "complex numbers"),
    ("m.predict(None)", "DataError", "x is missing"),
    (
        "m.fit(X, ['a', 'b'] * 32)",
        "DataError|LabelError",
        r"y holds text \('a', 'b'\)",
        r"numpy\.unique\(y, return_inverse",
    ),
    ("x2 = X.copy()\nx2[3, 2] = np.nan\nm.fit(x2, T)", "DataError", r"x\[3, 2\] is NaN; 1 of 64 rows", "column 2"),
    ("x2 = X.copy()\nx2[3, 2] = np.inf\nm.fit(x2, T)", "DataError", r"x\[3, 2\] is inf"),
    ("t2 = T.copy()\nt2[5, 0] = np.nan\nm.fit(X, t2)", "LabelError", r"y\[5, 0\] is NaN"),
    ("m.fit(X, T, sample_weight=np.full(64, np.nan))", "LabelError|DataError", r"sample_weight\[0\] is NaN"),
    (
        "m.fit(X, T, sample_weight=T)",
        "LabelError",
        r"sample_weight has shape \(64, 3\)",
        r"one number per sample, \(64,\)",
    ),
    ("m.evaluate(X, T, sample_weight=np.ones((64, 2)))", "LabelError", r"has shape \(64, 2\)", "MeanSquaredError"),
    ("m.train_on_batch(X, T, sample_weight=T)", "LabelError", r"sample_weight has shape \(64, 3\)"),
    ("m.fit(X, T[:, :1])", "LabelError", "y has 1 column, the model has 3", r"Dense\(1\)"),
    ("m.fit(X, T[:, 0])", "LabelError", "y has 1 column, the model has 3"),
    (
        "m.fit(X, np.ones((64, 2)))",
        "LabelError TypeError|ValueError",
        "y has 2 columns, the model has 3",
        r"Dense\(2\)",
    ),
    ("m.train_on_batch(X, T[:, :2])", "LabelError TypeError|ValueError", "y has 2 columns"),
    ("m.test_on_batch(X, T[:3])", "DataError", "64 rows and y has 3"),
    ("m.train_on_batch(X, T, sampel_weight=1)", "CallError TypeError", r"Did you mean 'sample_weight'\?"),
    ("m.fit(X, T, class_weight={0: 1.0})", "LabelError|ArgumentError", "class_weight", "sample_weight"),
    ("m.set_weights([np.zeros((8, 3))])", "ShapeError", r"2 weights, and got 1.*kernel \(8, 3\)"),
    (
        "m.set_weights([np.zeros((8, 4)), np.zeros(3)])",
        "ShapeError",
        r"dense/kernel has shape \(8, 3\), and got \(8, 4\)",
    ),
    ("m.set_weights(5)", "ArgumentError|ShapeError TypeError|ValueError", "list"),
    ("m.get_layer('dens')", "ArgumentError", r"Did you mean 'dense'\?"),
    ("m.layers[0].kernel.assign(np.ones(3))", "ShapeError", r"has shape \(8, 3\), and cannot take \(3,\)"),
    ("m.summary(positions=[1])", "ArgumentError", "positions"),
    ("m.summary(widht=3)", "CallError TypeError", "summary has no argument 'widht'"),
)
LABELS = [
    *rows(
        "softmax",
        (
            "m.fit(X, Y + 1)",
            "LabelError",
            r"labels run from 1 to 3, but 3 units stand for 0 to 2: y\[2\] is 3",
            "y = y - 1",
        ),
        ("m.fit(X, Y - 1)", "LabelError", r"labels run from -1 to 1.*y\[0\] is -1", "numpy.unique"),
        ("m.fit(X, Y + 0.5)", "LabelError", r"whole numbers, but y\[0\] is 0.5", "mse"),
        ("m.fit(X, Y * 5)", "LabelError", r"labels run from 0 to 10", r"Dense\(11\)"),
        ("m.fit(X, np.eye(3)[Y])", "LabelError", "y is one-hot", "categorical_crossentropy", "argmax"),
        ("m.fit(X, np.ones((64, 2)))", "LabelError", "one number for each output"),
        ("m.fit(X, Y, class_weight={0: 1.0, 2: 5.0})", "LabelError", "no weight for class 1", r"\{\.\.\., 1: 1\.0\}"),
        ("m.fit(X, Y, class_weight={0: 1.0}, sample_weight=np.ones(64))", "ArgumentError", "cannot be given together"),
        ("m.fit(X, Y, class_weight={0: 1, 1: 1, 2: 1, 7: 2})", "LabelError", r"class_weight has class 7.*Dense\(8\)"),
        ("m.fit([(X, Y)], class_weight={0: 1, 1: 1, 2: 1, 7: 2})", "LabelError", "class_weight has class 7"),
        ("m.fit(X, Y, class_weight=[1, 2, 3])", "ArgumentError", r"dict\(enumerate\(class_weight\)\)"),
        ("m.fit(X, Y, class_weight={'a': 1})", "ArgumentError", "the class 'a'"),
        ("m.fit(X, Y, class_weight='even')", "ArgumentError", '"balanced", got', "'even'"),
        ("m.evaluate(X, Y + 1)", "LabelError", "labels run from 1 to 3"),
        ("m.fit(X, Y, validation_data=(X, Y + 1))", "LabelError", "^validation_data: labels run from 1 to 3"),
        ("m.fit(X, Y, validation_data=(X,))", "LabelError", "^validation_data: the loss .* needs targets"),
    ),
    *rows(
        "onehot",
        ("m.fit(X, Y)", "LabelError", "takes one-hot rows", "sparse_categorical_crossentropy", "to_categorical"),
        ("m.fit(X, np.eye(4)[Y])", "LabelError", "y has 4 columns, the model has 3"),
    ),
    *rows(
        "binary",
        ("m.fit(X, np.eye(2)[Y % 2])", "LabelError", "y has 2 columns, the model has 1", r"y\[:, 1\]"),
        ("m.fit(X, (Y % 2) * 2 - 1)", "LabelError", r"y runs from -1 to 1", r"y = \(y \+ 1\) / 2"),
        ("m.fit(X, Y)", "LabelError", "y runs from 0 to 2", r"Dense\(3, activation=\"softmax\"\)"),
    ),
    *rows(
        None,
        (
            "m = keras.Sequential([layers.Dense(1)])\nm.compile('sgd', 'categorical_crossentropy')\nm.fit(X, T[:, 0])",
            "LabelError",
            "one unit",
            r"Dense\(1, activation=\"sigmoid\"\)",
        ),
        (
            "m = keras.Sequential([layers.Dense(1, 'softmax')])\nm.compile('adam', 'mse')\nm.fit(X, np.ones(64))",
            "LabelError",
            "softmax over a single unit is always 1",
        ),
    ),
]
FRAMES = rows(
    "mse",
    (
        "m.fit(f.assign(b='x'), T)",
        "DataError",
        r"columns that are not numbers: 'b' \(text\)",
        r"FeatureSpace\.from_frame\(x\)",
    ),
    ("m.fit(f.assign(b=np.array(['x'] * 64, object)), T)", "DataError", r"'b' \(text\)|holds text"),
    ("m.fit(f.assign(b=pd.Categorical(['x'] * 64)), T)", "DataError", r"'b' \(category\)", "FeatureSpace"),
    ("m.fit(f.assign(b=pd.Timestamp('2024-01-01')), T)", "DataError", r"'b' \(date\)", "FeatureSpace"),
    ("m.fit(f.assign(b=pd.Timedelta(3, 's')), T)", "DataError", r"'b' \(duration\)", "FeatureSpace"),
    ("m.fit(f.assign(b='1.5'), T)", "DataError", r"'b' \(text\)", r"from_frame\(x, {'b': 'float_normalized'}\)"),
    ("m.fit(f.assign(b='1', c='x'), T)", "DataError", r"from_frame\(x, {'b': 'float_normalized'}\)"),
    ("m.predict(f.iloc[0])", "ShapeError", r"frame\.iloc\[\[i\]\]"),
    ("m.fit(f, pd.Series([pd.Timestamp('2024-01-01')] * 64))", "DataError", r"y holds dates.*\(y - y.min\(\)\) /"),
    ("m.fit(f, np.ones((64, 3), 'm8[s]'))", "DataError", r"y holds durations.*y / numpy.timedelta64\(1, 's'\)"),
    ("m.fit(f.where(f > f.min()), T)", "DataError", r"is NaN", "columns 'a', 'b'", "FeatureSpace"),
    ("m.fit(f.drop(columns='b'), T)", "ShapeError", r"takes \(None, 8\).*\(None, 7\)"),
    ("m.fit(f, pd.Series(['x'] * 64))", "DataError|LabelError", "y holds text"),
)
STREAMS = rows(
    "mse",
    ("def g():\n  yield X, T\nm.fit(g(), epochs=3)", "DataError", "read once.*epochs=3", r"fit\(make_batches\)"),
    ("def g():\n  yield X, T\nm.fit(g(), T)", "DataError", "Put it into the batches"),
    ("def g():\n  yield X, T\nm.fit(g(), validation_split=0.2)", "DataError", "validation_split needs arrays"),
    ("def g():\n  yield X, T[:5]\nm.fit(g)", "DataError", "batch 0 of x: x has 64 rows and y has 5"),
    (
        "def g():\n  yield X, T\n  yield X[:, :7], T\nm.fit(g, verbose=0)",
        "ShapeError",
        r"batch 1 of x: 'sequential' takes \(None, 8\), but the data has the shape \(None, 7\)",
    ),
    ("def g():\n  yield X, T\n  yield X, T[:, :2]\nm.evaluate(g)", "LabelError", "batch 1 of x: y has 2 columns"),
    ("def g():\n  yield X, T, Y\n  yield X, T, T\nm.fit(g)", "LabelError", "batch 1 of x: sample_weight has shape"),
    ("m.fit(iter([]))", "DataError", "no more batches|no batch"),
    (
        "def g():\n  yield X\n  yield X[:, :7]\nm.predict(g)",
        "ShapeError",
        r"batch 1 of x: 'sequential.*' takes \(None, 8\)",
    ),
    ("def g():\n  yield X, T\n  yield X, T * np.nan\nm.fit(g)", "LabelError", r"batch 1 of x: y\[0, 0\] is NaN"),
)
BATCHES = [
    *rows("softmax", ("m.fit([(X, Y), (X, Y + 1)])", "LabelError", "batch 1 of x: labels run from 1 to 3", "y - 1")),
    *rows("softmax", ("m.fit([(X, Y), (X, Y + .5)])", "LabelError", "batch 1 of x: class labels are whole numbers")),
    *rows("softmax", ("m.evaluate([(X, Y), (X, Y), (X, Y - 1)])", "LabelError", "batch 2 of x: labels run from -1")),
    *rows("binary", ("m.fit([(X, Y % 2), (X, Y)])", "LabelError", "batch 1 of x: targets lie between 0 and 1")),
]
CALLS = rows(
    None,
    (
        "layers.Conv2D(4, 3)(np.ones((2, 5)))",
        "ShapeError",
        r"^conv2d \(Conv2D\), given \(2, 5\): expects 4 dimensions \(batch axis included\), got 2$",
    ),
    (
        "layers.Conv2D(4, 3, name='c')(np.ones((1, 2, 2, 1)))",
        "ShapeError",
        r"^c \(Conv2D\), given .*: expects at least 3",
    ),
    ("layers.Softmax(axis=3)(X)", "ShapeError", r"^softmax \(Softmax\), given \(64, 8\): axis=3 does not exist"),
    (
        "layers.Dense(3)([['a'], ['b']])",
        "ArgumentError",
        r"dense \(Dense\) takes numbers, and got text \('a'\)",
        "Lookup",
    ),
    ("layers.Dense(3)([[1], [1, 2]])", "ArgumentError", "takes one array, got list"),
    (
        "class Within(layers.Layer):\n  def __init__(self):\n    super().__init__()\n    self.inner = layers.Dense(2)\n"
        "  def call(self, x): return self.inner(x[:, :-1] if len(x) == 3 else x)\n"
        "w = Within()\nw(X)\nw(X[:3])",
        "ShapeError",
        r"^dense \(Dense\), given \(3, 7\): expects size 8 on axis -1, got 7$",
    ),
    (
        "m = keras.Sequential([layers.Dense(3)])\nm.compile('sgd', 'mse', metrics=[lambda y, p: None])\nm.fit(X, T)",
        "ArgumentError",
        "gave None instead of numbers. Does it lack a return",
    ),
    (
        "layers.LSTMCell(3)(X)",
        "CallError TypeError",
        r"lstm_cell \(LSTMCell\) needs states as well: lstm_cell\(x, states\)",
    ),
    (
        "layers.LSTMCell(3)(X, [np.ones((64, 2))] * 2)",
        "ShapeError",
        r"^lstm_cell \(LSTMCell\), given x \(64, 8\), states \[\(64, 2\), \(64, 2\)\]: expects states of \(64, 3\)",
    ),
    (
        "layers.Hashing(3)(['a'], count_weights=[1])",
        "CallError TypeError",
        "takes the data alone, and got count_weights",
    ),
    ("layers.embedding(3, 2)", "UnknownAttributeError AttributeError", r"Did you mean 'Embedding'\?"),
    ("layers.masking()", "UnknownAttributeError AttributeError", r"Did you mean 'Masking'\?"),
    ("layers.hashing(3)", "UnknownAttributeError AttributeError", r"Did you mean 'Hashing'\?"),
    ("layers.normalization()", "UnknownAttributeError AttributeError", r"Did you mean 'Normalization'\?"),
    ("keras.callbacks.history()", "UnknownAttributeError AttributeError", r"Did you mean 'History'\?"),
    ("keras.callbacks.early_stopping()", "UnknownAttributeError AttributeError", r"Did you mean 'EarlyStopping'\?"),
    ("keras.callbacks.csv_logger('a')", "UnknownAttributeError AttributeError", r"Did you mean 'CSVLogger'\?"),
    ("keras.losses.crossentropy()", "UnknownAttributeError AttributeError", r"Did you mean '.*rossentropy'\?"),
    ("keras.metrics.accuracy()", "UnknownAttributeError AttributeError", r"Did you mean 'Accuracy'\?"),
    ("keras.sequential([])", "UnknownAttributeError AttributeError", r"Did you mean 'Sequential'\?"),
)
OTHERS = [
    *rows(
        "uncompiled",
        ("m.fit(X, T)", "NotCompiledError", "call compile before fit", r"model\.compile\('adam', loss='mse'\)"),
    ),
    *rows("uncompiled", ("m.evaluate(X, T)", "NotCompiledError", "call compile before evaluate")),
    *rows("uncompiled", ("m.train_on_batch(X, T)", "NotCompiledError", "call compile before train_on_batch")),
    *rows(
        "unbuilt", ("m.layers[0].kernel", "UnknownAttributeError AttributeError", r"not built yet: put Input\(shape\)")
    ),
    *rows(
        "unbuilt", ("m.build((8,))", "ArgumentError", r"with the batch axis, as in build\(\(None, 16\)\); got \(8,\)")
    ),
    *rows("unbuilt", ("m.count_params()", "NotBuiltError AttributeError|ValueError", "no weights yet")),
    *rows(
        "unbuilt",
        ("m.predict(X[:, 0])", "ShapeError", r"cannot take \(None,\)", r"x\[:, None\]", "added at test_errors"),
    ),
    *rows("unbuilt", ("m.fit(X[:, :5], np.ones((64, 2)))", "LabelError", "y has 2 columns, the model has 3")),
]

OF_MODELS = [*MEMBERS, *COMPILING, *FITTING, *LABELS, *FRAMES, *STREAMS, *BATCHES, *OTHERS]
ROWS = [*NAMES, *ARGUMENTS, *STACKS, *CALLS, *OF_MODELS]


def softmax(loss):
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss)
    return model


def regression():
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(3)])
    model.compile("adam", "mse")
    return model


def binary():
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model


MODELS = {
    "mse": (regression, TARGETS),
    "softmax": (lambda: softmax("sparse_categorical_crossentropy"), Y),
    "onehot": (lambda: softmax("categorical_crossentropy"), np.eye(3)[Y]),
    "binary": (binary, Y % 2),
    "uncompiled": (lambda: lamina.Sequential([layers.Input((8,)), layers.Dense(3)]), TARGETS),
    "unbuilt": (lambda: lamina.Sequential([layers.Dense(3)]), TARGETS),
}


FRAME = pd.DataFrame({name: X[:, i] for i, name in enumerate("abcdefgh")})
GIVEN = {
    "keras": lamina, "layers": layers, "real": keras, "np": np, "pd": pd, "X": X, "Y": Y, "T": TARGETS, "f": FRAME
}  # fmt: skip


def run(text, model=None, **given):
    """The error of a program, which stands in a file `user.py`."""
    code = compile(text, "user.py", "exec")
    with pytest.raises(Exception) as caught, warnings.catch_warnings():  # noqa: PT011, PT012 it is looked at closely
        warnings.simplefilter("ignore", errors.LaminaWarning)
        exec(code, {**GIVEN, "m": model, **given})
    return caught.value


def state(model):
    """All that an error must leave as it was."""
    weights = model.get_weights() if model.built else None
    moments = model.optimizer._lamina_arrays if model.compiled else None
    return weights, jax.tree.map(np.array, moments), model.history, model._lamina.compiled, model.built


def same(a, b):
    trees = [(jax.tree.leaves(one), jax.tree.leaves(other)) for one, other in zip(a[:2], b[:2], strict=True)]
    equal = all(len(p) == len(q) and all(map(np.array_equal, p, q)) for p, q in trees)
    return equal and all(p is q for p, q in zip(a[2:], b[2:], strict=True))


def check_kind(error, kind):
    ours, builtin = [*kind.split(), "ValueError"][:2]
    assert type(error).__name__ in ours.split("|")
    assert isinstance(error, tuple(getattr(builtins, name) for name in builtin.split("|")))
    if hasattr(errors, type(error).__name__):
        assert isinstance(error, errors.LaminaError)


def check_message(error, said):
    message = str(error)
    for piece in said:
        assert re.search(piece, " ".join(message.split())) or re.search(piece, message), piece
    assert len(message.splitlines()) <= 15
    assert max(map(len, message.splitlines())) <= 130
    assert "0x" not in message  # no addresses of objects


def check_traceback(error):
    files = [entry.filename for entry in traceback.extract_tb(error.__traceback__)]
    assert files[-1] == "user.py"
    assert not [file for file in files if is_internal(file)]
    printed = "".join(traceback.format_exception(error))
    assert printed.count("Traceback (most recent call last)") == 1
    assert frames.PACKAGE not in printed and "JAX" not in printed


def is_internal(file):
    return file.startswith(frames.PACKAGE) or f"site-packages{os.sep}jax" in file


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.delenv("LAMINA_TRACEBACK", raising=False)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text.replace("\n", "; ")[-90:])
def test_wrong_program(row, monkeypatch):
    model, targets = None, None
    if row.model:
        make, targets = MODELS[row.model]
        model = make()
        if row.model not in ("uncompiled", "unbuilt"):
            model.fit(X, targets, epochs=2, verbose=0)
        if row.model == "unbuilt" and "fit" in row.text:
            model.compile("adam", "mse")
    before = state(model) if model else None
    error = run(row.text, model)
    check_kind(error, row.kind)
    check_message(error, row.said)
    check_traceback(error)

    monkeypatch.setenv("LAMINA_TRACEBACK", "full")
    error = run(row.text, model)
    if not isinstance(error, errors.LaminaError):
        assert type(error) in (TypeError, FileNotFoundError)  # Python's own
    else:
        assert [e for e in traceback.extract_tb(error.__traceback__) if is_internal(e.filename)]
    monkeypatch.delenv("LAMINA_TRACEBACK")

    if model:
        assert same(state(model), before)
        if not model.compiled:
            model.compile("adam", "mse")
        assert np.isfinite(model.fit(X, targets, epochs=2, verbose=0).history["loss"]).all()
        assert model.predict(X).shape[0] == 64


def test_there_are_many_of_them_and_each_is_another():
    assert len({(row.model, row.text) for row in ROWS}) == len(ROWS) > 150


# What a row cannot show.


def test_a_loss_that_is_not_finite_names_epoch_and_step_and_goes_back():
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(3)])
    model.compile(lamina.optimizers.SGD(0.01), "mse")
    kept = []

    class Explode(lamina.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            kept.append(state(self.model))
            if epoch == 2:
                self.model.optimizer.learning_rate = 1e30

    with pytest.raises(errors.NonFiniteError) as caught:
        model.fit(X, TARGETS, epochs=5, batch_size=16, verbose=0, callbacks=[Explode()])
    error = caught.value
    assert isinstance(error, RuntimeError)
    check_message(error, [r"the loss became (inf|nan) in epoch 3, at step [23]\.", "learning_rate", "TerminateOnNaN"])
    assert not [e for e in traceback.extract_tb(error.__traceback__) if is_internal(e.filename)]
    for a, b in zip(model.get_weights(), kept[2][0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.history.history["loss"]) == 2
    model.optimizer.learning_rate = 0.01
    assert np.isfinite(model.fit(X, TARGETS, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("kind", [lamina.callbacks.EarlyStopping, lamina.callbacks.ReduceLROnPlateau])
def test_a_callback_that_waits_for_another_name_is_told_so_before_the_first_step(kind):
    model = regression()
    before = model.get_weights()
    for text, given, said in (
        (
            "validation_split=0.1",
            "val_los",
            [r"monitor='val_los'.*Did you mean 'val_loss'\?", "have: loss, val_loss.$"],
        ),
        ("verbose=0", "val_accuracy", [r"Metrics are given to compile: metrics=", "They have: loss.$"]),
    ):
        error = run(f"m.fit(X, T, epochs=5, callbacks=[stop], {text})", model, stop=kind(given))
        check_kind(error, "ArgumentError")
        check_message(error, said)
        check_traceback(error)
        assert all(map(np.array_equal, model.get_weights(), before)) and model.history is None
    model.fit(X, TARGETS, verbose=0)


def test_a_callback_waits_an_epoch_for_what_the_users_own_code_may_log():
    class Logs(lamina.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["los"] = 1.0

    def log(epoch, logs):
        logs["los"] = 1.0

    by_function = lamina.callbacks.LambdaCallback(on_epoch_end=log)
    for first in (Logs(), by_function):
        stop = lamina.callbacks.EarlyStopping("los", mode="min", patience=1)
        assert len(regression().fit(X, TARGETS, epochs=5, verbose=0, callbacks=[first, stop]).epoch) == 2


class Fails(layers.Layer):
    def call(self, x, training=False):
        if training:
            raise KeyError("mine")
        return x


def fails(y_true, y_pred):
    return y_true @ y_pred


@pytest.mark.parametrize(
    ("layer", "loss", "kind", "function"),
    [(Fails, "mse", KeyError, "call"), (layers.ReLU, fails, TypeError, "fails")],
)
def test_an_error_in_the_users_own_code_keeps_its_place_and_loses_our_frames(layer, loss, kind, function):
    model = lamina.Sequential([layers.Input((8,)), layer(), layers.Dense(3)])
    model.compile("sgd", loss)
    before = model.get_weights()
    for _ in range(2):
        error = run("m.fit(X, T, verbose=0)", model)
        assert type(error) is kind
        entries = traceback.extract_tb(error.__traceback__)
        assert [entry.name for entry in entries[-2:]] == ["<module>", function]
        assert not [entry for entry in entries if is_internal(entry.filename)]
        assert "JAX" not in "".join(traceback.format_exception(error))
        assert all(map(np.array_equal, model.get_weights(), before))
        assert model.history is None
    assert model.predict(X).shape == (64, 3)


TRACED = [
    ("np.asarray(x) + 1", r"jax\.numpy \(jnp\).*jnp\.log"),
    ("np.sin(x)", r"jax\.numpy \(jnp\)"),
    ("np.median(x, axis=1)", r"jax\.numpy \(jnp\)"),
    ("x * float(x[0, 0])", "leave them out"),
    ("x * x[0, 0].item()", "leave them out"),
    ("x + x.tolist()", "leave them out"),
    ("x if x.mean() > 0 else -x", r"jnp\.where\(condition, a, b\)"),
    ("max(x, 0)", r"jnp\.maximum\(a, b\)"),
    ("x * (x.max() > 1 and x.min() < 0)", "condition & other"),
    ("[x, -x][x.argmax()]", r"jnp\.take\(table, x, axis=0\)"),
    ("x[x > 0]", r"jnp\.where\(condition, x, 0\)"),
]


@pytest.mark.parametrize(("code", "said"), TRACED, ids=lambda text: text)
def test_code_that_needs_the_values_of_an_array_is_told_so_with_its_line(code, said, tmp_path):
    module = {"np": np, "layers": layers, "__name__": "user"}
    path = tmp_path / "user.py"
    path.write_text(
        f"class Own(layers.Layer):\n  def call(self, x):\n    return {code}\n"
        f"def loss(y, x):\n  return {code}\ndef function(x):\n  return {code}\n"
    )
    exec(compile(path.read_text(), str(path), "exec"), module)
    for line, text in (
        (3, "keras.Sequential([keras.Input((8,)), Own()])"),
        (3, "m = keras.Sequential([Own()])\nm.predict(X)"),
        (7, "keras.Sequential([keras.Input((8,)), layers.Lambda(function)])"),
        (7, "keras.Sequential([keras.Input((8,)), layers.Dense(3, activation=function)])"),
        (5, "m.compile('adam', loss)\nm.fit(X, T, verbose=0)"),
        (5, "m.compile('adam', 'mse', metrics=[loss])\nm.fit(X, T, verbose=0)"),
        (7, "m = keras.Sequential([layers.Dense(3, kernel_regularizer=function)])\n"
            "m.compile('adam', 'mse')\nm.fit(X, T, verbose=0)"),
    ):  # fmt: skip
        error = run(text, regression(), **{name: module[name] for name in ("Own", "loss", "function")})
        check_kind(error, "TracedArrayError TypeError")
        check_message(error, [rf"^user\.py:{line} needs the values of an array.*compiled program", said])
        entries = traceback.extract_tb(error.__traceback__)
        assert (str(path), line) in [(entry.filename, entry.lineno) for entry in entries]
        assert not [entry for entry in entries if is_internal(entry.filename)]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x.numpy()", r"Leave \.numpy\(\) out: the functions of jax\.numpy take the array"),
        ("x.get_shape()", r"Did you mean 'shape'\?"),
        ("x.reshap(-1)", r"Did you mean 'reshape'\?"),
        ("x.sqrt()", r"Write jnp\.sqrt\(array\)\."),
    ],
)
def test_an_attribute_of_another_librarys_tensor(code, said):
    text = f"m.compile('adam', lambda y, x: {code})\nm.fit(X, T)"
    error = run(text, regression())
    check_kind(error, "UnknownAttributeError AttributeError")
    check_message(error, [rf"^user\.py:1: a JAX array has no attribute '\w+'\. {said}"])


def test_errors_of_the_users_own_that_look_alike_stay_as_they_are():
    text = """class Own(keras.callbacks.Callback):
  def on_epoch_end(self, epoch, logs=None):
    try:
      [][3]
    except IndexError as cause:
      raise {error} from cause
m.fit(X, T, verbose=0, callbacks=[Own()])"""
    for error, kind in (("TypeError('mine')", TypeError), ("IndexError('mine')", IndexError)):
        caught = run(text.format(error=error), regression())
        assert type(caught) is kind and isinstance(caught.__cause__, IndexError)
    caught = run(text.format(error="bool(X)"), regression())
    assert type(caught) is ValueError and "ambiguous" in str(caught)


def test_a_warning_stands_on_the_users_line_also_where_a_thread_of_ours_gives_it():
    """The short last batch and the validation are traced in the background; a layer is warned of once."""

    class Plain(layers.Layer):
        def call(self, x):
            return x * 2

    model = lamina.Sequential([layers.Embedding(9, 4, mask_zero=True), Plain(), layers.LSTM(3)])
    model.compile("sgd", lambda y_true, y_pred: ((y_true - y_pred) ** 2).mean())
    x, y = np.arange(128).reshape(64, 2) % 9, TARGETS
    with pytest.warns(errors.LaminaWarning) as said:
        assert [model.fit(x, y, sample_weight=np.ones(64), batch_size=size, verbose=0) for size in (30, 28)]
    assert {each.filename for each in said} == {__file__} and len({each.lineno for each in said}) == 1
    words = [str(each.message) for each in said]
    assert sum("supports no masks" in each for each in words) == 1
    assert sum("one number for the whole batch" in each for each in words) > 2


def test_all_frames_are_shown_if_asked():
    program = """
import numpy as np, lamina
model = lamina.Sequential([lamina.Input((8,)), lamina.layers.Dense(3)])
model.compile("sgd", lambda y_true, y_pred: y_true @ y_pred)
model.fit(np.ones((4, 8)), np.ones((4, 3)))
"""
    printed = {}
    for asked in ("", "full"):
        run = [sys.executable, "-c", program]
        done = subprocess.run(run, env={**os.environ, "LAMINA_TRACEBACK": asked}, capture_output=True, text=True)
        assert "TypeError: dot_general requires" in done.stderr
        printed[asked] = re.findall(r'File "(.*?)"', done.stderr)
    assert printed[""] == ["<string>", "<string>"]
    assert any(file.startswith(frames.PACKAGE) for file in printed["full"])
    assert any(f"site-packages{os.sep}jax" in file for file in printed["full"])


def test_the_picture_shows_three_layers_before_the_one_that_fails():
    names = [layers.Dense(4) for _ in range(6)]
    with pytest.raises(errors.ShapeError) as caught:
        lamina.Sequential([layers.Input((8,)), *names, layers.Reshape((5,))])
    lines = str(caught.value).splitlines()
    assert re.match(r"layer 7 \(reshape: Reshape\) cannot take \(None, 4\) +added at test_errors.py:\d+$", lines[0])
    assert [line[:8].strip() for line in lines[1:6]] == ["… 3", "4", "5", "6", "->   7"]


def test_a_nested_stack_names_the_layer_within():
    inner = lamina.Sequential([layers.Dense(4), layers.Reshape((5,))])
    with pytest.raises(errors.ShapeError) as caught:
        lamina.Sequential([layers.Input((8,)), inner])
    check_message(caught.value, [r"layer 2 \(reshape: Reshape\) cannot take \(None, 4\) +added at test_errors.py:\d+"])


def test_every_name_of_keras_that_is_not_here_is_known():
    homes = dict.fromkeys(("Layer", "Metric", "Optimizer", "Sequential"), (keras, lamina))
    for path in ("", *"activations callbacks config constraints initializers layers losses metrics models".split(),
                 *"optimizers optimizers.schedules random regularizers utils".split()):  # fmt: skip
        homes[path] = (keras, lamina)
    for path, (theirs, ours) in homes.items():
        for part in filter(None, path.split(".")):
            theirs, ours = getattr(theirs, part), getattr(ours, part)
        known = {to_snake_case(name) for name in absent.OF_KERAS.get(path, "").split()}
        known |= {key.removeprefix(f"{path}.") for key in absent.INSTEAD} | INTERNAL
        if isinstance(ours, type):
            known |= {key.split(".")[-1] for key in absent.INSTEAD}
            known |= set(" ".join(absent.OF_KERAS.get(cls.__name__, "") for cls in ours.__mro__).split())
        lacking = {name for name in dir(theirs) if not name.startswith("_")} - set(dir(ours))
        assert {name for name in lacking if not {name, to_snake_case(name)} & known} == set(), path


INTERNAL = {"src", "wrappers", "legacy"}


def test_every_error_is_also_what_keras_raises():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LaminaError)]
    assert len(kinds) > 12
    for kind in kinds:
        assert kind.__doc__
        if kind is not errors.LaminaError:
            assert issubclass(kind, (ValueError, TypeError, AttributeError, ImportError, RuntimeError))
