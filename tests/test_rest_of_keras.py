"""Small things in which a program for Keras finds what it knows: input, output, run_eagerly, transformations."""

import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import ArgumentError, CallError, NotBuiltError, NotCompiledError, UnknownAttributeError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def dense(library):
    model = library.Sequential(
        [library.layers.Input((4,)), library.layers.Dense(3, name="first"), library.layers.Dense(1, name="last")]
    )
    model.compile("sgd", "mse")
    return model


MODELS = {library: dense(library) for library in (lamina, keras)}
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")


def test_an_embedding_is_built_without_a_shape():
    for library in MODELS:
        layer = library.layers.Embedding(5, 3)
        layer.build()
        assert [tuple(w.shape) for w in layer.weights] == [(5, 3)]


def test_layers_and_models_tell_their_inputs_and_outputs():
    tensors = []
    for model in MODELS.values():
        each = [t for layer in model.layers for t in (layer.input, layer.output)]
        each += [*model.inputs, *model.outputs]
        tensors.append([(tuple(t.shape), t.dtype) for t in each])
    assert tensors[0] == tensors[1]
    ours = MODELS[lamina]
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


def test_run_eagerly_can_be_set_after_compile():
    x, y, seen = np.ones((4, 4), "float32"), np.ones((4, 1), "float32"), []

    class Watch(layers.Layer):
        def call(self, x):
            seen.append(type(x).__name__)
            return x

    model = lamina.Sequential([layers.Input((4,)), Watch(), layers.Dense(1)])
    with pytest.raises(NotCompiledError, match="run_eagerly=True"):
        model.run_eagerly = True
    model.compile("sgd", "mse")
    assert (
        (model.run_eagerly, model.jit_compile)
        == (MODELS[keras].run_eagerly, MODELS[keras].jit_compile)
        == (False, True)
    )
    model.run_eagerly = True
    assert model.run_eagerly and not model.jit_compile and model.get_compile_config()["run_eagerly"] is True
    seen.clear()
    model.evaluate(x, y, verbose=0)
    assert "ArrayImpl" in seen
    model.jit_compile = True
    assert not model.run_eagerly
    seen.clear()
    model.evaluate(x, y, verbose=0)
    assert "ArrayImpl" not in seen
    with pytest.raises(ArgumentError, match="True or False"):
        model.run_eagerly = "yes"


RANDOM = [("RandomFlip", ()), ("RandomBrightness", (0.2,)), ("RandomCrop", (4, 5))]
FIXED = [("CenterCrop", (4, 5)), ("Resizing", (4, 5)), ("AutoContrast", ())]


@pytest.mark.parametrize(("name", "arguments"), RANDOM + FIXED)
def test_one_random_change_is_made_of_several_images(name, arguments):
    layer = getattr(layers, name)(*arguments)
    change = layer.get_random_transformation(IMAGES, training=True, seed=7)
    first, again = layer.transform_images(IMAGES, change), layer.transform_images(IMAGES, change)
    np.testing.assert_array_equal(first, again)
    theirs = getattr(keras.layers, name)(*arguments)
    assert first.shape == tuple(theirs.transform_images(IMAGES, theirs.get_random_transformation(IMAGES)).shape)
    if (name, arguments) in RANDOM:
        other = layer.transform_images(IMAGES, layer.get_random_transformation(IMAGES, seed=8))
        assert first.shape == other.shape and not np.array_equal(first, other)
        assert layer.get_random_transformation(IMAGES, training=False) is None
        np.testing.assert_array_equal(layer.transform_images(IMAGES, None), IMAGES)
    else:
        np.testing.assert_allclose(first, layer(IMAGES), atol=1e-4)
        np.testing.assert_allclose(first, theirs(IMAGES), atol=1e-3)


def test_a_transformation_fits_images_and_masks_alike():
    flip, generator = layers.RandomFlip("horizontal"), lamina.random.SeedGenerator(3)
    masks = np.broadcast_to(IMAGES[..., :1], (*IMAGES.shape[:3], 1))
    changes = [flip.get_random_transformation(IMAGES, seed=generator) for _ in range(8)]
    for change in changes:
        np.testing.assert_array_equal(
            flip.transform_images(IMAGES, change)[..., :1], flip.transform_images(masks, change)
        )
    assert len({np.asarray(flip.transform_images(IMAGES, change)).tobytes() for change in changes}) > 1
    one = flip.transform_images(IMAGES[0], flip.get_random_transformation(IMAGES[0]))
    assert one.shape == IMAGES[0].shape
    with pytest.raises(ArgumentError, match="what get_random_transformation returned"):
        flip.transform_images(IMAGES, {"flipped": True})
    with pytest.raises(ArgumentError, match="the value does not fit"):
        flip.transform_images(IMAGES, {"flips": [True, False]})
    with pytest.raises(ArgumentError, match="whole number"):
        flip.get_random_transformation(IMAGES, seed=0.5)


def test_an_initializer_draws_from_a_generator_what_keras_draws():
    draws = []
    for library in MODELS:
        generator = library.random.SeedGenerator(7)
        first = library.initializers.GlorotUniform(seed=generator)
        second = library.initializers.RandomNormal(seed=generator)
        draws.append([np.asarray(each((3, 4))) for each in (first, first, second)])
        kernels = [library.layers.Dense(3, kernel_initializer=first) for _ in range(2)]
        library.Sequential([library.layers.Input((3,)), *kernels])
        draws[-1] += [np.asarray(layer.kernel) for layer in kernels]
    for ours, theirs in zip(*draws, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert not np.array_equal(draws[0][0], draws[0][1])
    made = lamina.initializers.HeNormal(seed=lamina.random.SeedGenerator(7))
    assert made.get_config()["seed"] == made.clone().seed == 7


def test_the_scale_of_a_loss_is_dynamic():
    for library in MODELS:
        library.optimizers.LossScaleOptimizer(library.optimizers.SGD(), dynamic=True)
    with pytest.raises(ArgumentError, match=r"Adam\(loss_scale_factor=1024\)"):
        lamina.optimizers.LossScaleOptimizer("sgd", dynamic=False)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda: layers.Flatten().enable_lora(2), "no LoRA"),
        (lambda: layers.Dense(2).quantize("int8"), "no int8"),
        (lambda: MODELS[lamina].quantize("int8"), "no int8"),
        (lambda: layers.Flatten(lora_rank=2), "lora_rank"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(program, words):
    with pytest.raises((UnknownAttributeError, ArgumentError, CallError)) as caught:
        program()
    assert words in " ".join(str(caught.value).split())
