"""Keras 2 printed its optimizers' defaults so, and programs copied the line."""

import keras
import numpy as np

adam = keras.optimizers.Adam(lr=0.01, beta_1=0.9, beta_2=0.999, epsilon=None, decay=0.0, amsgrad=False)
rms = keras.optimizers.RMSprop(lr=0.001, rho=0.9, epsilon=None, decay=0.0)
nadam = keras.optimizers.Nadam(lr=0.002, beta_1=0.9, beta_2=0.999, epsilon=None, schedule_decay=0.004)
assert abs(float(adam.learning_rate) - 0.01) < 1e-8
assert adam.epsilon == 1e-7 and rms.epsilon == 1e-7 and nadam.epsilon == 1e-7
model = keras.Sequential()
model.add(keras.layers.Dense(16, activation="relu", input_dim=8))
model.add(keras.layers.Dense(1, activation="sigmoid"))
model.compile(adam, "binary_crossentropy")
model.fit(np.random.rand(64, 8), np.arange(64) % 2, epochs=1, verbose=0)

# What it is told:
# > adam_epsilon_none.py:6: Adam(lr=) is now Adam(learning_rate=).
# > adam_epsilon_none.py:6: Adam(decay=) has no effect now.
# > adam_epsilon_none.py:6: Adam(epsilon=None) is now Adam(epsilon=1e-07).
# > adam_epsilon_none.py:7: RMSprop(lr=) is now RMSprop(learning_rate=).
# > adam_epsilon_none.py:7: RMSprop(decay=) has no effect now.
# > adam_epsilon_none.py:7: RMSprop(epsilon=None) is now RMSprop(epsilon=1e-07).
# > adam_epsilon_none.py:8: Nadam(lr=) is now Nadam(learning_rate=).
# > adam_epsilon_none.py:8: Nadam(epsilon=None) is now Nadam(epsilon=1e-07).
# > adam_epsilon_none.py:8: Nadam(schedule_decay=) has no effect now.
