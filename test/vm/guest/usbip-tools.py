#!/usr/bin/env python3
"""usbip-tools.py TTY DEVICE PORT: setserial, stty and minicom at a serial port of the kernel. What they see is compared with what they
asked, and with what the device server (device-server.mjs: DEVICE.in, DEVICE.log; PORT of it) got of it. One line per check; exit code 1 where one failed."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

tty, device, port = sys.argv[1:4]
failed = 0


def check(name, ok, more=""):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {more}", flush=True)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip() if done.returncode == 0 else f"exit {done.returncode}: {done.stdout.strip()}"


def mark():
    return os.path.getsize(f"{device}.log")


def said(text, since):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with open(f"{device}.log") as log:
            log.seek(since)
            if any(f"port {port}: " in line and text in line for line in log):
                return True
        time.sleep(0.02)
    return False


def tell(command):
    since = mark()
    with open(f"{device}.in", "w") as pipe:
        pipe.write(f"{port} {command}\n")
    said(f"did {command}", since)


def setserial():
    got = run("setserial", "-g", tty)
    check("setserial -g", got.startswith(f"{tty}, UART: "), got)
    got = run("setserial", "-a", tty)
    check("setserial -a: closing_wait is 30 s", "closing_wait: 3000" in got, " ".join(got.split()))
    run("setserial", tty, "low_latency")
    check("setserial low_latency is kept", "low_latency" in run("setserial", "-a", tty))
    run("setserial", tty, "^low_latency")


# What stty is asked, what it is to say then, what the device is to get.
SETTINGS = [
    ("1200 cs7 parenb -parodd -cmspar cstopb", "speed 1200 baud parenb -parodd -cmspar cs7 cstopb", "1200,7E2 flow none"),
    ("19200 cs5 parenb parodd -cstopb", "speed 19200 baud parenb parodd cs5 -cstopb", "19200,5O1 flow none"),
    ("57600 cs8 parenb parodd cmspar", "speed 57600 baud parenb parodd cmspar cs8", "57600,8M1 flow none"),
    ("4800 cs8 parenb -parodd cmspar", "speed 4800 baud parenb -parodd cmspar cs8", "4800,8S1 flow none"),
    ("115200 cs8 -parenb -cmspar crtscts", "speed 115200 baud -parenb -cmspar cs8 crtscts", "115200,8N1 flow RTS/CTS"),
    ("300 -crtscts ixon", "speed 300 baud -crtscts ixon", "300,8N1 flow XON/XOFF"),
    ("230400 -ixon", "speed 230400 baud -ixon", "230400,8N1 flow none"),
]


def stty():
    # Somebody holds it open: the settings are told while they are made.
    holder = os.open(tty, os.O_RDWR | os.O_NOCTTY)
    run("stty", "-F", tty, "raw", "-echo", "clocal", "-crtscts")
    for asked, says, gets in SETTINGS:
        since = mark()
        error = run("stty", "-F", tty, *asked.split())
        words = run("stty", "-F", tty, "-a").replace(";", "").split()
        check(f"stty {asked}: reads back", all(word in words for word in says.split()), error)
        check(f"... and the device has {gets}", said(gets, since))
    saved = run("stty", "-F", tty, "-g")
    run("stty", "-F", tty, "sane", "9600")
    run("stty", "-F", tty, saved)
    check("stty -g is put back", run("stty", "-F", tty, "-g") == saved, saved)
    os.close(holder)


class Minicom:
    """As somebody would see it. Below 25 rows it has no status line."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "vt100"
            os.environ["LC_ALL"] = "C"
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 30, 90, 0, 0))
            os.environ["HOME"] = "/tmp"  # its log goes there
            os.execvp("minicom", ["minicom", "-o", "-D", tty, "-b", "9600", "-8"])
        self.seen = ""

    def sees(self, pattern, seconds=15):
        """From the last match on."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return True
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 4096).replace(b"\0", b"").decode("latin1")
                except OSError:
                    return False
        return False

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        self.type("\x01q")  # leaves without a reset
        self.sees("Leave without reset")
        self.type("\r")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                if select.select([self.fd], [], [], 0.2)[0]:
                    os.read(self.fd, 4096)
            except OSError:
                pass
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return True
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        return False


def minicom():
    tell("lines")
    program = Minicom()
    check("minicom: online, since DCD is on", program.sees("Online"))
    program.type("seen")
    check("minicom: what is typed comes back", program.sees("seen"))
    tell("lines dcd=0")
    check("minicom: offline when DCD falls", program.sees("Offline"))
    tell("lines")
    check("minicom: online again", program.sees("Online"))
    check("minicom ends", program.end())


setserial()
stty()
minicom()
sys.exit(1 if failed else 0)
