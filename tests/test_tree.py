"""`tree`, `backend`, `dtype_policies`, and `device`, `name_scope` and `remat` of the root, against Keras."""

from collections import OrderedDict, defaultdict, namedtuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers

Point = namedtuple("Point", "x y")
TREES = [
    3, None, "ab", [], (), {}, [1, 2], [1], (1, [2, (3,)]), {"b": 1, "a": [2, None]}, [[[]]],
    OrderedDict([("b", 1), ("a", (2, 3))]),
    Point(1, {"z": 2, "y": [3]}), defaultdict(list, {"k": [1, 2]}), [None, (None, 4)], {1: "one", 0: ("zero",)},
]  # fmt: skip
SHAPES = [(2, 3), [(None, 3), {"a": [4]}], {"x": (1,), "y": [(2, None), (3,)]}]


def both(function):
    """What both libraries give, or the kind of error."""
    found = []
    for tree in (lamina.tree, keras.tree):
        try:
            found.append(function(tree))
        except (ValueError, TypeError) as error:
            found.append("ValueError" if isinstance(error, ValueError) else "TypeError")
    return found


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_structures_are_taken_apart_as_in_keras(tree):
    ours, theirs = both(lambda t: (t.flatten(tree), t.is_nested(tree), t.flatten_with_path(tree)))
    assert ours == theirs
    for function in [
        lambda t: t.map_structure(lambda leaf: [leaf], tree),
        lambda t: t.map_structure(lambda leaf: (leaf, 0), tree, none_is_leaf=False),
        lambda t: t.map_structure(lambda a, b: (a, b), tree, tree),
        lambda t: t.pack_sequence_as(tree, list(range(len(t.flatten(tree))))),
        lambda t: t.pack_sequence_as(tree, [1, 2, 3, 4, 5]),
        lambda t: t.lists_to_tuples(tree),
        lambda t: t.traverse(lambda x: "found" if isinstance(x, (tuple, int)) else None, tree),
        lambda t: t.traverse(lambda x: t.MAP_TO_NONE if isinstance(x, (list, str)) else None, tree),
        lambda t: t.traverse(lambda x: len(x) if isinstance(x, dict) else None, tree, top_down=False),
        lambda t: t.map_structure_up_to([0, 0], lambda part: [part], tree),
    ]:
        ours, theirs = both(function)
        assert ours == theirs and type(ours) is type(theirs)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_shapes_are_leaves(shape):
    ours, theirs = both(lambda t: t.map_shape_structure(lambda s: ("shape", *s), shape))
    assert ours == theirs


def test_structures_are_compared_as_in_keras():
    for one in TREES:
        for other in TREES:
            for name in ("assert_same_structure", "assert_same_paths"):
                ours, theirs = both(lambda t, name=name, one=one, other=other: getattr(t, name)(one, other))
                assert ours == theirs, (name, one, other)
    with pytest.raises(lamina.errors.ArgumentError, match="are not the same"):
        lamina.tree.map_structure(max, [1, 2], [1, [2]])
    with pytest.raises(lamina.errors.ArgumentError, match="3 leaves, and the sequence has 2"):
        lamina.tree.pack_sequence_as([0, (0, 0)], [1, 2])


def test_a_weight_is_a_leaf():
    layer = layers.Dense(2)
    layer.build((None, 3))
    assert lamina.tree.flatten({"k": layer.kernel, "b": [layer.bias]}) == [layer.bias, layer.kernel]
    assert lamina.tree.map_structure(lambda w: w.shape, layer.weights) == [(3, 2), (2,)]


DTYPES = ["bool", "int8", "uint8", "int32", "uint32", "float16", "bfloat16", "float32", "complex64", int, float, None]


@pytest.mark.parametrize("floatx", ["float32", "float16"])
def test_result_types_are_keras_own(floatx):
    ours, theirs = lamina.backend, keras.backend
    ours.set_floatx(floatx)
    theirs.set_floatx(floatx)
    try:
        for one in DTYPES:
            assert ours.result_type(one) == theirs.result_type(one), one
            for other in DTYPES:
                assert ours.result_type(one, other) == theirs.result_type(one, other), (one, other)
                assert ours.result_type(one, other, "int16") == theirs.result_type(one, other, "int16"), (one, other)
    finally:
        theirs.set_floatx("float32")
    with pytest.raises(lamina.errors.ArgumentError, match="8 bits"):
        ours.result_type("float8_e4m3fn", "float32")


def test_backend_has_what_is_left_of_it_in_keras():
    assert set(lamina.backend.__all__) == {name for name in dir(keras.backend) if name[0] != "_"}
    for library in (lamina, keras):
        k = library.backend
        k.clear_session()
        assert [k.get_uid("a"), k.get_uid("a"), k.get_uid("b")] == [1, 2, 1]
        k.clear_session()
        assert k.get_uid("a") == 1
        assert k.backend() == "jax" and k.image_data_format() == "channels_last" and k.epsilon() == 1e-7
        floats, wholes = ("bfloat16", np.float16, "float8_e5m2", float), ("int8", np.uint32, int)
        assert all(map(k.is_float_dtype, floats)) and not any(map(k.is_float_dtype, (*wholes, "bool")))
        assert all(map(k.is_int_dtype, wholes)) and not any(map(k.is_int_dtype, (*floats, "bool")))
        assert not k.is_keras_tensor(jnp.ones(2)) and k.is_keras_tensor is library.utils.is_keras_tensor


@pytest.mark.parametrize("identifier", ["float16", "mixed_bfloat16", None, np.float32])
def test_dtype_policies_have_keras_names(identifier):
    ours, theirs = (library.dtype_policies for library in (lamina, keras))
    policy = ours.get(identifier)
    assert ours.serialize(policy) == theirs.serialize(theirs.get(identifier))
    assert ours.deserialize(theirs.serialize(theirs.get(identifier))) == policy
    assert lamina.DTypePolicy is lamina.FloatDTypePolicy is ours.DTypePolicy is ours.FloatDTypePolicy


def test_scopes_around_a_part_of_a_program():
    there = jax.devices("cpu")[0]
    for library in (lamina, keras):
        for name in ("cpu:0", there):
            with library.device(name):
                assert jnp.ones(2).device == there

        def named(x, library=library):
            with library.name_scope("encoder"):
                return x + 1

        assert "encoder/add" in jax.jit(named).lower(1.0).as_text(debug_info=True)
        assert float(jax.grad(library.remat(lambda x: jnp.sin(x) ** 2))(0.3)) == pytest.approx(np.sin(0.6))
    with pytest.raises(lamina.errors.ArgumentError, match=r"no device 'gpu:9'\. There are: .*cpu:0"):
        lamina.device("gpu:9")
    for wrong in (3, "", "a/b"):
        with pytest.raises(lamina.errors.ArgumentError, match="name_scope takes a name"):
            lamina.name_scope(wrong)
    assert lamina.InputSpec is layers.InputSpec
