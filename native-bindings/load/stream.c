// One way, as fast as it goes: a thread that writes and one that reads and compares every byte. A window bounds what is on the
// way, for a loop plug whose writer and reader are one application.
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "../errno.h"
#include "load.h"

#define STEP (20 * NS_PER_MS)

struct pair {
  struct stream *stream;
  struct load_end writing;
  int64_t began;
  _Atomic int64_t wrote;  // when the last write ended
  _Atomic bool written;   // no more comes
};

static bool over(struct pair *p) {
  struct stream *s = p->stream;
  return atomic_load(&s->end.canceled) || atomic_load(&p->writing.canceled);
}

static size_t wanted(struct stream *s) {
  uint64_t sent = atomic_load(&s->sent);
  uint64_t length = s->chunk;
  if (s->bytes > 0 && s->bytes - sent < length) length = s->bytes - sent;
  uint64_t on_the_way = sent - atomic_load(&s->received);
  if (s->window > 0 && length > s->window - (on_the_way < s->window ? on_the_way : s->window)) {
    length = on_the_way < s->window ? s->window - on_the_way : 0;
  }
  return (size_t)length;
}

static void *writer(void *argument) {
  struct pair *p = argument;
  struct stream *s = p->stream;
  int64_t until = s->duration > 0 ? p->began + s->duration : INT64_MAX;
  while (!over(p) && (s->bytes == 0 || atomic_load(&s->sent) < s->bytes) && now_ns() < until) {
    size_t length = wanted(s);
    if (length == 0) {
      nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);  // the window is shut: the reader opens it
      continue;
    }
    ssize_t n = write_some(&p->writing, s->out, pattern_at(s->table, atomic_load(&s->sent)), length);
    if (n < 0) break;
    if (n > 0) {
      atomic_fetch_add(&s->sent, (uint64_t)n);
      atomic_store(&p->wrote, now_ns());
    } else {
      int64_t step = now_ns() + STEP;
      wait_for(&p->writing, s->out, POLLOUT, step < until ? step : until);
    }
  }
  atomic_store(&p->written, true);
  return NULL;
}

static void reader(struct pair *p, uint8_t *buffer) {
  struct stream *s = p->stream;
  int64_t last = p->began;
  for (;;) {
    bool complete = atomic_load(&p->written);
    uint64_t received = atomic_load(&s->received);
    if (over(p) || (complete && received >= atomic_load(&s->sent))) break;
    if (!wait_for(&s->end, s->in, POLLIN, now_ns() + STEP)) {
      int64_t heard = atomic_load(&p->wrote) > last ? atomic_load(&p->wrote) : last;
      if (now_ns() - heard > s->quiet) break;  // what is missing by now will not come
      continue;
    }
    ssize_t n = read_some(&s->end, s->in, buffer, LOAD_BUFFER);
    if (n < 0) break;
    if (n == 0) continue;
    pattern_compare(s->table, received, buffer, (size_t)n, &s->difference);
    atomic_fetch_add(&s->received, (uint64_t)n);
    last = now_ns();
  }
  s->elapsed = last - p->began;
}

void stream_run(struct stream *s) {
  struct pair p = {.stream = s};
  pthread_t thread;
  uint8_t *buffer = malloc(LOAD_BUFFER);
  p.began = now_ns();
  atomic_store(&p.wrote, p.began);
  int error = buffer == NULL ? ENOMEM : pthread_create(&thread, NULL, writer, &p);
  if (error == 0) {
    reader(&p, buffer);
    atomic_store(&p.writing.canceled, true);
    pthread_join(thread, NULL);
  }
  free(buffer);
  if (s->end.error == 0 && p.writing.error != 0) {
    s->end.error = p.writing.error;
    s->end.syscall = p.writing.syscall;
  }
  if (s->end.error == 0 && error != 0) {
    s->end.error = error;
    s->end.syscall = "pthread_create";
  }
}
