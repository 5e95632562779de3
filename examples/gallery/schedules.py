"""A learning rate that changes

A schedule gives the learning rate of each step.

Task: training
Picture: Three curves: a cosine that falls to 0, an exponential and a staircase
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras

schedules = keras.optimizers.schedules
steps = np.arange(1000)
for name, schedule in {
    "cosine, with a warm-up": schedules.CosineDecay(0.0, 800, warmup_target=0.01, warmup_steps=200),
    "exponential": schedules.ExponentialDecay(0.01, 300, 0.5),
    "staircase": schedules.PiecewiseConstantDecay([300, 600], [0.01, 0.004, 0.001]),
}.items():
    plt.plot(steps, [np.asarray(schedule(step)) for step in steps], label=name)
plt.legend()
plt.xlabel("step")
plt.ylabel("learning rate")
