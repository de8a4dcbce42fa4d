// termios values without Node: compare, re-arm, read and write. It knows no policy beyond what a raw, idle PTY is.
#include "termios2.h"

#include <stddef.h>
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

struct rate {
  speed_t bits_per_second;
  tcflag_t code;
};

static const struct rate RATES[] = {
    {0, B0},           {50, B50},           {75, B75},           {110, B110},         {134, B134},
    {150, B150},       {200, B200},         {300, B300},         {600, B600},         {1200, B1200},
    {1800, B1800},     {2400, B2400},       {4800, B4800},       {9600, B9600},       {19200, B19200},
    {38400, B38400},   {57600, B57600},     {115200, B115200},   {230400, B230400},   {460800, B460800},
    {500000, B500000}, {576000, B576000},   {921600, B921600},   {1000000, B1000000}, {1152000, B1152000},
    {1500000, B1500000}, {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000}, {3500000, B3500000},
    {4000000, B4000000},
};

static tcflag_t rate_code(speed_t bits_per_second) {
  for (size_t i = 0; i < sizeof RATES / sizeof RATES[0]; i++) {
    if (RATES[i].bits_per_second == bits_per_second) return RATES[i].code;
  }
  return BOTHER;
}

// A standard rate gets its Bnnn code: an application that reads termios through the C library knows no other.
void termios_set_rate(struct termios2 *t, speed_t input, speed_t output) {
  tcflag_t in = input == output ? 0 : rate_code(input);  // 0: as the output
  t->c_cflag &= ~(tcflag_t)(CBAUD | (tcflag_t)CBAUD << IBSHIFT);
  t->c_cflag |= rate_code(output);
  if (rate_code(output) == BOTHER && input == output) in = BOTHER;
  t->c_cflag |= in << IBSHIFT;
  t->c_ispeed = input;
  t->c_ospeed = output;
}

int termios_get(int fd, struct termios2 *t) {
  return RETRY(ioctl(fd, TCGETS2, t));
}

int termios_set(int fd, const struct termios2 *t) {
  return RETRY(ioctl(fd, TCSETS2, t));
}
