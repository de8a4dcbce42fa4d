// One port of an adapter: bytes between the kernel's transfers and a TCP connection. A transfer out is answered when the connection
// has taken all its bytes; the connection is read only while the kernel waits for data, and paced as the daemon paces.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "emulator.h"

// src/tty/usbip: what the kernel's buffer of a tty stands.
#define BURST_BYTES (32 * 1024)
#define BURST_MS 10

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void port_open(struct port *p) {
  port_close(p);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)p->tcp_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  p->fd = fd;
  p->readable = false;
  p->writable = true;
  watch(fd, p);
}

void port_close(struct port *p) {
  if (p->fd >= 0) close(p->fd);
  p->fd = -1;
  p->up_from = p->up_to = 0;
  p->out_length = 0;
  p->paced = false;
}

static void add(struct urbs *urbs, uint32_t seqnum, uint32_t length) {
  if (urbs->count == MAX_URBS) die("more transfers than a driver of ours has");
  urbs->seqnum[urbs->count] = seqnum;
  urbs->length[urbs->count] = length;
  urbs->count++;
}

static void remove_at(struct urbs *urbs, int i) {
  urbs->count--;
  for (; i < urbs->count; i++) {
    urbs->seqnum[i] = urbs->seqnum[i + 1];
    urbs->length[i] = urbs->length[i + 1];
  }
}

static bool forget(struct urbs *urbs, uint32_t seqnum) {
  for (int i = 0; i < urbs->count; i++) {
    if (urbs->seqnum[i] != seqnum) continue;
    remove_at(urbs, i);
    return true;
  }
  return false;
}

void port_want(struct port *p, uint32_t seqnum, uint32_t length) {
  add(&p->wanted, seqnum, length);
}

void port_write(struct port *p, uint32_t seqnum, const uint8_t *data, uint32_t length) {
  if (p->out_length + length > OUT_BYTES) die("more bytes than two transfers have");
  memcpy(p->out + p->out_length, data, length);
  p->out_length += length;
  add(&p->written, seqnum, length);
}

bool port_unlink(struct port *p, uint32_t seqnum) {
  if (forget(&p->written, seqnum)) return true;
  if (!forget(&p->wanted, seqnum)) return false;
  // The driver closes a port by taking its transfers back.
  if (p->wanted.count == 0) port_close(p);
  return true;
}

static void lost(struct port *p, ssize_t n) {
  if (n == 0 || errno != EAGAIN) port_close(p);
}

// Down: all that was written since the last turn in one send.
static void push(struct port *p) {
  if (p->fd < 0) p->out_length = 0;
  if (p->out_length > 0 && p->writable) {
    ssize_t n = send(p->fd, p->out, p->out_length, MSG_NOSIGNAL);
    if (n < (ssize_t)p->out_length) p->writable = false;
    if (n < 0) lost(p, n);
    if (n > 0) {
      p->out_length -= (size_t)n;
      memmove(p->out, p->out + n, p->out_length);
    }
  }
  // The bytes of the last transfers are the ones that are left.
  size_t left = 0;
  int done = p->written.count;
  while (done > 0 && left < p->out_length) left += p->written.length[--done];
  for (int i = 0; i < done; i++) device_complete(p->device, p->written.seqnum[i], p->written.length[i]);
  for (; done > 0; done--) remove_at(&p->written, 0);
}

// Reads once the last bytes have gone up; false: there is nothing.
static bool refill(struct port *p) {
  if (p->fd < 0 || !p->readable) return false;
  ssize_t n = recv(p->fd, p->up, UP_BYTES, 0);
  if (n < UP_BYTES) p->readable = false;
  if (n <= 0) {
    lost(p, n);
    return false;
  }
  p->up_from = 0;
  p->up_to = (size_t)n;
  return true;
}

// Up: as many packets as the kernel waits for.
static void deliver(struct port *p) {
  double now = 0;
  p->paced = false;
  while (p->wanted.count > 0) {
    if (p->up_from == p->up_to && !refill(p)) return;
    if (now == 0) now = now_ms();
    if (now - p->burst_from >= BURST_MS) p->burst = 0;
    if (p->burst >= BURST_BYTES) {
      p->paced = true;
      return;
    }
    if (p->burst == 0) p->burst_from = now;
    size_t most = p->wanted.length[0] < PACKET_BYTES ? p->wanted.length[0] : PACKET_BYTES;
    size_t length = p->up_to - p->up_from;
    if (length > most - 2) length = most - 2;
    device_fill(p->device, p->wanted.seqnum[0], p->up + p->up_from, length);
    remove_at(&p->wanted, 0);
    p->up_from += length;
    p->burst += length;
  }
}

void port_step(struct port *p) {
  if (p->written.count > 0) push(p);
  if (p->wanted.count > 0) deliver(p);
}

int port_wait_ms(const struct port *p) {
  if (!p->paced) return -1;
  double left = BURST_MS - (now_ms() - p->burst_from);
  return left < 0 ? 0 : (int)left + 1;
}
