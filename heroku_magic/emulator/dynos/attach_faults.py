"""The faults of one attached connection, decided by its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heroku_magic.emulator.faults import Faults

# The connection falls silent within this many seconds of its greeting.
LATEST_SILENCE = 2.0
# Bytes of input that may come without output in between, before the platform reads no more.
MOST_UNANSWERED = 30_000
# Seconds for which the end of the output is under way.
IN_FLIGHT = 0.1


@dataclass(frozen=True)
class AttachFaults:
    """What goes wrong with a connection after its greeting.

    cut, silence: seconds after the greeting, 0 for never. tail: bytes that are lost at the dyno's end.
    """

    cut: float = 0
    silence: float = 0
    tail: int = 0
    empty: bool = False
    stall: bool = False
    chop: bool = False
    seven_bit: bool = False

    @classmethod
    def of(cls, faults: Faults, number: int) -> AttachFaults:
        """Return what strikes the attach with this number."""

        def strikes(name: str) -> bool:
            return faults.strikes(f"attach-{name}", number)

        moment = 1 - faults.share("attach-silent moment", number)
        return cls(
            cut=faults["attach-cut"],
            silence=LATEST_SILENCE * moment if strikes("silent") else 0,
            tail=int(faults["attach-tail"]),
            empty=strikes("empty"),
            stall=strikes("stall"),
            chop=strikes("chop"),
            seven_bit=strikes("7bit"),
        )
