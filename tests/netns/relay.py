#!/usr/bin/python3
"""A long path: carries packets from one TUN device to another and back, each `delay_ms` later, give
or take `jitter_ms` at random, never one before another. With a rate, what comes faster waits its
turn, and what finds `queue` packets waiting is lost; the way back is not narrow.

    relay.py FD FD DELAY_MS JITTER_MS RATE_KBIT QUEUE
"""

import collections
import os
import random
import select
import sys
import time

PACKETS_AT_ONCE = 64


class Way:
    """One direction."""

    def __init__(self, take_from, give_to, delay, jitter, bytes_per_s, queue):
        self.take_from, self.give_to = take_from, give_to
        self.delay, self.jitter, self.bytes_per_s = delay, jitter, bytes_per_s
        self.queue = queue
        self.waiting = collections.deque()  # (due, packet)
        self.free_at = 0.0  # when the narrow place has sent all that entered it
        self.last_due = 0.0
        self.dice = random.Random()

    def take(self, now):
        """What has arrived, as far as there is room."""
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = os.read(self.take_from, 65536)
            except BlockingIOError:
                return
            if self.bytes_per_s:
                each = len(packet) / self.bytes_per_s
                if self.free_at - now > self.queue * each:
                    continue
                self.free_at = max(self.free_at, now) + each
                left = self.free_at
            else:
                left = now
            due = left + self.delay + self.dice.uniform(-self.jitter, self.jitter)
            self.last_due = max(self.last_due, due)
            self.waiting.append((self.last_due, packet))

    def give(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            try:
                os.write(self.give_to, self.waiting.popleft()[1])
            except BlockingIOError:
                pass  # the device is full: lost, as on any path

    def due(self):
        return self.waiting[0][0] if self.waiting else None


def main():
    first, second, *rest = sys.argv[1:]
    delay, jitter, kbit, queue = (float(word) for word in rest)
    ways = [
        Way(int(first), int(second), delay / 1000, jitter / 1000, kbit * 125, queue),
        Way(int(second), int(first), delay / 1000, jitter / 1000, 0, queue),
    ]
    poll = select.poll()
    for way in ways:
        poll.register(way.take_from, select.POLLIN)
    parent = os.getppid()
    while os.getppid() == parent:
        due = [way.due() for way in ways if way.waiting]
        wait = min(due) - time.monotonic() if due else 1.0
        poll.poll(max(0, min(wait, 1.0)) * 1000)
        now = time.monotonic()
        for way in ways:
            way.take(now)
            way.give(now)


if __name__ == "__main__":
    main()
