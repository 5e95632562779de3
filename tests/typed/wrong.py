"""What users get wrong: a type checker marks every line that ends with a comment."""

# pyright: standard

import lamina as keras
from lamina import layers

layers.dense(3)  # no such layer
layers.Dense("three")  # a word for a number
layers.Dense(3, activation=5)  # a number for an activation
layers.Dense(3, use_bias="yes")  # a word for a flag
layers.Dense(3, kernel_initialiser="zeros")  # no such argument
layers.Dense(3, "relu", True, "zeros", "zeros", None, None, 5)  # a number for a regularizer
layers.Dense()  # units are missing
layers.Conv2D(32, 3, padding="smae")  # no such padding
layers.Conv2D(32, 3, data_format="channels")  # no such format
layers.Conv2D("32", 3)  # a word for a number
layers.Conv1D(32, 3, groups=1.5)  # a fraction of a group
layers.MaxPooling2D("2")  # a word for a size
layers.MaxPooling2D(2, padding="full")  # no such padding
layers.Dropout("0.5")  # a word for a rate
layers.Dropout(0.5, rate=0.5)  # the rate twice
layers.BatchNormalization(momentum="high")  # a word for a number
layers.LayerNormalization(-1, "small")  # a word for epsilon
layers.Embedding(1000)  # output_dim is missing
layers.LSTM(4, return_sequence=True)  # no such argument
layers.LSTM(4, 5)  # a number for an activation
layers.GRU(4, dropout="0.1")  # a word for a rate
layers.Flatten("last")  # no such format
layers.Rescaling("1/255")  # a word for a number
layers.RandomFlip(seed="one")  # a word for a seed
keras.Sequential(layers=5)  # a number for the layers
keras.Sequential([], trainable="no")  # a word for a flag
keras.Sequential().fit(epochs="3")  # a word for the epochs
keras.Sequential().fitt()  # no such method
keras.Sequential([layers.Dense])  # a class for a layer
keras.Sequential().add("dense")  # a word for a layer
keras.Sequential().compile(3)  # a number for the optimizer
keras.Sequential().compile("adam", 3)  # a number for the loss
keras.Sequential().compile("adam", "mse", "accuracy")  # the weight of the loss stands third, not the metrics
keras.Sequential().compile("adam", "mse", metrics=3)  # a number for the metrics
keras.Sequential().fit(callbacks="early_stopping")  # a word for the callbacks
keras.Sequential().fit(class_weight="auto")  # no such word
keras.Sequential().save(3)  # a number for a file
keras.Sequential().summary(print_fn=3)  # a number for a function
keras.optimizers.Adam(lr=0.1)  # no such argument
keras.optimizers.SGD(0.1, "0.9")  # a word for the momentum
keras.losses.MeanSquaredError("average")  # no such reduction
keras.callbacks.EarlyStopping("loss", 0, "3")  # a word for the patience
keras.utils.image_dataset_from_directory("flowers", color_mode="bgr")  # no such mode
keras.utils.text_dataset_from_directory("texts", subset="both").take(1)  # a list of two
keras.utils.get_file(origin=5)  # a number for the URL
keras.utils.PyDataset(workers="4")  # a word for the workers
