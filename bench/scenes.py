"""The scenes that are timed, and what each must reach."""
from dataclasses import dataclass

from servers import FILE, LONG_FILE, SHORT_FILE


@dataclass
class Scene:
    name: str
    title: str
    mode: str                # of the server
    generator: list          # mode and options of the generator
    most: float = None       # crew's cost at most this many times ...
    against: str = "floor"   # ... that of this server; of several names, of the cheapest
    peers: bool = True       # it must be below that of each other peer as well


def ws(*options):
    return ["ws", "--connections", "64", *options]


def udp(*options):
    # So few under way that the kernel can hold them all: what is lost is lost for good.
    return ["udp", "--connections", "16", *options]


def proxied(file, connections):
    return ["file", "--connections", connections, "--path", "/files/" + file]


def tls(*options):
    return [*options, "--tls", "--connections", "64"]


def fanout(*options):
    # 1,000 subscribers and the publisher, which hears itself like them.
    return ["fanout", "--connections", "1001", "--payload", "64", *options]


SCENES = [
    # crew finds them by routes.
    Scene("http-64", "HTTP, 64 connections", "http", ["http", "--connections", "64"], 1.08),
    Scene("http-512", "HTTP, 512 connections", "http", ["http", "--connections", "512"], 1.12),
    Scene("http-pipeline", "HTTP, 16 deep", "http",
          ["http", "--connections", "64", "--depth", "16"], 1.4),
    Scene("json", "HTTP, a JSON object", "json",
          ["http", "--connections", "64", "--path", "/json", "--expect",
           '{"message":"Hello, World!"}'], 1.0, "Bun"),
    Scene("file", "HTTP, a file of 1 MiB", "file",
          ["file", "--connections", "16", "--path", "/files/" + FILE], 1.0, "nginx"),
    Scene("ws-20", "WebSocket echo 20 B", "ws", ws("--payload", "20"), 1.08),
    Scene("ws-20-16", "WebSocket echo 20 B, 16 in flight", "ws",
          ws("--payload", "20", "--depth", "16"), 1.2),
    Scene("ws-1k", "WebSocket echo 1 KiB", "ws", ws("--payload", "1024"), 1.08),
    Scene("ws-16k", "WebSocket echo 16 KiB", "ws", ws("--payload", "16384"), 1.12),
    # Text must be checked for UTF-8, which the floor does not do: shown without a target.
    Scene("ws-16k-text", "WebSocket echo 16 KiB, text", "ws", ws("--payload", "16384", "--text")),
    Scene("fanout-1", "fan-out to 1,000, window 1", "fanout", fanout("--depth", "1"), 1.05),
    Scene("fanout-16", "fan-out to 1,000, window 16", "fanout", fanout("--depth", "16"), 1.05,
          "Bun"),
    Scene("udp", "UDP echo 64 B", "udp", udp("--payload", "64", "--depth", "8"), 1.2),
    # One datagram of each peer at a time: none can leave together with another.
    Scene("udp-single", "UDP echo 64 B, one in flight", "udp",
          ["udp", "--connections", "64", "--payload", "64"], 1.2),
    Scene("udp-1k", "UDP echo 1 KiB", "udp", udp("--payload", "1024", "--depth", "8"), 1.2),
    Scene("https", "HTTPS", "http+tls", tls("http"), 1.05, "nginx Bun"),
    # Each request on a connection of its own: TCP, TLS 1.3 in full, request, answer, end.
    Scene("handshakes", "full TLS handshakes", "http+tls",
          ["handshake", "--tls", "--connections", "16"], 1.0, "nginx", peers=False),
    Scene("tls-ws-20", "WebSocket over TLS, 20 B", "ws+tls", tls("ws"), 1.05, "Bun"),
    Scene("tls-ws-1k", "WebSocket over TLS, 1 KiB", "ws+tls", tls("ws", "--payload", "1024"), 1.05,
          "Bun"),
    Scene("tls-ws-16k", "WebSocket over TLS, 16 KiB", "ws+tls", tls("ws", "--payload", "16384"),
          1.05, "Bun"),
    Scene("tls-tcp-20", "TLS echo, 20 B", "tcp+tls", tls("tcp"), 1.05, "Bun"),
    Scene("tls-tcp-1k", "TLS echo, 1 KiB", "tcp+tls", tls("tcp", "--payload", "1024"), 1.05, "Bun"),
    Scene("tls-tcp-16k", "TLS echo, 16 KiB", "tcp+tls", tls("tcp", "--payload", "16384"), 1.05,
          "Bun"),
    Scene("proxy-64k", "TCP proxy, 64 KiB at a time", "proxy", proxied(SHORT_FILE, "32"), 1.0,
          "haproxy"),
    Scene("proxy-1m", "TCP proxy, 1 MiB", "proxy", proxied(FILE, "16"), 1.0, "haproxy"),
    Scene("proxy-16m", "TCP proxy, 16 MiB", "proxy", proxied(LONG_FILE, "4"), 1.0, "haproxy"),
]

# Marginal user-space instructions for each operation, on one connection: a turn of the loop each.
INSTRUCTIONS = [
    ("HTTP request", "http", ["http", "--connections", "1"], 2000),
    ("WebSocket 20 B", "ws", ["ws", "--connections", "1", "--payload", "20"], 600),
    ("WebSocket 1 KiB", "ws", ["ws", "--connections", "1", "--payload", "1024"], None),
    ("WebSocket 20 B, 16 in flight", "ws",
     ["ws", "--connections", "1", "--payload", "20", "--depth", "16"], None),
]

IDLE_CONNECTIONS = 10000
IDLE_BYTES = 400

# CPU time of a compressed fan-out, times that of the same uncompressed.
DEFLATE_FANOUT = 1.3

MIB = 1 << 20
STALLED = {"connections": 1000, "stalled": 100, "payload": 64 << 10, "rate": 8}
STALLED_LIMIT = 1 * MIB  # max_send_buffer by default
STALLED_P99 = 1.5
STALLED_MEMORY = {
    "fanout": 16 * MIB,
    "copy": STALLED["stalled"] * (STALLED_LIMIT + STALLED["payload"]) + 16 * MIB,
}

# The same in full size, under each policy; with fewer clients where descriptors are few.
POLICIES_CONNECTIONS = 10000
POLICIES = {"payload": 8 << 10, "rate": 4}
POLICIES_LIMIT = 64 << 10  # max_send_buffer
POLICIES_MEMORY = 16 * MIB
POLICIES_KERNEL = 300 << 10

STATUS_MS = 200
START_MS = 50  # until the first answer

# The commands that look, while so many connections are open (or as many as the limit of
# descriptors allows).
COMMAND_CONNECTIONS = 10000
COMMAND_MS = 200
REFRESH_CPU_MS = 50  # of one screen of `top`
WORKER_CPU_MS = 2    # of the workers for all those commands
