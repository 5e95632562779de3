"""What a notebook shows of models, histories, ensembles and sweeps: HTML that is safe and needs nothing else."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from lamina import Sequential, layers
from lamina._display import html
from lamina._ensembles.ensemble import Ensemble
from lamina._ensembles.sweep import sweep
from lamina.callbacks import History

X = np.linspace(-1, 1, 16, dtype="float32")[:, None]


def make(units=2):
    model = Sequential([layers.Input((1,)), layers.Dense(units, name="<b>&"), layers.Dense(1)], name='"<i>')
    model.compile("sgd", "mse")
    return model


@pytest.fixture(scope="module")
def shown():
    """Each object that is shown, after two epochs of training."""
    model, ensemble = make(), Ensemble(make(), members=2)
    history = model.fit(X, X, epochs=2, verbose=0, validation_split=0.5)
    ensemble.fit(X, X, epochs=2, verbose=0)
    found = sweep(make, {"units": [2, 3]}, X, X, monitor="loss", epochs=2, verbose=0)
    return {"model": model, "history": history, "ensemble": ensemble, "sweep": found}


@pytest.mark.parametrize("name", ["model", "history", "ensemble", "sweep"])
def test_each_object_has_html_that_is_whole_and_loads_nothing(shown, name):
    page = shown[name]._repr_html_()
    tags = {each.tag for each in ElementTree.fromstring(f"<div>{page}</div>").iter()}
    assert "table" in tags and ("svg" in tags) == (name != "model")
    assert not tags & {"script", "style", "link", "img"} and "http" not in page and "#000" not in page
    assert "<b>&" not in page and "<i>" not in page


def test_a_model_shows_the_layers_of_inner_models_and_its_totals(shown):
    model = Sequential([layers.Input((1,)), make(), layers.Dense(1, trainable=False)])
    page = model._repr_html_()
    assert "    &lt;b&gt;&amp; (Dense)" in page and "Total params: 9 (36.00 B)" in page and ">N<" in page
    assert "Not built yet" in Sequential([layers.Dense(1)])._repr_html_()


def test_a_history_shows_a_panel_a_quantity_with_training_and_validation(shown):
    page = shown["history"]._repr_html_()
    assert page.count("<svg") == 1 and page.count("<polyline") == 2
    assert page.index("val_loss") > page.index("lowest") and "History of 2 epochs" in page
    assert "<svg" not in History()._repr_html_()


def test_values_that_are_not_finite_leave_a_gap_in_the_curve():
    history = History()
    for epoch, loss in enumerate((3.0, np.nan, 2.0, 1.0, np.inf)):
        history.on_epoch_end(epoch, {"loss": loss, "never": np.nan})
    page = history._repr_html_()
    assert page.count("<polyline") == 2 and page.count("<svg") == 1
    assert "1.0000 (epoch 4)" in page and "3.0000 (epoch 1)" in page


def test_a_long_history_and_a_large_sweep_stay_small():
    history = History()
    for epoch in range(5000):
        history.on_epoch_end(epoch, {"loss": 1 / (epoch + 1)})
    assert len(history._repr_html_()) < 10_000
    assert "50 of 80 rows are shown." in html.table("", ["n"], [[n] for n in range(80)])


def test_an_ensemble_has_a_row_and_a_curve_a_member_and_a_sweep_a_setting(shown):
    assert shown["ensemble"]._repr_html_().count("<polyline") == 2
    page = shown["sweep"]._repr_html_()
    assert page.count("<polyline") == 2 and page.count('stroke-opacity="0.3"') == 1
    assert page.count("<tr>") == 3 and ">units<" in page
