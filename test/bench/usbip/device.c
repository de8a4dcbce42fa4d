// One adapter in the kernel: USB/IP messages in, answers out; all answers of one turn go in one send.
// Follows docs/protocol/usbip.md, section 2.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "emulator.h"

#define CMD_SUBMIT 1
#define CMD_UNLINK 2
#define RET_SUBMIT 3
#define RET_UNLINK 4
#define STALL (-32)
#define UNLINKED (-104)

static uint32_t get32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 24);
  at[1] = (uint8_t)(value >> 16);
  at[2] = (uint8_t)(value >> 8);
  at[3] = (uint8_t)value;
}

static uint8_t *reply(struct device *d, uint32_t command, uint32_t seqnum, int32_t status, size_t actual, size_t data) {
  if (d->out_length + HEADER_BYTES + data > TO_KERNEL) die("the kernel does not take its answers");
  uint8_t *at = d->out + d->out_length;
  memset(at, 0, HEADER_BYTES);
  put32(at, command);
  put32(at + 4, seqnum);
  put32(at + 20, (uint32_t)status);
  put32(at + 24, (uint32_t)actual);
  d->out_length += HEADER_BYTES + data;
  return at + HEADER_BYTES;
}

void device_fill(struct device *d, uint32_t seqnum, const uint8_t *data, size_t length) {
  uint8_t *at = reply(d, RET_SUBMIT, seqnum, 0, 2 + length, 2 + length);
  status_bytes(true, at);
  memcpy(at + 2, data, length);
}

void device_complete(struct device *d, uint32_t seqnum, uint32_t length) {
  reply(d, RET_SUBMIT, seqnum, 0, length, 0);
}

void device_flush(struct device *d) {
  while (d->out_length > 0 && d->writable) {
    ssize_t n = send(d->fd, d->out, d->out_length, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) die("the kernel has let go of the device");
    if (n < (ssize_t)d->out_length) d->writable = false;
    if (n <= 0) return;
    d->out_length -= (size_t)n;
    memmove(d->out, d->out + n, d->out_length);
  }
}

static void control(struct device *d, uint32_t seqnum, bool in, uint32_t length, const uint8_t *setup_bytes) {
  struct setup setup = parse_setup(setup_bytes);
  uint8_t answer[MAX_ANSWER];
  int got;
  if ((setup.type & 0x60) == 0x40) {
    int index = (setup.index & 0xff) - 1;
    struct port *p = index >= 0 && index < d->interfaces ? &d->ports[index] : NULL;
    got = p != NULL ? vendor_answer(setup, p->out_length == 0, answer) : -1;
    if (p != NULL && setup.request == RESET && setup.value == 0) port_open(p);
  } else {
    got = standard_answer(setup, d->interfaces, d->serial, answer);
  }
  if (got < 0) {
    reply(d, RET_SUBMIT, seqnum, STALL, 0, 0);
  } else if (!in) {
    reply(d, RET_SUBMIT, seqnum, 0, length, 0);
  } else {
    size_t part = (size_t)got < length ? (size_t)got : length;
    memcpy(reply(d, RET_SUBMIT, seqnum, 0, part, part), answer, part);
  }
}

static void unlink_transfer(struct device *d, uint32_t seqnum, uint32_t target) {
  bool forgotten = false;
  for (int i = 0; i < d->interfaces && !forgotten; i++) forgotten = port_unlink(&d->ports[i], target);
  reply(d, RET_UNLINK, seqnum, forgotten ? UNLINKED : 0, 0, 0);
}

// Takes one message; returns its length, 0 where it is not whole.
static size_t take(struct device *d, const uint8_t *at, size_t left) {
  if (left < HEADER_BYTES) return 0;
  uint32_t command = get32(at);
  uint32_t seqnum = get32(at + 4);
  if (command == CMD_UNLINK) {
    unlink_transfer(d, seqnum, get32(at + 20));
    return HEADER_BYTES;
  }
  if (command != CMD_SUBMIT) die("the kernel sent what is no USB/IP");
  bool in = get32(at + 12) == 1;
  uint32_t endpoint = get32(at + 16);
  uint32_t length = get32(at + 24);
  size_t whole = HEADER_BYTES + (in ? 0 : length);
  if (whole > FROM_KERNEL) die("the kernel sent too much");
  if (left < whole) return 0;
  if (endpoint == 0) control(d, seqnum, in, length, at + 40);
  else if (endpoint > (uint32_t)d->interfaces) reply(d, RET_SUBMIT, seqnum, STALL, 0, 0);
  else if (in) port_want(&d->ports[endpoint - 1], seqnum, length);
  else port_write(&d->ports[endpoint - 1], seqnum, at + HEADER_BYTES, length);
  return whole;
}

void device_receive(struct device *d) {
  for (;;) {
    size_t room = FROM_KERNEL - d->in_length;
    ssize_t n = recv(d->fd, d->in + d->in_length, room, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) die("the kernel has let go of the device");
    if (n < 0) return;
    d->in_length += (size_t)n;
    size_t at = 0;
    for (size_t used; (used = take(d, d->in + at, d->in_length - at)) > 0;) at += used;
    d->in_length -= at;
    memmove(d->in, d->in + at, d->in_length);
    // Less than there was room for: the socket is empty, and epoll tells of the next bytes.
    if ((size_t)n < room) return;
  }
}
