"""Vectors of words that someone else trained, in an Embedding that is not trained."""

import numpy as np
from keras.layers import Dense, Flatten
from keras.layers.embeddings import Embedding
from keras.models import Sequential
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer

docs = ["Well done!", "Good work", "Great effort", "nice work", "Excellent!", "Weak", "Poor effort!", "not good"]
labels = np.array([1, 1, 1, 1, 1, 0, 0, 0])
t = Tokenizer()
t.fit_on_texts(docs)
vocab_size = len(t.word_index) + 1
padded_docs = pad_sequences(t.texts_to_sequences(docs), maxlen=4, padding="post")
embedding_matrix = np.zeros((vocab_size, 8))
for word, i in t.word_index.items():
    embedding_matrix[i] = np.random.rand(8)
model = Sequential()
model.add(Embedding(vocab_size, 8, weights=[embedding_matrix], input_length=4, trainable=False))
model.add(Flatten())
model.add(Dense(1, activation="sigmoid"))
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["acc"])
model.summary(print_fn=lambda line: None)
model.fit(padded_docs, labels, epochs=1, verbose=0)
assert np.allclose(model.layers[0].get_weights()[0], embedding_matrix)
loss, accuracy = model.evaluate(padded_docs, labels, verbose=0)

# What it is told:
# > embedding_glove.py:5: keras.layers.embeddings is now keras.layers.
# > embedding_glove.py:20: Embedding(input_length=) is now Embedding(input_shape=).
