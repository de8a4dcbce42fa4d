// What the files of a real serial port share.
#ifndef TTYNP_SERIAL_PORT_H
#define TTYNP_SERIAL_PORT_H

#define SERIAL_COUNTERS 9

// parity, frame, overrun, buf_overrun, brk, cts, dsr, dcd, rng; -1: errno, where the driver has none.
int serial_counters(int fd, double counters[SERIAL_COUNTERS]);

#endif
