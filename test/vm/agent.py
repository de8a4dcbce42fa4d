#!/usr/bin/python3
"""The guest's side: runs shell commands that the host sends over the virtio-serial port "ttynp.cmd".

In: one JSON line {"id":..,"cmd":..,"timeout":..}. Out: lines {"id":..,"o":base64} as the command prints, then {"id":..,"rc":n}.
Says "GUEST_READY" on the console once per boot. Part of the test guest only.
"""
import base64
import json
import os
import selectors
import subprocess
import time

PORT = "/dev/virtio-ports/ttynp.cmd"
ENV = dict(os.environ, HOME="/root", LC_ALL="C.UTF-8", PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def run(query, send):
    child = subprocess.Popen(["bash", "-c", query["cmd"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, cwd="/", env=ENV, start_new_session=True)
    end = time.time() + query.get("timeout", 120)
    os.set_blocking(child.stdout.fileno(), False)
    ident = query.get("id", 0)
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(0.05):
                output = os.read(child.stdout.fileno(), 32768)
                if not output:
                    code = child.wait()
                    break
                send({"id": ident, "o": base64.b64encode(output).decode()})
            elif child.poll() is not None:  # a background child keeps the pipe open: do not wait for it
                code = child.returncode
                break
            if time.time() > end:
                os.killpg(child.pid, 9)
                code = 124
                break
    child.stdout.close()
    send({"id": ident, "rc": code})


def main():
    for _ in range(200):
        if os.path.exists(PORT):
            break
        time.sleep(0.05)
    fd = os.open(PORT, os.O_RDWR)
    with open("/dev/console", "w") as console:
        console.write("GUEST_READY\n")
    pending = b""
    while True:
        data = os.read(fd, 65536)
        if not data:
            time.sleep(0.1)
            continue
        pending += data
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            try:
                query = json.loads(line)
            except ValueError:
                continue
            run(query, lambda reply: write_all(fd, (json.dumps(reply) + "\n").encode()))


main()
