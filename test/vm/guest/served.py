#!/usr/bin/env python3
"""served.py rfc2217 PORT DEVICE N | 16550 PORT TTY | holds PORT: clients of serial ports that the daemon serves on 127.0.0.1. What reached the line is what
the device server wrote in DEVICE.log of its port N (device-server.mjs), or what comes out at TTY, the other end of the cable. One line per check."""
import os
import socket
import subprocess
import sys
import time

import serial

what, port = sys.argv[1], int(sys.argv[2])
failed = 0


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def exactly(read, count, seconds=15):
    got, end = b"", time.monotonic() + seconds
    while len(got) < count and time.monotonic() < end:
        got += read(count - len(got))
    return got


def rfc2217():
    device, number = sys.argv[3], sys.argv[4]
    mark = [0]

    def now():
        mark[0] = os.path.getsize(f"{device}.log")

    def logged(text):
        def look():
            with open(f"{device}.log") as log:
                log.seek(mark[0])
                return any(f"port {number}: " in line and text in line for line in log)

        return until(look)

    def say(text):
        with open(f"{device}.in", "w") as to:
            to.write(f"{number} {text}\n")

    now()
    client = serial.serial_for_url(f"rfc2217://127.0.0.1:{port}", 9600, timeout=1)
    check("open raises the lines", logged("dtr on rts on"))
    client.write(b"hello")
    check("bytes both ways", exactly(client.read, 5) == b"hello")
    every = bytes(range(256)) * 8
    client.baudrate = 115200
    client.write(every)
    check("every byte value", exactly(client.read, len(every)) == every)
    for bits, parity, stop in ((7, "E", 2), (8, "M", 1), (8, "S", 1), (5, "N", 1), (8, "N", 1)):
        now()
        client.bytesize, client.parity, client.stopbits = bits, parity, stop
        client.write(b"\x15")
        check(f"{bits}{parity}{stop} at the device", logged(f",{bits}{parity}{stop}"), exactly(client.read, 1))
    now()
    client.rts = False
    check("RTS off at the device", logged("rts off"))
    check("its CTS goes by the loop plug", until(lambda: not client.cts))
    client.rts = True
    check("and comes again", until(lambda: client.cts))
    say("lines dsr=0 ri=1")
    check("DSR and RI as the device has them", until(lambda: not client.dsr and client.ri))
    say("lines dsr=1 ri=0")
    check("and again", until(lambda: client.dsr and not client.ri))
    now()
    client.break_condition = True
    time.sleep(0.4)
    client.break_condition = False
    check("break at the device", logged("break on") and logged("break off"))
    with open(f"{device}.log") as log:
        log.seek(mark[0])
        times = [float(line.split()[0]) for line in log if f"port {number}: " in line and "break o" in line]
    check("with its length", len(times) == 2 and times[1] - times[0] >= 0.4, times)
    before = counters()
    say("error 20 41 parity")
    until(lambda: errors(before, ("parity",)))
    say("error 20 42 framing")
    # Also the break that came back by the plug was counted.
    check("the driver's counters are told", until(lambda: errors(before, ("parity", "framing")) and counters()["breaks"] >= 1), f"{before} {counters()}")
    client.close()
    now()
    check("the end lowers the lines", until(lambda: not served()["lines"]["dtr"] and not served()["lines"]["rts"]))


def served():
    import json

    out = subprocess.run(["ttynp", "ports", "--serial", "--json"], capture_output=True, text=True, check=True).stdout
    return next(one for one in json.loads(out) if port in one["tcpPorts"])


def counters():
    return served()["lineErrors"]


def errors(before, kinds):
    now = counters()
    return all(now[kind] > before[kind] for kind in kinds)


def emulated_16550():
    far = serial.Serial(sys.argv[3], 9600, timeout=1)
    near = socket.create_connection(("127.0.0.1", port))
    near.settimeout(1)
    every = bytes(range(256)) * 4

    def read(count):
        try:
            return near.recv(count)
        except TimeoutError:
            return b""

    near.sendall(every)
    check("every byte value to the line", exactly(far.read, len(every)) == every)
    far.write(every)
    check("and back", exactly(read, len(every)) == every)
    frame = bytes.fromhex("01030000000ac5cd")
    for at in range(10):
        far.write(frame)
        time.sleep(0.1)
        got = read(4096)
        if got != frame:
            break
    check("ten frames of Modbus RTU: a segment each", got == frame, f"{at} {got.hex()}")
    view = served()
    check("its driver tells lines and counters", view["lines"]["cts"] is not None and view["transmitted"]["bytes"] >= len(every), view["lines"])
    second = socket.create_connection(("127.0.0.1", port))
    second.settimeout(3)
    check("one client too many is closed", second.recv(1) == b"")
    near.close()
    third = socket.create_connection(("127.0.0.1", port))
    third.sendall(b"next")
    check("the next one gets the port", exactly(far.read, 4) == b"next")


def holds():
    """Until it is disconnected."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(30)
    while connection.recv(4096):
        pass


{"rfc2217": rfc2217, "16550": emulated_16550, "holds": holds}[what]()
sys.exit(1 if failed else 0)
