"""Vocabularies, given or learned, and the indices of terms in them, on the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from itertools import repeat
from typing import Any, ClassVar, TypeAlias

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._layer.host import HostLayer, raw
from lamina._layer.structure import require_adapted
from lamina._messages.tracebacks import user_facing
from lamina._process.memory import require
from lamina._settings.arguments import Name
from lamina._settings.converters import integer
from lamina._settings.settings import Converted, setting
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, NotAdaptedError, ShapeError
from lamina.layers.features.adapting import Adapting
from lamina.layers.features.hashing import buckets, encoded, encoded_shape, tally

Terms: TypeAlias = list[Any]
Inline: TypeAlias = Converted[Sequence[Any] | HostArray | None, Terms | None]

DROPPED = -2
"""The index of the mask token if the output is vectors: the vectors leave it out."""


def inline(value: object) -> Terms | None:
    """A vocabulary or its weights as a list; a path is refused."""
    if isinstance(value, str):
        raise ArgumentError(
            "a file is not read here: loading a saved model could then read any file of the user.\n"
            f"Give the terms: vocabulary=open({value!r}).read().splitlines()."
        )
    if value is None:
        return None
    if isinstance(value, dict) or not hasattr(value, "__len__"):
        raise ArgumentError(f"expected a list of terms, got {value!r}.")
    items = raw(value, "the vocabulary")
    return items.ravel().tolist()


@dataclass(eq=False, repr=False)
class Vocabulary:
    """The terms of a `Lookup` with their indices, and the counts that `adapt` has collected.

    If the output is indices, the first index is that of the mask token. The indices of unknown terms follow, then
    those of the terms.
    """

    max_tokens: int | None
    num_oov_indices: int
    mask_token: str | int | None
    oov_token: Any
    output_mode: str
    pad_to_max_tokens: bool
    invert: bool
    oov_method: str
    salt: list[int] | None
    given: bool = False
    """Whether the terms are given. Then `adapt` learns none."""
    tokens: Terms | None = None
    index: dict[str | int, int] = field(default_factory=dict)
    weights: HostArray | None = None
    """The idf weight of each index."""
    counts: Counter[str | int] = field(default_factory=Counter)
    """How often each term occurred in the data."""
    documents: Counter[str | int] = field(default_factory=Counter)
    """How many documents each term occurred in."""
    seen: int = 0
    """The number of documents."""

    @property
    def oov_start(self) -> int:
        """The index of the first unknown term."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def start(self) -> int:
        """The index of the first term."""
        return self.oov_start + self.num_oov_indices

    @property
    def special(self) -> Terms:
        """The mask token and the unknown tokens, which come before the terms."""
        require(8 * self.start, f"num_oov_indices={self.num_oov_indices:,}: a list of these tokens needs")
        return [self.mask_token] * self.oov_start + [self.oov_token] * self.num_oov_indices

    @property
    def size(self) -> int:
        """The number of indices."""
        return self.start + len(self.tokens or [])

    @property
    def depth(self) -> int:
        """The length of the vectors."""
        return int(self.max_tokens or 0) if self.pad_to_max_tokens else self.size

    def use(self, tokens: Terms, weights: Terms | None) -> None:
        """Assign indices to these terms."""
        if weights is not None:
            require(16 * max(self.start, self.depth), f"{self.depth:,} weights need")
        self.tokens = tokens
        self.index = {token: number for number, token in enumerate(tokens, self.start)}
        if self.mask_token is not None:
            self.index[self.mask_token] = 0 if self.output_mode == "int" else DROPPED
        if weights is not None:
            front = np.full(self.start, np.mean(np.asarray(weights, floatx())))
            self.weights = np.zeros(self.depth, floatx())
            self.weights[: self.start + len(tokens)] = np.concatenate([front, weights])

    def weighted(self, vectors: HostArray) -> HostArray:
        """The vectors; in the mode "tf_idf", multiplied by the idf weights."""
        return vectors if self.weights is None or self.output_mode != "tf_idf" else vectors * self.weights


class Lookup(Adapting, HostLayer):
    """Base of the layers that map terms to indices by a vocabulary.

    Args:
        max_tokens: the largest number of indices, including those of the mask token and of unknown terms. None sets no
            limit.
        num_oov_indices: the number of indices that unknown terms share. With 0, an unknown term is an error.
        mask_token: the term with index 0, which other output modes leave out; None for no such term.
        oov_token: the term that `get_vocabulary` and `invert` return for unknown terms.
        vocabulary: the terms in the order of their indices; None learns them with `adapt`.
        idf_weights: with `output_mode="tf_idf"`, the inverse document frequency of each term of the vocabulary.
        invert: whether to map indices to terms.
        output_mode: "int" for indices, or vectors: "one_hot", "multi_hot", "count", "tf_idf".
        sparse: must be False, since the output is dense.
        pad_to_max_tokens: whether vectors have the length `max_tokens`, even if there are fewer terms.
        salt: an integer or two integers, the key of SipHash64 for unknown terms; None uses FarmHash64.
    """

    name: Name = setting(init=False)

    _lamina_numeric: ClassVar[bool] = False
    """Whether the terms are integers."""
    _lamina_fixed: ClassVar[dict[str, Any]] = {}
    """The settings of a vocabulary that are no arguments of this layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        told = {**self._lamina_fixed, **vars(self)}
        names = [each.name for each in fields(Vocabulary) if each.name in told]
        known = self._lamina.learned = Vocabulary(**{name: told[name] for name in names})
        self.vocabulary: Terms | None = told["vocabulary"]
        self.idf_weights: Terms | None = told["idf_weights"]
        kind, given, weights = type(self).__name__, self.vocabulary, self.idf_weights
        if known.max_tokens is not None and known.max_tokens < 2:
            raise ArgumentError(f"{kind}(max_tokens={known.max_tokens}): expected at least 2, or None.")
        if known.pad_to_max_tokens and known.max_tokens is None:
            raise ArgumentError(f"{kind}(pad_to_max_tokens=True) needs max_tokens, the length of the vectors.")
        if known.invert and known.output_mode != "int":
            raise ArgumentError(f"{kind}(invert=True) turns indices into terms, so output_mode stays 'int'.")
        if known.salt is not None and known.oov_method != "farmhash":
            raise ArgumentError(f"{kind}(salt={known.salt}) needs oov_method='farmhash'.")
        known.given = given is not None
        if given is not None:
            self.set_vocabulary(given, weights)
        elif weights is not None:
            raise ArgumentError(f"{kind}(idf_weights=...) needs the vocabulary that the weights belong to.")

    @property
    def _lamina_vocabulary(self) -> Vocabulary:
        return self._lamina.learned  # type: ignore[no-any-return]

    @user_facing
    def set_vocabulary(self, vocabulary: object, idf_weights: object = None) -> None:
        """Use these terms, with or without the mask and unknown tokens first. A later `adapt` learns nothing.

        Args:
            idf_weights: with output_mode="tf_idf", a weight for every entry of the vocabulary.
        """
        known, terms, weights = self._lamina_vocabulary, inline(vocabulary), inline(idf_weights)
        if not terms:
            raise ArgumentError("the vocabulary is empty; expected a list of terms.")
        if self._lamina_numeric:
            terms = [integer(term) for term in terms]
        elif odd := [term for term in terms if not isinstance(term, str)]:
            raise ArgumentError(f"the vocabulary holds {odd[0]!r}, but {type(self).__name__} takes text.")
        if (weights is not None) != (known.output_mode == "tf_idf"):
            said = "needs idf_weights, one for every term" if weights is None else "takes no idf_weights"
            raise ArgumentError(f"output_mode={known.output_mode!r} {said}.")
        if weights is not None and len(weights) != len(terms):
            raise ArgumentError(f"there are {len(weights)} idf_weights for a vocabulary of {len(terms)} terms.")
        whole = len(terms) >= known.start and terms[: known.start] == known.special
        tokens = terms[known.start :] if whole else terms
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice:
            raise ArgumentError(f"the vocabulary has terms twice: {', '.join(map(repr, twice[:5]))}.")
        for token in [known.mask_token] + [known.oov_token] * known.invert:
            if token is not None and token in tokens:
                raise ArgumentError(f"{token!r} is among the terms; leave it out, or put the special tokens first.")
        if known.max_tokens is not None and len(tokens) + known.start > known.max_tokens:
            raise ArgumentError(
                f"the vocabulary has {len(tokens) + known.start} entries with the special tokens, but "
                f"max_tokens={known.max_tokens}."
            )
        self.vocabulary, self.idf_weights = terms, weights
        known.use(tokens, None if weights is None else weights[known.start :] if whole else weights)
        if weights is not None and known.weights is not None and whole:
            known.weights[: known.start] = weights[: known.start]

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The terms in the order of their indices."""
        known = self._lamina_vocabulary
        return (known.special if include_special_tokens else []) + (known.tokens or [])

    def vocabulary_size(self) -> int:
        """The number of indices, including those of the mask token and unknown terms."""
        return self._lamina_vocabulary.size

    def _lamina_documents(self, data: HostArray, batch: bool) -> list[Terms]:
        """The terms of each document, a row of the data. A batch of one axis is one document, other data one a term."""
        data = as_terms(self, data)
        data = data if data.ndim > 1 else data[None] if batch else data[:, None]
        return data.reshape(len(data), -1).tolist()

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        known = self._lamina_vocabulary
        if known.given:
            raise ArgumentError(f"{self.name!r} was given a vocabulary, so it learns none: leave vocabulary= out.")
        documents = self._lamina_documents(data, batch)
        for document in documents:
            known.counts.update(document)
            if known.output_mode == "tf_idf":
                known.documents.update(set(document))
        known.seen += len(documents)

    def finalize_state(self) -> None:
        known = self._lamina_vocabulary
        special = (known.mask_token, known.oov_token)
        found = [(count, token) for token, count in known.counts.items() if token not in special]
        found.sort(reverse=True)
        tokens = [token for _, token in found[: None if known.max_tokens is None else known.max_tokens - known.start]]
        weights = None
        if known.output_mode == "tf_idf":
            held = np.array([known.documents[token] for token in tokens], np.float64)
            weights = np.log(1 + known.seen / (1 + held)).astype(floatx()).tolist()
        fixed_depth = self._lamina.shapes is not None and known.output_mode != "int" and not known.pad_to_max_tokens
        if fixed_depth and len(tokens) != len(known.tokens or ()):
            raise ArgumentError(
                f"{self.name!r} is in a stack that is built for {known.size} entries, and learned "
                f"{len(tokens) + known.start}. Adapt it before, or set max_tokens with pad_to_max_tokens=True."
            )
        self.vocabulary, self.idf_weights = tokens, weights
        known.use(tokens, weights)

    def reset_state(self) -> None:
        known = self._lamina_vocabulary
        known.counts, known.documents, known.seen = Counter(), Counter(), 0

    def _lamina_require_adapted(self) -> None:
        if self._lamina_vocabulary.tokens is None:
            raise NotAdaptedError(
                f"{self.name!r} ({type(self).__name__}) has no vocabulary yet: call {self.name}.adapt(data) first, or "
                "give vocabulary=[...]."
            )

    def _lamina_host(self, x: HostArray) -> HostArray:
        require_adapted(self)
        known = self._lamina_vocabulary
        if known.invert:
            return terms_of(self, x)
        x = as_terms(self, x)
        indices = indices_of(self, x.ravel().tolist(), x.shape).reshape(x.shape)
        return known.weighted(encoded(indices, known.output_mode, known.depth))

    @user_facing
    def compute_output_shape(self, input_shape: Shape) -> Shape:
        known = self._lamina_vocabulary
        if known.output_mode != "int" and not known.pad_to_max_tokens:
            require_adapted(self)
        return encoded_shape(tuple(input_shape), known.output_mode, known.depth)

    def get_config(self) -> dict[str, Any]:
        known = self._lamina_vocabulary
        return super().get_config() | {"vocabulary_size": known.size if known.tokens is not None else None}

    def save_own_variables(self, store: Any) -> None:
        """Write the idf weights, if any, to `store`. The vocabulary is in the config."""
        if self._lamina_vocabulary.weights is not None:
            store["idf_weights"] = self._lamina_vocabulary.weights

    @user_facing
    def load_own_variables(self, store: Any) -> None:
        """Read the idf weights from `store`; their number must be that of the layer."""
        weights = self._lamina_vocabulary.weights
        if weights is not None and "idf_weights" in store:
            if np.shape(store["idf_weights"]) != weights.shape:
                raise ShapeError(
                    f"{self.name} has {len(weights)} idf weights, the store {np.shape(store['idf_weights'])}."
                )
            self._lamina_vocabulary.weights = np.array(store["idf_weights"], weights.dtype)


def as_terms(layer: Lookup, x: HostArray) -> HostArray:
    """The data as an array of text, or of integers if the terms are integers."""
    if not layer._lamina_numeric:
        if x.dtype != object:
            raise DataError(f"{layer.name!r} takes text, got {x.dtype} numbers. Use IntegerLookup or x.astype(str).")
        return x
    if x.dtype == object or (x.dtype.kind == "f" and (x != np.floor(x)).any()):
        shown = x.ravel()[0] if x.dtype == object else x[x != np.floor(x)][0].item()
        raise DataError(f"{layer.name!r} takes whole numbers, got {shown!r}.")
    return x.astype(np.int64)


def counted(known: Vocabulary, lengths: HostArray, indices: HostArray) -> HostArray:
    """One vector for each row; row i has `lengths[i]` of the indices."""
    return known.weighted(tally(lengths, indices, known.output_mode, known.depth))


def indices_of(layer: Lookup, terms: Terms, shape: tuple[int, ...]) -> HostArray:
    """The index of each term; `shape` is the data's shape, used in messages."""
    known = layer._lamina_vocabulary
    if known.num_oov_indices == 1:
        return np.fromiter(map(known.index.get, terms, repeat(known.oov_start)), np.int32, len(terms))
    found = np.fromiter(map(known.index.get, terms, repeat(-1)), np.int32, len(terms))
    places = np.flatnonzero(found == -1)
    if not len(places):
        return found
    unknown = [terms[place] for place in places]
    if known.num_oov_indices == 0:
        row = np.unravel_index(places[0], shape)[0]
        raise DataError(
            f"{unknown[0]!r} in row {row} is not in the vocabulary of {layer.name!r}, and num_oov_indices=0 gives "
            "unknown terms no index. Leave num_oov_indices at 1."
        )
    if layer._lamina_numeric and known.oov_method == "floormod":
        found[places] = np.asarray(unknown) % known.num_oov_indices + known.oov_start
    else:
        found[places] = buckets([str(term) for term in unknown], known.num_oov_indices, known.salt) + known.oov_start
    return found


def terms_of(layer: Lookup, x: HostArray) -> HostArray:
    """The term of each index; the unknown token if the index does not exist."""
    if x.dtype == object:
        raise DataError(f"{layer.name!r} has invert=True and takes indices, got text ({x.ravel()[0]!r}).")
    known = np.asarray(layer.get_vocabulary(), np.int64 if layer._lamina_numeric else object)
    found = known[np.clip(x.astype(np.int64), 0, len(known) - 1)]
    return np.where((x >= 0) & (x < len(known)), found, layer._lamina_vocabulary.oov_token)
