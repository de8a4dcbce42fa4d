#!/usr/bin/env python3
"""served-16550.py TTY FAR: Real COM commands to a served 16550 (data port 950, command port 966 on 127.0.0.1); what its driver has then is read from
TTY by root, whom TIOCEXCL does not keep out, and what the line carried at FAR, the other end of the cable. One line per check."""
import fcntl
import os
import socket
import struct
import sys
import termios
import time

import serial

tty, far_name = sys.argv[1], sys.argv[2]
CMSPAR = 0o10000000000
RATES = {0: 300, 3: 2400, 6: 9600, 7: 19200, 10: 115200}
PARITY = {"N": 0, "E": 0x08, "O": 0x10, "M": 0x18, "S": 0x20}
FRAMES = {0x26: 4, 0x27: 3, 0x2C: 5, 0x2F: 4}
failed = 0


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def ask(code, payload):
    """The answer; what the device tells by itself is passed over."""
    command.sendall(bytes([code, len(payload)]) + payload)
    while True:
        frame = take(1)
        frame += take(FRAMES.get(frame[0], 3) - 1)
        if frame[0] == code:
            return frame


def take(count):
    got = b""
    while len(got) < count:
        part = command.recv(count - len(got))
        if not part:
            raise SystemExit("the command connection ended")
        got += part
    return got


def present():
    """As stty has it: rate, size, parity, stop bits, RTS/CTS, XON/XOFF."""
    iflag, _, cflag, _, _, ospeed, _ = termios.tcgetattr(driver)
    rate = next((rate for rate in RATES.values() if getattr(termios, f"B{rate}") == ospeed), ospeed)
    size = {termios.CS5: 5, termios.CS6: 6, termios.CS7: 7, termios.CS8: 8}[cflag & termios.CSIZE]
    odd, stick = bool(cflag & termios.PARODD), bool(cflag & CMSPAR)
    parity = "N" if not cflag & termios.PARENB else ("M" if odd else "S") if stick else "O" if odd else "E"
    stop = 2 if cflag & termios.CSTOPB else 1
    return rate, size, parity, stop, bool(cflag & termios.CRTSCTS), bool(iflag & termios.IXON)


def lines():
    bits = struct.unpack("I", fcntl.ioctl(driver, termios.TIOCMGET, b"\0\0\0\0"))[0]
    return bool(bits & termios.TIOCM_DTR), bool(bits & termios.TIOCM_RTS)


def init(index, size, parity, stop, rtscts=0, ixon=0):
    mode = size - 5 | (4 if stop == 2 else 0) | PARITY[parity]
    answer = ask(0x2C, bytes([index, mode, 1, 1, rtscts, rtscts, ixon, ixon]))
    wanted = (RATES[index], size, parity, stop, bool(rtscts), bool(ixon))
    check(f"{wanted} in the driver", answer[1] == 3 and present() == wanted, f"{answer.hex()} {present()}")


far = serial.Serial(far_name, 9600, timeout=5)
command = socket.create_connection(("127.0.0.1", 966))
data = socket.create_connection(("127.0.0.1", 950))
command.settimeout(10)
data.settimeout(5)
driver = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
for index in RATES:
    init(index, 8, "N", 1)
for size in (5, 6, 7, 8):
    for parity in PARITY:
        for stop in (1, 2):
            init(6, size, parity, stop)
init(6, 8, "N", 1, rtscts=1)
init(6, 8, "N", 1, ixon=1)
init(6, 8, "N", 1)
for dtr, rts in ((0, 0), (1, 0), (0, 1), (1, 1)):
    answer = ask(0x12, bytes([dtr, rts]))
    check(f"DTR {dtr} RTS {rts} in the driver", answer == b"\x12OK" and lines() == (bool(dtr), bool(rts)), lines())
init(7, 7, "M", 1)
check("a change of settings moves neither line", lines() == (True, True), lines())
init(6, 8, "N", 1)
every = bytes(range(256)) * 2
data.sendall(every)
left = None
while left != 0:
    answer = ask(0x2F, struct.pack("<I", 500))
    left = struct.unpack("<H", answer[2:4])[0]
far.timeout = 0.5
check("the queue is empty, and the line has had every byte", far.read(len(every)) == every)
far.write(every)
got = b""
while len(got) < len(every):
    got += data.recv(4096)
check("every byte value from the line", got == every)
check("a break is begun and ended", ask(0x21, b"") == b"\x21OK" and ask(0x22, b"") == b"\x22OK")
data.sendall(b"after")
far.timeout = 5
check("bytes after it", far.read(6).replace(b"\0", b"")[-5:] == b"after")
command.close()
data.close()
for _ in range(50):
    if lines() == (False, False):
        break
    time.sleep(0.1)
check("the end of the host lowers the lines", lines() == (False, False), lines())
sys.exit(1 if failed else 0)
