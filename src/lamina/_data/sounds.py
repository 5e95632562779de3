"""Reads WAV files: the samples of a sound become numbers from -1 to 1.

Python's `wave` cannot read floats and, before Python 3.12, the extensible header that 24-bit sounds often have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina.errors import DataError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""The codes of sample formats. With `EXTENSIBLE`, bytes 24 and 25 of the format part hold one of the other codes."""
KINDS = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 24): "i3", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}


def read_sound(path: str) -> tuple[HostArray, int]:
    """Read the sound and its rate from a WAV file of 8 to 32 bits, or of floats.  -> (samples, channels) float32"""
    chunks = dict(_chunks(Path(path).read_bytes()))
    form, data = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(form) < 16 or data is None:
        raise DataError(f"{path!r} is not a WAV file: it has no {'sound data' if len(form) >= 16 else 'format part'}.")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if code == EXTENSIBLE and len(form) >= 26:
        (code,) = struct.unpack_from("<H", form, 24)
    if (code, bits) not in KINDS or not channels or not rate:
        raise DataError(
            f"{path!r} has {bits} bits per sample, in format {code}; expected a WAV file of PCM with 8, 16, 24 or 32 "
            "bits, or of floats."
        )
    whole = len(data) // (bits // 8 * channels) * (bits // 8 * channels)
    return _numbers(data[:whole], KINDS[code, bits]).reshape(-1, channels), rate


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over the parts of a RIFF file, as pairs of name and content."""
    at = 12 if file[:4] == b"RIFF" and file[8:12] == b"WAVE" else len(file)
    while at + 8 <= len(file):
        size = int.from_bytes(file[at + 4 : at + 8], "little")
        yield file[at : at + 4], file[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _numbers(data: bytes, kind: str) -> HostArray:
    if kind == "u1":
        return (np.frombuffer(data, kind).astype(np.float32) - 128) / 128
    if kind == "i3":  # put each sample into the upper three bytes of a 32-bit number
        wide = np.zeros((len(data) // 3, 4), "u1")
        wide[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
        data, kind = wide.tobytes(), "<i4"
    full = 2.0 ** (8 * np.dtype(kind).itemsize - 1) if kind[1] == "i" else 1
    return (np.frombuffer(data, kind) / full).astype(np.float32)
