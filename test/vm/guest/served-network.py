#!/usr/bin/env python3
"""served-network.py: what the vendor's Linux driver does at the default ports of serial port 1, TCP 950 and 966 and UDP 4800, on 127.0.0.1. One line per check."""
import socket
import struct
import subprocess
import sys
import time

failed = 0


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(5)


def ask(request):
    udp.sendto(request, ("127.0.0.1", 4800))
    reply, sender = udp.recvfrom(4096)
    check(f"{request[0]:02x}: from port 4800, of the length that it says", sender[1] == 4800 and struct.unpack(">H", reply[2:4])[0] == len(reply))
    return reply


def request(code, identity, more=b""):
    body = struct.pack(">I", int(time.monotonic())) + identity + more
    return struct.pack(">BBH", code, 0, 4 + len(body)) + body


found = ask(bytes.fromhex("0100000800000000"))
identity = found[8:20]
check("search", len(found) == 24 and found[20:24] == bytes([127, 0, 0, 1]), found.hex())
check("kernel information", len(ask(request(0x16, identity))) == 36)
check("name", ask(request(0x10, identity))[20:].rstrip(b"\0") == b"guest")

command = socket.create_connection(("127.0.0.1", 966))
data = socket.create_connection(("127.0.0.1", 950))
command.settimeout(5)
command.sendall(bytes.fromhex("2c080603010100000000301012020101".replace("3010", "300110")))
got = b""
while len(got) < 11:
    got += command.recv(64)
check("PORT_INIT, TX_FIFO and LINECTRL in one segment are answered", got[:2] == b"\x2c\x03" and got[5:] == b"\x30OK\x12OK", got.hex())
time.sleep(1.5)  # the table is read again


def sockets():
    reply = ask(request(0x14, identity, b"\x80\x00"))
    count = struct.unpack("<H", reply[20:22])[0]
    check("netstat is complete", reply[22:24] == b"\0\0" and len(reply) == 24 + 16 * count)
    entries = [reply[24 + 16 * i : 40 + 16 * i] for i in range(count)]
    return {(*struct.unpack("<HH", entry[8:12]), entry[13]) for entry in entries}


own = {(data.getsockname()[1], 950, 4), (command.getsockname()[1], 966, 4)}
listening = {(0, 950, 1), (0, 966, 1)}
seen = sockets()
check("a host sees its own connections", own | listening <= seen, seen)
command.close()
data.close()
time.sleep(1.5)
seen = sockets()
check("and that they are gone", listening <= seen and not own & seen, seen)
for length in range(0, 1473, 7):
    udp.sendto(bytes([length & 0xFF]) * length, ("127.0.0.1", 4800))
time.sleep(0.5)
ask(bytes.fromhex("0100000800000000"))
text = subprocess.run(["ttynp", "metrics"], capture_output=True, text=True, check=True).stdout
counts = [line for line in text.splitlines() if line.startswith("ttynp_discovery_datagrams_total")]
check("what was no request is counted", any('outcome="malformed"' in line and not line.endswith(" 0") for line in counts), counts)
sys.exit(1 if failed else 0)
