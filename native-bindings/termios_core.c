// termios values without Node: compare, re-arm, read and write. It knows no policy beyond what a raw, idle PTY is.
#include "termios2.h"

#include <string.h>

#include "errno.h"

#define LINE_CFLAGS (CSTOPB | CRTSCTS | PARENB | PARODD | CMSPAR | CSIZE)
#define LINE_IFLAGS (IXON | IXOFF)

bool termios_same_line(const struct termios2 *a, const struct termios2 *b) {
  if (a->c_ispeed != b->c_ispeed || a->c_ospeed != b->c_ospeed) return false;
  if ((a->c_cflag ^ b->c_cflag) & LINE_CFLAGS) return false;
  if ((a->c_iflag ^ b->c_iflag) & LINE_IFLAGS) return false;
  if ((a->c_iflag & LINE_IFLAGS) == 0) return true;
  return a->c_cc[VSTART] == b->c_cc[VSTART] && a->c_cc[VSTOP] == b->c_cc[VSTOP];
}

bool termios_same(const struct termios2 *a, const struct termios2 *b) {
  return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
         a->c_lflag == b->c_lflag && a->c_ispeed == b->c_ispeed && a->c_ospeed == b->c_ospeed &&
         memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}

void termios_rearm(struct termios2 *t) {
  t->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | INPCK | ISTRIP | INLCR | IGNCR | ICRNL | IUCLC | IMAXBEL | IUTF8);
  t->c_oflag &= ~(tcflag_t)OPOST;
  t->c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHOE | ECHOK | ECHONL | ECHOCTL | ECHOKE | ISIG | IEXTEN | NOFLSH | TOSTOP);
  t->c_lflag |= EXTPROC;
  t->c_cflag &= ~(tcflag_t)CLOCAL;
  t->c_cflag |= CREAD;
  t->c_cc[VMIN] = 1;
  t->c_cc[VTIME] = 0;
}

int termios_get(int fd, struct termios2 *t) {
  return RETRY(ioctl(fd, TCGETS2, t));
}

int termios_set(int fd, const struct termios2 *t) {
  return RETRY(ioctl(fd, TCSETS2, t));
}
