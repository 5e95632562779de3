"""A class that declares an argument again, or after those of its base: where it stands, and what its default is."""

import inspect

import lamina


def arguments(kind):
    return {name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()}


def test_a_loss_of_ones_own_takes_the_arguments_of_its_built_in_base_first():
    class Weighted(lamina.losses.Huber):
        factor: float = 2.0

    assert list(arguments(Weighted)) == ["delta", "reduction", "name", "dtype", "factor"]
    config = Weighted(2.0, name="own", factor=3.0).get_config()
    assert config == {"delta": 2.0, "reduction": "sum_over_batch_size", "name": "own", "factor": 3.0}


def test_a_subclass_keeps_the_name_that_its_built_in_base_has():
    class Squares(lamina.losses.MeanSquaredError):
        factor: float = 2.0

    class Accuracy(lamina.metrics.BinaryAccuracy):
        factor: float = 2.0

    assert Squares().name == "mean_squared_error" and Accuracy().name == "binary_accuracy"


def test_another_default_in_a_subclass_wins_and_its_own_fields_say_the_order():
    class Summed(lamina.losses.Huber):
        factor: float = 2.0
        reduction: str = "sum"

    class Named(lamina.layers.Layer):
        units: int
        name: str = "own"

    assert list(arguments(Summed)) == ["factor", "reduction", "delta", "name", "dtype"]
    assert arguments(Summed)["reduction"] == "sum" and Summed().reduction == "sum"
    assert list(arguments(Named))[:2] == ["units", "name"] and Named(3).name == "own"


def test_the_arguments_of_all_optimizers_stand_behind_those_of_each():
    shared = list(arguments(lamina.optimizers.Optimizer))[1:]
    for kind in (lamina.optimizers.SGD, lamina.optimizers.Nadam, lamina.optimizers.ScheduleFreeAdamW):
        assert list(arguments(kind))[-len(shared) :] == shared
    assert list(arguments(lamina.optimizers.AdamW))[:3] == ["learning_rate", "weight_decay", "beta_1"]
    assert lamina.optimizers.AdamW().weight_decay == 0.004 and lamina.optimizers.Adam().weight_decay is None


def test_an_f1_score_has_no_beta_but_its_value():
    assert "beta" not in arguments(lamina.metrics.F1Score) and lamina.metrics.F1Score().beta == 1.0
