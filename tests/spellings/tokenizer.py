"""Texts as matrices of words, with everything that a Tokenizer has."""

import numpy as np
from keras.layers import Activation, Dense, Dropout
from keras.models import Sequential
from keras.preprocessing.text import Tokenizer, hashing_trick, one_hot, text_to_word_sequence, tokenizer_from_json

texts = ["The cat sat on the mat.", "The dog ate my homework!", "the cat ate"]
tokenizer = Tokenizer(num_words=6, oov_token="<OOV>", lower=True)
tokenizer.fit_on_texts(texts)
assert tokenizer.word_index == {
    "<OOV>": 1, "the": 2, "cat": 3, "ate": 4, "sat": 5, "on": 6, "mat": 7, "dog": 8, "my": 9, "homework": 10,
}  # fmt: skip
assert tokenizer.texts_to_sequences(["the cat flew"]) == [[2, 3, 1]]
assert tokenizer.sequences_to_texts([[2, 3, 1]]) == ["the cat <OOV>"]
x = tokenizer.texts_to_matrix(texts, mode="tfidf")
assert x.shape == (3, 6)
again = tokenizer_from_json(tokenizer.to_json())
assert again.word_index == tokenizer.word_index
assert text_to_word_sequence("Run, Forest, run!") == ["run", "forest", "run"]
assert all(0 < n < 50 for n in one_hot("a b c", 50))
assert hashing_trick("a b", 1000, hash_function="md5") == hashing_trick("a b", 1000, hash_function="md5")
model = Sequential()
model.add(Dense(4, input_shape=(6,)))
model.add(Activation("relu"))
model.add(Dropout(0.5))
model.add(Dense(2))
model.add(Activation("softmax"))
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x, np.array([0, 1, 0]), epochs=1, verbose=0)
