"""Pictures of a stack: what they say is what real Keras writes for Graphviz; they are drawn without it."""

import html
import io
import re
import sys
from xml.etree import ElementTree

import keras
import numpy as np
import pydot
import pytest
from PIL import Image

import lamina
from lamina import layers
from lamina.errors import ArgumentError, FileError, MissingPackageError, NotBuiltError
from lamina.utils import model_to_dot, plot_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pydot", "ignore::DeprecationWarning:pyparsing")

ALL = {
    "show_shapes": True, "show_dtype": True, "show_layer_names": True, "expand_nested": True,
    "show_layer_activations": True, "show_trainable": True,
}  # fmt: skip


def stack(library):
    def dense(*args, **kwargs):
        return library.layers.Dense(*args, **kwargs)

    inner = library.Sequential(
        [library.layers.Input((8,)), dense(4, "tanh", name="a"), library.layers.Dropout(0.2, name="b")]
    )
    inner.name = "encoder"
    made = library.Sequential(
        [
            library.layers.Input((5, 5, 1)), library.layers.Conv2D(2, 3, activation="relu", name="first"),
            library.layers.Flatten(name="flat"), dense(8, name="c"), inner, dense(1, "sigmoid", name="top"),
        ]
    )  # fmt: skip
    made.layers[2].trainable = False
    return made


OURS, KERAS = stack(lamina), stack(keras)


def told(graph):
    """What stands in each node, and the edges between them, by these words."""
    nodes, lines = {}, []

    def visit(part):
        lines.extend(part.get_edges())
        for node in part.get_nodes():
            if node.get_label():
                nodes[node.get_name()] = html.unescape(re.sub(r"<[^>]*>", " ", node.get_label()[1:-1]))
        for inner in part.get_subgraphs():
            visit(inner)

    visit(graph)
    words = {name: tuple(text.split()) for name, text in nodes.items()}
    edges = {(words[e.get_source()], words[e.get_destination()]) for e in lines}
    return sorted(words.values()), edges, [each.get_label().strip('"') for each in graph.get_subgraphs()]


@pytest.mark.parametrize(
    "arguments",
    [{}, ALL, *({name: name != "show_layer_names"} for name in ALL)],
    ids=lambda a: "-".join(a) or "none",
)
def test_what_is_told_is_what_keras_tells(arguments):
    [ours] = pydot.graph_from_dot_data(model_to_dot(OURS, **arguments).to_string())
    theirs = keras.utils.model_to_dot(KERAS, **arguments)
    assert told(ours) == told(theirs)
    assert len(told(ours)[0]) == (6 if arguments.get("expand_nested") else 5)


def test_the_settings_of_the_graph_are_those_of_keras():
    settings = {"rankdir": "LR", "dpi": 90, "splines": "curved"}
    [ours] = pydot.graph_from_dot_data(model_to_dot(OURS, **settings).source)
    theirs = keras.utils.model_to_dot(KERAS, **settings)
    for name in ("rankdir", "dpi", "splines", "concentrate"):
        assert str(ours.get(name)).strip('"') == str(theirs.get(name))
    text = model_to_dot(OURS.layers[3], subgraph=True).to_string()
    [around] = pydot.graph_from_dot_data(f"digraph {{ {text} }}")
    assert told(around)[2] == ["encoder"] and len(told(around)[0]) == 2


@pytest.mark.parametrize("rankdir", ["TB", "BT", "LR", "RL"])
def test_the_boxes_stand_in_a_line_and_do_not_touch(rankdir):
    root = ElementTree.fromstring(model_to_dot(OURS, rankdir=rankdir, expand_nested=True, show_shapes=True).create())
    tag = "{http://www.w3.org/2000/svg}"
    titles = [t for t in root.iter(f"{tag}text") if t.get("font-weight") == "bold"]
    assert [t.text.split(" (")[0] for t in titles] == ["first", "flat", "c", "a", "b", "top"]
    places = [float(t.get("y" if rankdir in ("TB", "BT") else "x")) for t in titles]
    assert places == sorted(places, reverse=rankdir in ("BT", "RL"))
    width, height = map(float, root.get("viewBox").split()[2:])
    for rect in root.iter(f"{tag}rect"):
        x, y, wide, high = (float(rect.get(side, 0)) for side in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width + 0.2 and 0 <= y <= y + high <= height + 0.2
    arrows = [tuple(float(line.get(end)) for end in ("x1", "y1", "x2", "y2")) for line in root.iter(f"{tag}line")]
    assert len(arrows) == 5
    assert all((x2 - x1 if rankdir in ("LR", "RL") else y2 - y1) * (-1) ** (rankdir in ("BT", "RL")) > 10
               for x1, y1, x2, y2 in arrows)  # fmt: skip


def test_files_of_each_kind_are_written(tmp_path):
    assert plot_model(OURS, tmp_path / "stack.svg", **ALL) is None or "IPython" in sys.modules
    said = {each.text for each in ElementTree.parse(tmp_path / "stack.svg").iter() if each.text}
    assert {"first (Conv2D)", "Output shape: (None, 3, 3, 2)", "Non-trainable", "encoder", "Activation: tanh"} <= said
    plot_model(OURS, str(tmp_path / "stack.png"), dpi=96)
    picture = np.asarray(Image.open(tmp_path / "stack.png").convert("L"))
    svg = ElementTree.fromstring(model_to_dot(OURS, show_layer_names=False).create())
    width, height = map(float, svg.get("viewBox").split()[2:])
    assert abs(picture.shape[1] - width) < 2 and abs(picture.shape[0] - height) < 2
    assert picture[0, 0] == 255 and picture.min() < 50
    plot_model(OURS, tmp_path / "without_an_ending")
    assert (tmp_path / "without_an_ending.png").exists()
    plot_model(OURS, tmp_path / "stack.dot")
    assert (tmp_path / "stack.dot").read_text() == model_to_dot(OURS, show_layer_names=False).to_string()


def test_a_notebook_gets_the_picture(tmp_path):
    from IPython.display import SVG
    from IPython.display import Image as Picture

    shown = plot_model(OURS, tmp_path / "a.svg"), plot_model(OURS, tmp_path / "a.png")
    assert isinstance(shown[0], SVG) and shown[0].data.startswith("<svg")
    assert isinstance(shown[1], Picture) and shown[1].data == (tmp_path / "a.png").read_bytes()
    assert plot_model(OURS, tmp_path / "a.pdf") is None and (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_it_has_the_methods_of_pydot(tmp_path):
    dot = model_to_dot(OURS)
    assert dot.create(prog="dot", format="svg") == dot.create_svg() == dot._repr_svg_().encode()
    assert dot.create_png().startswith(b"\x89PNG")
    for name in ("svg", "png"):
        assert getattr(dot, f"write_{name}")(tmp_path / f"a.{name}")
    assert dot.write(tmp_path / "a.gv") and (tmp_path / "a.gv").read_text() == str(dot) == dot.to_string()
    double = ElementTree.fromstring(model_to_dot(OURS, dpi=400).create())
    assert int(double.get("width")) == pytest.approx(2 * int(ElementTree.fromstring(dot.create()).get("width")), abs=2)


def test_names_cannot_break_out_of_the_text(tmp_path):
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(2, name='a" -> <b>&amp;')], name='x"y')
    plot_model(model, tmp_path / "a.svg", show_layer_names=True)
    said = [each.text for each in ElementTree.parse(tmp_path / "a.svg").iter() if each.text]
    assert 'a" -> <b>&amp; (Dense)' in said
    [graph] = pydot.graph_from_dot_data(model_to_dot(model).to_string())
    assert len(told(graph)[0]) == 1


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(NotBuiltError, match="not built"):
        model_to_dot(lamina.Sequential([layers.Dense(2)]))
    for arguments, words in (
        ({"rankdir": "TD"}, "rankdir"), ({"dpi": 0}, "at least 1"), ({"show_shapes": 1}, "True or False"),
        ({"splines": "round"}, "splines"), ({"layer_range": ["a", "b"]}, "no argument 'layer_range'"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError) as caught:
            plot_model(OURS, tmp_path / "a.svg", **arguments)
        assert words in str(caught.value)
    with pytest.raises(ArgumentError, match="format 'xyz'"):
        plot_model(OURS, tmp_path / "a.xyz")
    with pytest.raises(FileError):
        plot_model(OURS, tmp_path / "nowhere" / "a.svg")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_there_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"pip install matplotlib; a file that ends in \.svg"):
        plot_model(OURS, tmp_path / "a.png")
    plot_model(OURS, tmp_path / "a.svg")
    assert io.BytesIO((tmp_path / "a.svg").read_bytes()).read(4) == b"<svg"
