"""The published test of ECMAScript numbers: bit patterns of doubles, and checksums over the lines they make.

The sequence is that of https://github.com/cyberphone/json-canonicalization/tree/master/testdata: listed patterns, then
2,000 doubles from the smallest normal one upwards, then the doubles in a chain of SHA-256 blocks that begins with 32
zero bytes, without zeros and what is not finite. A line is "hexadecimal pattern,number".
"""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
from collections.abc import Iterator
from pathlib import Path

from strandline import _core

VECTORS = json.loads((Path(__file__).parent / "vectors" / "numbers.json").read_text(encoding="utf-8"))
CHECKSUMS: dict[int, str] = {int(lines): checksum for lines, checksum in VECTORS["checksums"].items()}
SERIAL_START = 0x0010000000000000
SERIAL_COUNT = 2000
BLOCKS = 1 << 16


def pattern_chunks() -> Iterator[bytes]:
    """Patterns without end, eight little-endian bytes each, in chunks; some of them are not finite."""
    listed = [int(bits, 16) for bits in VECTORS["listed"]]
    serial = range(SERIAL_START, SERIAL_START + SERIAL_COUNT)
    yield struct.pack(f"<{len(listed) + SERIAL_COUNT}Q", *listed, *serial)
    block = bytes(32)
    while True:
        blocks = []
        for _ in range(BLOCKS):
            block = hashlib.sha256(block).digest()
            blocks.append(block)
        yield b"".join(blocks)


def checksum(lines: int) -> str:
    """SHA-256 of the first `lines` lines, made by the number function of the canonical form.

    Zeros need no skipping here: in 10^8 random doubles there is none.
    """
    digest = hashlib.sha256()
    for chunk in pattern_chunks():
        made = _core.number_lines(chunk)
        count = made.count(b"\n")
        if count >= lines:
            digest.update(b"".join(itertools.islice(made.splitlines(keepends=True), lines)))
            return digest.hexdigest()
        digest.update(made)
        lines -= count
    raise AssertionError("the sequence has no end")
