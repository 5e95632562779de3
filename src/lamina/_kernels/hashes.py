"""The two 64-bit hashes of strings that Keras's layers use, computed on the host for many strings at once.

Sources: FarmHash, Geoff Pike, 2014, https://github.com/google/farmhash (its `Fingerprint64`); SipHash-2-4, Aumasson and
Bernstein, 2012, https://www.131002.net/siphash/siphash.pdf
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Strings = NDArray[np.uint8]

K0, K1, K2 = (np.uint64(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
CROSS, CAT = np.uint64(0xDECAFCAFFE), np.uint64(0xC6A4A7935BD1E995)
"""The initial number of a row, and the factor used to add a column."""


def farm_hash(strings: Sequence[bytes]) -> Words:
    """The FarmHash fingerprint of each string.

    >>> farm_hash([b"", b"hello"]).tolist()
    [11160318154034397263, 13009744463427800296]
    """
    return _by_length(strings, _farm)


def sip_hash(strings: Sequence[bytes], key: tuple[int, int]) -> Words:
    """The SipHash-2-4 of each string, for a key of two 64-bit numbers."""
    return _by_length(strings, lambda chars: _sip(chars, *(np.uint64(k % 2**64) for k in key)))


def cross_hash(columns: Sequence[Words]) -> Words:
    """One number for each row of several columns of numbers, equal to TensorFlow's `sparse.cross_hashed`.

    The number of a row starts as a constant and is updated column by column, so the order of the columns matters.

    >>> cross_hash([np.array([1, 2], np.uint64), np.array([3, 3], np.uint64)]).tolist()
    [14032721446388503651, 14885101244559810584]
    """
    row = np.full(len(columns[0]), CROSS)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64
        for column in columns:
            row = _mix(_mix((row ^ CAT ^ _mix(column * CAT) * CAT) * CAT) * CAT)
    return row


def _by_length(strings: Sequence[bytes], hashed: Callable[[Strings], Words]) -> Words:
    """`hashed` for groups of strings of equal length, as (strings, length) bytes."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    result = np.empty(len(strings), np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64
        for length in np.unique(lengths).tolist():
            places = np.flatnonzero(lengths == length)
            chars = np.frombuffer(b"".join(strings[i] for i in places.tolist()), np.uint8)
            result[places] = hashed(chars.reshape(len(places), length))
    return result


def _word(chars: Strings, at: int, size: int = 8) -> Words:
    """The `size` bytes from `at` on as one little-endian number."""
    words: Words = np.ascontiguousarray(chars[:, at : at + size]).view(f"<u{size}")[:, 0].astype(np.uint64)
    return words


def _turn(x: Words, right: int) -> Words:
    return (x >> np.uint64(right)) | (x << np.uint64(64 - right))


def _mix(x: Words) -> Words:
    return x ^ (x >> np.uint64(47))


def _pair(u: Words, v: Words, factor: Words | np.uint64) -> Words:
    word: Words = _mix((v ^ _mix((u ^ v) * factor)) * factor) * factor
    return word


def _farm(s: Strings) -> Words:  # (strings, n) -> (strings,)
    n = s.shape[1]
    factor = K2 + np.uint64(2 * n)
    if n == 0:
        return np.full(len(s), K2)
    if n < 4:
        a, b, c = (s[:, i].astype(np.uint64) for i in (0, n >> 1, n - 1))
        return _mix((a + (b << np.uint64(8))) * K2 ^ (np.uint64(n) + (c << np.uint64(2))) * K0) * K2
    if n < 8:
        return _pair(np.uint64(n) + (_word(s, 0, 4) << np.uint64(3)), _word(s, n - 4, 4), factor)
    if n <= 16:
        a, b = _word(s, 0) + K2, _word(s, n - 8)
        return _pair(_turn(b, 37) * factor + a, (_turn(a, 25) + b) * factor, factor)
    if n > 64:
        return _farm_long(s)
    a, b, c, d = _word(s, 0), _word(s, 8), _word(s, n - 8) * factor, _word(s, n - 16) * K2
    a = a * (K1 if n <= 32 else K2)
    y = _turn(a + b, 43) + _turn(c, 30) + d
    z = _pair(y, a + _turn(b + K2, 18) + c, factor)
    if n <= 32:
        return z
    e, f = _word(s, 16) * factor, _word(s, 24)
    g, h = (y + _word(s, n - 32)) * factor, (z + _word(s, n - 24)) * factor
    return _pair(_turn(e + f, 43) + _turn(g, 30) + h, e + _turn(f + a, 18) + g, factor)


def _farm_long(s: Strings) -> Words:
    """Strings of more than 64 bytes: blocks of 64; the last block overlaps the one before."""
    n, seed = s.shape[1], np.uint64(81)
    zero = np.zeros(len(s), np.uint64)
    x, y = seed * K2 + _word(s, 0), zero + (seed * K1 + np.uint64(113))
    z = _mix(y * K2 + np.uint64(113)) * K2
    v, w = (zero, zero), (zero, zero)

    def absorb(at: int, factor: Words | np.uint64, nine: np.uint64) -> None:
        nonlocal x, y, z, v, w
        x = _turn(x + y + v[0] + _word(s, at + 8), 37) * factor
        y = _turn(y + v[1] + _word(s, at + 48), 42) * factor
        x = x ^ w[1] * nine
        y = y + v[0] * nine + _word(s, at + 40)
        z = _turn(z + w[0], 33) * factor
        v = _weak(s, at, v[1] * factor, x + w[0])
        w = _weak(s, at + 32, z + w[1], y + _word(s, at + 16))
        x, z = z, x

    for at in range(0, (n - 1) // 64 * 64, 64):
        absorb(at, K1, np.uint64(1))
    factor = K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w = (w[0] + np.uint64((n - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    absorb(n - 64, factor, np.uint64(9))
    return _pair(_pair(v[0], w[0], factor) + _mix(y) * K0 + z, _pair(v[1], w[1], factor) + x, factor)


def _weak(s: Strings, at: int, a: Words, b: Words) -> tuple[Words, Words]:
    first, second, third, last = (_word(s, at + 8 * i) for i in range(4))
    a = a + first
    b = _turn(b + a + last, 21)
    both = a + second + third
    return both + last, b + _turn(both, 44) + a


def _sip(s: Strings, k0: np.uint64, k1: np.uint64) -> Words:  # (strings, n) -> (strings,)
    n = s.shape[1]
    starts = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    v = [np.full(len(s), np.uint64(c) ^ k) for c, k in zip(starts, (k0, k1, k0, k1), strict=True)]

    def stir(rounds: int) -> None:
        a, b, c, d = v
        for _ in range(rounds):
            a, c = a + b, c + d
            b, d = _turn(b, 51) ^ a, _turn(d, 48) ^ c
            a, c = _turn(a, 32) + d, c + b
            b, d = _turn(b, 47) ^ c, _turn(d, 43) ^ a
            c = _turn(c, 32)
        v[:] = a, b, c, d

    last = np.zeros((len(s), n // 8 * 8 + 8), np.uint8)
    last[:, :n], last[:, -1] = s, n % 256
    for at in range(0, last.shape[1], 8):
        word = _word(last, at)
        v[3] = v[3] ^ word
        stir(2)
        v[0] = v[0] ^ word
    v[2] = v[2] ^ np.uint64(0xFF)
    stir(4)
    digest: Words = v[0] ^ v[1] ^ v[2] ^ v[3]
    return digest
