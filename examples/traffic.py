#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Real clients and servers for the demonstration.

traffic.py serve PORT...               answers on these TCP and UDP ports, IPv4 and IPv6, until ended;
                                       prints "ready" once all are open
traffic.py tcp ADDRESS PORT [SOURCE]   exit 0 when a connection carries a line there and back
traffic.py udp ADDRESS PORT [SOURCE]   exit 0 when a datagram gets its answer
"""

import selectors
import socket
import sys

TIMEOUT = 1.0


def serve(ports):
    selector = selectors.DefaultSelector()
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            # One socket of each kind for both families: IPv4 comes in as mapped addresses.
            server = socket.socket(socket.AF_INET6, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            server.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                server.listen(16)
            selector.register(server, selectors.EVENT_READ, kind)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data == socket.SOCK_DGRAM:
                data, peer = key.fileobj.recvfrom(2048)
                key.fileobj.sendto(data, peer)
                continue
            connection, _ = key.fileobj.accept()
            with connection:
                connection.settimeout(TIMEOUT)
                try:
                    connection.sendall(connection.recv(2048))
                except OSError:
                    pass  # A client that went away is not the server's trouble.


def ask(kind, address, port, source):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as client:
        client.settimeout(TIMEOUT)
        try:
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            client.sendall(b"hello\n")
            return client.recv(2048) == b"hello\n"
        except OSError:
            return False


def main(arguments):
    if len(arguments) >= 2 and arguments[0] == "serve":
        serve([int(port) for port in arguments[1:]])
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    if len(arguments) in (3, 4) and arguments[0] in kinds:
        source = arguments[3] if len(arguments) == 4 else None
        return 0 if ask(kinds[arguments[0]], arguments[1], int(arguments[2]), source) else 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
