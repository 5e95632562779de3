"""Keras's examples with blocks of one's own, as one line of layers each: they train, are opened, and are Keras's.

Every program is written as its user writes it, for either library. `rate` is that of its dropout: without it, forward
pass and training step are the same numbers in both libraries.
"""

import keras
import numpy as np
import pytest

import lamina

RNG = np.random.default_rng(0)
IMAGES = RNG.random((24, 8, 8, 3)).astype("float32")
TOKENS = RNG.integers(0, 12, (24, 10))
SERIES = RNG.normal(size=(24, 16, 2)).astype("float32")
CLASSES = RNG.integers(0, 3, 24)
SERIES[:, :, 0] += CLASSES[:, None]


def text_transformer(keras, rate):
    layers, ops = keras.layers, keras.ops

    class TransformerBlock(layers.Layer):
        def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
            super().__init__()
            self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
            self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
            self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
            self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
            self.dropout1 = layers.Dropout(rate)
            self.dropout2 = layers.Dropout(rate)

        def call(self, inputs):
            attn_output = self.att(inputs, inputs)
            attn_output = self.dropout1(attn_output)
            out1 = self.layernorm1(inputs + attn_output)
            ffn_output = self.ffn(out1)
            ffn_output = self.dropout2(ffn_output)
            return self.layernorm2(out1 + ffn_output)

    class TokenAndPositionEmbedding(layers.Layer):
        def __init__(self, maxlen, vocab_size, embed_dim):
            super().__init__()
            self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
            self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

        def call(self, x):
            maxlen = ops.shape(x)[-1]
            positions = ops.arange(start=0, stop=maxlen, step=1)
            positions = self.pos_emb(positions)
            x = self.token_emb(x)
            return x + positions

    stack = [
        layers.Input(shape=(10,)),
        TokenAndPositionEmbedding(10, 12, 8),
        TransformerBlock(8, 2, 16, rate),
        layers.GlobalAveragePooling1D(),
        layers.Dropout(rate),
        layers.Dense(3, activation="softmax"),
    ]
    return stack, "sparse_categorical_crossentropy", TOKENS, CLASSES


def vision_transformer(keras, rate):
    layers, ops = keras.layers, keras.ops

    class Patches(layers.Layer):
        def __init__(self, patch_size):
            super().__init__()
            self.patch_size = patch_size

        def call(self, images):
            batch_size, height, width, channels = ops.shape(images)
            patches = ops.image.extract_patches(images, size=self.patch_size)
            count = (height // self.patch_size) * (width // self.patch_size)
            return ops.reshape(patches, (batch_size, count, self.patch_size * self.patch_size * channels))

        def get_config(self):
            config = super().get_config()
            config.update({"patch_size": self.patch_size})
            return config

    class PatchEncoder(layers.Layer):
        def __init__(self, num_patches, projection_dim):
            super().__init__()
            self.num_patches = num_patches
            self.projection = layers.Dense(units=projection_dim)
            self.position_embedding = layers.Embedding(input_dim=num_patches, output_dim=projection_dim)

        def call(self, patch):
            positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
            projected_patches = self.projection(patch)
            return projected_patches + self.position_embedding(positions)

    class Encoder(layers.Layer):
        def __init__(self, projection_dim, num_heads, hidden_units):
            super().__init__()
            self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
            self.attention = layers.MultiHeadAttention(num_heads=num_heads, key_dim=projection_dim, dropout=rate)
            self.mlp = [layers.Dense(units, activation=keras.activations.gelu) for units in hidden_units]
            self.drop = layers.Dropout(rate)
            self.add = layers.Add()

        def call(self, encoded_patches):
            x1 = self.norms[0](encoded_patches)
            x2 = self.add([self.attention(x1, x1), encoded_patches])
            x3 = self.norms[1](x2)
            for dense in self.mlp:
                x3 = self.drop(dense(x3))
            return self.add([x3, x2])

    stack = [
        layers.Input(shape=(8, 8, 3)),
        Patches(4),
        PatchEncoder(4, 6),
        Encoder(6, 2, [12, 6]),
        Encoder(6, 2, [12, 6]),
        layers.LayerNormalization(epsilon=1e-6),
        layers.Flatten(),
        layers.Dense(3),
    ]
    return stack, keras.losses.SparseCategoricalCrossentropy(from_logits=True), IMAGES, CLASSES


def mlp_mixer(keras, rate):
    layers, ops = keras.layers, keras.ops

    class MLPMixerLayer(layers.Layer):
        def __init__(self, num_patches, hidden_units, dropout_rate, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.mlp1 = keras.Sequential(
                [
                    layers.Dense(units=num_patches, activation="gelu"),
                    layers.Dense(units=num_patches),
                    layers.Dropout(rate=dropout_rate),
                ]
            )
            self.mlp2 = keras.Sequential(
                [
                    layers.Dense(units=num_patches, activation="gelu"),
                    layers.Dense(units=hidden_units),
                    layers.Dropout(rate=dropout_rate),
                ]
            )
            self.normalize = layers.LayerNormalization(epsilon=1e-6)

        def build(self, input_shape):
            return super().build(input_shape)

        def call(self, inputs):
            x = self.normalize(inputs)
            x_channels = ops.transpose(x, axes=(0, 2, 1))
            mlp1_outputs = self.mlp1(x_channels)
            mlp1_outputs = ops.transpose(mlp1_outputs, axes=(0, 2, 1))
            x = mlp1_outputs + inputs
            x_patches = self.normalize(x)
            mlp2_outputs = self.mlp2(x_patches)
            x = x + mlp2_outputs
            return x

    stack = [
        layers.Input(shape=(8, 8, 3)),
        layers.Conv2D(6, 2, strides=2),
        layers.Reshape((16, 6)),
        keras.Sequential([MLPMixerLayer(16, 6, rate) for _ in range(2)]),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3, activation="softmax"),
    ]
    return stack, "sparse_categorical_crossentropy", IMAGES, CLASSES


def gmlp(keras, rate):
    layers, ops = keras.layers, keras.ops

    class gMLPLayer(layers.Layer):
        def __init__(self, num_patches, embedding_dim, dropout_rate, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.channel_projection1 = keras.Sequential(
                [layers.Dense(units=embedding_dim * 2, activation="gelu"), layers.Dropout(rate=dropout_rate)]
            )
            self.channel_projection2 = layers.Dense(units=embedding_dim)
            self.spatial_projection = layers.Dense(units=num_patches, bias_initializer="Ones")
            self.normalize1 = layers.LayerNormalization(epsilon=1e-6)
            self.normalize2 = layers.LayerNormalization(epsilon=1e-6)

        def spatial_gating_unit(self, x):
            u, v = ops.split(x, indices_or_sections=2, axis=2)
            v = self.normalize2(v)
            v_channels = ops.transpose(v, axes=(0, 2, 1))
            v_projected = self.spatial_projection(v_channels)
            v_projected = ops.transpose(v_projected, axes=(0, 2, 1))
            return u * v_projected

        def call(self, inputs):
            x = self.normalize1(inputs)
            x_projected = self.channel_projection1(x)
            x_spatial = self.spatial_gating_unit(x_projected)
            x_projected = self.channel_projection2(x_spatial)
            return inputs + x_projected

    stack = [
        layers.Input(shape=(16, 2)),
        layers.Dense(6),
        keras.Sequential([gMLPLayer(16, 6, rate) for _ in range(2)]),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3, activation="softmax"),
    ]
    return stack, "sparse_categorical_crossentropy", SERIES, CLASSES


def fnet(keras, rate):
    layers, ops = keras.layers, keras.ops

    class FNetEncoder(layers.Layer):
        def __init__(self, embed_dim, dense_dim, **kwargs):
            super().__init__(**kwargs)
            self.embed_dim = embed_dim
            self.dense_dim = dense_dim
            self.dense_proj = keras.Sequential(
                [layers.Dense(dense_dim, activation="relu"), layers.Dense(embed_dim), layers.Dropout(rate)]
            )
            self.layernorm_1 = layers.LayerNormalization()
            self.layernorm_2 = layers.LayerNormalization()

        def call(self, inputs):
            inp_complex = ops.cast(inputs, "float32")
            fft, _ = ops.fft2((inp_complex, ops.zeros_like(inp_complex)))
            proj_input = self.layernorm_1(inputs + fft)
            proj_output = self.dense_proj(proj_input)
            return self.layernorm_2(proj_input + proj_output)

    stack = [
        layers.Input(shape=(10,), dtype="int32"),
        layers.Embedding(12, 8),
        FNetEncoder(8, 16),
        FNetEncoder(8, 16),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3, activation="softmax"),
    ]
    return stack, "sparse_categorical_crossentropy", TOKENS, CLASSES


def conv_mixer(keras, rate):
    layers = keras.layers

    class ConvMixerBlock(layers.Layer):
        def __init__(self, filters, kernel_size):
            super().__init__()
            self.depthwise = layers.DepthwiseConv2D(kernel_size=kernel_size, padding="same")
            self.pointwise = layers.Conv2D(filters, kernel_size=1)
            self.activation = layers.Activation("gelu")
            self.norm1, self.norm2 = layers.BatchNormalization(), layers.BatchNormalization()
            self.add = layers.Add()

        def call(self, x):
            x0 = x
            x = self.add([self.norm1(self.activation(self.depthwise(x))), x0])
            return self.norm2(self.activation(self.pointwise(x)))

    stack = [
        layers.Input((8, 8, 3)),
        layers.Rescaling(scale=1.0 / 255),
        layers.Conv2D(6, kernel_size=2, strides=2),
        layers.Activation("gelu"),
        layers.BatchNormalization(),
        ConvMixerBlock(6, 3),
        ConvMixerBlock(6, 3),
        layers.GlobalAvgPool2D(),
        layers.Dense(3, activation="softmax"),
    ]
    return stack, "sparse_categorical_crossentropy", 255 * IMAGES, CLASSES


def miniature_gpt(keras, rate):
    layers, ops = keras.layers, keras.ops

    def causal_attention_mask(batch_size, n_dest, n_src, dtype):
        i = ops.arange(n_dest)[:, None]
        j = ops.arange(n_src)
        m = i >= j - n_src + n_dest
        mask = ops.cast(m, dtype)
        mask = ops.reshape(mask, [1, n_dest, n_src])
        mult = ops.concatenate([ops.expand_dims(batch_size, -1), ops.convert_to_tensor([1, 1])], 0)
        return ops.tile(mask, mult) if isinstance(mult, tuple) else mask

    class TransformerBlock(layers.Layer):
        def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
            super().__init__()
            self.att = layers.MultiHeadAttention(num_heads, embed_dim)
            self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
            self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
            self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
            self.dropout1 = layers.Dropout(rate)
            self.dropout2 = layers.Dropout(rate)

        def call(self, inputs):
            input_shape = ops.shape(inputs)
            seq_len = input_shape[1]
            causal_mask = causal_attention_mask(1, seq_len, seq_len, "bool")
            attention_output = self.att(inputs, inputs, attention_mask=causal_mask)
            attention_output = self.dropout1(attention_output)
            out1 = self.layernorm1(inputs + attention_output)
            ffn_output = self.ffn(out1)
            ffn_output = self.dropout2(ffn_output)
            return self.layernorm2(out1 + ffn_output)

    class TokenAndPositionEmbedding(layers.Layer):
        def __init__(self, maxlen, vocab_size, embed_dim):
            super().__init__()
            self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
            self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

        def call(self, x):
            maxlen = ops.shape(x)[-1]
            positions = ops.arange(0, maxlen, 1)
            return self.token_emb(x) + self.pos_emb(positions)

    stack = [
        layers.Input(shape=(10,), dtype="int32"),
        TokenAndPositionEmbedding(10, 12, 8),
        TransformerBlock(8, 2, 16, rate),
        layers.Dense(12),
    ]
    return stack, keras.losses.SparseCategoricalCrossentropy(from_logits=True), TOKENS, np.roll(TOKENS, -1, 1)


def timeseries_transformer(keras, rate):
    layers = keras.layers

    class TransformerEncoder(layers.Layer):
        def __init__(self, head_size, num_heads, ff_dim, dropout=0.0, **kwargs):
            super().__init__(**kwargs)
            self.attention = layers.MultiHeadAttention(key_dim=head_size, num_heads=num_heads, dropout=dropout)
            self.dropout = layers.Dropout(dropout)
            self.norm1 = layers.LayerNormalization(epsilon=1e-6)
            self.conv1 = layers.Conv1D(filters=ff_dim, kernel_size=1, activation="relu")
            self.norm2 = layers.LayerNormalization(epsilon=1e-6)

        def build(self, input_shape):
            self.conv2 = layers.Conv1D(filters=input_shape[-1], kernel_size=1)
            self.attention.build(input_shape, input_shape)
            self.norm1.build(input_shape)
            self.conv1.build(input_shape)
            self.conv2.build((*input_shape[:-1], self.conv1.filters))
            self.norm2.build(input_shape)

        def call(self, inputs):
            x = self.attention(inputs, inputs)
            x = self.dropout(x)
            x = self.norm1(x)
            res = x + inputs
            x = self.dropout(self.conv1(res))
            x = self.norm2(self.conv2(x))
            return x + res

    stack = [
        layers.Input((16, 2)),
        TransformerEncoder(4, 2, 4, rate),
        TransformerEncoder(4, 2, 4, rate),
        layers.GlobalAveragePooling1D(data_format="channels_last"),
        layers.Dense(8, activation="relu"),
        layers.Dropout(rate),
        layers.Dense(3, activation="softmax"),
    ]
    return stack, "sparse_categorical_crossentropy", SERIES, CLASSES


def squeeze_and_excitation(keras, rate):
    layers = keras.layers

    class SqueezeExcitation(layers.Layer):
        def __init__(self, filters, ratio=2):
            super().__init__()
            self.pool = layers.GlobalAveragePooling2D(keepdims=True)
            self.squeeze = layers.Dense(filters // ratio, activation="relu", use_bias=False)
            self.excite = layers.Dense(filters, activation="sigmoid", use_bias=False)
            self.multiply = layers.Multiply()

        def call(self, x):
            return self.multiply([x, self.excite(self.squeeze(self.pool(x)))])

    class ResidualBlock(layers.Layer):
        def __init__(self, filters):
            super().__init__()
            self.conv = layers.Conv2D(filters, 3, padding="same", activation="relu")
            self.se = SqueezeExcitation(filters)
            self.join = layers.Concatenate()

        def call(self, x):
            return self.join([x, self.se(self.conv(x))])

    stack = [layers.Input((8, 8, 3)), ResidualBlock(4), ResidualBlock(4), layers.Flatten(), layers.Dense(3)]
    return stack, keras.losses.SparseCategoricalCrossentropy(from_logits=True), IMAGES, CLASSES


def wavenet(keras, rate):
    layers = keras.layers

    class GatedBlock(layers.Layer):
        def __init__(self, filters, dilation_rate, **kwargs):
            super().__init__(**kwargs)
            told = {"dilation_rate": dilation_rate, "padding": "causal"}
            self.filter = layers.Conv1D(filters, 2, activation="tanh", **told)
            self.gate = layers.Conv1D(filters, 2, activation="sigmoid", **told)
            self.multiply, self.add = layers.Multiply(), layers.Add()
            self.skip = layers.Conv1D(filters, 1)
            self.residual = layers.Conv1D(filters, 1)

        def call(self, x):
            z = self.multiply([self.filter(x), self.gate(x)])
            return self.add([self.residual(z), x]), self.skip(z)

    class WaveNet(layers.Layer):
        def __init__(self, filters, dilations, **kwargs):
            super().__init__(**kwargs)
            self.start = layers.Conv1D(filters, 2, padding="causal")
            self.blocks = [GatedBlock(filters, dilation) for dilation in dilations]
            self.add = layers.Add()

        def call(self, x):
            x, skips = self.start(x), []
            for block in self.blocks:
                x, skip = block(x)
                skips.append(skip)
            return self.add(skips)

    stack = [
        layers.Input((16, 2)),
        WaveNet(4, (1, 2, 4)),
        layers.ReLU(),
        layers.Conv1D(4, 1, activation="relu"),
        layers.Conv1D(1, 1),
    ]
    return stack, "mse", SERIES, SERIES[:, :, :1].cumsum(1)


PROGRAMS = [
    text_transformer,
    vision_transformer,
    mlp_mixer,
    gmlp,
    fnet,
    conv_mixer,
    miniature_gpt,
    timeseries_transformer,
    squeeze_and_excitation,
    wavenet,
]


def compiled(library, program, rate, optimizer):
    stack, loss, x, y = program(library, rate)
    model = library.Sequential(stack)
    model.compile(optimizer, loss)
    return model, x, y


def own_classes(model):
    """The user's own classes, as one that opens the file names them."""
    found = {}

    def visit(layer):
        if type(layer).__module__ == __name__:
            found[type(layer).__name__] = type(layer)
        for inner in getattr(layer, "layers", ()):
            visit(inner)

    visit(model)
    return found


def usual_ones(*programs):
    """All programs; those that are not named, each night alone."""
    return pytest.mark.parametrize(
        "program", [pytest.param(each, marks=[pytest.mark.nightly] * (each not in programs)) for each in PROGRAMS]
    )


@usual_ones(text_transformer, conv_mixer, wavenet, squeeze_and_excitation)
def test_it_trains_and_opens_as_it_was_saved(program, tmp_path):
    model, x, y = compiled(lamina, program, 0.1, lamina.optimizers.Adam(0.01))
    losses = model.fit(x, y, batch_size=8, epochs=8, verbose=0).history["loss"]
    assert min(losses[4:]) < losses[0]
    model.save(tmp_path / "model.keras")
    before = model.predict(x, verbose=0)
    opened = lamina.models.load_model(tmp_path / "model.keras", custom_objects=own_classes(model))
    np.testing.assert_allclose(opened.predict(x, verbose=0), before, rtol=1e-6, atol=1e-7)


@usual_ones(miniature_gpt, squeeze_and_excitation)
def test_forward_pass_and_step_are_those_of_keras(program):
    (ours, x, y), (theirs, *_) = (
        compiled(library, program, 0.0, library.optimizers.SGD(0.1)) for library in (lamina, keras)
    )
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    logs, wanted = (model.train_on_batch(x, y, return_dict=True) for model in (ours, theirs))
    assert list(logs) == list(wanted)
    np.testing.assert_allclose(logs["loss"], wanted["loss"], rtol=1e-5)
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-3, atol=2e-5)


def test_a_block_with_arguments_of_a_base_notes_its_own():
    """Of `__init__(self, units, *args, **kwargs)` the config has the arguments with names, as in Keras."""

    def config(library):
        class Block(library.layers.Layer):
            def __init__(self, units, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.units = units

        return Block(3, name="b").get_config()

    assert config(lamina)["units"] == config(keras)["units"] == 3


@pytest.mark.nightly
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_blocks_in_16_bits_train_as_in_32(policy):
    """Beside our own float32: on a CPU, Keras does not train attention in float16."""
    start, losses = None, []
    for name in ("float32", policy):
        lamina.mixed_precision.set_global_policy(name)
        model, x, y = compiled(lamina, miniature_gpt, 0.0, lamina.optimizers.Adam(0.01))
        start = start or model.get_weights()
        model.set_weights(start)
        losses.append(model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-3)
