#!/usr/bin/env python3
"""usbip-close.py TTY DEVICE PORT CLOSING_WAIT TRIAL ...: the last close. room: what was written is sent. Where output is stuck close() ends
within the tty's closingWait, and the device is told FLUSH: held (the device at the line takes nothing), stopped (the device server),
silent (its network), killed (the last trial). unread: input that nobody reads is in the way. Runs as root. One line per check; exit code 1
where one failed."""
import os
import re
import subprocess
import sys
import termios
import time
import tty as terminal

tty, device, port, closing_wait = *sys.argv[1:4], float(sys.argv[4])
failed = 0
SLACK = 2  # seconds, of a busy machine


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def mark():
    return os.path.getsize(f"{device}.log")


def log(since):
    with open(f"{device}.log") as lines:
        lines.seek(since)
        return [line for line in lines if f"port {port}: " in line]


def said(text, since, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any(text in line for line in log(since)):
            return True
        time.sleep(0.02)
    return False


def tell(command):
    since = mark()
    with open(f"{device}.in", "w") as pipe:
        pipe.write(f"{port} {command}\n")
    said(f"did {command}", since)


def sent(lines):
    return b"".join(bytes.fromhex(match[1]) for line in lines if (match := re.search(": sent ([0-9a-f]+)", line)))


def run(command):
    subprocess.run(command, shell=True, check=True)


def opened(hupcl=True):
    """Raw, at 9600, with a connection."""
    since = mark()
    fd = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    terminal.setraw(fd)
    attributes = termios.tcgetattr(fd)
    attributes[2] |= termios.CLOCAL | termios.HUPCL
    if not hupcl:
        attributes[2] &= ~termios.HUPCL
    attributes[4] = attributes[5] = termios.B9600
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    said("TX_FIFO OK", since)
    os.write(fd, b"!")
    check("a connection", said("sent 21", since))
    return fd


def closed(fd):
    began = time.monotonic()
    os.close(fd)
    return time.monotonic() - began


def with_room(hupcl):
    fd = opened(hupcl)
    since = mark()
    written = os.write(fd, b"U" * 600)
    took = closed(fd)
    flushed = said(": flush both", since)
    said("disconnected", since)
    lines = log(since)
    flush = next((n for n, line in enumerate(lines) if ": flush both" in line), 0)
    name = f"close with output, {'' if hupcl else '-'}HUPCL"
    check(f"{name}: all is sent, then FLUSH", flushed and len(sent(lines[:flush])) == written, f"{len(sent(lines[:flush]))} of {written}, close() took {took:.2f} s")
    check(f"{name}: DTR and RTS {'go off' if hupcl else 'stay'}", any("dtr off rts off" in line for line in lines) == hupcl)


def fill(fd):
    """Until nothing more is taken, anywhere on the way."""
    total, since = 0, time.monotonic()
    while time.monotonic() - since < 2:
        try:
            total += os.write(fd, b"U" * 4096)
            since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.05)
    return total


FAULTS = {
    "held": (lambda: tell("hold on"), lambda: tell("hold off")),
    "stopped": (lambda: run("kill -STOP $(systemctl show -p MainPID --value device-server)"), lambda: run("kill -CONT $(systemctl show -p MainPID --value device-server)")),
    "silent": (lambda: run("tc qdisc add dev lo root netem loss 100%"), lambda: run("tc qdisc del dev lo root")),
    "killed": (lambda: run("systemctl kill -s KILL device-server"), lambda: None),
}


def without_room(fault):
    begin, end = FAULTS[fault]
    fd = opened()
    since = mark()
    if fault == "killed":
        tell("hold on")
    else:
        begin()
    stuck = fill(fd)
    if fault == "killed":
        begin()
    took = closed(fd)
    check(f"{fault}: close() ends within closingWait ({closing_wait:g} s)", took <= closing_wait + SLACK, f"{stuck} bytes stuck, {took:.1f} s")
    if fault == "held":
        check(f"{fault}: then FLUSH", said(": flush both", since, closing_wait + 20))
    elif fault != "killed":
        time.sleep(closing_wait + SLACK)
    end()
    if fault == "killed":
        return
    check(f"{fault}: the connection is given up", said("disconnected", since, 60))
    since = mark()
    fd = opened()
    os.write(fd, b"again")
    end = time.monotonic() + 15
    while not (got := sent(log(since))).endswith(b"again") and time.monotonic() < end:
        time.sleep(0.02)
    check(f"{fault}: what the next one writes reaches the device, and nothing of before", got == b"!again", f"{len(got)} bytes")
    os.close(fd)


def unread():
    """More than the kernel's buffers, which nobody reads: the close is seen all the same, and the next one reads nothing of it."""
    fd = opened()
    attributes = termios.tcgetattr(fd)
    attributes[4] = attributes[5] = termios.B115200
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    tell("echo on")
    since, left = mark(), 12000
    while left > 0:
        try:
            left -= os.write(fd, b"U" * min(left, 512))
        except BlockingIOError:
            time.sleep(0.01)
    termios.tcdrain(fd)
    time.sleep(1)
    closed(fd)
    check("unread: the close is seen", said(": flush both", since) and said("disconnected", since))
    tell("echo off")
    fd = opened()
    time.sleep(1)
    try:
        stale = len(os.read(fd, 65536))
    except BlockingIOError:
        stale = 0
    os.close(fd)
    check("unread: nothing of it is for the next one", stale == 0, f"{stale} bytes")


tell("echo off")
for trial in sys.argv[5:]:
    if trial == "room":
        with_room(True)
        with_room(False)
    elif trial == "unread":
        unread()
    else:
        without_room(trial)
if sys.argv[-1] != "killed":
    tell("echo on")
sys.exit(1 if failed else 0)
