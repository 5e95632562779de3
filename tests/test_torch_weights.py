"""Weights of torch: what a stack computes with them equals the formulas that torch's documentation gives.

The formulas stand here in NumPy, with torch's axes, names and order of gates; the nightly test asks torch itself.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lamina
from lamina import layers
from lamina.errors import ArgumentError, FileError, NotBuiltError, ShapeError, StackError

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
rng = np.random.default_rng(5)


def normal(*shape):
    return rng.normal(0, 0.5, shape).astype("float32")


class Torch:
    """A state dict with random numbers, made while the formulas ask for its arrays."""

    def __init__(self):
        self.state = {}

    def take(self, name, *shape):
        return self.state.setdefault(name, normal(*shape))

    def linear(self, name, x, units, bias=True):
        y = x @ self.take(f"{name}.weight", units, x.shape[-1]).T
        return y + self.take(f"{name}.bias", units) if bias else y

    def convolution(self, name, x, filters, kernel, stride=1, groups=1, bias=True):  # (n, c, *sizes)
        w = self.take(f"{name}.weight", filters, x.shape[1] // groups, *kernel)
        axes = tuple(range(2, x.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axes)
        windows = windows[(..., *(slice(None, None, stride) for _ in axes), *(slice(None) for _ in axes))]
        parts = [
            np.tensordot(part, filters_of, ((1, *range(x.ndim, windows.ndim)), (1, *axes)))
            for part, filters_of in zip(np.split(windows, groups, 1), np.split(w, groups), strict=True)
        ]
        y = np.moveaxis(np.concatenate(parts, -1), -1, 1)
        return y + self.take(f"{name}.bias", filters).reshape(-1, *(1 for _ in axes)) if bias else y

    def transposed(self, name, x, filters, kernel, stride):  # (n, c, *sizes)
        w = self.take(f"{name}.weight", x.shape[1], filters, *kernel)
        sizes = [(n - 1) * stride + k for n, k in zip(x.shape[2:], kernel, strict=True)]
        y = np.zeros((x.shape[0], filters, *sizes), "float32")
        for place in itertools.product(*map(range, kernel)):
            shifted = (slice(p, p + n * stride, stride) for p, n in zip(place, x.shape[2:], strict=True))
            y[(slice(None), slice(None), *shifted)] += np.einsum("nc...,co->no...", x, w[(..., *place)])
        return y + self.take(f"{name}.bias", filters).reshape(-1, *(1 for _ in kernel))

    def batch_norm(self, name, x, eps=1e-5):  # (n, c, ...)
        shape = (-1, *(1 for _ in x.shape[2:]))
        gamma, beta, mean = (self.take(f"{name}.{each}", x.shape[1]) for each in ("weight", "bias", "running_mean"))
        var = self.state.setdefault(f"{name}.running_var", rng.uniform(0.5, 2, x.shape[1]).astype("float32"))
        self.state[f"{name}.num_batches_tracked"] = np.array(7)
        scale = gamma / np.sqrt(var + eps)
        return x * scale.reshape(shape) + (beta - mean * scale).reshape(shape)

    def recurrent(self, name, x, units, step, gates, number=0, way="", bias=True):  # (n, time, features)
        w_ih = self.take(f"{name}.weight_ih_l{number}{way}", gates * units, x.shape[-1])
        w_hh = self.take(f"{name}.weight_hh_l{number}{way}", gates * units, units)
        b_ih, b_hh = (self.take(f"{name}.bias_{b}_l{number}{way}", gates * units) if bias else 0 for b in ("ih", "hh"))
        states, found = [np.zeros((len(x), units), "float32")] * 2, []
        for t in range(x.shape[1])[:: -1 if way else 1]:
            states = step(x[:, t] @ w_ih.T + b_ih, states[0] @ w_hh.T + b_hh, *states)
            found.append(states[0])
        return np.stack(found[:: -1 if way else 1], 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, h_part, h, c):
    i, f, g, o = np.split(x + h_part, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, h_part, h, _):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(x, 3, -1), np.split(h_part, 3, -1)
    z = sigmoid(x_z + h_z)
    return (1 - z) * np.tanh(x_n + sigmoid(x_r + h_r) * h_n) + z * h, None


def rnn(x, h_part, h, _):
    return np.tanh(x + h_part), None


def relu(x):
    return np.maximum(x, 0)


def assert_equal(stack, torch, x, want):
    """The stack, with the weights of the state dict, computes what torch does; and gives back the same state dict."""
    model = lamina.Sequential(stack)
    model.load_torch_state_dict(torch.state, verbose=False)
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=2e-5, atol=2e-5)
    back = model.torch_state_dict(like=torch.state)
    assert list(back) == list(torch.state)
    for name, array in back.items():
        assert array.flags.c_contiguous and array.flags.writeable
        if "bias_ih" not in name and "bias_hh" not in name:
            np.testing.assert_array_equal(array, torch.state[name])
    sums = [
        {name: a + arrays[name.replace("_ih", "_hh")] for name, a in arrays.items() if "bias_ih" in name}
        for arrays in (back, torch.state)
    ]
    for name in sums[0]:
        np.testing.assert_allclose(sums[0][name], sums[1][name], rtol=1e-6)
    weights = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in weights])
    model.load_torch_state_dict(back, verbose=False)
    for got, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(got, expected)
    return model


def last(x):
    return np.moveaxis(x, 1, -1)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_images_and_the_flatten_after_them(data_format):
    torch, x = Torch(), normal(4, 3, 9, 8)
    y = relu(torch.batch_norm("bn1", torch.convolution("conv1", x, 6, (3, 2), stride=2)))  # (4, 6, 4, 4)
    y = y.reshape(4, 6, 2, 2, 2, 2).max((3, 5))
    y = relu(torch.linear("fc1", y.reshape(4, -1), 5))
    y = torch.linear("fc2", torch.batch_norm("bn2", y), 2)
    axis, given = (-1, last(x)) if data_format == "channels_last" else (1, x)
    assert_equal(
        [layers.Input(given.shape[1:]), layers.Conv2D(6, (3, 2), strides=2, data_format=data_format),
         layers.BatchNormalization(axis, epsilon=1e-5), layers.ReLU(), layers.MaxPooling2D(data_format=data_format),
         layers.Flatten(), layers.Dropout(0.5), layers.Dense(5, "relu"), layers.BatchNormalization(epsilon=1e-5),
         layers.Dense(2)],
        torch, given, y,
    )  # fmt: skip


def test_a_normalization_between_flatten_and_dense_and_a_nested_stack():
    torch, x = Torch(), normal(4, 2, 7)
    y = torch.convolution("net.0", x, 3, (2,)).reshape(4, -1)
    y = torch.linear("head.1", torch.batch_norm("head.0", y), 2)
    nested = lamina.Sequential([layers.Input((7, 2)), layers.Conv1D(3, 2), layers.Reshape((-1,))])
    assert_equal([nested, layers.BatchNormalization(epsilon=1e-5), layers.Dense(2)], torch, last(x), y)


def test_flatten_of_channels_first_and_of_sequences():
    torch, x = Torch(), normal(2, 2, 4, 3)
    y = torch.linear("1", torch.convolution("0", x, 3, (2, 2)).reshape(2, -1), 2)
    stack = [layers.Input((2, 4, 3)), layers.Conv2D(3, 2, data_format="channels_first"),
             layers.Flatten(data_format="channels_first"), layers.Dense(2)]  # fmt: skip
    assert_equal(stack, torch, x, y)
    torch, x = Torch(), normal(2, 4, 3)  # torch has (batch, time, features) here too
    y = torch.linear("1", torch.recurrent("0", x, 5, lstm, 4).reshape(2, -1), 2)
    assert_equal(
        [layers.Input((4, 3)), layers.LSTM(5, return_sequences=True), layers.Flatten(), layers.Dense(2)], torch, x, y
    )


def test_a_flatten_of_each_step_before_a_recurrent_layer():
    torch, x = Torch(), normal(2, 3, 2, 4, 3)  # (n, time, c, rows, columns)
    y = torch.convolution("0", x.reshape(6, 2, 4, 3), 3, (2, 2)).reshape(2, 3, -1)
    ways = [torch.recurrent("1", y, 4, gru, 3, 0, way) for way in ("", "_reverse")]
    want = torch.linear("2", np.concatenate(ways, -1), 2)
    stack = [layers.TimeDistributed(layers.Conv2D(3, 2)), layers.TimeDistributed(layers.Flatten()),
             layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.Dense(2)]  # fmt: skip
    assert_equal([layers.Input((3, 4, 3, 2)), *stack], torch, np.moveaxis(x, 2, -1), want)


@pytest.mark.parametrize(
    ("noted", "stack"),
    [
        (True, [layers.Conv2D(3, 1), layers.Reshape((4, 15)), layers.LSTM(2)]),
        (True, [layers.Flatten(), layers.Dense(2)]),
        (False, [layers.Conv2D(3, 1), layers.Reshape((20, 3)), layers.LSTM(2)]),
        (False, [layers.Conv2D(3, 1), layers.Flatten(), layers.Dense(2)]),
        (False, [layers.Input((None, None, 3)), layers.Reshape((-1, 3)), layers.Dense(2)]),
    ],
)
def test_an_order_of_features_that_torch_does_not_tell_is_said(noted, stack, capsys):
    given = [] if isinstance(stack[0], layers.InputLayer) else [layers.Input((4, 5, 2))]
    model = lamina.Sequential([*given, *stack])
    model.torch_state_dict(verbose=True)
    said = capsys.readouterr().out
    assert ("depends on the program there" in said) == noted


def test_volumes_depthwise_and_separable_convolutions():
    torch, x = Torch(), normal(2, 4, 5, 4, 3)
    want = torch.convolution("0", x, 6, (2, 1, 2), groups=2)
    assert_equal([layers.Input((5, 4, 3, 4)), layers.Conv3D(6, (2, 1, 2), groups=2)], torch, last(x), last(want))
    torch, x = Torch(), normal(2, 3, 6, 5)
    y = torch.convolution("depthwise", x, 6, (3, 2), groups=3)
    y = torch.convolution("separable.0", y, 12, (2, 2), groups=6, bias=False)
    want = torch.convolution("separable.1", y, 4, (1, 1))
    stack = [layers.DepthwiseConv2D((3, 2), depth_multiplier=2), layers.SeparableConv2D(4, 2, depth_multiplier=2)]
    assert_equal([layers.Input((6, 5, 3)), *stack], torch, last(x), last(want))


def test_a_generator_whose_dense_becomes_an_image():
    torch, x = Torch(), normal(3, 4)
    y = relu(torch.batch_norm("bn", torch.linear("project", x, 24))).reshape(3, 6, 2, 2)
    y = torch.batch_norm("bn2", y)
    y = torch.transposed("up", y, 5, (3, 2), stride=2)
    want = torch.transposed("up2", y, 2, (2, 2), stride=2)
    stack = [layers.Dense(24), layers.BatchNormalization(epsilon=1e-5), layers.ReLU(), layers.Reshape((2, 2, 6)),
             layers.BatchNormalization(epsilon=1e-5), layers.Conv2DTranspose(5, (3, 2), strides=2),
             layers.Conv2DTranspose(2, 2, strides=2)]  # fmt: skip
    assert_equal([layers.Input((4,)), *stack], torch, x, last(want))


def test_stacked_and_bidirectional_recurrent_layers():
    torch, words = Torch(), rng.integers(0, 9, (3, 6)).astype("int32")
    y = torch.take("embedding.weight", 9, 4)[words]
    for number in (0, 1):
        ways = [torch.recurrent("lstm", y, 5, lstm, 4, number, way) for way in ("", "_reverse")]
        y = np.concatenate(ways, -1)
    y = torch.recurrent("gru", y, 4, gru, 3)
    want = torch.linear("out", torch.recurrent("rnn", y, 3, rnn, 1, bias=False)[:, -1], 2)
    both = [layers.Bidirectional(layers.LSTM(5, return_sequences=True)) for _ in range(2)]
    stack = [layers.Embedding(9, 4), *both, layers.GRU(4, return_sequences=True), layers.SimpleRNN(3, use_bias=False)]
    assert_equal([layers.Input((6,)), *stack, layers.Dense(2)], torch, words, want)


def test_cells_in_an_rnn_are_the_layers_of_a_stacked_module():
    torch, x = Torch(), normal(2, 4, 3)
    want = torch.recurrent("0", torch.recurrent("0", x, 4, gru, 3, 0), 5, gru, 3, 1)[:, -1]
    assert_equal([layers.Input((4, 3)), layers.RNN([layers.GRUCell(4), layers.GRUCell(5)])], torch, x, want)


def test_other_normalizations_and_prelu():
    torch, x = Torch(), normal(3, 5, 4)

    def layer_norm(name, x, eps):
        apart = x - x.mean(-1, keepdims=True)
        y = apart / np.sqrt((apart**2).mean(-1, keepdims=True) + eps)
        return y * torch.take(f"{name}.weight", 4) + torch.take(f"{name}.bias", 4)

    y = layer_norm("0", x, 1e-5)
    groups = y.reshape(3, 5, 2, 2)
    apart = groups - groups.mean((1, 3), keepdims=True)
    y = (apart / np.sqrt((apart**2).mean((1, 3), keepdims=True) + 1e-5)).reshape(3, 5, 4)
    y = y * torch.take("1.weight", 4) + torch.take("1.bias", 4)
    y = y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6) * torch.take("2.weight", 4)
    want = relu(y) - torch.take("3.weight", 4) * relu(-y)
    stack = [layers.LayerNormalization(epsilon=1e-5), layers.GroupNormalization(2, epsilon=1e-5),
             layers.RMSNormalization(), layers.PReLU(shared_axes=[1])]  # fmt: skip
    assert_equal([layers.Input((5, 4)), *stack], torch, x, want)


def test_without_a_pattern_the_modules_have_the_names_of_the_layers():
    inner = lamina.Sequential([layers.Input((3,)), layers.Dense(4, name="fc")], name="head")
    model = lamina.Sequential(
        [inner, layers.BatchNormalization(name="bn"), layers.TimeDistributed(layers.Dense(1))][:2]
    )
    arrays = model.torch_state_dict()
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(arrays) == ["head.fc.weight", "head.fc.bias", *(f"bn.{name}" for name in names)]
    assert arrays["head.fc.weight"].shape == (4, 3) and arrays["bn.num_batches_tracked"].dtype == "int64"


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "mixed_bfloat16"])
def test_sixteen_bits(policy):
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2, dtype=policy)])
    given = {"fc.weight": np.array([[1, 2, 3], [4, 5, 6]], "float32"), "fc.bias": np.array([0.5, -0.5], "float64")}
    model.load_torch_state_dict(given, verbose=False)
    assert model.layers[0].kernel.dtype == model.layers[0].variable_dtype
    back = model.torch_state_dict(given)
    np.testing.assert_array_equal(back["fc.weight"], given["fc.weight"])
    assert back["fc.weight"].dtype == ("float16" if policy == "float16" else "float32")


class Tensor:
    """What a tensor of torch has; NumPy cannot read one that requires a gradient, or has 16 bits of the other kind."""

    def __init__(self, array, state="attached", dtype="torch.bfloat16"):
        self.array, self.state, self.dtype, self.shape = array, state, dtype, array.shape

    def detach(self):
        return Tensor(self.array, "detached")

    def cpu(self):
        assert self.state == "detached"
        return Tensor(self.array, "here")

    def float(self):
        return Tensor(self.array, self.state, "torch.float32")

    def __array__(self, dtype=None, copy=None):
        assert (self.state, self.dtype) == ("here", "torch.float32")
        return self.array


def test_tensors_are_taken():
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2, use_bias=False)])
    model.load_torch_state_dict({"weight": Tensor(normal(2, 3))}, verbose=False)
    model.torch_state_dict({"weight": Tensor(normal(2, 3))})


def test_files_of_safetensors_are_sorted_by_name_and_still_fit(tmp_path):
    stack = [layers.Input((4,)), *(layers.Dense(4) for _ in range(11)), layers.BatchNormalization()]
    model = lamina.Sequential(stack)
    state = {
        f"net.{place}.{name}": a for place in range(11) for name, a in (("weight", normal(4, 4)), ("bias", normal(4)))
    }
    state |= {f"bn.{name}": normal(4) for name in ("weight", "bias", "running_mean", "running_var")}
    save_file(state | {"bn.num_batches_tracked": np.array(3)}, tmp_path / "net.safetensors")
    stored = load_file(tmp_path / "net.safetensors")
    assert list(stored) != [*state, "bn.num_batches_tracked"]
    for given in (stored, tmp_path / "net.safetensors"):
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        model.load_torch_state_dict(given, verbose=False)
        for place, layer in enumerate(model.layers[:11]):
            np.testing.assert_array_equal(layer.kernel, state[f"net.{place}.weight"].T)

    two = lamina.Sequential([layers.Input((4,)), layers.Dense(4), layers.Dense(4)])
    known = {"head.weight": normal(4, 4), "head.bias": normal(4), "body.weight": normal(4, 4), "body.bias": normal(4)}
    two.load_torch_state_dict(known, verbose=False)
    with pytest.raises(ShapeError, match=r"'body' and 'head' have arrays of the same shapes.*sorted by name"):
        two.load_torch_state_dict(dict(sorted(known.items())), verbose=False)


def test_the_table_says_what_was_moved(capsys):
    stack = [layers.Conv2D(2, 3, name="conv"), layers.Flatten(), layers.BatchNormalization(name="bn"), layers.Dense(3)]
    model = lamina.Sequential([layers.Input((4, 5, 1)), *stack], name="net")
    state = model.torch_state_dict()
    assert capsys.readouterr().out == ""
    model.load_torch_state_dict(state)
    said = capsys.readouterr().out
    assert "net has the weights of these modules" in said
    for line in ("conv/kernel (3, 3, 1, 2)  conv.weight (2, 1, 3, 3)  transposed", "rows (2, 2, 3)"):
        assert all(word in said for word in line.split())
    assert "bn has epsilon=0.001; torch's default is 1e-05." in said
    model.torch_state_dict(state, verbose=True)
    assert "net as a state dict of torch" in capsys.readouterr().out


def test_what_has_no_partner_is_listed_and_nothing_changes():
    torch, x = Torch(), normal(2, 3)
    torch.linear("body.fc1", x, 4)
    torch.linear("body.fc2", normal(2, 4), 7)
    model = lamina.Sequential(
        [layers.Input((3,)), layers.Dense(4), layers.Dense(2), *(layers.Dense(2) for _ in range(9))]
    )
    before = model.get_weights()
    with pytest.raises(ShapeError) as caught:
        model.load_torch_state_dict(torch.state)
    said = str(caught.value)
    assert "1 of the 2 modules in the state dict fit a layer. Nothing is changed." in said
    assert "dense_1 (Linear): weight (2, 4), bias (2,)" in said and "… and 6 more" in said
    assert "body.fc2: weight (7, 4), bias (7,)" in said and said.count("\n") < 15
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(ShapeError, match="fit a layer"):
        model.torch_state_dict(like=torch.state)


class Scale(layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight((input_shape[-1],))

    def call(self, x):
        return x * self.factor


class Network:
    def state_dict(self):
        return {}


DENSE = {"weight": np.zeros((2, 3)), "bias": np.zeros(2)}
REFUSED = [
    (ArgumentError, r"torch\.load\('net\.pt', weights_only=True\).*pickle", "net.pt", None),
    (ArgumentError, r"torch\.load\('net\.pth'", Path("net.pth"), None),
    (FileError, r"none\.safetensors", "none.safetensors", None),
    (ArgumentError, r"write module\.state_dict\(\)", Network(), None),
    (ArgumentError, r"arrays by their names; got list", [normal(3, 2)], None),
    (ArgumentError, r"arrays by their names; got dict", {0: normal(3, 2)}, None),
    (ArgumentError, r"'model' are dicts themselves.*checkpoint\['model'\]", {"epoch": 3, "model": DENSE}, None),
    (ArgumentError, r"'bias' of the state dict is not an array of numbers", DENSE | {"bias": "text"}, None),
    (StackError, r"'scale' \(Scale\) has weights, and torch has no such module", DENSE, [Scale()]),
    (StackError, r"'gru' has reset_after=False", DENSE, [layers.Reshape((1, 3)), layers.GRU(2, reset_after=False)]),
    (StackError, r"'conv_lstm1d' \(ConvLSTMCell\) has weights", DENSE,
     [layers.Reshape((1, 1, 3)), layers.ConvLSTM1D(2, 1)]),
    (StackError, r"renorm=True", DENSE, [layers.BatchNormalization(renorm=True)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "said", "given", "stack"), REFUSED)
def test_what_is_no_state_dict_or_no_layer_of_torch_is_refused(kind, said, given, stack):
    model = lamina.Sequential([layers.Input((3,)), *(stack or [layers.Dense(2)])])
    with pytest.raises(kind, match=f"(?s){said}"):
        model.load_torch_state_dict(given)
    if stack:
        with pytest.raises(kind, match=said):
            model.torch_state_dict()


def test_a_model_without_weights_is_refused():
    model = lamina.Sequential([layers.Dense(2)])
    with pytest.raises(NotBuiltError, match="put Input"):
        model.load_torch_state_dict(DENSE)
    with pytest.raises(ArgumentError, match="verbose"):
        model.load_torch_state_dict(DENSE, verbose="loud")


def test_the_names_of_torch_lead_to_ours():
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2)])
    with pytest.raises(AttributeError, match=r"Use instead: load_torch_state_dict\(state_dict\)"):
        model.load_state_dict(DENSE)
    with pytest.raises(AttributeError, match=r"Use instead: torch_state_dict\(\)"):
        model.state_dict()


def test_layers_that_learn_no_weights_stay_as_they_are():
    model = lamina.Sequential([layers.Input((3,)), layers.Normalization(mean=1.0, variance=4.0), layers.Dense(2)])
    x, given = normal(2, 3), {"weight": normal(2, 3), "bias": normal(2)}
    model.load_torch_state_dict(given, verbose=False)
    want = (x - 1) / 2 @ given["weight"].T + given["bias"]
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)


IN_TORCH = """
import json, pathlib, sys
import numpy as np, torch
from torch import nn

torch.manual_seed(0)

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 4, batch_first=True)
        self.rnn = nn.RNN(4, 3, batch_first=True, bias=False)
        self.norm = nn.LayerNorm(3)
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        y = self.rnn(self.gru(self.lstm(self.embedding(x))[0])[0])[0]
        return self.out(self.norm(y[:, -1]))

class Last(nn.Module):
    def forward(self, x):
        return x.movedim(1, -1)

NETS = {
    "images": (nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 16, (3, 2), groups=8),
        nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm1d(96), nn.Dropout(), nn.Linear(96, 5), nn.PReLU(5),
        nn.Linear(5, 3)), torch.randn(4, 3, 19, 14)),
    "volumes": (nn.Sequential(nn.Conv3d(2, 4, 2), nn.GroupNorm(2, 4), nn.ConvTranspose3d(4, 3, 2, stride=2), Last()),
        torch.randn(2, 2, 4, 5, 3)),
    "sequences": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.ConvTranspose1d(4, 2, 3, stride=2), nn.Flatten(),
        nn.Linear(34, 2)), torch.randn(2, 3, 10)),
    "generator": (nn.Sequential(nn.Linear(5, 32), nn.BatchNorm1d(32), nn.Unflatten(1, (8, 2, 2)),
        nn.ConvTranspose2d(8, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 1, 3, stride=2), Last()),
        torch.randn(3, 5)),
    "recurrent": (Recurrent(), torch.randint(0, 20, (3, 7))),
}
folder = pathlib.Path(sys.argv[1])
for name, (net, x) in NETS.items():
    for module in net.modules():  # statistics and scales that are not the tidy ones of a fresh module
        for values in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            if values.is_floating_point():
                values.data.uniform_(0.2, 1) if values.ndim == 1 else values.data.normal_(0, 0.3)
    net.eval()
    with torch.no_grad():
        y = net(x)
    if sys.argv[2] == "write":
        np.savez(folder / f"{name}.npz", x=x.numpy(), y=y.numpy())
        np.savez(folder / f"{name}-weights.npz", **{key: value.numpy() for key, value in net.state_dict().items()})
    else:
        given = np.load(folder / f"{name}-back.npz")
        loaded = net.load_state_dict({key: torch.from_numpy(given[key]) for key in given})
        with torch.no_grad():
            again = net(x)
        stored = np.load(folder / f"{name}.npz")
        assert (stored["x"] == x.numpy()).all() and not (y - torch.from_numpy(stored["y"])).abs().max() > 0
        np.testing.assert_allclose(again.numpy(), stored["y"], rtol=1e-5, atol=1e-5)
        print(name, loaded)
"""


def stacks():
    """The nets of `IN_TORCH`, and which axis of the input has the channels."""
    norm = {"epsilon": 1e-5}
    both = [layers.Bidirectional(layers.LSTM(5, return_sequences=True)) for _ in range(2)]
    return {
        "images": [layers.Conv2D(8, 3, strides=2, activation="relu"), layers.BatchNormalization(**norm),
                   layers.Conv2D(16, (3, 2), groups=8), layers.MaxPooling2D(), layers.Flatten(),
                   layers.BatchNormalization(**norm), layers.Dense(5), layers.PReLU(), layers.Dense(3)],
        "volumes": [layers.Conv3D(4, 2), layers.GroupNormalization(2, **norm), layers.Conv3DTranspose(3, 2, 2)],
        "sequences": [layers.Conv1D(4, 3), layers.Conv1DTranspose(2, 3, 2), layers.Flatten(), layers.Dense(2)],
        "generator": [layers.Dense(32), layers.BatchNormalization(**norm), layers.Reshape((2, 2, 8)),
                      layers.Conv2DTranspose(4, 3, 2), layers.BatchNormalization(**norm),
                      layers.Conv2DTranspose(1, 3, 2)],
        "recurrent": [layers.Embedding(20, 6), *both, layers.GRU(4, return_sequences=True),
                      layers.SimpleRNN(3, use_bias=False), layers.LayerNormalization(**norm), layers.Dense(2)],
    }  # fmt: skip


@pytest.mark.nightly
def test_torch_itself_computes_the_same_both_ways(tmp_path):
    make = "from peers import PEERS; PEERS['torch'].install(); print(PEERS['torch'].python)"
    found = subprocess.run([sys.executable, "-c", make], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    torch = [found.stdout.splitlines()[-1], "-c", IN_TORCH, str(tmp_path)]
    subprocess.run([*torch, "write"], check=True)
    for name, stack in stacks().items():
        stored, state = np.load(tmp_path / f"{name}.npz"), dict(np.load(tmp_path / f"{name}-weights.npz"))
        x = stored["x"] if name in ("recurrent", "generator") else last(stored["x"])
        model = lamina.Sequential([layers.Input(x.shape[1:]), *stack])
        model.load_torch_state_dict(state, verbose=False)
        np.testing.assert_allclose(model.predict(x, verbose=0), stored["y"], rtol=1e-4, atol=1e-5)
        np.savez(tmp_path / f"{name}-back.npz", **model.torch_state_dict(like=state))
    subprocess.run([*torch, "read"], check=True)
