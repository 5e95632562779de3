"""End a training whose loss is NaN or infinite."""

from __future__ import annotations

import math

from lamina._settings.converters import flag
from lamina._settings.settings import Configured, setting
from lamina.callbacks.callback import Callback, Logs
from lamina.errors import NonFiniteError


class TerminateOnNaN(Callback, Configured):
    """Stop when the loss is NaN or infinite: `config.set_non_finite("stop")` for one `fit`, with its own message.

    The weights are those from before that step.

    Args:
        raise_error: raise a `NonFiniteError`, which is a RuntimeError, instead of ending normally.
    """

    raise_error: bool = setting(flag, default=False)
    every_batch, handles_nan = False, True

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise NonFiniteError(
                f"the loss is {loss} at batch {batch}. Look for NaN or very large numbers in the data, or try "
                "a lower learning rate."
            )
        print(f"Batch {batch}: the loss is {loss}, training stops")
        self.model.stop_training = True
