"""Write samples as a remote-write message: protobuf in snappy's block format.

Both are written by hand: three message types with two fields each, and a compression that is allowed to compress nothing.
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
"""Of one request: a little less than a megabyte."""

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
    room = MAX_SAMPLES
    for each in series:
        _check_order(each)
        labels, start = _labels(each.labels), 0
        while start < len(each.samples):
            taken = each.samples[start : start + room]
            body = labels + _samples(taken)
            parts.append(b"\x0a" + _varint(len(body)) + body)
            start, room = start + len(taken), room - len(taken)
            if room == 0:
                yield b"".join(parts)
                parts, room = [], MAX_SAMPLES
    if parts:
        yield b"".join(parts)


_LITERAL = 1 << 24
"""Bytes of one literal: its length fits into the three bytes of tag 62."""


def snappy(data: bytes) -> bytes:
    """Return the data in snappy's block format, all of it as literals."""
    pieces = [_varint(len(data))]
    for start in range(0, len(data), _LITERAL):
        literal = data[start : start + _LITERAL]
        pieces += (b"\xf8", (len(literal) - 1).to_bytes(3, "little"), literal)
    return b"".join(pieces)


def _check_order(series: Series) -> None:
    times = [at for at, _ in series.samples]
    for before, after in itertools.pairwise(times):
        if after <= before:
            raise ValueError(f"the samples of {dict(series.labels)} are not in order: {after} follows {before}")


def _labels(labels: Labels) -> bytes:
    return b"".join(
        _text(b"\x0a", _text(b"\x0a", name.encode()) + _text(b"\x12", value.encode())) for name, value in labels
    )


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
