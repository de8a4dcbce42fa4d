// What the files of a real serial port share.
#ifndef TTYNP_SERIAL_PORT_H
#define TTYNP_SERIAL_PORT_H

#define SERIAL_COUNTERS 9

// Ends an ioctl of the thread that gets it with EINTR.
int serial_waking_signal(void);

// parity, frame, overrun, buf_overrun, brk, cts, dsr, dcd, rng; -1: errno, where the driver has none.
int serial_counters(int fd, double counters[SERIAL_COUNTERS]);

#endif
