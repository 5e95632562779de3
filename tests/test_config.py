"""Objects to configuration and back: what is written equals what real Keras writes, and what is read is closed."""

import json

import keras
import pytest

import lamina
from lamina._saving.config import deserialized, serialized
from lamina.errors import FileError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras")
PACKAGES = (lamina, keras)


def plain(config):
    """A config as its JSON, without the ids that Keras gives to objects that stand in it twice."""

    def without_ids(value):
        if isinstance(value, dict):
            return {key: without_ids(each) for key, each in value.items() if key != "shared_object_id"}
        return [without_ids(each) for each in value] if isinstance(value, list) else value

    return without_ids(json.loads(json.dumps(config)))


def small(k, **told):
    """A compiled stack of one of the two packages, with a stack within it."""
    keras.utils.clear_session()  # which counts optimizers over all models, where here they count in each
    line = [
        k.Input((8,), name="entry"),
        k.layers.Dense(4, activation="relu", kernel_regularizer="l2", name="first"),
        k.layers.BatchNormalization(name="norm"),
        k.Sequential([k.Input((4,), name="inner_entry"), k.layers.Dense(2, name="second")], name="inner"),
    ]
    model = k.Sequential(line, name="net")
    if told:
        model.compile(**told)
    return model


def test_a_stack_as_json_is_that_of_keras_and_each_opens_the_others():
    told = {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]}
    ours, theirs = (small(k, **told) for k in PACKAGES)
    assert plain(serialized(ours)) == plain(keras.saving.serialize_keras_object(theirs))
    assert json.loads(ours.to_json(indent=1)) == plain(serialized(ours))
    again = deserialized(json.loads(theirs.to_json()))
    assert again.to_json() == ours.to_json()
    assert plain(json.loads(keras.models.model_from_json(ours.to_json()).to_json())) == plain(
        json.loads(ours.to_json())
    )


def test_a_missing_class_is_refused_or_left_out():
    config = serialized(small(lamina))
    own = {"module": "theirs", "class_name": "Odd", "config": {"name": "odd"}, "registered_name": "mine>Odd"}
    config["config"]["layers"].append(own)
    with pytest.raises(FileError, match=r"(?s)m.keras, config.json: layer 4 \(odd: Odd\).*custom_objects=\{'mine>Odd'"):
        deserialized(config, where="m.keras, config.json")
    left_out = []
    model = deserialized(config, skip=["Odd"], left_out=left_out)
    assert [layer.name for layer in model.layers] == ["first", "norm", "inner"]
    assert len(left_out) == 1 and "Odd" in left_out[0]
