"""usbip-echo.py TTY: what is written comes back (usbip-client.mjs echoes)."""
import sys

import serial

port = serial.Serial(sys.argv[1], 115200, timeout=10)
port.write(b"are you there?")
got = port.read(14)
print(got)
sys.exit(0 if got == b"are you there?" else 1)
