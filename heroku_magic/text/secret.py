"""Secret: a text that shows itself to nobody, whatever prints, formats, copies or pickles it."""

from __future__ import annotations

from typing import NoReturn

SHORTEST = 4  # characters that can be hidden in a text: whatever is shorter stands in half of all log lines


class Secret:
    """A text that shows itself to nobody who does not ask by `reveal()`; copies are itself, pickles refused."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the text, for the one place that sends it."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__value == other.reveal()

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a Secret is not pickled: it would leave this process"
        raise TypeError(message)
