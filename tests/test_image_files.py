"""Images between files, Pillow and arrays, beside real Keras."""

import io
import sys
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

import lamina
from lamina import utils
from lamina.errors import ArgumentError, CallError, DataError, FileError, LaminaWarning, MissingPackageError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 17, 4), dtype="uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("images")
    for name, mode, pixels in (
        ("rgb.png", "RGB", PIXELS[..., :3]), ("rgba.png", "RGBA", PIXELS), ("grey.png", "L", PIXELS[..., 0]),
        ("palette.gif", "P", PIXELS[..., 0]), ("photo.jpg", "RGB", PIXELS[..., :3]), ("grey.bmp", "L", PIXELS[..., 0]),
    ):  # fmt: skip
        image = Image.fromarray(np.ascontiguousarray(pixels))
        (image.convert(mode) if image.mode != mode else image).save(made / name)
    Image.fromarray(PIXELS[..., 0].astype("int32") * 300).save(made / "deep.tif")
    Image.fromarray(PIXELS[..., 0].astype("uint16") * 200).save(made / "deep.png")
    (made / "text.png").write_text("no image")
    (made / "half.png").write_bytes((made / "rgb.png").read_bytes()[:300])
    return made


def same(ours, theirs):
    assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


FILES = ["rgb.png", "rgba.png", "grey.png", "palette.gif", "photo.jpg", "grey.bmp", "deep.tif", "deep.png"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_load_img_is_that_of_keras(folder, name, color_mode):
    path = folder / name
    same(utils.load_img(path, color_mode), keras.utils.load_img(path, color_mode))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"])
@pytest.mark.parametrize("keep_aspect_ratio", [True, False])
@pytest.mark.parametrize("target_size", [(5, 9), [20, 8], (12, 17), (30, 30)])
def test_load_img_scales_as_keras_does(folder, target_size, interpolation, keep_aspect_ratio):
    arguments = {
        "target_size": target_size, "interpolation": interpolation, "keep_aspect_ratio": keep_aspect_ratio,
    }  # fmt: skip
    path = str(folder / "rgb.png")
    same(utils.load_img(path, **arguments), keras.utils.load_img(path, **arguments))


def test_load_img_takes_names_of_every_kind(folder):
    path = folder / "rgb.png"
    for given in (path, str(path), str(path).encode(), io.BytesIO(path.read_bytes())):
        same(utils.load_img(given), Image.open(path))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none.png", "there is no file"),
        ("text.png", "is not an image"),
        ("half.png", "is damaged"),
        ("", "cannot read"),
    ],
)
def test_a_file_that_is_no_image(folder, name, told):
    with pytest.raises(FileError) as caught:
        utils.load_img(folder / name)
    assert told in str(caught.value).replace("\n  ", " ")
    if name == "none.png":
        assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"path": 3}, CallError, "takes the name of a file or a BytesIO, got 3"),
        ({"color_mode": "grey"}, ArgumentError, "'grayscale', 'rgb', 'rgba', got 'grey'"),
        ({"target_size": 64}, ArgumentError, r"expected \(height, width\), got 64"),
        ({"target_size": (0, 3)}, ArgumentError, "at least 1, got 0"),
        ({"interpolation": "cubic"}, ArgumentError, "Did you mean 'bicubic'"),
    ],
)
def test_load_img_refuses_what_cannot_be(folder, arguments, error, told):
    with pytest.raises(error, match=told):
        utils.load_img(**{"path": folder / "rgb.png"} | arguments)


@pytest.mark.parametrize("data_format", [None, "channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", [None, "uint8", "float64"])
@pytest.mark.parametrize("image", [PIXELS, PIXELS[..., 0], Image.fromarray(PIXELS[..., 1])], ids=["4", "2", "grey"])
def test_img_to_array_is_that_of_keras(image, data_format, dtype):
    ours, theirs = (module.utils.img_to_array(image, data_format, dtype) for module in (lamina, keras))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


IMAGES = {
    "pixels": PIXELS, "rgb": PIXELS[..., :3].tolist(), "grey": PIXELS[..., :1], "floats": RANDOM.normal(size=(5, 6, 3)),
    "equal": np.full((3, 4, 1), 7.0), "deep": PIXELS[..., :1] * 40.0,
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("arguments", [{}, {"dtype": "float64"}, {"data_format": "channels_first"}, {"scale": False}])
def test_array_to_img_is_that_of_keras(name, arguments):
    if name == "floats" and arguments.get("scale") is False:
        arguments = arguments | {"dtype": "float32"}
    x = np.abs(IMAGES[name]) if arguments.get("scale") is False else np.asarray(IMAGES[name])
    x = x.transpose(2, 0, 1) if "data_format" in arguments else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Pillow, where Keras names the mode
        same(utils.array_to_img(x, **arguments), keras.utils.array_to_img(x, **arguments))


def test_array_to_img_cuts_off_what_no_pixel_can_be():
    pixels = np.asarray(utils.array_to_img([[[-5.0, 100.0, 300.0]]], scale=False))
    assert pixels.tolist() == [[[0, 100, 255]]]


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5, 3), (4, 5, 2)])
def test_arrays_that_are_no_image(shape):
    with pytest.raises(DataError, match="array_to_img takes"):
        utils.array_to_img(np.ones(shape))
    with pytest.raises(DataError, match="img_to_array takes one image"):
        utils.img_to_array(np.ones((2, 4, 5, 3)))


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.jpeg", "a.bmp", "a.gif"])
def test_save_img_is_that_of_keras(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        keras.utils.save_img(tmp_path / name, PIXELS[..., :3], scale=False)
    theirs = (tmp_path / name).read_bytes()
    utils.save_img(str(tmp_path / name), PIXELS[..., :3], scale=False)
    assert (tmp_path / name).read_bytes() == theirs


def test_save_img_to_an_open_file_and_with_options_of_pillow(tmp_path):
    small, large = io.BytesIO(), io.BytesIO()
    utils.save_img(small, PIXELS[..., :3], file_format="jpg", quality=5)
    utils.save_img(large, PIXELS.transpose(2, 0, 1)[:3], data_format="channels_first", file_format="jpeg", quality=95)
    assert len(small.getvalue()) < len(large.getvalue())
    utils.save_img(tmp_path / "named", PIXELS, file_format="png", scale=False)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "named")), PIXELS)


def test_a_jpeg_file_has_no_transparency(tmp_path):
    with pytest.warns(LaminaWarning, match="no transparency"):
        utils.save_img(tmp_path / "a.jpg", PIXELS)
    assert utils.load_img(tmp_path / "a.jpg").size == (17, 12)


def test_an_image_that_cannot_be_saved_leaves_the_old_one(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    for call in (
        lambda: utils.save_img(tmp_path / "a.png", np.ones((2, 2))),
        lambda: utils.save_img(tmp_path / "a.png", PIXELS, file_format="xyz"),
        lambda: utils.save_img(io.BytesIO(), PIXELS),
        lambda: utils.save_img(tmp_path / "none" / "a.png", PIXELS),
    ):
        with pytest.raises(ValueError, match=r"file_format='png'|takes one image|does not exist"):
            call()
    assert (tmp_path / "a.png").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_without_pillow_the_message_says_what_to_install(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "PIL", None)
    calls = (utils.load_img, folder / "rgb.png"), (utils.array_to_img, PIXELS), (utils.save_img, "a.png", PIXELS)
    for function, *arguments in calls:
        with pytest.raises(MissingPackageError, match=r"pip install pillow"):
            function(*arguments)
    assert utils.img_to_array(PIXELS).shape == PIXELS.shape
