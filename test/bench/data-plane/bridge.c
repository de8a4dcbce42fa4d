// The least that a tunnel between PTYs and TCP can be, to measure others against: one thread, one epoll set, no settings, no
// reconnection, no counters. Takes up to 64 KiB from a PTY before it sends; what a side has no room for is kept, and the other
// side is not read meanwhile. `bridge plain|packet FOLDER PORT...` makes FOLDER/0, FOLDER/1, ... and connects each to its port
// of 127.0.0.1. It keeps the slaves open itself, so that a PTY is never hung up.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#define BUFFER 65536
#define MOST_OF_A_PTY 4096
#define EVENTS 256

struct parked {
  uint8_t *bytes;
  size_t from;
  size_t to;
};

struct line {
  int tty;
  int net;
  struct parked down;  // for the net
  struct parked up;    // for the tty
  uint32_t tty_events;
  uint32_t net_events;
};

static bool packets;
static int set;
static uint8_t buffer[BUFFER];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int operation, int fd, uint32_t events, uint64_t tag) {
  struct epoll_event event = {.events = events, .data.u64 = tag};
  if (epoll_ctl(set, operation, fd, &event) == -1) die("epoll_ctl");
}

static void rearm(struct line *l, size_t index) {
  uint32_t tty = (l->down.from == l->down.to ? EPOLLIN : 0) | (l->up.from < l->up.to ? EPOLLOUT : 0);
  uint32_t net = (l->up.from == l->up.to ? EPOLLIN : 0) | (l->down.from < l->down.to ? EPOLLOUT : 0);
  if (tty != l->tty_events) watch(EPOLL_CTL_MOD, l->tty, tty, index << 1);
  if (net != l->net_events) watch(EPOLL_CTL_MOD, l->net, net, index << 1 | 1);
  l->tty_events = tty;
  l->net_events = net;
}

static void park(struct parked *p, const uint8_t *bytes, size_t length) {
  if (p->bytes == NULL) p->bytes = malloc(BUFFER);
  memcpy(p->bytes, bytes, length);
  p->from = 0;
  p->to = length;
}

// What a side takes in one call is all that it has room for.
static size_t put(int fd, const uint8_t *bytes, size_t length) {
  ssize_t n = write(fd, bytes, length);
  return n > 0 ? (size_t)n : 0;
}

static void unpark(struct parked *p, int fd) {
  p->from += put(fd, p->bytes + p->from, p->to - p->from);
}

static ssize_t read_tty(int fd, uint8_t *into, size_t room) {
  if (!packets) return read(fd, into, room);
  uint8_t header = 0;
  struct iovec parts[2] = {{&header, 1}, {into, room}};
  ssize_t n = readv(fd, parts, 2);
  if (n <= 0) return n;
  return header == TIOCPKT_DATA ? n - 1 : 0;
}

static void down(struct line *l) {
  size_t length = 0;
  while (length + MOST_OF_A_PTY <= BUFFER) {
    ssize_t n = read_tty(l->tty, buffer + length, BUFFER - length);
    if (n <= 0) break;
    length += (size_t)n;
    if (n < MOST_OF_A_PTY - 1) break;
  }
  if (length == 0) return;
  size_t taken = put(l->net, buffer, length);
  if (taken < length) park(&l->down, buffer + taken, length - taken);
}

static void up(struct line *l) {
  ssize_t n = read(l->net, buffer, BUFFER);
  if (n == 0 || (n == -1 && errno != EAGAIN)) exit(0);  // the measurement is over
  if (n <= 0) return;
  size_t taken = put(l->tty, buffer, (size_t)n);
  if (taken < (size_t)n) park(&l->up, buffer + taken, (size_t)n - taken);
}

static void make(struct line *l, const char *folder, size_t index, int port) {
  char path[4096];
  struct termios raw;
  int on = 1;
  l->tty = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (l->tty == -1 || grantpt(l->tty) == -1 || unlockpt(l->tty) == -1) die("posix_openpt");
  snprintf(path, sizeof path, "%s/%zu", folder, index);
  int slave = open(ptsname(l->tty), O_RDWR | O_NOCTTY);
  if (slave == -1 || symlink(ptsname(l->tty), path) == -1) die(path);
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  if (packets && ioctl(l->tty, TIOCPKT, &on) == -1) die("TIOCPKT");
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  l->net = socket(AF_INET, SOCK_STREAM, 0);
  if (l->net == -1 || connect(l->net, (struct sockaddr *)&to, sizeof to) == -1) die("connect");
  setsockopt(l->net, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(l->net, F_SETFL, O_NONBLOCK);
  l->tty_events = l->net_events = EPOLLIN;
  watch(EPOLL_CTL_ADD, l->tty, EPOLLIN, index << 1);
  watch(EPOLL_CTL_ADD, l->net, EPOLLIN, index << 1 | 1);
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  packets = strcmp(arguments[1], "packet") == 0;
  size_t lines_count = (size_t)count - 3;
  struct line *lines = calloc(lines_count, sizeof *lines);
  set = epoll_create1(0);
  for (size_t i = 0; i < lines_count; i++) make(&lines[i], arguments[2], i, atoi(arguments[3 + i]));
  struct epoll_event events[EVENTS];
  for (;;) {
    int n = epoll_wait(set, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      size_t index = events[i].data.u64 >> 1;
      bool of_net = events[i].data.u64 & 1;
      struct line *l = &lines[index];
      bool readable = events[i].events & ~(uint32_t)EPOLLOUT;
      if (events[i].events & EPOLLOUT) unpark(of_net ? &l->down : &l->up, of_net ? l->net : l->tty);
      if (readable && !of_net && l->down.from == l->down.to) down(l);
      if (readable && of_net && l->up.from == l->up.to) up(l);
      rearm(l, index);
    }
  }
}
