// Round trips, one after the other, on one thread: it waits in the kernel as an application does, and no other thread of ours
// has to be woken on the way. Rounds that were not whole in time, or not right, have no time.
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../errno.h"
#include "load.h"

static bool write_all(struct latency *l, int fd, const uint8_t *bytes, size_t length, int64_t deadline) {
  for (size_t done = 0;;) {
    ssize_t n = write_some(&l->end, fd, bytes + done, length - done);
    if (n < 0) return false;
    done += (size_t)n;
    if (done == length) return true;
    if (!wait_for(&l->end, fd, POLLOUT, deadline)) return false;
  }
}

static bool read_all(struct latency *l, int fd, uint8_t *bytes, size_t length, int64_t deadline) {
  int64_t last = 0;
  for (size_t done = 0; done < length;) {
    if (!wait_for(&l->end, fd, POLLIN, deadline)) return false;
    ssize_t n = read_some(&l->end, fd, bytes + done, length - done);
    if (n < 0) return false;
    bool whole = (size_t)n == length;
    done += (size_t)n;
    if (whole || n == 0) continue;
    int64_t now = now_ns();
    if (last != 0 && now - last > l->gap) l->gap = now - last;
    if (last == 0) l->split++;
    last = now;
  }
  return true;
}

static void discard(struct latency *l, uint8_t *scratch) {
  for (int i = 0; i < l->legs; i++) {
    while (wait_for(&l->end, l->in[i], POLLIN, now_ns() + l->quiet)) {
      if (read_some(&l->end, l->in[i], scratch, LOAD_BUFFER) < 0) return;
    }
  }
}

// The time of a round that was whole; -1 where it was not.
static int64_t round_trip(struct latency *l, const uint8_t *request, uint8_t *reply) {
  int64_t from = now_ns();
  int64_t deadline = from + l->timeout;
  if (!write_all(l, l->out[0], request, l->bytes, deadline)) return -1;
  if (!read_all(l, l->in[0], reply, l->reply_bytes, deadline)) return -1;
  if (l->legs == 2) {
    if (!write_all(l, l->out[1], reply, l->bytes, deadline)) return -1;
    if (!read_all(l, l->in[1], reply, l->bytes, deadline)) return -1;
  }
  return now_ns() - from;
}

void latency_run(struct latency *l) {
  uint8_t *reply = malloc(LOAD_BUFFER);
  if (reply == NULL) {
    l->end.error = ENOMEM;
    l->end.syscall = "malloc";
    return;
  }
  uint32_t failures = 0;
  for (uint32_t i = 0; i < l->count && failures < l->give_up_after && !atomic_load(&l->end.canceled); i++) {
    const uint8_t *request = l->request != NULL ? l->request : pattern_at(l->table, (uint64_t)i * l->bytes);
    int64_t took = round_trip(l, request, reply);
    if (l->end.error != 0 || atomic_load(&l->end.canceled)) break;
    // What answers a request of the user's is the device's own.
    bool right = l->request != NULL || memcmp(request, reply, l->bytes) == 0;
    if (took >= 0 && right) {
      l->times[l->done++] = (double)took;
      failures = 0;
      continue;
    }
    if (took < 0) l->lost++;
    else l->mismatched++;
    failures++;
    discard(l, reply);
    if (l->end.error != 0) break;
  }
  free(reply);
}
