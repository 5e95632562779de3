"""Models as estimators of scikit-learn, which has to be installed: `pip install scikit-learn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina._base.public import public

if TYPE_CHECKING:
    from lamina.wrappers.models import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
    from lamina.wrappers.stacks import LaminaClassifier, LaminaRegressor

__all__ = ["LaminaClassifier", "LaminaRegressor", "SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

_MODELS, _STACKS = "lamina.wrappers.models", "lamina.wrappers.stacks"
public(
    __name__,
    __all__,
    {
        "LaminaClassifier": _STACKS, "LaminaRegressor": _STACKS,
        "SKLearnClassifier": _MODELS, "SKLearnRegressor": _MODELS, "SKLearnTransformer": _MODELS,
    },
)  # fmt: skip
