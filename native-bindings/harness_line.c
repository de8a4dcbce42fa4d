// A PTY armed as the driver arms it, and a socket pair, joined by a channel (harness_line.h).
#define _GNU_SOURCE
#include "harness_line.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "errno.h"
#include "termios2.h"

int harness_line_open(pump *p, struct line *line) {
  int unlocked = 0;
  int packet = 1;
  int pair[2];
  line->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (line->master == -1 || ioctl(line->master, TIOCSPTLCK, &unlocked) == -1) return -1;
  if (ptsname_r(line->master, line->slave, sizeof line->slave) != 0) return -1;
  struct termios2 t;
  if (termios_get(line->master, &t) == -1) return -1;
  termios_rearm(&t);
  t.c_iflag = 0;
  if (termios_set(line->master, &t) == -1 || ioctl(line->master, TIOCPKT, &packet) == -1) return -1;
  int slave = open(line->slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave == -1) return -1;
  close(slave);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1) return -1;
  line->near = pair[0];
  line->far = pair[1];
  struct channel_options options = {
      .tty_fd = line->master,
      .kind = TTY_PTY,
      .slave_path = line->slave,
      .look_ahead = LOOK_AHEAD,
      .offline = HOLD,
      .counters = line->counters,
      .keep_fd = -1,
  };
  line->id = channel_open(p, &options);
  return line->id < 0 ? -1 : channel_attach(p, (uint32_t)line->id, line->near, HOLD);
}
