"""talk.py TTY: writes through a loop plug and reads the same bytes back, at a rate of its own."""
import sys

import serial

with serial.Serial(sys.argv[1], 115200, timeout=30) as port:
    sent = bytes(range(256)) * 4
    port.write(sent)
    received = port.read(len(sent))
if received != sent:
    sys.exit("sent %d bytes, received %d, equal: no" % (len(sent), len(received)))
print("%d bytes there and back" % len(sent))
