"""What a notebook shows of models, histories, ensembles and sweeps: HTML that is safe and needs nothing else."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from lamina import Sequential, layers
from lamina._display import html, progress
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


class Handle:
    """What IPython's `display` returns: it keeps all that it was sent."""

    made: list = []

    def __init__(self, text, display_id):
        self.sent = [text]
        Handle.made.append(self)

    def update(self, text):
        self.sent.append(text)


def finished(monkeypatch, epochs):
    monkeypatch.setattr("IPython.display.display", Handle)
    monkeypatch.setattr(Handle, "made", [])
    output = progress.NotebookOutput()
    for logs in epochs:
        output.finish("a <line>", logs)
        output.show(None)
    output.close()
    return [handle.sent[-1]._repr_mimebundle_([], []) for handle in Handle.made]


def test_the_progress_of_a_fit_has_one_output_with_a_curve_of_the_losses(monkeypatch):
    [shown] = finished(monkeypatch, [{"loss": 2.0 / n, "val_loss": 3.0 / n, "mae": 0.5} for n in (1, 2, 3)])
    assert shown["text/plain"] == "a <line>\n" * 3
    assert shown["text/html"].count("<polyline") == 2 and "a &lt;line&gt;" in shown["text/html"]
    assert ">validation<" in shown["text/html"] and ">3.0000<" in shown["text/html"]


def test_one_epoch_and_a_run_without_a_loss_have_no_curve(monkeypatch):
    for epochs in ([{"loss": 2.0}], [{}, {}], [{"mae": 1.0}] * 3):
        [shown] = finished(monkeypatch, epochs)
        assert "<svg" not in shown["text/html"]


def test_the_curve_of_many_epochs_stands_in_the_last_output(monkeypatch):
    first, last = finished(monkeypatch, [{"loss": 1.0 / n} for n in range(1, 61)])
    assert "<svg" not in first["text/html"] and last["text/html"].count("<polyline") == 1
    assert ">60<" in last["text/html"] and ">training<" not in last["text/html"]
