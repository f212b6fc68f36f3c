"""Values of types that JSON does not have, as tests/vectors/*.json spell them."""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

TYPES: dict[str, Callable[[str], object]] = {
    "$decimal": Decimal,
    "$double": lambda bits: struct.unpack(">d", bytes.fromhex(bits.rjust(16, "0")))[0],
    "$int": int,
    "$datetime": dt.datetime.fromisoformat,
    "$date": dt.date.fromisoformat,
    "$uuid": uuid.UUID,
}


def value(spelled: Any) -> Any:
    """The Python value that a vector spells."""
    if isinstance(spelled, dict):
        if len(spelled) == 1 and (name := next(iter(spelled))) in TYPES:
            return TYPES[name](spelled[name])
        return {name: value(member) for name, member in spelled.items()}
    return [value(item) for item in spelled] if isinstance(spelled, list) else spelled
