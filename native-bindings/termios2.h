// struct termios2 and its ioctls. <asm/termbits.h> and <termios.h> both define struct termios, so that only this header
// is included; what it lacks of <sys/ioctl.h> is declared here.
#ifndef TTYNP_TERMIOS2_H
#define TTYNP_TERMIOS2_H

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <stdbool.h>

int ioctl(int fd, unsigned long request, ...);

// The part that a device on a serial line can see: rate, frame and flow control.
bool termios_same_line(const struct termios2 *a, const struct termios2 *b);
bool termios_same(const struct termios2 *a, const struct termios2 *b);
// Raw, no echo, local to the idle PTY: line settings (rate, stop bits, flow control, HUPCL) stay.
void termios_rearm(struct termios2 *t);
// Any rate, in bits per second.
void termios_set_rate(struct termios2 *t, speed_t input, speed_t output);
int termios_get(int fd, struct termios2 *t);
int termios_set(int fd, const struct termios2 *t);

#endif
