"""Services by number: what belongs to one says so in four bytes."""

from __future__ import annotations


class Services:
    """A number is given back once nothing uses it any more, so names that come and go take no room for good."""

    def __init__(self) -> None:
        self.names: list[str] = []  # by number
        self._numbers: dict[str, int] = {}
        self._uses: list[int] = []
        self._free: list[int] = []

    def enter(self, name: str) -> int:
        """Return the number of a service for one more that belongs to it."""
        number = self._numbers.get(name)
        if number is None:
            if self._free:
                number = self._free.pop()
                self.names[number] = name
            else:
                number = len(self.names)
                self.names.append(name)
                self._uses.append(0)
            self._numbers[name] = number
        self._uses[number] += 1
        return number

    def leave(self, number: int) -> None:
        """Take note that one less belongs to it."""
        self._uses[number] -= 1
        if not self._uses[number]:
            del self._numbers[self.names[number]]
            self._free.append(number)
