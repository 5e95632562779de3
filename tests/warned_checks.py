"""The warnings of the checks in `fit`, for the files of tests about them."""

import warnings

from lamina.errors import CheckWarning


def told(model, x, y, **options):
    """The text of each warning that a check gives in one `fit`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, y, verbose=0, **options)
    return [str(each.message) for each in caught if issubclass(each.category, CheckWarning)]
