// Waiting for a descriptor, reading and writing as far as it goes, and the clock. What a caller cannot go on after is kept in
// its load_end; nothing here decides what that means.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "../errno.h"
#include "load.h"

#define SLICE (50 * NS_PER_MS)

int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * NS_PER_S + t.tv_nsec;
}

bool wait_for(struct load_end *end, int fd, short events, int64_t deadline) {
  struct pollfd state = {.fd = fd, .events = events};
  while (!atomic_load_explicit(&end->canceled, memory_order_relaxed)) {
    int64_t left = deadline - now_ns();
    if (left < 0) left = 0;
    int64_t slice = left < SLICE ? left : SLICE;
    struct timespec wait = {.tv_sec = 0, .tv_nsec = slice};
    if (RETRY(ppoll(&state, 1, &wait, NULL)) > 0) return true;
    if (left <= SLICE) return false;
  }
  return false;
}

static ssize_t judged(struct load_end *end, ssize_t n, const char *syscall) {
  if (n > 0) return n;
  if (n == -1 && errno == EAGAIN) return 0;
  end->error = n == 0 ? EPIPE : errno;
  end->syscall = syscall;
  return -1;
}

ssize_t read_some(struct load_end *end, int fd, void *bytes, size_t length) {
  return judged(end, RETRY(read(fd, bytes, length)), "read");
}

ssize_t write_some(struct load_end *end, int fd, const void *bytes, size_t length) {
  return judged(end, RETRY(write(fd, bytes, length)), "write");
}

bool is_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags != -1 && (flags & O_NONBLOCK) != 0;
}
