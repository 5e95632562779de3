"""A callback that ends a fit with an error, as a crash would."""

from lamina.callbacks import Callback


class Die(Callback):
    """Raise ZeroDivisionError at the end of one batch, counted from 1 on over all epochs."""

    def __init__(self, step):
        self.step, self.count = step, 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count == self.step:
            raise ZeroDivisionError
