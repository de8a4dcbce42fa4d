// What the benchmark does as an application, to the ttys of a side: DIR/0, DIR/1 and so on (the one after PORTS echoes). Several
// sides take short turns, so that whatever else the machine does hits all of them.
//   client rtt BYTES COUNT DIR...       round trips, one after the other: percentiles in microseconds
//   client write BYTES COUNT DIR...     one way by itself, COUNT times, in calls of 4096 bytes: bytes per second until the last one
//   client read BYTES COUNT DIR...      is at the far end, or here
//   client many RATE SECONDS DIR        16 ports, both ways at once, RATE bytes per second offered to each: delivered bytes
//                                       per second of each port and way, and lost ones of all
//   client hold SECONDS 0 DIR           has them all open
// Prints "SIDE NAME VALUE" lines, SIDE the last component of DIR; ends with 1 where a byte is missing or wrong, but for many,
// which prints how many.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#include "order.h"

#define SETTLE_MS 300  // the connection is made after the open
#define VERDICT_BYTES 5
#define MAX_SIDES 4
#define BLOCK 50       // round trips of one side in a turn
#define WARM_UP 5      // at the beginning of a turn, not counted

static void fail(const char *what) {
  fprintf(stderr, "client: %s (%s)\n", what, strerror(errno));
  exit(1);
}

static void pause_ms(int ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int open_tty(const char *dir, int index, int flags) {
  char path[256];
  snprintf(path, sizeof path, "%s/%d", dir, index);
  int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | flags);
  if (fd < 0) fail(path);
  struct termios t;
  if (tcgetattr(fd, &t) != 0) fail(path);
  cfmakeraw(&t);
  cfsetspeed(&t, B921600);
  t.c_cflag |= CLOCAL;
  if (tcsetattr(fd, TCSANOW, &t) != 0) fail(path);
  return fd;
}

static void write_all(int fd, const void *bytes, size_t length) {
  if (write(fd, bytes, length) != (ssize_t)length) fail("write");
}

// A byte that does not come is lost; a read that waits for it would wait for ever.
static size_t read_some(int fd, uint8_t *into, size_t room) {
  struct pollfd poller = {.fd = fd, .events = POLLIN};
  if (poll(&poller, 1, 2 * QUIET_MS) != 1) fail("a byte does not come");
  ssize_t n = read(fd, into, room);
  if (n <= 0) fail("read");
  return (size_t)n;
}

static int by_size(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return (d > 0) - (d < 0);
}

// Blocking reads: a poll in the way would be half of what is measured.
static double round_trip(int fd, const uint8_t *out, uint8_t *in, size_t length) {
  double from = now_ms();
  write_all(fd, out, length);
  for (size_t got = 0; got < length;) {
    ssize_t n = read(fd, in + got, length - got);
    if (n <= 0) fail("read");
    got += (size_t)n;
  }
  double us = (now_ms() - from) * 1e3;
  if (memcmp(out, in, length) != 0) fail("what came back is not what was sent");
  return us;
}

static const char *side_of(const char *dir) {
  const char *slash = strrchr(dir, '/');
  return slash != NULL ? slash + 1 : dir;
}

static void print_percentiles(const char *side, size_t length, double *us, int count) {
  qsort(us, (size_t)count, sizeof *us, by_size);
  printf("%s rtt%zu %.1f\n", side, length, us[count / 2]);
  printf("%s rtt%zu-p10 %.1f\n", side, length, us[count / 10]);
  printf("%s rtt%zu-p99 %.1f\n", side, length, us[count * 99 / 100]);
}

static void rtt(char **dirs, int sides, size_t length, int count) {
  uint8_t in[CALL_BYTES];
  int fds[MAX_SIDES];
  double *us[MAX_SIDES];
  if (length > sizeof in) fail("too much");
  for (int s = 0; s < sides; s++) {
    fds[s] = open_tty(dirs[s], PORTS, 0);
    us[s] = calloc((size_t)count, sizeof **us);
    if (us[s] == NULL) fail("calloc");
  }
  pause_ms(SETTLE_MS);
  alarm(240);
  for (int done = 0; done < count; done += BLOCK) {
    for (int s = 0; s < sides; s++) {
      for (int i = 0; i < WARM_UP; i++) round_trip(fds[s], pattern + i, in, length);
      for (int i = done; i < done + BLOCK && i < count; i++) {
        us[s][i] = round_trip(fds[s], pattern_at((uint32_t)i, 0, false), in, length);
      }
    }
  }
  for (int s = 0; s < sides; s++) print_percentiles(side_of(dirs[s]), length, us[s], count);
}

// Bytes that the far end has not got, or not right.
static uint32_t lost_down(const uint8_t bytes[VERDICT_BYTES], const struct order *o) {
  struct verdict v;
  memcpy(&v, bytes, sizeof v);
  if (v.good) return 0;
  uint32_t received = 0;
  for (int i = 0; i < 4; i++) received |= (uint32_t)v.received[i] << (8 * i);
  return received < o->down ? o->down - received : 1;
}

// Down or up alone; bytes per second.
static double one_way(int fd, struct order o) {
  double from = now_ms();
  write_all(fd, &o, sizeof o);
  for (uint32_t sent = 0; sent < o.down;) {
    uint32_t piece = o.down - sent < CALL_BYTES ? o.down - sent : CALL_BYTES;
    ssize_t n = write(fd, pattern_at(sent, 0, false), piece);
    if (n <= 0) fail("write");
    sent += (uint32_t)n;
  }
  uint8_t in[CALL_BYTES];
  uint8_t last[VERDICT_BYTES];
  uint32_t got = 0;
  while (got < o.up + VERDICT_BYTES) {
    size_t n = read_some(fd, in, sizeof in);
    size_t data = got < o.up ? (n < o.up - got ? n : o.up - got) : 0;
    if (memcmp(in, pattern_at(got, 0, true), data) != 0) fail("a wrong byte came");
    for (size_t i = data; i < n; i++) {
      if (got + i - o.up >= VERDICT_BYTES) fail("more came than was ordered");
      last[got + i - o.up] = in[i];
    }
    got += (uint32_t)n;
  }
  double ms = now_ms() - from;
  if (lost_down(last, &o) > 0) fail("the far end has not got every byte");
  return (o.down + o.up) / ms * 1e3;
}

static void ways(char **dirs, int sides, const char *name, struct order o, int count) {
  int fds[MAX_SIDES];
  for (int s = 0; s < sides; s++) fds[s] = open_tty(dirs[s], 0, 0);
  pause_ms(SETTLE_MS);
  for (int i = 0; i < count; i++) {
    for (int s = 0; s < sides; s++) printf("%s %s %.0f\n", side_of(dirs[s]), name, one_way(fds[s], o));
  }
}

struct line {
  int fd;
  uint32_t sent;
  uint32_t got;
  bool wrong;
  double done;  // when the verdict came; 0: not yet
  uint8_t last[VERDICT_BYTES];
};

static void send_due(struct line *l, int port, const struct order *o, double elapsed) {
  uint32_t limit = due(o->down, o->rate, elapsed);
  while (l->sent < limit) {
    uint32_t piece = limit - l->sent < CALL_BYTES ? limit - l->sent : CALL_BYTES;
    ssize_t n = write(l->fd, pattern_at(l->sent, port, false), piece);
    if (n < 0 && errno != EAGAIN) fail("write");
    if (n <= 0) return;
    l->sent += (uint32_t)n;
  }
}

static void take(struct line *l, int port, const struct order *o, double elapsed) {
  uint8_t in[CALL_BYTES];
  ssize_t n = read(l->fd, in, sizeof in);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) fail("read");
  uint32_t left = l->got < o->up ? o->up - l->got : 0;
  size_t data = (uint32_t)n < left ? (size_t)n : left;
  if (memcmp(in, pattern_at(l->got, port, true), data) != 0) l->wrong = true;
  for (size_t i = data; i < (size_t)n && l->got + i - o->up < VERDICT_BYTES; i++) l->last[l->got + i - o->up] = in[i];
  l->got += (uint32_t)n;
  if (l->got >= o->up + VERDICT_BYTES) l->done = elapsed;
}

// Bytes that are missing or not the right ones, both ways.
static uint32_t lost(const struct line *l, const struct order *o) {
  uint32_t up = l->got < o->up ? o->up - l->got : 0;
  if (l->done == 0) return up + 1;
  return up + (l->wrong ? 1 : 0) + lost_down(l->last, o);
}

static void report(const char *side, const struct line *lines, const struct order *o) {
  double end = 0;
  uint32_t missing = 0;
  for (int i = 0; i < PORTS; i++) {
    if (lines[i].done > end) end = lines[i].done;
    missing += lost(&lines[i], o);
  }
  printf("%s many-delivered %.0f\n", side, end > 0 ? o->down / end * 1e3 : 0);
  printf("%s many-lost %u\n", side, missing);
}

static void many(const char *dir, uint32_t rate, uint32_t seconds) {
  struct line lines[PORTS] = {0};
  struct pollfd pollers[PORTS + 1];
  struct order o = {.down = rate * seconds, .up = rate * seconds, .rate = rate};
  for (int i = 0; i < PORTS; i++) lines[i].fd = open_tty(dir, i, O_NONBLOCK);
  for (int i = 0; i < PORTS; i++) pollers[i] = (struct pollfd){.fd = lines[i].fd, .events = POLLIN};
  int ticks = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct timespec period = {.tv_nsec = TICK_MS * 1000000L};
  timerfd_settime(ticks, 0, &(struct itimerspec){.it_value = period, .it_interval = period}, NULL);
  pollers[PORTS] = (struct pollfd){.fd = ticks, .events = POLLIN};
  pause_ms(2 * SETTLE_MS);
  double from = now_ms();
  for (int i = 0; i < PORTS; i++) write_all(lines[i].fd, &o, sizeof o);
  int left = PORTS;
  for (double heard = 0; left > 0;) {
    poll(pollers, PORTS + 1, -1);
    double elapsed = now_ms() - from;
    uint64_t expired;
    bool tick = read(ticks, &expired, sizeof expired) > 0;
    for (int i = 0; i < PORTS; i++) {
      bool before = lines[i].done > 0;
      if (pollers[i].revents != 0) {
        take(&lines[i], i, &o, elapsed);
        heard = elapsed;
      }
      if (tick) send_due(&lines[i], i, &o, elapsed);
      if (!before && lines[i].done > 0) left--;
    }
    if (elapsed - heard > 2 * QUIET_MS) break;
  }
  report(side_of(dir), lines, &o);
  for (int i = 0; i < PORTS; i++) close(lines[i].fd);
}

static void hold(const char *dir, int seconds) {
  for (int i = 0; i <= PORTS; i++) open_tty(dir, i, 0);
  puts("open");
  fflush(stdout);
  pause_ms(seconds * 1000);
}

int main(int argc, char **argv) {
  char **dirs = argv + 4;
  int sides = argc - 4;
  if (sides < 1 || sides > MAX_SIDES) {
    fputs("usage: client rtt|write|read|many|hold NUMBER NUMBER DIR...\n", stderr);
    return 2;
  }
  make_pattern();
  const char *what = argv[1];
  uint32_t first = (uint32_t)atoi(argv[2]);
  int second = atoi(argv[3]);
  if (strcmp(what, "rtt") == 0) rtt(dirs, sides, first, second);
  else if (strcmp(what, "write") == 0) ways(dirs, sides, what, (struct order){.down = first}, second);
  else if (strcmp(what, "read") == 0) ways(dirs, sides, what, (struct order){.up = first}, second);
  else if (strcmp(what, "many") == 0) many(dirs[0], first, (uint32_t)second);
  else if (strcmp(what, "hold") == 0) hold(dirs[0], (int)first);
  else return 2;
  return 0;
}
