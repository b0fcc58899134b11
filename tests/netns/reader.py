#!/usr/bin/python3
"""A client that reads: all that comes, or so many bytes a second. Says `reading` when the first
bytes are there.

    reader.py HOST PORT [BYTES_PER_S]
"""

import socket
import sys
import time

CHUNK = 256 * 1024


def connect(host, port):
    """The server may still be on its way up."""
    give_up = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((host, port), timeout=20)
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    rate = float(sys.argv[3]) if len(sys.argv) > 3 else 0
    step = int(min(rate / 10, CHUNK)) if rate else CHUNK
    with connect(host, port) as sock:
        sock.recv(1)
        print("reading", flush=True)
        while sock.recv(step):
            if rate:
                time.sleep(step / rate)


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyboardInterrupt):
        pass
