#!/usr/bin/env python3
"""usbip-modbus.py TTY DEVICE FRAMES drain|sleep: libmodbus in its RTS modes, as a master at a transceiver whose driver RTS switches on. Each request must
arrive as RTS on, all its bytes transmitted, RTS off, in that order (what device-server.mjs says in DEVICE.log); its echo by the loop plug is
the answer that "write single register" has. libmodbus itself only sleeps as long as the bytes should take; with tcdrain() in its place too.
One line per check; exit code 1 where one failed."""
import ctypes
import fcntl
import os
import re
import struct
import sys
import termios
import time

tty, device, frames = sys.argv[1], sys.argv[2], int(sys.argv[3])
drains = sys.argv[4] == "drain"
UP, DOWN = 1, 2
BAUD = 9600  # slow enough to tell what left from what was only taken
SET_RTS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
failed = 0

modbus = ctypes.CDLL("libmodbus.so.5", use_errno=True)
modbus.modbus_new_rtu.restype = ctypes.c_void_p
modbus.modbus_new_rtu.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char, ctypes.c_int, ctypes.c_int]
modbus.modbus_strerror.restype = ctypes.c_char_p
for name in ("connect", "close", "free", "get_socket"):
    getattr(modbus, f"modbus_{name}").argtypes = [ctypes.c_void_p]
for name in ("set_slave", "rtu_set_rts", "rtu_set_rts_delay"):
    getattr(modbus, f"modbus_{name}").argtypes = [ctypes.c_void_p, ctypes.c_int]
modbus.modbus_rtu_set_custom_rts.argtypes = [ctypes.c_void_p, SET_RTS]
modbus.modbus_set_response_timeout.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32]
modbus.modbus_write_register.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint16]


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def call(what, result):
    if result < 0:
        sys.exit(f"{what}: {modbus.modbus_strerror(ctypes.get_errno()).decode()}")
    return result


def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


def request(number):
    body = bytes([1, 6]) + (number & 0xFF).to_bytes(2, "big") + number.to_bytes(2, "big")
    return body + crc(body)


def drained_rts(fd):
    """What a careful program does: the line is let go when everything has left."""
    bit = struct.pack("I", termios.TIOCM_RTS)

    def set_rts(_, on):
        if not on:
            termios.tcdrain(fd)
        fcntl.ioctl(fd, termios.TIOCMBIS if on else termios.TIOCMBIC, bit)

    return SET_RTS(set_rts)


def far_end(since, talking):
    """Of each time that RTS was as it is to be while it talks, the bytes that left; and what left at any other time."""
    turns, rts, outside = [], "off" if talking == "on" else "on", b""
    with open(f"{device}.log") as log:
        log.seek(since)
        for line in log:
            found = re.search(r" port 1: (?:sent ([0-9a-f]+)|(?:[^>]* )?dtr on rts (on|off))$", line.rstrip())
            if not found:
                continue
            if found[2]:
                if found[2] == talking and rts != talking:
                    turns.append(b"")
                rts = found[2]
            elif rts == talking:
                turns[-1] += bytes.fromhex(found[1])
            else:
                outside += bytes.fromhex(found[1])
    return turns, rts, outside


def talk(mode, drains, count):
    context = modbus.modbus_new_rtu(tty.encode(), BAUD, b"N", 8, 1)
    call("slave", modbus.modbus_set_slave(context, 1))
    call("connect", modbus.modbus_connect(context))
    call("timeout", modbus.modbus_set_response_timeout(context, 20, 0))
    if drains:
        custom = drained_rts(modbus.modbus_get_socket(context))
        call("custom", modbus.modbus_rtu_set_custom_rts(context, custom))
    # Not a moment longer than the bytes should take.
    call("delay", modbus.modbus_rtu_set_rts_delay(context, 0))
    call("rts", modbus.modbus_rtu_set_rts(context, mode))
    talking, silent = ("on", "off") if mode == UP else ("off", "on")
    time.sleep(0.5)
    since = os.path.getsize(f"{device}.log")
    began = time.monotonic()
    for number in range(count):
        call(f"request {number}", modbus.modbus_write_register(context, number & 0xFF, number))
    took = time.monotonic() - began
    time.sleep(0.5)
    turns, rts, outside = far_end(since, talking)
    name = f"{count} requests, RTS {talking} while it talks, {'tcdrain' if drains else 'libmodbus sleeps'}"
    wrong = [n for n, turn in enumerate(turns) if n >= count or turn != request(n)]
    check(f"{name}: each whole within its RTS", len(turns) == count and not wrong and rts == silent and not outside,
          f"{took * 1000 / count:.1f} ms each; {len(turns)} turns, wrong {wrong[:5]}, {len(outside)} bytes outside, RTS {rts} at the end")
    modbus.modbus_close(context)
    modbus.modbus_free(context)


talk(UP, drains, frames)
if not drains:
    talk(DOWN, drains, max(frames // 10, 10))
sys.exit(1 if failed else 0)
