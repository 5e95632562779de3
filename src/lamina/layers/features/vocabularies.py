"""Vocabularies, given or learned, and the indices of terms in them, on the host."""

from __future__ import annotations

from collections import Counter
from itertools import repeat
from typing import Any, ClassVar, Self

import numpy as np

from lamina._base.converters import integer
from lamina._base.frames import user_facing
from lamina._base.shapes import Shape
from lamina._data.arrays import HostArray
from lamina._layer.host import Adapting, HostLayer, raw
from lamina._layer.structure import require_adapted
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, NotAdaptedError
from lamina.layers.features.hashing import buckets, encoded, encoded_shape, tally

DROPPED = -2
"""The index of a mask token where it is to leave no trace."""


def inline(value: Any) -> list[Any] | None:
    """A vocabulary or its weights as a list; a path is refused."""
    if isinstance(value, str):
        raise ArgumentError(
            "a file is not read here: a model that names files could make whoever loads it read any of theirs.\n"
            f"Give the terms: vocabulary=open({value!r}).read().splitlines()."
        )
    if value is None:
        return None
    if isinstance(value, dict) or not hasattr(value, "__len__"):
        raise ArgumentError(f"expected a list of terms, got {value!r}.")
    items = raw(value, "the vocabulary")
    return items.ravel().tolist()


class Lookup(Adapting, HostLayer):
    """Numbers terms by a vocabulary: the mask token (where indices are the output), the unknown ones, the terms."""

    numeric: ClassVar[bool] = False
    """Whether the terms are whole numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        own = vars(self)
        self.max_tokens: int | None = own.get("max_tokens")
        self.num_oov_indices: int = own.get("num_oov_indices", 1)
        self.mask_token: Any = own.get("mask_token")
        self.oov_token: Any = own.get("oov_token", "[UNK]")
        self.vocabulary: Any = own.get("vocabulary")
        self.idf_weights: Any = own.get("idf_weights")
        self.output_mode: str = own.get("output_mode", "int")
        self.pad_to_max_tokens: bool = own.get("pad_to_max_tokens", False)
        self.invert: bool = own.get("invert", False)
        self.oov_method: str = own.get("oov_method", "farmhash")
        self.salt: Any = own.get("salt")
        self.tokens: list[Any] | None = None
        self.index: dict[Any, int] = {}
        self.counts: Counter[Any] = Counter()
        self.documents: Counter[Any] = Counter()
        self.seen = 0
        kind, given = type(self).__name__, self.vocabulary
        if self.max_tokens is not None and self.max_tokens < 2:
            raise ArgumentError(f"{kind}(max_tokens={self.max_tokens}): expected at least 2, or None.")
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ArgumentError(f"{kind}(pad_to_max_tokens=True) needs max_tokens, which says how far.")
        if self.invert and self.output_mode != "int":
            raise ArgumentError(f"{kind}(invert=True) turns indices into terms, so output_mode stays 'int'.")
        if self.salt is not None and self.oov_method != "farmhash":
            raise ArgumentError(f"{kind}(salt={self.salt}) needs oov_method='farmhash'.")
        self.fixed = given is not None
        if given is not None:
            self.set_vocabulary(given, self.idf_weights)
        elif self.idf_weights is not None:
            raise ArgumentError(f"{kind}(idf_weights=...) needs the vocabulary that the weights belong to.")

    @property
    def oov_start(self) -> int:
        """The index of the first unknown term."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def start(self) -> int:
        """The index of the first term."""
        return self.oov_start + self.num_oov_indices

    @user_facing
    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Use these terms, with or without the mask and the unknown token in front; nothing is learned then.

        Args:
            idf_weights: with output_mode="tf_idf", a weight for every entry of the vocabulary.
        """
        terms, weights = inline(vocabulary), inline(idf_weights)
        if not terms:
            raise ArgumentError("the vocabulary is empty; expected a list of terms.")
        if self.numeric:
            terms = [integer(term) for term in terms]
        elif odd := [term for term in terms if not isinstance(term, str)]:
            raise ArgumentError(f"the vocabulary holds {odd[0]!r}, and {type(self).__name__} numbers text.")
        if (weights is not None) != (self.output_mode == "tf_idf"):
            said = "needs idf_weights, one for every term" if weights is None else "takes no idf_weights"
            raise ArgumentError(f"output_mode={self.output_mode!r} {said}.")
        if weights is not None and len(weights) != len(terms):
            raise ArgumentError(f"there are {len(weights)} idf_weights for a vocabulary of {len(terms)} terms.")
        special = [self.mask_token] * self.oov_start + [self.oov_token] * self.num_oov_indices
        whole = terms[: self.start] == special
        tokens = terms[self.start :] if whole else terms
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice:
            raise ArgumentError(f"the vocabulary has terms twice: {', '.join(map(repr, twice[:5]))}.")
        for token in [self.mask_token] + [self.oov_token] * self.invert:
            if token is not None and token in tokens:
                raise ArgumentError(f"{token!r} stands among the terms; leave it out, or begin with {special}.")
        if self.max_tokens is not None and len(tokens) + self.start > self.max_tokens:
            raise ArgumentError(
                f"the vocabulary has {len(tokens) + self.start} entries with the special ones, and "
                f"max_tokens={self.max_tokens}."
            )
        self.vocabulary, self.idf_weights = terms, weights
        self._use(tokens, None if weights is None else weights[self.start :] if whole else weights)
        if weights is not None and whole:
            self.token_weights[: self.start] = weights[: self.start]

    def _use(self, tokens: list[Any], weights: Any) -> None:
        self.tokens = tokens
        self.index = {token: number for number, token in enumerate(tokens, self.start)}
        if self.mask_token is not None:
            self.index[self.mask_token] = 0 if self.output_mode == "int" else DROPPED
        if weights is not None:
            front = np.full(self.start, np.mean(np.asarray(weights, floatx())))
            self.token_weights = np.zeros(self.depth, floatx())
            self.token_weights[: self.start + len(tokens)] = np.concatenate([front, weights])

    @property
    def depth(self) -> int:
        """The length of the vectors that stand for terms."""
        return int(self.max_tokens or 0) if self.pad_to_max_tokens else self.vocabulary_size()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The terms in the order of their indices."""
        special = [self.mask_token] * self.oov_start + [self.oov_token] * self.num_oov_indices
        return (special if include_special_tokens else []) + (self.tokens or [])

    def vocabulary_size(self) -> int:
        """How many indices there are, those of the mask and of unknown terms included."""
        return self.start + len(self.tokens or [])

    def documents_in(self, data: HostArray, batch: bool) -> list[list[Any]]:
        """The terms of each document; a vector is one document where it is a batch, else a document an entry."""
        data = self.as_terms(data)
        data = data if data.ndim > 1 else data[None] if batch else data[:, None]
        return data.reshape(len(data), -1).tolist()

    def as_terms(self, x: HostArray) -> HostArray:
        """The data as an array of text, or of whole numbers where the terms are such."""
        if not self.numeric:
            if x.dtype != object:
                raise DataError(f"{self.name!r} takes text, got {x.dtype} numbers. Use IntegerLookup or x.astype(str).")
            return x
        if x.dtype == object or (x.dtype.kind == "f" and (x != np.floor(x)).any()):
            shown = x.ravel()[0] if x.dtype == object else x[x != np.floor(x)][0].item()
            raise DataError(f"{self.name!r} takes whole numbers, got {shown!r}.")
        return x.astype(np.int64)

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        if self.fixed:
            raise ArgumentError(f"{self.name!r} has a vocabulary of its own, and learns none: leave vocabulary= out.")
        documents = self.documents_in(data, batch)
        for document in documents:
            self.counts.update(document)
            if self.output_mode == "tf_idf":
                self.documents.update(set(document))
        self.seen += len(documents)

    def finalize_state(self) -> None:
        special = (self.mask_token, self.oov_token)
        found = [(count, token) for token, count in self.counts.items() if token not in special]
        found.sort(reverse=True)
        tokens = [token for _, token in found[: None if self.max_tokens is None else self.max_tokens - self.start]]
        weights = None
        if self.output_mode == "tf_idf":
            held = np.array([self.documents[token] for token in tokens], np.float64)
            weights = np.log(1 + self.seen / (1 + held)).astype(floatx()).tolist()
        fixed_depth = self._lamina.shapes is not None and self.output_mode != "int" and not self.pad_to_max_tokens
        if fixed_depth and len(tokens) != len(self.tokens or ()):
            raise ArgumentError(
                f"{self.name!r} stands in a stack that is built for {self.vocabulary_size()} entries, and learned "
                f"{len(tokens) + self.start}. Adapt it before, or set max_tokens with pad_to_max_tokens=True."
            )
        self.vocabulary, self.idf_weights = tokens, weights
        self._use(tokens, weights)

    def reset_state(self) -> None:
        self.counts, self.documents, self.seen = Counter(), Counter(), 0

    def _lamina_require_adapted(self) -> None:
        if self.tokens is None:
            raise NotAdaptedError(
                f"{self.name!r} ({type(self).__name__}) has no vocabulary yet: call {self.name}.adapt(data) first, or "
                "give vocabulary=[...]."
            )

    def _lamina_host(self, x: HostArray) -> HostArray:
        require_adapted(self)
        if self.invert:
            return self._terms(x)
        x = self.as_terms(x)
        indices = self.indices(x.ravel().tolist(), x.shape).reshape(x.shape)
        y = encoded(indices, self.output_mode, self.depth)
        return y * self.token_weights if self.output_mode == "tf_idf" else y

    def counted(self, lengths: HostArray, indices: HostArray) -> HostArray:
        """One vector a row, where row i has `lengths[i]` of the indices."""
        counts = tally(lengths, indices, self.output_mode, self.depth)
        return counts * self.token_weights if self.output_mode == "tf_idf" else counts

    def indices(self, terms: list[Any], shape: tuple[int, ...]) -> HostArray:
        """The index of each term; `shape` is where they stand, for messages."""
        if self.num_oov_indices == 1:
            return np.fromiter(map(self.index.get, terms, repeat(self.oov_start)), np.int32, len(terms))
        found = np.fromiter(map(self.index.get, terms, repeat(-1)), np.int32, len(terms))
        places = np.flatnonzero(found == -1)
        if not len(places):
            return found
        unknown = [terms[place] for place in places]
        if self.num_oov_indices == 0:
            row = np.unravel_index(places[0], shape)[0]
            raise DataError(
                f"{unknown[0]!r} in row {row} is not in the vocabulary of {self.name!r}, and num_oov_indices=0 gives "
                "unknown terms no index. Leave num_oov_indices at 1."
            )
        if self.numeric and self.oov_method == "floormod":
            found[places] = np.asarray(unknown) % self.num_oov_indices + self.oov_start
        else:
            found[places] = buckets([str(term) for term in unknown], self.num_oov_indices, self.salt) + self.oov_start
        return found

    def _terms(self, x: HostArray) -> HostArray:
        if x.dtype == object:
            raise DataError(f"{self.name!r} has invert=True and takes indices, got text ({x.ravel()[0]!r}).")
        known = np.asarray(self.get_vocabulary(), np.int64 if self.numeric else object)
        found = known[np.clip(x.astype(np.int64), 0, len(known) - 1)]
        return np.where((x >= 0) & (x < len(known)), found, self.oov_token)

    @user_facing
    def compute_output_shape(self, input_shape: Any) -> Shape:
        if self.output_mode != "int" and not self.pad_to_max_tokens:
            require_adapted(self)
        return encoded_shape(tuple(input_shape), self.output_mode, self.depth)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vocabulary_size": self.vocabulary_size() if self.tokens is not None else None}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer with the settings and the vocabulary that `get_config` returned."""
        known = {name: value for name, value in config.items() if name in cls._lamina_fields}
        return super().from_config(known)
