#!/usr/bin/env python3
"""usbip.py TTY SIMULATOR_LOG PORT: what only a serial port of the kernel can do, through the daemon, seen in what the simulator
(a loop plug: DTR is DSR and DCD, RTS is CTS) logged of its line. One line per check; exit code 1 where one failed."""
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import threading
import time

import serial

TIOCMIWAIT, TIOCGICOUNT, TIOCM_CTS = 0x545C, 0x545D, 0x20
path, log, port_name = sys.argv[1], sys.argv[2], f"port {sys.argv[3]}: "
failed = 0


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def logged(text, since, seconds=5):
    """Whether the simulator said it after so many bytes of its log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with open(log) as lines:
            lines.seek(since)
            if any(port_name in line and text in line for line in lines):
                return True
        time.sleep(0.05)
    return False


def size():
    return os.path.getsize(log)


def read_exactly(port, count):
    got = b""
    end = time.monotonic() + 15
    while len(got) < count and time.monotonic() < end:
        got += port.read(count - len(got))
    return got


port = serial.Serial(path, 9600, timeout=1)
port.write(b"hello")
check("bytes both ways", read_exactly(port, 5) == b"hello")

for bits, parity, stop in ((7, "E", 2), (8, "O", 1), (5, "N", 1), (8, "M", 1), (8, "S", 1), (8, "N", 1)):
    since = size()
    port.baudrate = 19200 if port.baudrate != 19200 else 9600
    port.bytesize, port.parity, port.stopbits = bits, parity, stop
    port.write(b"\x15")
    name = f"{port.baudrate},{bits}{parity}{stop}"
    check(f"{name} at the device", logged(name, since), read_exactly(port, 1))
stty = subprocess.run(["stty", "-F", path, "cs6"], capture_output=True, text=True)
check("6 data bits are refused visibly", stty.returncode != 0, stty.stderr.strip())

since = size()
port.rts = False
check("RTS off at the device", logged("rts off", since))
end = time.monotonic() + 5
while port.cts and time.monotonic() < end:
    time.sleep(0.02)
check("CTS follows by the loop plug", not port.cts and port.dsr and port.cd)
time.sleep(0.3)  # TIOCMGET asks the chip; what wakes comes with the data, maybe later
before = struct.unpack("20i", fcntl.ioctl(port.fd, TIOCGICOUNT, bytes(80)))
woken = []
waiter = threading.Thread(target=lambda: (fcntl.ioctl(port.fd, TIOCMIWAIT, TIOCM_CTS), woken.append(True)), daemon=True)
waiter.start()
time.sleep(0.5)
port.rts = True
waiter.join(5)
check("TIOCMIWAIT wakes", bool(woken))
after = struct.unpack("20i", fcntl.ioctl(port.fd, TIOCGICOUNT, bytes(80)))
check("TIOCGICOUNT counts CTS", after[0] > before[0], f"{before[0]} -> {after[0]}")

since = size()
began = time.monotonic()
port.send_break(0.3)
check("break at the device", logged("break on", since) and logged("break off", since))
check("and back: its flag is one NUL", read_exactly(port, 1) == b"\0")

port.baudrate = 9600
time.sleep(0.3)
began = time.monotonic()
port.write(b"U" * 1200)
reader = threading.Thread(target=read_exactly, args=(port, 1200))
reader.start()
termios.tcdrain(port.fd)
took = time.monotonic() - began
check("tcdrain of 1200 bytes at 9600 is not early", took >= 1.25, f"{took:.2f} s")
reader.join()

port.baudrate = 115200
data = bytes((i * 7 + (i >> 8) * 13) & 255 for i in range(60000))
writer = threading.Thread(target=port.write, args=(data,))
writer.start()
got = read_exactly(port, len(data))
wrong = next((at for at, (a, b) in enumerate(zip(got, data)) if a != b), None)
check("60000 bytes, none lost", got == data, f"{len(got)} came, the first wrong one at {wrong}")
writer.join()

attributes = termios.tcgetattr(port.fd)
attributes[2] &= ~termios.CLOCAL
termios.tcsetattr(port.fd, termios.TCSANOW, attributes)
port.dtr = False
end = time.monotonic() + 5
hung_up = False
while not hung_up and time.monotonic() < end:
    try:
        hung_up = select.select([port.fd], [], [], 0.1)[0] != [] and os.read(port.fd, 1) == b""
    except OSError:
        hung_up = True
check("without CLOCAL the loss of DCD hangs up", hung_up)
port.close()
port = serial.Serial(path, 9600, timeout=1)
port.write(b"again")
check("and the next open works", read_exactly(port, 5) == b"again")

since = size()
port.close()
check("closed: DTR and RTS drop at the device", logged("dtr off rts off", since))
sys.exit(1 if failed else 0)
