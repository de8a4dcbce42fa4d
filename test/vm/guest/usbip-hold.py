"""usbip-hold.py TTY SAYS GO: an application that reads, and says in the file SAYS what became of it. Keeps its descriptor when it was hung up, until
somebody writes into the pipe GO."""
import os
import sys
import time
import tty

path, says, go = sys.argv[1:]
fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
with open(says, "w", buffering=1) as out:
    print("holds", file=out)
    began = time.monotonic()
    try:
        end = "hung up: end of file" if os.read(fd, 1) == b"" else "read something"
    except OSError as error:
        end = f"hung up: {error}"
    print(f"{end} after {time.monotonic() - began:.1f} s", file=out)
with open(go) as pipe:
    pipe.read()
