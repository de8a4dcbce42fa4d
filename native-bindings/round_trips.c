// The pump without Node, for callgrind: ROUNDS round trips of 8 bytes between an application at a PTY and the far end of a socket,
// both played by the main thread, which waits for each byte. What the pump's thread does meanwhile is the same in every run.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness_line.h"

#define BYTES 8
#define PATIENCE_MS 20000

static void on_notify(void *context) {
  (void)context;
}

static int take(int fd, const uint8_t *expected) {
  uint8_t bytes[BYTES];
  for (size_t have = 0; have < BYTES;) {
    struct pollfd state = {.fd = fd, .events = POLLIN};
    if (poll(&state, 1, PATIENCE_MS) != 1) return -1;
    ssize_t n = read(fd, bytes + have, BYTES - have);
    if (n <= 0) return -1;
    have += (size_t)n;
  }
  return memcmp(bytes, expected, BYTES) == 0 ? 0 : -1;
}

static int round_trip(int application, int far, uint32_t round) {
  uint8_t bytes[BYTES];
  for (size_t i = 0; i < BYTES; i++) bytes[i] = (uint8_t)(round * 31 + i);
  if (write(application, bytes, BYTES) != BYTES || take(far, bytes) != 0) return -1;
  return write(far, bytes, BYTES) == BYTES ? take(application, bytes) : -1;
}

int main(int count, char **arguments) {
  uint32_t rounds = count > 1 ? (uint32_t)strtoul(arguments[1], NULL, 10) : 1000;
  struct line line = {0};
  pump *p = pump_create(on_notify, NULL, -1);
  if (p == NULL || harness_line_open(p, &line) != 0) {
    perror("round_trips: a line cannot be made");
    return 2;
  }
  int application = open(line.slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
  uint32_t done = 0;
  while (done < rounds && round_trip(application, line.far, done) == 0) done++;
  close(application);
  pump_destroy(p);
  printf("%u round trips\n", done);
  return done == rounds ? 0 : 1;
}
