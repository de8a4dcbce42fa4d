#!/usr/bin/env python3
"""modes.py modem | pair | tcp-client | arbitration: an application at /dev/ttyNP8 and one at /dev/ttyNP10, whose cables end at ports that the daemon serves, each
in the mode named. What an application sees of the other end is what its own driver says. One line per check."""
import socket
import sys
import threading
import time

import serial

failed = 0


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def opened(name):
    return serial.Serial(name, 115200, timeout=0.2)


def heard(tty, text, seconds=20):
    """All that came, and whether this was in it."""
    got = b""

    def look():
        nonlocal got
        got += tty.read(max(1, tty.in_waiting))
        return text in got

    return until(look, seconds), got


def exactly(tty, count, seconds=30):
    got = b""

    def look():
        nonlocal got
        got += tty.read(max(1, min(count - len(got), tty.in_waiting)))
        return len(got) >= count

    until(look, seconds)
    return got


EVERY = bytes(range(256)) * 8


def both_ways(left, right):
    for near, far in ((left, right), (right, left)):
        writer = threading.Thread(target=lambda: near.write(EVERY))
        writer.start()
        got = exactly(far, len(EVERY))
        writer.join()
        check("every byte value", got == EVERY, len(got))


def modem():
    left, right = opened("/dev/ttyNP8"), opened("/dev/ttyNP10")
    for tty in (left, right):
        tty.rtscts = True
        tty.write(b"ATZ\r")
        check("OK", heard(tty, b"OK\r\n")[0])
    check("no carrier, no DCD", not left.cd and not right.cd)
    left.write(b"ATD127.0.0.1:7006\r")
    check("it rings", heard(right, b"RING")[0])
    check("and rings again", heard(right, b"RING")[0])
    # The caller is connected as soon as somebody takes its call, as TCP is.
    check("still no DCD where it rings", not right.cd)
    right.write(b"ATA\r")
    for tty in (left, right):
        check("CONNECT and its DCD", heard(tty, b"CONNECT 115200\r\n")[0] and until(lambda: tty.cd))
    both_ways(left, right)
    left.dtr = False
    ok, got = heard(right, b"NO CARRIER")
    check("DTR ends the call: NO CARRIER at the other end, and no DCD", ok and until(lambda: not right.cd), got)
    check("nor here", until(lambda: not left.cd))
    left.dtr = True
    left.reset_input_buffer()
    left.write(b"AT\r")
    check("a modem again", heard(left, b"OK\r\n")[0])


def pair():
    left, right = opened("/dev/ttyNP8"), opened("/dev/ttyNP10")
    for near, far in ((left, right), (right, left)):
        for on in (False, True, False, True):
            near.rts = on
            check(f"RTS {on} is CTS at the other end", until(lambda: far.cts == on))
            near.dtr = on
            check(f"DTR {on} is DSR and DCD at the other end", until(lambda: far.dsr == on and far.cd == on))
        check("and RTS is as it was", until(lambda: near.rts and far.cts))
    both_ways(left, right)
    # A break reads as a NUL where nothing else was asked for.
    for near, far in ((left, right), (right, left)):
        far.reset_input_buffer()
        near.send_break(0.3)
        check("a break is a break", exactly(far, 1) == b"\0")
        near.write(b"behind it")
        check("and what is written behind it is whole", exactly(far, 9) == b"behind it")


def tcp_client():
    listeners = {}
    for name, number in (("dsr", 7015), ("dcd", 7016)):
        listeners[name] = socket.create_server(("127.0.0.1", number))
        listeners[name].settimeout(3)

    def accepted(name, seconds=40):
        listeners[name].settimeout(seconds)
        try:
            connection = listeners[name].accept()[0]
        except TimeoutError:
            return None
        connection.settimeout(20)
        return connection

    # Closed, the applications' DTR is low.
    check("no DSR, no connection", accepted("dsr", 3) is None)
    check("no DCD, no connection", accepted("dcd", 3) is None)
    tty = opened("/dev/ttyNP8")
    connection = accepted("dsr")
    check("DSR on: it connects", connection is not None)
    tty.write(b"from the line")
    got = b""
    while len(got) < 13:
        got += connection.recv(100)
    check("bytes", got == b"from the line")
    connection.sendall(b"to the line")
    check("both ways", exactly(tty, 11) == b"to the line")
    check("its DTR tells that it is connected", until(lambda: tty.dsr))
    tty.dtr = False
    check("DSR off: it ends", connection.recv(1) == b"")
    check("and its DTR with it", until(lambda: not tty.dsr))
    check("it stays so", accepted("dsr", 3) is None)
    tty.dtr = True
    check("DSR on again: it connects again", accepted("dsr") is not None)
    other = opened("/dev/ttyNP10")
    connection = accepted("dcd")
    check("DCD on: it connects", connection is not None)
    other.dtr = False
    time.sleep(2)
    connection.sendall(b"still there")
    check("DCD off: it stays", exactly(other, 11) == b"still there")


def arbitration():
    """A slave that answers soon, and two masters who poll it as fast as they can."""
    tty = opened("/dev/ttyNP8")
    # Its own times, at which the port cannot know yet that a request has left.
    slave = Slave(tty, [0, 0.001, 0.002, 0.005, 0.02])
    wrong = []

    def poll(name):
        with socket.create_connection(("127.0.0.1", 7005)) as link:
            link.settimeout(5)
            for n in range(50):
                link.sendall(f"{name}{n:03}?".encode())
                answer = b""
                try:
                    while not answer.endswith(b";"):
                        answer += link.recv(100)
                except TimeoutError:
                    answer += b" and no more"
                if answer != slave.answer(f"{name}{n:03}"):
                    wrong.append(answer)

    masters = [threading.Thread(target=poll, args=(name,)) for name in "ab"]
    for master in masters:
        master.start()
    for master in masters:
        master.join()
    slave.end()
    check(f"each master got its own answers: {wrong[:5]}", wrong == [])
    check("the slave was asked one thing at a time", slave.asked == 100 and slave.collisions == 0)


class Slave(threading.Thread):
    def __init__(self, tty, delays):
        super().__init__()
        self.tty = tty
        self.delays = delays
        self.asked = 0
        self.collisions = 0
        self.ended = False
        tty.timeout = 0.2
        self.start()

    @staticmethod
    def answer(request):
        return f"{request}={'.' * 20};".encode()

    def run(self):
        request = b""
        while not self.ended:
            request += self.tty.read_until(b"?")
            if not request.endswith(b"?"):
                continue
            time.sleep(self.delays[self.asked % len(self.delays)])
            self.asked += 1
            self.collisions += self.tty.in_waiting > 0
            self.tty.write(self.answer(request[:-1].decode()))
            request = b""

    def end(self):
        self.ended = True
        self.join()


{"modem": modem, "pair": pair, "tcp-client": tcp_client, "arbitration": arbitration}[sys.argv[1]]()
sys.exit(1 if failed else 0)
