"""A text that is hidden wherever it is printed, formatted or copied, and that cannot be pickled."""

from __future__ import annotations

from typing import NoReturn

SHORTEST = 4  # characters; shorter secrets would occur in most log lines by chance


class Secret:
    """A text that only `reveal()` shows.

    Parameters
    ----------
    value
        The text to hide.

    Examples
    --------
    >>> password = Secret("hunter2")
    >>> print(f"{password} {[password]}")
    *** [Secret(***)]
    >>> password.reveal()
    'hunter2'
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the text."""
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
        message = "a Secret cannot be pickled: it would leave this process"
        raise TypeError(message)
