// far-end DATA_PORT COMMAND_PORT: the device server of the benchmark, as cheap as one can be, the same for both sides that are
// compared. Data ports take orders (order.h), the last one echoes. Its command ports say OK to everything, which is enough
// for a Real COM host (docs/protocol/realcom.md, 3.1): there is no line, so nothing ever waits in it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "order.h"

#define MAX_PEERS 256
#define CHUNK 16384
#define COMMAND_BYTES 512

enum kind { FREE, LISTEN_DATA, LISTEN_COMMAND, ECHO, ORDERS, COMMANDS };

struct peer {
  enum kind kind;
  int fd;
  int port;
  // ECHO: what could not be sent. COMMANDS: a command that is not whole.
  uint8_t kept[CHUNK];
  size_t kept_length;
  // The connection had no room: EPOLLOUT tells.
  bool blocked;
  // ORDERS
  uint8_t head[sizeof(struct order)];
  size_t head_length;
  struct order order;
  uint32_t received;
  uint32_t sent;
  bool bad;
  double began;
  double heard;
};

static struct peer peers[MAX_PEERS];
static int epoll_fd;
static int timeout = -1;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static struct peer *add(int fd, enum kind kind, int port) {
  for (struct peer *p = peers; p < peers + MAX_PEERS; p++) {
    if (p->kind != FREE) continue;
    memset(p, 0, sizeof *p);
    p->kind = kind;
    p->fd = fd;
    p->port = port;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
    return p;
  }
  fputs("far-end: too many connections\n", stderr);
  exit(1);
}

static void drop(struct peer *p) {
  close(p->fd);
  p->kind = FREE;
}

// An echo reads no more while it cannot send.
static void block(struct peer *p, bool blocked) {
  if (p->blocked == blocked) return;
  p->blocked = blocked;
  uint32_t in = p->kind == ECHO && blocked ? 0 : EPOLLIN;
  struct epoll_event event = {.events = in | (blocked ? EPOLLOUT : 0), .data.ptr = p};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &event);
}

static void listen_on(int tcp_port, enum kind kind, int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)tcp_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0) die("listen");
  add(fd, kind, port);
}

static void take_connection(struct peer *listener) {
  int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (listener->kind == LISTEN_COMMAND) add(fd, COMMANDS, listener->port);
  else add(fd, listener->port < PORTS ? ORDERS : ECHO, listener->port);
}

static void echo(struct peer *p) {
  if (p->kept_length == 0) {
    ssize_t n = recv(p->fd, p->kept, CHUNK, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return drop(p);
    if (n < 0) return;
    p->kept_length = (size_t)n;
  }
  ssize_t n = send(p->fd, p->kept, p->kept_length, MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) return drop(p);
  if (n < 0) n = 0;
  p->kept_length -= (size_t)n;
  memmove(p->kept, p->kept + n, p->kept_length);
  block(p, p->kept_length > 0);
}

// The answer to one command; returns its length.
static size_t answer(uint8_t command, uint8_t *into) {
  switch (command) {
    case 0x28:  // ALIVE
      return 0;
    case 0x2c:  // PORT_INIT
    case 0x13:  // LSTATUS
      memcpy(into, (uint8_t[]){command, 3, 1, 1, 1}, 5);
      return 5;
    case 0x2f:  // WAIT_OQUEUE
    case 0x16:  // OQUEUE
    case 0x15:  // IQUEUE
      memcpy(into, (uint8_t[]){command, 2, 0, 0}, 4);
      return 4;
    default:
      memcpy(into, (uint8_t[]){command, 'O', 'K'}, 3);
      return 3;
  }
}

static void commands(struct peer *p) {
  ssize_t n = recv(p->fd, p->kept + p->kept_length, COMMAND_BYTES - p->kept_length, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN)) return drop(p);
  if (n < 0) return;
  p->kept_length += (size_t)n;
  size_t at = 0;
  while (p->kept_length - at >= 2 && p->kept_length - at >= 2U + p->kept[at + 1]) {
    uint8_t bytes[5];
    size_t length = answer(p->kept[at], bytes);
    if (length > 0 && send(p->fd, bytes, length, MSG_NOSIGNAL) < 0) return drop(p);
    at += 2U + p->kept[at + 1];
  }
  p->kept_length -= at;
  memmove(p->kept, p->kept + at, p->kept_length);
}

static bool ordered(const struct peer *p) {
  return p->kind == ORDERS && p->head_length == sizeof p->head;
}

// Sends what is due, and at last the verdict.
static void pour(struct peer *p, double now) {
  uint32_t limit = due(p->order.up, p->order.rate, now - p->began);
  while (p->sent < limit) {
    uint32_t piece = limit - p->sent < CHUNK ? limit - p->sent : CHUNK;
    ssize_t n = send(p->fd, pattern_at(p->sent, p->port, true), piece, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return drop(p);
    if (n > 0) p->sent += (uint32_t)n;
    if (n > 0) p->heard = now;
    if (n < (ssize_t)piece) break;
  }
  // What is paced is looked at in every tick anyway.
  block(p, p->order.rate == 0 && p->sent < limit);
  bool whole = p->received >= p->order.down || now - p->heard > QUIET_MS;
  if (p->sent < p->order.up || !whole) return;
  struct verdict verdict = {.good = !p->bad && p->received == p->order.down};
  for (int i = 0; i < 4; i++) verdict.received[i] = (uint8_t)(p->received >> (8 * i));
  // Where there is no room for five bytes, another time.
  if (send(p->fd, &verdict, sizeof verdict, MSG_NOSIGNAL) == sizeof verdict) p->head_length = 0;
}

static void begin(struct peer *p, double now) {
  memcpy(&p->order, p->head, sizeof p->order);
  p->received = p->sent = 0;
  p->bad = false;
  p->began = p->heard = now;
  timeout = TICK_MS;
}

static void orders(struct peer *p, double now) {
  uint8_t chunk[CHUNK];
  ssize_t n = recv(p->fd, chunk, CHUNK, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN)) return drop(p);
  if (n > 0) p->heard = now;
  ssize_t at = 0;
  while (at < n && p->head_length < sizeof p->head) {
    p->head[p->head_length++] = chunk[at++];
    if (p->head_length == sizeof p->head) begin(p, now);
  }
  if (!ordered(p)) return;
  if (at < n) {
    if (memcmp(chunk + at, pattern_at(p->received, p->port, false), (size_t)(n - at)) != 0) p->bad = true;
    p->received += (uint32_t)(n - at);
  }
  if (p->order.rate == 0 || p->received >= p->order.down) pour(p, now);
}

static void tick(double now) {
  timeout = -1;
  for (struct peer *p = peers; p < peers + MAX_PEERS; p++) {
    if (ordered(p)) pour(p, now);
    if (!ordered(p)) continue;
    int wanted = p->order.rate > 0 ? TICK_MS : 500;
    if (timeout == -1 || wanted < timeout) timeout = wanted;
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fputs("usage: far-end DATA_PORT COMMAND_PORT\n", stderr);
    return 2;
  }
  make_pattern();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i <= PORTS; i++) {
    listen_on(atoi(argv[1]) + i, LISTEN_DATA, i);
    listen_on(atoi(argv[2]) + i, LISTEN_COMMAND, i);
  }
  puts("ready");
  fflush(stdout);
  double ticked = 0;
  for (;;) {
    struct epoll_event events[64];
    int n = epoll_wait(epoll_fd, events, 64, timeout);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    double now = now_ms();
    for (int i = 0; i < n; i++) {
      struct peer *p = events[i].data.ptr;
      if (p->kind == LISTEN_DATA || p->kind == LISTEN_COMMAND) take_connection(p);
      else if (p->kind == ECHO) echo(p);
      else if (p->kind == COMMANDS) commands(p);
      else if (p->kind == ORDERS) orders(p, now);
    }
    if (timeout == -1 || now - ticked < TICK_MS) continue;
    ticked = now;
    tick(now);
  }
}
