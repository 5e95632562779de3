"""Names: Keras's spelling, free names, and the correction of misspelt names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Container, Iterable, Sequence
from difflib import SequenceMatcher

from lamina.errors import CallError

NOT_YET = "Keras has it; Lamina does not have it yet."


def to_snake_case(name: str) -> str:
    """Keras's rule: `LeakyReLU` becomes `leaky_re_lu`, `Conv2D` becomes `conv2d`.

    >>> to_snake_case("BatchNormalization")
    'batch_normalization'
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def name_of(value: object) -> str:
    """Keras's name of a loss or a metric: its attribute `name`, else the name of its class or function in snake case.

    >>> name_of(lambda y_true, y_pred: y_true)
    'lambda'
    """
    own = getattr(value, "name", None)
    return own if isinstance(own, str) and own else to_snake_case(getattr(value, "__name__", type(value).__name__))


def listed(names: Iterable[object], most: int = 12) -> str:
    """Format names for a message; of many names, only the first ones.

    >>> listed(["a", "b", "c"], 2)
    "'a', 'b' and 1 more"
    """
    names = list(names)
    return ", ".join(map(repr, names[:most])) + f" and {len(names) - most} more" * (len(names) > most)


def free_name(name: str, taken: Container[str], after: str = "") -> str:
    """`name`, or the first of `name_1`, `name_2`, ... that is not taken. After `name_5` the search begins at `name_6`.

    >>> free_name("dense", ["dense", "dense_1"])
    'dense_2'
    """
    if name not in taken:
        return name
    last = after.removeprefix(f"{name}_")
    first = int(last) + 1 if last.isdecimal() else 1
    return next(new for n in itertools.count(first) if (new := f"{name}_{n}") not in taken)


def unknown_argument(function: str, name: str, names: Sequence[str], instead: str = "") -> CallError:
    """The error for a keyword `name` that `function` does not take; it takes `names`."""
    hint = instead or "".join(f"Did you mean {found!r}?" for found in nearest(name, names))
    return CallError(
        f"{function} has no argument {name!r}. {hint}".rstrip() + f"\nIts arguments are: {', '.join(names)}."
    )


def nearest(name: str, names: Iterable[str], count: int = 1) -> list[str]:
    """The names of which `name` may be a misspelling, the most similar first; none if all are too different.

    >>> nearest("BatchNorm", ["BatchNormalization"]), nearest("Embeding", ["Embedding"])
    (['BatchNormalization'], ['Embedding'])
    >>> nearest("version", ["Session"])
    []
    """
    spelt: dict[str, str] = {}
    for candidate in names if len(name) < 200 else ():
        spelt.setdefault(candidate.lower(), candidate)
    found = [low for low, candidate in spelt.items() if _alike(name, candidate)]
    found.sort(
        key=lambda each: (sorted(each) != sorted(name.lower()), -SequenceMatcher(None, each, name.lower()).ratio())
    )
    return [spelt[each] for each in found[:count]]


def _alike(name: str, other: str) -> bool:
    """Whether `name` may mean `other`: it is shorter, has more or fewer words, or one letter in four is wrong."""
    one, two = (each.lower().replace("_", "") for each in (name, other))
    less, most = sorted((len(one), len(two)))
    far = max(most // 4, int(most > 2))
    same = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), less)
    if one == f"{two}es" or sorted(one) == sorted(two):
        return True
    if less >= max(3 if len(one) == less else 5, 0.4 * most) and same >= 0.8 * less:  # "BatchNorm", "TextVectorizer"
        return True
    if less >= max(5, 0.6 * most) and two.endswith(one):  # "cubic"
        return True
    said, known = (to_snake_case(each).split("_") for each in (name, other))
    fewer = len(said) > 1 and set(said) <= set(known)  # "set_seed" is set_random_seed
    more = said[: len(known)] == known and 2 * len(two) >= len(one)
    return fewer or more or (most - less <= far and edits(one, two) <= far)


def edits(one: str, two: str) -> int:
    """The number of letters to insert, delete, replace or swap with the next one to change `one` to `two`.

    >>> edits("dnese", "dense"), edits("version", "session")
    (1, 2)
    """
    before: list[int] = []
    row: list[int] = [*range(len(two) + 1)]
    for i, a in enumerate(one):
        older = before
        before, row = row, [i + 1]
        for j, b in enumerate(two):
            row.append(min(before[j] + (a != b), before[j + 1] + 1, row[j] + 1))
            if i and j and (a, one[i - 1]) == (two[j - 1], b):
                row[-1] = min(row[-1], older[j - 1] + 1)
    return row[-1]


def did_you_mean(name: str, names: Iterable[str], missing: Collection[str] = ()) -> str:
    """A hint for a misspelt name: the nearest one, else all of them if they are few.

    Args:
        missing: names that Keras has and Lamina does not have yet. They are not misspellings.
    """
    names, name = list(names), name[:200]  # no name is as long, and each comparison takes its time
    # "zeros" for "zeroes", "Zeros" for "Zeroes"
    forms = [to_snake_case(each) for each in missing] if name.islower() else missing
    alike, absent = ([each for each in of if each.islower() == name.islower()] for of in (names, forms))
    plural = [each for each in names if each in (f"{name}s", f"{name}es")]  # `keras.layer`, where there is `Layer` too
    same = plural or [each for each in names if each.lower() == name.lower()]
    listed = f"There are: {', '.join(sorted(alike or names))}." if 0 < len(alike or names) <= 40 else ""
    if not same and to_snake_case(name) in map(to_snake_case, missing):
        return f"{NOT_YET}\n{listed}".rstrip()
    found = same or nearest(name, [*alike, *absent]) or nearest(name, names)
    if found:
        return f"Did you mean {found[0]!r}?" + f" {NOT_YET}" * (found[0] not in names)
    return listed
