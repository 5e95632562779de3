"""The optimizers of the step that is being traced. Only these may be applied in the step."""

from __future__ import annotations

from contextvars import ContextVar

from lamina.errors import ArgumentError

of_step: ContextVar[tuple[object, ...] | None] = ContextVar("of_step", default=None)
"""The optimizers of the model during a `train_step` of the user; None outside of one."""


def require_of_step(optimizer: object) -> None:
    """Raise an error if a custom step applies an optimizer of which it does not have the arrays."""
    known = of_step.get()
    if known is not None and all(each is not optimizer for each in known):
        raise ArgumentError(
            f"the step applies {type(optimizer).__name__}, which the model does not hold: its moments would be lost. "
            "Keep it in an attribute of the model before fit: self.second_optimizer = self.critic.optimizer."
        )
