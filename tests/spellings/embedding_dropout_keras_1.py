"""A recurrent classifier of reviews, as the examples of Keras 1 had it."""

import numpy as np
from keras.layers import Dense, Embedding, LSTM
from keras.models import Sequential
from keras.preprocessing import sequence

max_features = 20
X_train = sequence.pad_sequences([list(range(1, 2 + n % 9)) for n in range(32)], maxlen=10)
y_train = np.arange(32) % 2
model = Sequential()
model.add(Embedding(max_features, 8, input_length=10, dropout=0.2))
model.add(LSTM(8, dropout_W=0.2, dropout_U=0.2, inner_activation="hard_sigmoid", consume_less="gpu"))
model.add(Dense(1))
from keras.layers import Activation

model.add(Activation("sigmoid"))
assert (model.layers[1].dropout, model.layers[1].recurrent_dropout) == (0.2, 0.2)
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(X_train, y_train, batch_size=16, nb_epoch=1, verbose=0)

# What it is told:
# > embedding_dropout_keras_1.py:12: Embedding(dropout=) has no effect now.
# > embedding_dropout_keras_1.py:12: Embedding(input_length=) is now Embedding(input_shape=).
# > embedding_dropout_keras_1.py:13: LSTM(inner_activation=) is now LSTM(recurrent_activation=).
# > embedding_dropout_keras_1.py:13: LSTM(dropout_W=) is now LSTM(dropout=).
# > embedding_dropout_keras_1.py:13: LSTM(dropout_U=) is now LSTM(recurrent_dropout=).
# > embedding_dropout_keras_1.py:13: LSTM(consume_less=) has no effect now.
# > embedding_dropout_keras_1.py:20: fit(nb_epoch=) is now fit(epochs=).
