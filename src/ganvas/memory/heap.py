"""A heap as the C library of Linux keeps it, in numbers alone: how much a process holds for a course of requests.

Freed memory is joined with free neighbours and given out again to the request it fits best; what fits nowhere makes the heap
grow. A run keeps what was freed (`doctor.keep_memory`), so the holes between pieces that live count as well. Requests of 32 MiB
and more lie outside the heap and go back to the system at once. Not an allocator: no memory is touched.
"""

from __future__ import annotations

import bisect

OUTSIDE = 32 * 2**20  # bytes: the threshold that `doctor.keep_memory` sets
GRAIN, PAGE = 64, 4096  # bytes: torch asks for multiples of 64


class Heap:
    """`take` and `give` pieces; `resident` is what the process holds at the moment, in bytes."""

    def __init__(self) -> None:
        self.top = 0  # the heap's end
        self.outside = 0
        self.used: dict[int, int] = {}  # place -> size; negative places lie outside
        self.starts: dict[int, int] = {}  # free: place -> size
        self.ends: dict[int, int] = {}  # free: end -> place
        self.sizes: list[tuple[int, int]] = []  # free: (size, place), sorted
        self.most = 0
        self._outer = 0

    @property
    def resident(self) -> int:
        """Bytes."""
        return self.most + self.outside

    def take(self, size: int) -> int:
        """The place of a new piece."""
        if size >= OUTSIDE:
            self._outer -= 1
            whole = -(-(size + GRAIN) // PAGE) * PAGE
            self.used[self._outer] = whole
            self.outside += whole
            return self._outer
        whole = max(GRAIN, -(-size // GRAIN) * GRAIN) + GRAIN  # and its header
        found = bisect.bisect_left(self.sizes, (whole, -1))
        if found < len(self.sizes):
            room, place = self.sizes[found]
            self._unlist(place)
            if room > whole:
                self._list(place + whole, room - whole)
        else:
            place = self.top
            self.top += whole
            self.most = max(self.most, self.top)
        self.used[place] = whole
        return place

    def give(self, place: int) -> None:
        """Free a piece."""
        size = self.used.pop(place)
        if place < 0:
            self.outside -= size
            return
        if place in self.ends:
            before = self.ends[place]
            size += self.starts[before]
            self._unlist(before)
            place = before
        behind = place + size
        if behind in self.starts:
            size += self.starts[behind]
            self._unlist(behind)
        if place + size == self.top:
            self.top = place
        else:
            self._list(place, size)

    def _list(self, place: int, size: int) -> None:
        self.starts[place] = size
        self.ends[place + size] = place
        bisect.insort(self.sizes, (size, place))

    def _unlist(self, place: int) -> None:
        size = self.starts.pop(place)
        del self.ends[place + size]
        del self.sizes[bisect.bisect_left(self.sizes, (size, place))]
