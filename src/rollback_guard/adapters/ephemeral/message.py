"""Write samples as a remote-write message: protobuf in snappy's block format.

Both are written by hand: a few messages with two fields each, and a compression that may compress nothing.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rollback_guard.core.model import Labels
from rollback_guard.core.notation import STALE

__all__ = ["STALE", "Series", "requests", "snappy"]

MAX_SAMPLES = 50_000
"""Of one series in one request: a little less than a megabyte."""

MAX_SIZE = 1024 * 1024
"""Bytes after which a request is full."""

Sample = tuple[int, float]
"""Milliseconds since the epoch, and the value; `STALE` ends the series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Samples to write.

    Attributes:
        labels: With the name as ``__name__``.
        samples: In order of time.
    """

    labels: Labels
    samples: Sequence[Sample]


def requests(series: Iterable[Series]) -> Iterator[bytes]:
    """Yield messages of bounded size, which written in this order hold all the series.

    Raises:
        ValueError: A series is not in order.
    """
    parts: list[bytes] = []
    size = 0
    for each in series:
        _check_order(each)
        labels = _labels(each.labels)
        for start in range(0, len(each.samples), MAX_SAMPLES):
            parts.append(_text(b"\x0a", labels + _samples(each.samples[start : start + MAX_SAMPLES])))
            size += len(parts[-1])
            if size >= MAX_SIZE:
                yield b"".join(parts)
                parts, size = [], 0
    if parts:
        yield b"".join(parts)


def snappy(data: bytes) -> bytes:
    """Return data that is not empty in snappy's block format, as one literal."""
    return _varint(len(data)) + b"\xfc" + (len(data) - 1).to_bytes(4, "little") + data


def _check_order(series: Series) -> None:
    times = [at for at, _ in series.samples]
    for before, after in itertools.pairwise(times):
        if after <= before:
            raise ValueError(f"the samples of {dict(series.labels)} are not in order: {after} follows {before}")


def _labels(labels: Labels) -> bytes:
    pairs = ((name.encode(), value.encode()) for name, value in labels if value)
    return b"".join(_text(b"\x0a", _text(b"\x0a", name) + _text(b"\x12", value)) for name, value in pairs)


def _text(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


_pack = struct.Struct("<d").pack


def _samples(samples: Sequence[Sample]) -> bytes:
    pieces: list[bytes] = []
    for at, value in samples:
        head, tail = _time(at)
        pieces += (head, _pack(value), tail)
    return b"".join(pieces)


@lru_cache(maxsize=1 << 16)
def _time(at: int) -> tuple[bytes, bytes]:
    """Return what stands before and behind the value; most series of a test have their samples at the same times."""
    tail = b"\x10" + _varint(at & (1 << 64) - 1)
    return b"\x12" + _varint(9 + len(tail)) + b"\x09", tail


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)
