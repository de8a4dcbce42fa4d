"""An application that holds a tty open and sends numbered lines through a loop plug, checking what comes back.

A line is its number seven times over, so that one that is spliced from two is told from a whole one.
Used by restart.py, in the guest.
"""
import os
import select
import termios
import threading
import time
import tty

LINE = 57
WINDOW = 16 * 1024  # bytes on their way; a loop plug would otherwise fill every buffer on it


def line_of(number):
    return (b"%08x" % number) * 7 + b"\n"


class Traffic:
    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd, termios.TCSANOW)
        attributes = termios.tcgetattr(self.fd)
        attributes[4] = attributes[5] = termios.B115200
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        time.sleep(0.5)  # let the settings be known to the device before bytes follow
        self.sent = 0  # lines
        self.last = -1  # number of the last line received
        self.received = 0
        self.missing = 0
        self.torn = []
        self.doubled = []
        self.error = None
        self.longest = 0.0  # seconds without a byte while some were due
        self.running = False
        self.slow = False  # leaves the processors to what else happens in the guest
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.running = True
        self.thread.start()
        return self

    def outstanding(self):
        return (self.sent - self.last - 1) * LINE

    def run(self):
        try:
            self.exchange()
        except OSError as error:
            self.error = str(error)

    def exchange(self):
        out, pending, heard = b"", b"", time.time()
        while self.running or (self.outstanding() > 0 and time.time() - heard < 20):
            if self.running and not out and self.outstanding() < WINDOW:
                out = b"".join(map(line_of, range(self.sent, self.sent + 64)))
                self.sent += 64
                if self.slow:
                    time.sleep(0.03)
            if self.running and time.time() - heard > 5 and not out:  # a loss has filled the window: go on
                out = line_of(self.sent)
                self.sent += 1
            readable, writable, _ = select.select([self.fd], [self.fd] if out else [], [], 0.2)
            if writable:
                try:
                    out = out[os.write(self.fd, out):]
                except BlockingIOError:
                    pass
            if readable:
                data = os.read(self.fd, 65536)
                if not data:
                    raise OSError("hung up")
                self.longest = max(self.longest, time.time() - heard)
                heard = time.time()
                pending += data
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    self.check(line)

    def check(self, line):
        try:
            number = int(line[:8], 16) if line == line[:8] * 7 else -1
        except ValueError:
            number = -1
        if number < 0 or number >= self.sent:
            self.torn.append(line)
        elif number <= self.last:
            self.doubled.append((number, self.last))
        else:
            self.received += 1
            self.missing += number - self.last - 1
            self.last = number

    def await_lines(self, more, seconds=60):
        """Until so many more have come back."""
        end, wanted = time.time() + seconds, self.received + more
        while self.received < wanted and not self.error and time.time() < end:
            time.sleep(0.05)
        return self.received >= wanted

    def stop(self):
        self.running = False
        self.thread.join(30)
        self.missing += self.sent - self.last - 1

    def close(self):
        os.close(self.fd)

    def describe(self):
        return "%d lines (%d bytes) sent, %d back, %d missing, torn %s, doubled or out of order %s, error %s, longest pause %.1f s" % (
            self.sent, self.sent * LINE, self.received, self.missing, self.torn[:5], self.doubled[:5], self.error, self.longest)
