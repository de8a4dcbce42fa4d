"""restart.py CHECK: an application holds /dev/ttyNP0 while the daemon is restarted, killed, upgraded or stopped.

Looks at the far end: what `ttynp simulate` (unit "simulator", a process of its own) saw, and at the TCP connections.
Checks: restart, kill, upgrade, broken, stop. Exit code 0: as it should be; what was seen is printed. Runs in the guest, as root.
"""
import os
import re
import subprocess
import sys
import threading
import time

from traffic import LINE, Traffic

DATA, COMMAND = 4950, 4966
PIECE = 64 * 1024  # what one read or write may have in hand
BYTES = int(os.environ.get("TTYNP_VM_BYTES", str(4 << 20)))
KILLS = int(os.environ.get("TTYNP_VM_KILLS", "3"))
problems = []


def expect(what, so):
    print(("as it should be: " if so else "NOT: ") + what)
    if not so:
        problems.append(what)


def sh(command):
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print("%s: exit %d\n%s" % (command, done.returncode, done.stdout))
    return done.stdout.strip()


def main_pid():
    return int(sh("systemctl show -p MainPID --value ttynpd") or 0)


def connections():
    """Local and remote port of every established connection to the simulator, from /proc/net/tcp."""
    found = set()
    for line in open("/proc/net/tcp").readlines()[1:]:
        local, remote, state = line.split()[1:4]
        port = int(remote.split(":")[1], 16)
        if state == "01" and (DATA <= port < DATA + 16 or COMMAND <= port < COMMAND + 16):
            found.add((int(local.split(":")[1], 16), port))
    return found


class FarEnd:
    """What the simulator says from now on, the answers to polls left out."""

    def __init__(self):
        sh("journalctl --sync")
        self.cursor = sh("journalctl -u simulator -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p'")

    def lines(self):
        sh("journalctl --sync")
        text = sh("journalctl -u simulator -o cat --no-pager --after-cursor '%s'" % self.cursor)
        return [line for line in text.splitlines() if not re.search(r"poll|-> |-- No entries", line)]

    def seen(self, pattern):
        return [line for line in self.lines() if re.search(pattern, line)]


def await_that(what, condition, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return
        time.sleep(0.2)
    expect(what, False)


class Names:
    """Whether the names in /dev were there all the time: another program may open one at any moment."""

    def __init__(self, *paths):
        self.paths, self.gone, self.running = paths, set(), True
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while self.running:
            self.gone.update(path for path in self.paths if not os.path.exists(path))
            time.sleep(0.02)

    def stop(self):
        self.running = False
        self.thread.join()
        return sorted(self.gone)


def unnoticed(act, total=BYTES):
    """Restarts while one tty carries traffic and another is open and idle."""
    busy, idle = Traffic("/dev/ttyNP0"), Traffic("/dev/ttyNP1")
    await_that("four connections", lambda: len(connections()) == 4)
    busy.start()
    expect("traffic before", busy.await_lines(4000))
    far, before, old = FarEnd(), connections(), main_pid()
    names = Names("/dev/ttyNP0", "/dev/ttyNP1")
    busy.slow = True
    act()
    busy.slow = False
    gone = names.stop()
    expect("the names in /dev stay %s" % gone, not gone)
    expect("another process", main_pid() not in (0, old))
    expect("traffic after", busy.await_lines(1000))
    expect("the same TCP connections %s" % sorted(before), connections() == before)
    while busy.sent * LINE < total and not busy.error and busy.await_lines(1000, 30):
        pass
    busy.stop()
    print(busy.describe())
    expect("no byte lost, doubled or out of order", not (busy.missing or busy.torn or busy.doubled or busy.error))
    expect("%d bytes both ways" % total, busy.received * LINE >= total)
    idle.start()
    expect("the idle tty works", idle.await_lines(500))
    idle.stop()
    print(idle.describe())
    expect("the idle tty lost nothing", not (idle.missing or idle.torn or idle.doubled or idle.error))
    noticed = far.lines()
    expect("the device noticed nothing %s" % noticed, not noticed)
    busy.close()
    idle.close()


def restart():
    unnoticed(lambda: sh("systemctl restart ttynpd"))


def upgrade():
    unnoticed(lambda: print(sh("./next/install.sh | tail -n 3")))


def broken():
    """A restart with a broken configuration, which is mended after a while."""
    path = "/etc/ttynp/ttynp.yaml"
    with open(path) as file:
        good = file.read()

    def act():
        with open(path, "w") as file:
            file.write(good + "nonsense: 1\n")
        expect("the restart fails", subprocess.run(["systemctl", "restart", "ttynpd"], stderr=subprocess.DEVNULL).returncode != 0)
        await_that("the next start waits", lambda: "waiting for a valid" in sh("systemctl show -p StatusText ttynpd"))
        with open(path, "w") as file:
            file.write(good)
        await_that("mended, it runs", lambda: sh("systemctl is-active ttynpd || true") == "active")

    unnoticed(act, 1 << 20)


def kill():
    busy = Traffic("/dev/ttyNP0").start()
    expect("traffic before", busy.await_lines(2000))
    for _ in range(KILLS):
        old = main_pid()
        sh("kill -9 %d" % old)
        await_that("it comes back", lambda: main_pid() not in (0, old) and sh("systemctl is-active ttynpd || true") == "active")
        expect("the port goes on", busy.await_lines(2000))
    busy.stop()
    print(busy.describe())
    expect("nothing doubled or out of order", not busy.doubled)
    # A piece lost in the middle of a line tears the lines at both its ends, which become one.
    expect("lost at most what one read or write had in hand", busy.missing * LINE <= KILLS * (2 * PIECE + 2 * LINE))
    expect("torn only where something was lost", len(busy.torn) <= 2 * KILLS)
    expect("the application was not hung up", busy.error is None)
    busy.close()


def stop():
    held = Traffic("/dev/ttyNP0").start()
    expect("traffic before", held.await_lines(500))
    held.running = False
    time.sleep(2)
    far = FarEnd()
    sh("systemctl stop ttynpd")
    await_that("the device sees both connections end", lambda: len(far.seen("disconnected")) >= 1)
    noticed = far.lines()
    print("\n".join(noticed))
    expect("DTR was dropped", any(re.search(r"dtr off|-dtr|dtr=off|DTR", line) for line in noticed))
    expect("no connection is left", not connections())
    held.thread.join(30)
    expect("systemd keeps no descriptor", sh("systemctl show -p NFileDescriptorStore --value ttynpd") in ("0", ""))
    expect("it ended by itself", sh("systemctl show -p Result --value ttynpd") == "success")
    held.close()
    sh("systemctl start ttynpd")


{"restart": restart, "kill": kill, "upgrade": upgrade, "broken": broken, "stop": stop}[sys.argv[1]]()
sys.exit("failed: " + "; ".join(problems) if problems else 0)
