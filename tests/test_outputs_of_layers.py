"""`keras.Model(model.inputs, [layer.output for layer in model.layers])`: the outputs of layers, in one pass."""

import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import NotBuiltError, StackError

X = np.linspace(-1, 1, 5 * 6 * 6, dtype="float32").reshape(5, 6, 6, 1)


def images(package):
    """The stack of Keras's guide to the Sequential model, smaller."""
    return package.Sequential(
        [
            package.layers.Input((6, 6, 1)),
            package.layers.Conv2D(3, 3, activation="relu", name="first"),
            package.layers.BatchNormalization(name="norm"),
            package.layers.Dropout(0.5, name="drop"),
            package.layers.GlobalMaxPooling2D(name="pool"),
            package.layers.Dense(2, name="top"),
        ]
    )


def equal_stacks():
    ours, other = images(lamina), images(keras)
    other.set_weights(ours.get_weights())
    return ours, other


STRUCTURES = {
    "one": lambda m: m.get_layer("first").output,
    "a list of one": lambda m: [m.get_layer("pool").output],
    "all": lambda m: [layer.output for layer in m.layers],
    "a dict": lambda m: {layer.name: layer.output for layer in m.layers},
    "nested": lambda m: [m.outputs, {"a": m.layers[0].output}, (m.layers[3].output, m.layers[1].output)],
    "twice": lambda m: [m.layers[1].output, m.layers[1].output],
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_outputs_are_those_of_keras_in_their_structure(structure):
    ours, other = equal_stacks()
    pick = STRUCTURES[structure]
    features, wanted = lamina.Model(ours.inputs, pick(ours)), keras.Model(other.inputs[0], pick(other))
    for found, known in (
        (features.predict(X, verbose=0), wanted.predict(X, verbose=0)),
        (features(X), wanted(X)),
        (features.predict_on_batch(X), wanted.predict_on_batch(X)),
    ):
        keras.tree.assert_same_structure(found, known)
        for one, two in zip(keras.tree.flatten(found), keras.tree.flatten(known), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert isinstance(features, lamina.Model) and isinstance(ours, lamina.models.Model)


def test_it_is_one_pass_with_the_weights_of_now():
    calls = []

    class Counted(layers.Layer):
        def call(self, x):
            calls.append(self.name)
            return x + 1

    stack = lamina.Sequential([layers.Input((3,)), Counted(name="a"), layers.Dense(2), Counted(name="b")])
    features = lamina.Model(stack.inputs, [layer.output for layer in stack.layers])
    calls.clear()
    first, _, _ = features.predict(np.ones((4, 3)), verbose=0)
    assert calls == ["a", "b"] and (first == 2).all()
    stack.layers[1].set_weights([np.ones((3, 2)), np.zeros(2)])
    assert (features.predict(np.ones((4, 3)), verbose=0)[1] == 6).all()
    assert stack.layers[0].output.name == "a" and [layer.name for layer in features.layers] == ["a", "dense", "b"]
    stack.compile("sgd", "mse")
    stack.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)  # the stack trains on
    np.testing.assert_allclose(features(np.ones((4, 3)))[2], stack.predict(np.ones((4, 3)), verbose=0))


def test_it_may_begin_within_the_stack_and_take_whole_numbers():
    stack = lamina.Sequential(
        [layers.Input((4,), dtype="int32"), layers.Embedding(9, 3, mask_zero=True), layers.LSTM(2), layers.Dense(1)]
    )
    x = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    rows, top = lamina.Model(stack.input, [stack.layers[0].output, stack.layers[2].output]).predict(x, verbose=0)
    np.testing.assert_allclose(top, stack.predict(x, verbose=0), rtol=1e-6)  # the mask goes along
    behind = lamina.Model(stack.layers[1].output, stack.layers[2].output)
    np.testing.assert_allclose(behind.predict(stack.layers[1](stack.layers[0](x)), verbose=0), top, rtol=1e-6)
    assert rows.shape == (2, 4, 3) and lamina.Model(stack.layers[1].input, stack.layers[1].output)(rows).shape == (2, 2)


def test_texts_go_through_the_layers_that_read_them():
    words = layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=3)
    stack = lamina.Sequential([words, layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)])
    texts = np.array(["good bad", "bad"])
    whole = stack.predict(texts, verbose=0)
    rows, top = lamina.Model(stack.inputs, [stack.layers[1].output, stack.outputs[0]]).predict(texts, verbose=0)
    assert rows.shape == (2, 3, 2)
    np.testing.assert_allclose(top, whole, rtol=1e-6)


def test_a_stack_within_a_stack_is_one_of_its_layers():
    inner = lamina.Sequential([layers.Input((3,)), layers.Dense(4, name="deep"), layers.Dense(2)])
    stack = lamina.Sequential([layers.Input((3,)), inner, layers.Dense(1)])
    middle, top = lamina.Model(stack.inputs, [inner.output, stack.layers[1].output])(np.ones((2, 3)))
    assert (middle.shape, top.shape) == ((2, 2), (2, 1))
    assert lamina.Model(inner.inputs, inner.get_layer("deep").output)(np.ones((2, 3))).shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda m: lamina.Model(m.inputs, [m.layers[0].output] * 2).fit(X, X), StackError, "only predicts.*no fit"),
        (lambda m: lamina.Model(m.inputs, m.layers[0].output).compile("sgd"), StackError, "has no compile"),
        (lambda m: lamina.Model(X, X), StackError, r"Model\(model\.inputs, model\.layers\[0\]\.output\)"),
        (lambda m: lamina.Model(m.inputs, []), StackError, "Model takes the inputs of a stack"),
        (
            lambda m: lamina.Model(m.inputs, images(lamina).layers[0].output),
            StackError,
            "'first' is not a layer of the",
        ),
        (lambda m: lamina.Model(m.layers[2].output, m.layers[0].output), StackError, "'first' lies before the input"),
        (lambda m: lamina.Model(lamina.Sequential([layers.Dense(1)]).inputs, []), NotBuiltError, "no inputs yet"),
        (lambda m: type("Own", (lamina.Model,), {}), StackError, r"derive it from keras\.Sequential"),
    ],
)
def test_what_is_refused_says_what_to_type(call, error, said):
    with pytest.raises(error, match=said):
        call(images(lamina))


def test_shapes_of_a_model_with_several_outputs():
    def shapes(library):
        model = library.Sequential([library.Input((2,)), library.layers.Dense(1), library.layers.Dense(3)])
        first, last = [layer.output for layer in model.layers]
        looked = [library.Model(model.inputs, outputs) for outputs in ({"b": last, "a": [first, last]}, [first, last])]
        return [(each.input_shape, each.output_shape) for each in looked]

    assert shapes(lamina) == shapes(keras)
    assert shapes(lamina)[1] == ((None, 2), [(None, 1), (None, 3)])


def test_layers_and_models_tell_their_inputs_and_outputs():
    tensors = []
    models = [images(library) for library in (lamina, keras)]
    for model in models:
        each = [t for layer in model.layers for t in (layer.input, layer.output)]
        each += [*model.inputs, *model.outputs]
        tensors.append([(tuple(t.shape), t.dtype) for t in each])
    assert tensors[0] == tensors[1]
    ours = models[0]
    assert ours.input == ours.inputs[0] and ours.output == ours.outputs[0] and ours.output.ndim == 2
    with pytest.raises(NotBuiltError, match="no input shape yet"):
        layers.Dense(3).input  # noqa: B018
    assert not hasattr(layers.Dense(3), "output")

    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.input, self.output = layers.Dense(2), layers.Dense(4)

        def call(self, x):
            return self.output(self.input(x))

    class OwnModel(lamina.Sequential):
        def __init__(self, *args):
            super().__init__(*args)
            self.input = self.output = "mine"

    assert OwnModel([layers.Dense(3)]).output == "mine"
    own = lamina.Sequential([layers.Input((3,)), Own()]).layers[0]
    assert isinstance(own.output, layers.Dense) and len(own.weights) == 4
