"""`import keras` has always imported `urllib.request`, and programs relied on it."""

import urllib

import keras
from keras.utils.data_utils import get_file
from keras.utils.generic_utils import get_custom_objects

assert urllib.request.Request("https://example.org").host == "example.org"
assert urllib.parse.quote("a b") == "a%20b"
get_custom_objects().update({"double": lambda x: 2 * x})
assert keras.layers.Activation("double")(keras.backend.ones((1, 1))) == 2
get_custom_objects().clear()

# What it is told:
# > urllib_leaned_on.py:6: keras.utils.data_utils is now keras.utils.
# > urllib_leaned_on.py:7: keras.utils.generic_utils is now keras.utils.
