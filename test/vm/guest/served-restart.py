#!/usr/bin/env python3
"""served-restart.py PORT FAR: a raw TCP client of a served 16550 (127.0.0.1:PORT) over restarts of the daemon, and a kill. FAR is the other end of
the cable: what DTR and RTS of the served port did shows there in the driver's counters of DSR and CTS (TIOCGICOUNT). One line per check."""
import fcntl
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

import serial

port, far_name = int(sys.argv[1]), sys.argv[2]
TIOCGICOUNT = 0x545D
TOTAL = 60_000
PATTERN = bytes((i * 7 + (i >> 8) * 31) & 0xFF for i in range(TOTAL))
failed = 0


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def changes():
    """How often CTS, DSR, RI and DCD of the far end have changed, and its breaks."""
    counted = struct.unpack("20i", fcntl.ioctl(far.fileno(), TIOCGICOUNT, bytes(80)))
    return counted[:4] + (counted[9],)


def collect(read, into, whole):
    while len(into) < whole:
        part = read()
        if part is None:
            return
        into += part


def send(write):
    """2 kB a second: the emulated line has no rate of its own."""
    for at in range(0, TOTAL, 100):
        write(PATTERN[at : at + 100])
        time.sleep(0.05)


def restart():
    subprocess.run(["systemctl", "restart", "ttynpd"], check=True)


def connect():
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("refused")


far = serial.Serial(far_name, 9600, timeout=1)
client = connect()
client.settimeout(120)
local = client.getsockname()
time.sleep(1)
check("its client raises DTR and RTS", far.cts and far.dsr)
before = changes()
at_far, at_client = bytearray(), bytearray()
readers = [
    threading.Thread(target=collect, args=(lambda: far.read(4096), at_far, TOTAL), daemon=True),
    threading.Thread(target=collect, args=(lambda: client.recv(4096) or None, at_client, TOTAL), daemon=True),
]
for reader in readers:
    reader.start()
threading.Thread(target=send, args=(client.sendall,), daemon=True).start()
threading.Thread(target=send, args=(far.write,), daemon=True).start()
for _ in range(2):
    time.sleep(2)
    so_far = (len(at_far), len(at_client))
    restart()
    check("a restart in the middle of traffic", all(0 < count < TOTAL for count in so_far), so_far)
for reader in readers:
    reader.join(120)
check("every byte from the client is on the line, once and in order", bytes(at_far) == PATTERN, len(at_far))
check("every byte of the line is at the client, once and in order", bytes(at_client) == PATTERN, len(at_client))
check("its connection is the same", client.getsockname() == local)
check("DTR and RTS have not moved, and there was no break", changes() == before, (before, changes()))
subprocess.run(["systemctl", "kill", "-s", "KILL", "ttynpd"], check=True)
try:
    check("killed: its client is told the end", client.recv(1) == b"")
except ConnectionResetError:
    check("killed: its client is told the end", True)
again = connect()
again.settimeout(60)
deadline = time.monotonic() + 60
again.sendall(b"again")
heard = b""
while len(heard) < 5 and time.monotonic() < deadline:
    heard += far.read(5 - len(heard))
check("who connects again is served by the next daemon", heard == b"again", heard)
far.write(b"yes")
check("and bytes come back", again.recv(3) != b"")
check("DTR and RTS have not moved over the kill either", changes() == before, (before, changes()))
sys.exit(1 if failed else 0)
