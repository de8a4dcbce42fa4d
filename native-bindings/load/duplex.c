// N pairs of descriptors, messages both ways at a fixed pace. Every direction (a flow) has its own place in the interval, so
// that the load is even; when its n-th message is due is arithmetic, and a time is counted from then and not from the write: a
// generator or a tty that stalls makes the times longer, never fewer. One epoll thread for all ends, or one for each side.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../errno.h"
#include "load.h"

// Flows that are due within the same tick are served by one wake-up, as data that comes over a network would be.
#define TICK (200 * INT64_C(1000))
// So long after the end what comes still counts as in time: the last messages are due just before it.
#define GRACE_INTERVALS 10
#define EVENTS 256
#define TIMER UINT32_MAX

struct flow {
  uint32_t out_end;
  int64_t phase;   // of its first message, from the beginning
  uint64_t place;  // where in the pattern its bytes begin
  // The writer's.
  uint64_t due;
  uint64_t sent;
  bool blocked;
  bool dead;
  // The reader's, which may be another thread.
  _Alignas(64) uint64_t received;
  struct difference difference;
  bool ended;
};

// One descriptor: flow `out` is written to it, flow `in` is read from it.
struct end {
  int fd;
  uint32_t out;
  uint32_t in;
};

struct side {
  struct duplex *all;
  struct flow *flows;
  struct end *ends;
  uint32_t first;  // ends of this side: first, first + step, ...
  uint32_t step;
  int poll;
  int timer;
  int64_t began;
  uint32_t *order;  // its flows out, by phase
  uint32_t count;
  uint32_t next;    // in order, whose turn comes next
  uint64_t round;
  uint8_t *buffer;
  int64_t in_time;
  bool late;  // what comes now does not count as in time
  uint64_t cpu;
  int error;
  const char *syscall;
  struct histogram *times[2];  // of flows a to b, and b to a
  struct histogram *lateness;
};

static uint64_t messages(const struct duplex *d) {
  return (uint64_t)(d->duration / d->interval);
}

static void watch(struct side *s, uint32_t end, int operation, bool writable) {
  struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.u32 = end};
  epoll_ctl(s->poll, operation, s->ends[end].fd, &event);
}

static void lose(struct side *s, uint32_t end) {
  s->flows[s->ends[end].out].dead = true;
  s->flows[s->ends[end].in].ended = true;
  epoll_ctl(s->poll, EPOLL_CTL_DEL, s->ends[end].fd, NULL);
}

static void push(struct side *s, struct flow *f) {
  struct duplex *d = s->all;
  struct load_end ending = {0};
  while (f->sent < f->due && !f->dead) {
    uint64_t length = f->due - f->sent;
    if (length > LOAD_BUFFER) length = LOAD_BUFFER;
    ssize_t n = write_some(&ending, s->ends[f->out_end].fd, pattern_at(d->table, f->place + f->sent), length);
    if (n < 0) {
      lose(s, f->out_end);
      return;
    }
    if (n == 0) break;
    f->sent += (uint64_t)n;
  }
  bool blocked = f->sent < f->due;
  if (blocked == f->blocked || f->dead) return;
  f->blocked = blocked;
  watch(s, f->out_end, EPOLL_CTL_MOD, blocked);
}

static void take(struct side *s, uint32_t end) {
  struct duplex *d = s->all;
  struct load_end ending = {0};
  uint32_t index = s->ends[end].in;
  struct flow *f = &s->flows[index];
  ssize_t n = read_some(&ending, s->ends[end].fd, s->buffer, LOAD_BUFFER);
  if (n < 0) lose(s, end);
  if (n <= 0) return;
  int64_t now = now_ns();
  pattern_compare(d->table, f->place + f->received, s->buffer, (size_t)n, &f->difference);
  uint64_t whole = f->received / d->bytes;
  f->received += (uint64_t)n;
  for (; whole < f->received / d->bytes; whole++) {
    int64_t due = s->began + f->phase + (int64_t)whole * d->interval;
    histogram_add(s->times[index % 2], now - due);
  }
  if (!s->late) s->in_time += n;
}

// Sends what is due by now; returns when the next one is, INT64_MAX where none comes any more.
static int64_t serve_due(struct side *s, int64_t now) {
  struct duplex *d = s->all;
  while (s->round < messages(d)) {
    struct flow *f = &s->flows[s->order[s->next]];
    int64_t due = s->began + f->phase + (int64_t)s->round * d->interval;
    if (due > now) return due;
    f->due += d->bytes;
    histogram_add(s->lateness, now - due);
    push(s, f);
    if (++s->next == s->count) {
      s->next = 0;
      s->round++;
    }
  }
  return INT64_MAX;
}

static void set_timer(struct side *s, int64_t at) {
  struct itimerspec when = {.it_value = {.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S}};
  timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static bool all_received(struct side *s) {
  for (uint32_t i = s->first; i < 2 * s->all->pairs; i += s->step) {
    struct flow *in = &s->flows[s->ends[i].in];
    if (!in->ended && in->received < messages(s->all) * s->all->bytes) return false;
  }
  return true;
}

static void *run_side(void *argument) {
  struct side *s = argument;
  struct duplex *d = s->all;
  struct epoll_event events[EVENTS];
  int64_t over = s->began + d->duration;
  int64_t due = s->began;
  set_timer(s, due);
  while (!atomic_load(&d->end.canceled)) {
    int count = RETRY(epoll_wait(s->poll, events, EVENTS, 50));
    int64_t now = now_ns();
    s->late = now >= over + GRACE_INTERVALS * d->interval;
    for (int i = 0; i < count; i++) {
      uint32_t end = events[i].data.u32;
      if (end == TIMER) {
        uint64_t expirations;
        (void)!read(s->timer, &expirations, sizeof expirations);
        continue;
      }
      if (events[i].events & ~(uint32_t)EPOLLOUT) take(s, end);
      if (events[i].events & EPOLLOUT) push(s, &s->flows[s->ends[end].out]);
    }
    if (now >= due) {
      due = serve_due(s, now);
      if (due != INT64_MAX) set_timer(s, due);
    }
    if (now >= over + d->drain || (now >= over && all_received(s))) break;
  }
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  s->cpu = (uint64_t)(used.tv_sec * NS_PER_S + used.tv_nsec);
  return NULL;
}

static bool fail(struct side *s, int error, const char *syscall) {
  s->error = error;
  s->syscall = syscall;
  return false;
}

// Flows of all sides share the interval; those in one tick are due at once.
static int64_t phase_of(const struct duplex *d, uint32_t flow) {
  int64_t at = d->interval * (int64_t)flow / (2 * (int64_t)d->pairs);
  return at - at % TICK;
}

static bool make_side(struct side *s) {
  struct duplex *d = s->all;
  s->poll = epoll_create1(EPOLL_CLOEXEC);
  s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (s->poll == -1 || s->timer == -1) return fail(s, errno, "epoll_create1");
  s->order = calloc(2 * d->pairs, sizeof *s->order);
  s->buffer = malloc(LOAD_BUFFER);
  s->lateness = calloc(1, sizeof *s->lateness);
  for (int i = 0; i < 2; i++) s->times[i] = calloc(1, sizeof *s->times[i]);
  if (s->order == NULL || s->buffer == NULL || s->lateness == NULL || s->times[0] == NULL || s->times[1] == NULL) {
    return fail(s, ENOMEM, "malloc");
  }
  struct epoll_event timer = {.events = EPOLLIN, .data.u32 = TIMER};
  epoll_ctl(s->poll, EPOLL_CTL_ADD, s->timer, &timer);
  for (uint32_t i = s->first; i < 2 * d->pairs; i += s->step) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    if (epoll_ctl(s->poll, EPOLL_CTL_ADD, s->ends[i].fd, &event) == -1) return fail(s, errno, "epoll_ctl");
    s->order[s->count++] = s->ends[i].out;  // flows are numbered by phase
  }
  return true;
}

static void collect(struct duplex *d, struct side *s) {
  if (s->error != 0 && d->end.error == 0) {
    d->end.error = s->error;
    d->end.syscall = s->syscall;
  }
  d->in_time += s->in_time;
  d->cpu += s->cpu;
  if (s->times[0] != NULL) histogram_merge(&d->a_to_b, s->times[0]);
  if (s->times[1] != NULL) histogram_merge(&d->b_to_a, s->times[1]);
  if (s->lateness != NULL) histogram_merge(&d->late, s->lateness);
  if (s->poll > 0) close(s->poll);
  if (s->timer > 0) close(s->timer);
  free(s->order);
  free(s->buffer);
  free(s->lateness);
  free(s->times[0]);
  free(s->times[1]);
}

static void sum_up(struct duplex *d, const struct flow *flows) {
  for (uint32_t i = 0; i < 2 * d->pairs; i++) {
    d->offered += (int64_t)(messages(d) * d->bytes);
    d->sent += (int64_t)flows[i].sent;
    d->received += (int64_t)flows[i].received;
    d->failed += flows[i].dead || flows[i].ended;
    d->wrong += flows[i].difference.at >= 0;
    if (flows[i].difference.at >= 0 && d->difference.at < 0) d->difference = flows[i].difference;
  }
}

static void run_sides(struct duplex *d, struct side *sides, uint32_t count) {
  pthread_t other;
  int64_t began = now_ns() + NS_PER_MS;
  for (uint32_t i = 0; i < count; i++) {
    sides[i].began = began;
    if (!make_side(&sides[i])) return;
  }
  if (count == 2) {
    int error = pthread_create(&other, NULL, run_side, &sides[1]);
    if (error != 0) {
      fail(&sides[1], error, "pthread_create");
      return;
    }
  }
  run_side(&sides[0]);
  if (count == 2) pthread_join(other, NULL);
}

void duplex_run(struct duplex *d) {
  uint32_t ends_count = 2 * d->pairs;
  struct flow *flows = aligned_alloc(64, ends_count * sizeof *flows);
  struct end *ends = calloc(ends_count, sizeof *ends);
  struct side sides[2] = {0};
  uint32_t count = d->two_threads ? 2 : 1;
  d->difference.at = -1;
  if (flows == NULL || ends == NULL) {
    d->end.error = ENOMEM;
    d->end.syscall = "malloc";
  } else {
    for (uint32_t i = 0; i < ends_count; i++) {
      // End 2p is a of pair p, and flow 2p goes from a to b.
      ends[i] = (struct end){.fd = i % 2 == 0 ? d->a[i / 2] : d->b[i / 2], .out = i, .in = i ^ 1};
      flows[i] = (struct flow){.out_end = i, .phase = phase_of(d, i), .place = (uint64_t)i * 1009, .difference.at = -1};
    }
    for (uint32_t i = 0; i < count; i++) {
      sides[i] = (struct side){.all = d, .flows = flows, .ends = ends, .first = i, .step = count};
    }
    run_sides(d, sides, count);
    for (uint32_t i = 0; i < count; i++) collect(d, &sides[i]);
    sum_up(d, flows);
  }
  free(flows);
  free(ends);
}
