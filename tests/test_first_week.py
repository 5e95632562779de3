"""Small programs of a first week of use, each as a user would type it.

`both` runs a program with our import and with real Keras; `ours` only with our import, where Keras has no such thing
or gives another answer.
"""

import keras as real_keras
import numpy as np
import pytest

import lamina

both = pytest.mark.parametrize("keras", [lamina, real_keras], ids=["lamina", "keras"])
ours = pytest.mark.parametrize("keras", [lamina], ids=["lamina"])

# A user's function reads a weight.


# Masks between layers that call layers.


# What user code reads counts when a model is new or compiled again.


# Metric objects hold the state.


# Steps of the user's own: train_step, test_step, predict_step, compute_loss, compute_metrics.


# What a callback assigns holds.


# Pickle, joblib, copies.


# The arrays that come back, and data whose last axis is missing.


# Layers.


# Optimizers by hand, schedules, a loss that is not finite.


# Processes and files on disk.


# Large data and short batches.
