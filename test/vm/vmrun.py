#!/usr/bin/env python3
"""vmrun.py 'shell command' [seconds]: runs it in the guest of boot.sh, streams its output, exits with its code."""
import base64
import json
import os
import socket
import sys

VM = os.environ.get("TTYNP_VM", os.path.expanduser("~/.cache/ttynp-vm"))
IDENT = os.getpid()


def main():
    timeout = int(sys.argv[2]) if len(sys.argv) > 2 else 120
    link = socket.socket(socket.AF_UNIX)
    link.connect(os.path.join(VM, "run/cmd.sock"))
    link.sendall((json.dumps({"id": IDENT, "cmd": sys.argv[1], "timeout": timeout}) + "\n").encode())
    pending = b""
    while True:
        data = link.recv(65536)
        if not data:
            return 255
        pending += data
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            reply = json.loads(line)
            if reply.get("id") != IDENT:  # what is left of an earlier client that broke off
                continue
            if "rc" in reply:
                return reply["rc"]
            sys.stdout.buffer.write(base64.b64decode(reply["o"]))
            sys.stdout.buffer.flush()


sys.exit(main())
