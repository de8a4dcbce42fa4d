#!/usr/bin/env python3
"""usbip-keyboard.py helper|direct [SERIAL]: a keyboard that says that it is ours.

helper: asks the root helper to plug it in. direct: does so itself, as root, to show that the kernel would take it.
Speaks USB/IP until the kernel lets go of it."""
import socket
import struct
import sys

SERIAL = sys.argv[2] if len(sys.argv) > 2 else "ttynp0"
REPORT = bytes.fromhex(
    "05010906a101050719e029e71500250175019508810295017508810195057501050819012905910295017503910195067508150025650507190029658100c0"
)
DEVICE = bytes.fromhex("12010002000000400912747400080102") + b"\x03\x01"
HID = bytes.fromhex("092111010001 22".replace(" ", "")) + struct.pack("<H", len(REPORT))
BODY = bytes.fromhex("090400000103010100") + HID + bytes.fromhex("0705810308000a")
CONFIGURATION = bytes.fromhex("0902") + struct.pack("<H", 9 + len(BODY)) + bytes.fromhex("010100c000") + BODY
STRINGS = ["ttynp", "network serial ports", SERIAL]


def text(index):
    if index == 0:
        return bytes.fromhex("04030904")
    data = STRINGS[index - 1].encode("utf-16-le")
    return bytes([2 + len(data), 3]) + data


def answer(setup):
    kind, request, value, _, length = struct.unpack("<BBHHH", setup)
    if not kind & 0x80:
        return b""
    what = {1: DEVICE, 2: CONFIGURATION, 0x22: REPORT, 0x21: HID, 6: None}
    found = b"\x01\x00"
    if request == 6:
        found = text(value & 0xFF) if value >> 8 == 3 else what.get(value >> 8)
    return None if found is None else found[:length]


def serve(link):
    read = link.makefile("rb")
    while True:
        header = read.read(48)
        if len(header) < 48:
            return
        command, seqnum, _, direction, endpoint = struct.unpack(">5I", header[:20])
        if command == 2:
            link.sendall(struct.pack(">5Ii", 4, seqnum, 0, 0, 0, -104) + bytes(24))
            continue
        length = struct.unpack(">I", header[24:28])[0]
        if direction == 0 and length > 0:
            read.read(length)
        if endpoint != 0:
            continue  # no key is ever pressed
        data = answer(header[40:])
        status, payload = (-32, b"") if data is None else (0, data)
        actual = len(payload) if direction else length
        link.sendall(struct.pack(">5IiI", 3, seqnum, 0, 0, 0, status, actual) + bytes(20) + (payload if direction else b""))


def main():
    if sys.argv[1] == "helper":
        link = socket.socket(socket.AF_UNIX)
        link.connect("/run/ttynp-usbip.sock")
        link.sendall(b'{"speed":"high","serial":"%s","interfaces":1}\n' % SERIAL.encode())
        line = b""
        while not line.endswith(b"\n"):
            line += link.recv(1)
        print(line.decode().strip(), flush=True)
    else:
        link, kernels = socket.socketpair()
        with open("/sys/devices/platform/vhci_hcd.0/attach", "w") as attach:
            attach.write("0 %d 65538 3" % kernels.fileno())
        kernels.close()
    serve(link)
    print("the kernel let go of it", flush=True)


main()
