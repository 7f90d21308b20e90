#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Speaks framing length and reads 16 bytes at a time: headers and payloads come in pieces.

sixteen.py HOST PORT TEXT… prints the answer to each TEXT on a line.
"""

import socket
import sys

HEADER = 10
SIXTEEN = 16


def main() -> None:
    host, port, texts = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    received = b""
    with socket.create_connection((host, port), timeout=30) as connection:
        for text in texts:
            data = text.encode()
            connection.sendall(str(len(data)).ljust(HEADER).encode() + data)
        for _ in texts:
            while len(received) < HEADER or len(received) < HEADER + int(received[:HEADER]):
                piece = connection.recv(SIXTEEN)
                if not piece:
                    sys.exit("the connection ended too early")
                received += piece
            end = HEADER + int(received[:HEADER])
            print(received[HEADER:end].decode())
            received = received[end:]


if __name__ == "__main__":
    main()
