"""usbip-ppp.py CLIENT SERVER ADDRESS BYTES: a TCP transfer of so many bytes both ways at once, from one network namespace to a server in the
other. Exit code 0: all came, and the PPP interfaces carried it without an error."""
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time

client_ns, server_ns, address, count = *sys.argv[1:4], int(sys.argv[4])
sent = {"client": os.urandom(count), "server": os.urandom(count)}
got = {}


def enter(namespace):
    """This thread and what it opens."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as file:
        if libc.setns(file.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")


def exchange(link, who):
    writer = threading.Thread(target=lambda: (link.sendall(sent[who]), link.shutdown(socket.SHUT_WR)))
    writer.start()
    data = b""
    while True:
        more = link.recv(65536)
        if not more:
            break
        data += more
    writer.join()
    got[who] = data


def serve(listening):
    enter(server_ns)
    server = socket.create_server((address, 7777))
    listening.set()
    server.settimeout(60)
    link = server.accept()[0]
    link.settimeout(60)
    exchange(link, "server")


def statistics(namespace):
    counters = {}
    for name in ("rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped"):
        shown = subprocess.run(["ip", "netns", "exec", namespace, "cat", f"/sys/class/net/ppp0/statistics/{name}"], capture_output=True, text=True)
        counters[name] = int(shown.stdout)
    return counters


listening = threading.Event()
server = threading.Thread(target=serve, args=(listening,))
server.start()
listening.wait(10)
enter(client_ns)
began = time.monotonic()
link = socket.create_connection((address, 7777), timeout=60)
exchange(link, "client")
server.join()
took = time.monotonic() - began
both = {who: hashlib.sha256(got[who]).digest() == hashlib.sha256(sent[other]).digest() for who, other in (("client", "server"), ("server", "client"))}
left, right = statistics(client_ns), statistics(server_ns)
print(f"{count} bytes each way in {took:.1f} s, whole: {both}, left {left}, right {right}")
clean = all(ns["rx_errors"] == 0 and ns["tx_errors"] == 0 and ns["rx_bytes"] > count for ns in (left, right))
sys.exit(0 if all(both.values()) and clean else 1)
