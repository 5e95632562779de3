"""Layers that number text and other categories, on the host: a vocabulary, or a hash."""

from __future__ import annotations

from collections import Counter
from itertools import repeat
from typing import Any, ClassVar, Self

import numpy as np

from lamina.data.arrays import HostArray
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, NotAdaptedError, ShapeError, user_facing
from lamina.host import Adapting, HostLayer, raw
from lamina.kernels.hashes import farm_hash, sip_hash
from lamina.layer import Layer
from lamina.settings import flag, integer, one_of, optional, positive, setting
from lamina.shapes import Shape

MODES = ("int", "one_hot", "multi_hot", "count")
DROPPED = -2
"""The index of a mask token where it is to leave no trace."""


def mode(*choices: str) -> Any:
    """An `output_mode`, its older spellings included."""
    older = {"binary": "multi_hot", "tf-idf": "tf_idf"}
    return lambda value: one_of(*choices)(older.get(value, value))


def dense(value: Any) -> bool:
    """`sparse` and `ragged`, which a stack cannot have."""
    if flag(value):
        raise ArgumentError("a stack takes one dense tensor: leave it False.")
    return False


def salt(value: Any) -> list[int] | None:
    """None, or two whole numbers; one stands for both."""
    if value is None:
        return None
    both = list(value) if isinstance(value, (list, tuple)) else [value, value]
    if len(both) != 2:
        raise ArgumentError(f"expected a whole number or two of them, got {value!r}.")
    return [integer(each) for each in both]


def inline(value: Any) -> list[Any] | None:
    """A vocabulary or its weights as a list; a path is refused."""
    if isinstance(value, str):
        raise ArgumentError(
            "a file is not read here: a model that names files could make whoever loads it read any of theirs.\n"
            f"Give the terms: vocabulary=open({value!r}).read().splitlines()."
        )
    if value is None:
        return None
    items = raw(value, "the vocabulary")
    return items.ravel().tolist()


def encoded_shape(shape: Shape, output_mode: str, depth: int) -> Shape:
    """The shape of what `encoded` returns."""
    if output_mode == "int":
        return shape
    if output_mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    if len(shape) != 2:
        raise ShapeError(f"wants (batch, values) for output_mode={output_mode!r}, got {len(shape)} dimensions")
    return (shape[0], depth)


def encoded(indices: HostArray, output_mode: str, depth: int) -> HostArray:
    """Indices as they are, or as vectors of `depth`: (batch, n) -> (batch, depth)."""
    if output_mode == "int":
        return indices
    if output_mode == "one_hot":
        indices = indices[..., 0] if indices.ndim > 1 and indices.shape[-1] == 1 else indices
        return np.equal(indices[..., None], np.arange(depth)).astype(floatx())
    alone = indices.ndim == 1  # one sample, when the layer is called by itself
    indices = indices[None] if alone else indices
    encoded_shape(indices.shape, output_mode, depth)
    counts = tally(np.full(len(indices), indices.shape[1]), indices.ravel(), output_mode, depth)
    return counts[0] if alone else counts


def tally(lengths: HostArray, indices: HostArray, output_mode: str, depth: int) -> HostArray:
    """How often each index occurs in each row, or whether; row i has `lengths[i]` of the indices."""
    places = np.repeat(np.arange(len(lengths)), lengths) * depth + indices
    counts = np.bincount(places[indices >= 0], minlength=len(lengths) * depth).reshape(len(lengths), depth)
    return (counts > 0 if output_mode == "multi_hot" else counts).astype(floatx())


def buckets(strings: list[str], count: int, key: Any) -> HostArray:
    """The bin from 0 to `count` - 1 that the hash of each string falls into."""
    encoded = [string.encode() for string in strings]
    hashed = farm_hash(encoded) if key is None else sip_hash(encoded, (key[0], key[1]))
    return (hashed % np.uint64(count)).astype(np.int32)


def not_below_0(value: Any) -> int:
    """A whole number of at least 0."""
    if integer(value) < 0:
        raise ArgumentError(f"expected a whole number of at least 0, got {value!r}.")
    return integer(value)


class Hashing(HostLayer):
    """Numbers text or whole numbers by a hash, without a vocabulary: `hash(value) % num_bins`.

    The hash is FarmHash64, or SipHash64 with a `salt`. With a `mask_value`, bin 0 is that value's alone.

    >>> Hashing(num_bins=3)([["A"], ["B"], ["C"]]).ravel()
    Array([1, 0, 1], dtype=int32)
    """

    num_bins: int = setting(positive)
    mask_value: Any = None
    salt: Any = setting(salt, default=None)
    output_mode: str = setting(mode(*MODES), default="int")
    sparse: bool = setting(dense, default=False)

    def validate(self) -> None:
        if self.dtype_policy.name == floatx() and self.output_mode == "int":
            self.dtype = "int64"
        super().validate()
        if self.output_mode == "int" and self.dtype_policy.name not in ("int32", "int64"):
            raise ArgumentError(f"Hashing(dtype={self.dtype_policy.name!r}): bins are int32 or int64.")

    def host(self, x: HostArray) -> HostArray:
        masked = x == self.mask_value if self.mask_value is not None and self.num_bins > 1 else None
        items, places = np.unique(x.astype(np.int64) if x.dtype.kind == "f" else x, return_inverse=True)
        count = self.num_bins - (masked is not None)
        indices = buckets([str(item) for item in items.tolist()], count, self.salt)[places].reshape(x.shape)
        if masked is not None:
            indices = np.where(masked, 0, indices + 1).astype(np.int32)
        if self.output_mode == "one_hot" and x.ndim > 1 and x.shape[-1] == 1:
            indices = indices[..., 0]
        return encoded(indices, self.output_mode, self.num_bins)

    @user_facing
    def compute_output_shape(self, input_shape: Any) -> Shape:
        return encoded_shape(tuple(input_shape), self.output_mode, self.num_bins)


class Lookup(Adapting, HostLayer):
    """Numbers terms by a vocabulary: the mask token (where indices are the output), the unknown ones, the terms."""

    unshared: ClassVar[frozenset[str]] = Layer.unshared | set(
        "vocabulary idf_weights tokens index token_weights counts documents seen".split()
    )
    left_out: ClassVar[frozenset[str]] = Layer.left_out | (unshared - Layer.unshared)
    numeric: ClassVar[bool] = False
    """Whether the terms are whole numbers."""

    def prepare(self) -> None:
        super().prepare()
        self.max_tokens: int | None = None
        self.num_oov_indices: int = 1
        self.mask_token: Any = None
        self.oov_token: Any = "[UNK]"
        self.vocabulary: Any = None
        self.idf_weights: Any = None
        self.output_mode: str = "int"
        self.pad_to_max_tokens: bool = False
        self.invert: bool = False
        self.oov_method: str = "farmhash"
        self.salt: Any = None
        self.tokens: list[Any] | None = None
        self.index: dict[Any, int] = {}
        self.counts: Counter[Any] = Counter()
        self.documents: Counter[Any] = Counter()
        self.seen = 0

    def validate(self) -> None:
        super().validate()
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

    def learn(self, data: HostArray, batch: bool) -> None:
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
        fixed_depth = self._shapes is not None and self.output_mode != "int" and not self.pad_to_max_tokens
        if fixed_depth and len(tokens) != len(self.tokens or ()):
            raise ArgumentError(
                f"{self.name!r} stands in a stack that is built for {self.vocabulary_size()} entries, and learned "
                f"{len(tokens) + self.start}. Adapt it before, or set max_tokens with pad_to_max_tokens=True."
            )
        self.vocabulary, self.idf_weights = tokens, weights
        self._use(tokens, weights)

    def reset_state(self) -> None:
        self.counts, self.documents, self.seen = Counter(), Counter(), 0

    def require_adapted(self) -> None:
        if self.tokens is None:
            raise NotAdaptedError(
                f"{self.name!r} ({type(self).__name__}) has no vocabulary yet: call {self.name}.adapt(data) first, or "
                "give vocabulary=[...]."
            )

    def host(self, x: HostArray) -> HostArray:
        self.require_adapted()
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
            self.require_adapted()
        return encoded_shape(tuple(input_shape), self.output_mode, self.depth)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vocabulary_size": self.vocabulary_size() if self.tokens is not None else None}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer with the settings and the vocabulary that `get_config` returned."""
        known = {name: value for name, value in config.items() if name in cls.settings}
        return super().from_config(known)


class IntegerLookup(Lookup):
    """Numbers whole numbers by a vocabulary, given or learned by `adapt`: the more frequent, the lower the index.

    >>> IntegerLookup(vocabulary=[12, 36, 1138])([[12, 1138], [42, 36]])
    Array([[1, 3],
           [0, 2]], dtype=int32)

    Args:
        num_oov_indices: how many indices unknown values share; with 0 they are an error.
        invert: give the values for indices instead.
        output_mode: "int", or vectors: "one_hot", "multi_hot", "count", "tf_idf".
        oov_method: with several such indices, "floormod" or "farmhash" (then with a `salt`, SipHash64).
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    num_oov_indices: int = setting(not_below_0, default=1)
    mask_token: Any = setting(optional(integer), default=None)
    oov_token: Any = setting(optional(integer), default=-1)
    vocabulary: Any = setting(inline, default=None)
    vocabulary_dtype: str = setting(one_of("int64"), default="int64")
    idf_weights: Any = setting(inline, default=None)
    invert: bool = setting(flag, default=False)
    output_mode: str = setting(mode(*MODES, "tf_idf"), default="int")
    sparse: bool = setting(dense, default=False)
    pad_to_max_tokens: bool = setting(flag, default=False)
    oov_method: str = setting(one_of("floormod", "farmhash"), default="floormod")
    salt: Any = setting(salt, default=None)
    name: Any = None

    numeric: ClassVar[bool] = True


class StringLookup(Lookup):
    """Numbers text by a vocabulary, given or learned by `adapt`: the more frequent, the lower the index.

    >>> StringLookup(vocabulary=["a", "b", "c"])([["a", "c"], ["z", "b"]])
    Array([[1, 3],
           [0, 2]], dtype=int32)

    Args:
        num_oov_indices: how many indices unknown terms share, by their hash; with 0 they are an error.
        invert: give the terms for indices instead, as an array of `str`.
        output_mode: "int", or vectors: "one_hot", "multi_hot", "count", "tf_idf".
        encoding: of bytes.
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    num_oov_indices: int = setting(not_below_0, default=1)
    mask_token: Any = None
    oov_token: Any = "[UNK]"
    vocabulary: Any = setting(inline, default=None)
    idf_weights: Any = setting(inline, default=None)
    invert: bool = setting(flag, default=False)
    output_mode: str = setting(mode(*MODES, "tf_idf"), default="int")
    pad_to_max_tokens: bool = setting(flag, default=False)
    sparse: bool = setting(dense, default=False)
    encoding: str = "utf-8"
    name: Any = None
    salt: Any = setting(salt, default=None)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"oov_method": "floormod"}  # of no effect on text, and in Keras's config
