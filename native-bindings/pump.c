// The pump's thread, its epoll set, its timers and wake-ups, and the calls that come from other threads.
// One lock guards all state; the thread holds it while it works on one channel, and never while it sleeps.
#define _GNU_SOURCE
#include "pump.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "usbip/usbip.h"

#define BATCH 64
#define REOPEN_MS 100

enum source { SOURCE_WAKE, SOURCE_INOTIFY, SOURCE_TTY, SOURCE_NET, SOURCE_USBIP };

static _Atomic int live_pumps;
static _Atomic int live_channels;
static _Atomic int live_fences;

uint64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

void pump_lock(pump *p) {
  atomic_fetch_add(&p->waiting, 1);
  pthread_mutex_lock(&p->next);
  pthread_mutex_lock(&p->lock);
  pthread_mutex_unlock(&p->next);
  atomic_fetch_sub(&p->waiting, 1);
}

// Of the thread, in most turns alone: who waits has said so before, and has the lock first.
static void lock_by_thread(pump *p) {
  if (atomic_load(&p->waiting) != 0) pump_lock(p);
  else pthread_mutex_lock(&p->lock);
}

void pump_unlock(pump *p) {
  bool tell = p->has_events && !p->notified;
  if (tell) p->notified = true;
  pthread_mutex_unlock(&p->lock);
  if (tell) p->notify(p->context);
}

void pump_wake(pump *p) {
  uint64_t one = 1;
  (void)!write(p->wake_fd, &one, sizeof one);
}

void pump_mark_dirty(struct channel *c) {
  pump *p = c->pump;
  c->dirty = true;
  if (p->has_dirty) return;
  p->has_dirty = true;
  if (!pthread_equal(pthread_self(), p->thread)) pump_wake(p);
}

static uint64_t tag(enum source source, uint32_t generation, uint32_t id) {
  return (uint64_t)source << 60 | (uint64_t)(generation & 0xffffff) << 32 | id;
}

static int watch(pump *p, int fd, uint64_t data, uint32_t *current, uint32_t wanted) {
  if (*current == wanted) return 0;
  int operation = wanted == 0 ? EPOLL_CTL_DEL : *current == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  struct epoll_event event = {.events = wanted, .data.u64 = data};
  int result = epoll_ctl(p->epoll_fd, operation, fd, &event);
  if (result == 0 || wanted == 0) *current = wanted;
  return result;
}

int pump_watch_adapter(struct adapter *a, uint32_t wanted) {
  return watch(a->pump, a->fd, tag(SOURCE_USBIP, a->generation, a->id), &a->interest, wanted);
}

int pump_set_interest(struct channel *c, bool net, uint32_t *current, uint32_t wanted) {
  enum source source = net ? SOURCE_NET : SOURCE_TTY;
  return watch(c->pump, net ? c->net_fd : c->tty_fd, tag(source, c->generation, c->id), current, wanted);
}

// A close and the open that follows it may come in two reads: the first tells nothing by itself.
static bool closed_lately(const struct channel *c) {
  return c->saw.closed || (c->closed_at != 0 && c->pump->now - c->closed_at < REOPEN_MS * NS_PER_MS);
}

static void note_event(struct channel *c, uint32_t mask) {
  struct saw *saw = &c->saw;
  saw->look = true;
  pump_mark_dirty(c);
  if ((mask & IN_OPEN) && c->open_untold) {
    c->open_untold = false;
    return;
  }
  if (mask & IN_OPEN) {
    saw->opened = true;
    saw->shared |= !closed_lately(c);  // one more came before any went
    saw->reopened |= closed_lately(c) && !saw->shared;
  }
  if (mask & IN_CLOSE) {
    saw->closed = true;
    c->closed_at = c->pump->now;
    c->open_untold = false;  // its word was among what we ignored
  }
}

// A close is told before the kernel waits for what was written: later it is too late to do something about that.
static void note_opener(struct channel *c, uint32_t mask) {
  if (mask & IN_IGNORED) c->watch = -1;
  if (mask & IN_OPEN) c->openers++;
  if (!(mask & IN_CLOSE)) return;
  if (c->openers > 0) c->openers--;
  if (c->openers == 0 && c->kept->open) channel_raise(c, EVENT_CLOSING);
}

static void note_inotify(pump *p, const struct inotify_event *event, struct channel *ignored) {
  for (uint32_t i = 0; i < p->used; i++) {
    struct channel *c = p->channels[i];
    if (c == NULL || c == ignored || c->watch == -1) continue;
    if (c->kind == TTY_USBIP) {
      if (c->watch == event->wd) note_opener(c, event->mask);
    } else if (event->mask & IN_Q_OVERFLOW) {
      note_event(c, 0);
    } else if (c->watch == event->wd) {
      note_event(c, event->mask);
      return;
    }
  }
}

// Only notes what happened; channel_work looks. What concerns `ignored` was our own doing.
void pump_read_inotify(pump *p, struct channel *ignored) {
  _Alignas(struct inotify_event) char events[4096];
  for (;;) {
    ssize_t n = RETRY(read(p->inotify_fd, events, sizeof events));
    if (n <= 0) return;
    for (char *at = events; at < events + n;) {
      const struct inotify_event *event = (const struct inotify_event *)at;
      note_inotify(p, event, ignored);
      at += sizeof *event + event->len;
    }
  }
}

static void work(struct channel *c, uint32_t ready) {
  if (c->saw.look) {
    struct saw saw = c->saw;
    c->saw = (struct saw){0};
    tty_look(c, saw.opened, saw.reopened);
  }
  channel_work(c, ready);
}

static void dispatch(pump *p, const struct epoll_event *event) {
  enum source source = event->data.u64 >> 60;
  if (source == SOURCE_WAKE) {
    uint64_t count;
    (void)!read(p->wake_fd, &count, sizeof count);
    return;
  }
  if (source == SOURCE_INOTIFY) {
    pump_read_inotify(p, NULL);
    return;
  }
  if (source == SOURCE_USBIP) {
    struct adapter *a = p->adapters[event->data.u64 & 0xffffffff];
    if (a != NULL && (a->generation & 0xffffff) == (event->data.u64 >> 32 & 0xffffff)) usb_work(a, event->events);
    return;
  }
  struct channel *c = p->channels[event->data.u64 & 0xffffffff];
  if (c == NULL || (c->generation & 0xffffff) != (event->data.u64 >> 32 & 0xffffff)) return;
  // A batch may be older than what a caller did meanwhile.
  if ((source == SOURCE_TTY ? c->tty_interest : c->net_interest) == 0) return;
  uint32_t bits = event->events;
  uint32_t ready = 0;
  if (source == SOURCE_TTY) {
    if (bits & EPOLLIN) ready |= TTY_READY_IN;
    if (bits & EPOLLOUT) ready |= TTY_READY_OUT;
    if (bits & EPOLLPRI) ready |= TTY_READY_PRI;
    if (bits & (EPOLLHUP | EPOLLERR)) ready |= TTY_READY_HUP;
  } else {
    if (bits & EPOLLIN) ready |= NET_READY_IN;
    if (bits & EPOLLOUT) ready |= NET_READY_OUT;
    if (bits & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) ready |= NET_READY_END;
  }
  work(c, ready);
}

// Whoever waits for the lock has it before the next channel, and whoever is to be told something is told.
static void yield(pump *p) {
  if (atomic_load(&p->waiting) == 0 && (!p->has_events || p->notified)) return;
  pump_unlock(p);
  pump_lock(p);
}

static void run_dirty(pump *p) {
  p->has_dirty = false;
  for (uint32_t i = 0; i < p->used; i++) {
    struct channel *c = p->channels[i];
    if (c == NULL || !c->dirty) continue;
    c->dirty = false;
    work(c, 0);
    yield(p);
  }
}

static void run_timers(pump *p) {
  if (p->now < p->next_timer) return;
  p->next_timer = NEVER;
  for (uint32_t i = 0; i < p->used; i++) {
    struct channel *c = p->channels[i];
    if (c == NULL) continue;
    if (channel_next_timer(c) <= p->now) work(c, 0);
    channel_arm(c, channel_next_timer(c));
  }
  usb_run_timers(p);
}

static int sleep_ms(pump *p) {
  if (p->has_dirty) return 0;
  if (p->next_timer == NEVER) return -1;
  uint64_t now = monotonic_ns();
  if (p->next_timer <= now) return 0;
  uint64_t ms = (p->next_timer - now + NS_PER_MS - 1) / NS_PER_MS;
  return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void *run(void *argument) {
  pump *p = argument;
  struct epoll_event events[BATCH];
  pump_lock(p);
  while (!p->stopping) {
    int timeout = sleep_ms(p);
    pump_unlock(p);
    int n = epoll_wait(p->epoll_fd, events, BATCH, timeout);
    // After a stop (SIGSTOP) it tells nothing of what happened meanwhile, which timers below would overtake.
    if (n < 0) n = epoll_wait(p->epoll_fd, events, BATCH, 0);
    lock_by_thread(p);
    p->now = monotonic_ns();
    if (atomic_load(&p->asked_ns) != 0) atomic_store(&p->asked_ns, 0);
    for (int i = 0; i < n && !p->stopping; i++) {
      dispatch(p, &events[i]);
      yield(p);
    }
    if (p->has_dirty) run_dirty(p);
    run_timers(p);
    if (p->has_answers) usb_flush_all(p);
  }
  pump_unlock(p);
  return NULL;
}

static int watch_fd(pump *p, int fd, enum source source) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 60};
  return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int start_thread(pump *p) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pump_lock(p);  // the thread reads p->thread only after this
  int error = pthread_create(&p->thread, NULL, run, p);
  pump_unlock(p);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

static void release(pump *p) {
  if (p->epoll_fd >= 0) close(p->epoll_fd);
  if (p->wake_fd >= 0) close(p->wake_fd);
  if (p->inotify_fd >= 0) close(p->inotify_fd);
  pthread_mutex_destroy(&p->next);
  pthread_mutex_destroy(&p->lock);
  hand_unmap(p->hand);
  free(p);
}

pump *pump_create(void (*notify)(void *context), void *context, int hand_fd) {
  pump *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  p->hand = hand_map(hand_fd);
  if (p->hand == NULL) {
    int error = errno;
    free(p);
    errno = error;
    return NULL;
  }
  p->scratch = hand_scratch(p->hand);
  hand_begin(p->hand, &p->was, p->was_bytes);
  p->notify = notify;
  p->context = context;
  p->next_timer = NEVER;
  p->now = monotonic_ns();
  pthread_mutex_init(&p->next, NULL);
  pthread_mutex_init(&p->lock, NULL);
  p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  p->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  bool ready = p->epoll_fd >= 0 && p->wake_fd >= 0 && p->inotify_fd >= 0 &&
               watch_fd(p, p->wake_fd, SOURCE_WAKE) == 0 && watch_fd(p, p->inotify_fd, SOURCE_INOTIFY) == 0;
  int error = ready ? start_thread(p) : errno;
  if (error != 0) {
    release(p);
    errno = error;
    return NULL;
  }
  atomic_fetch_add(&live_pumps, 1);
  return p;
}

void pump_freeze(pump *p) {
  if (p->frozen) return;
  pump_lock(p);
  p->stopping = true;
  pump_wake(p);
  p->notified = true;  // nobody listens any more
  pump_unlock(p);
  pthread_join(p->thread, NULL);
  p->frozen = true;
}

void pump_destroy(pump *p) {
  pump_freeze(p);
  for (uint32_t i = 0; i < PUMP_MAX_CHANNELS; i++) {
    struct parked parked;
    if (p->channels[i] == NULL || channel_close(p, i, &parked) != 0) continue;
    free(parked.down);
    free(parked.up);
  }
  for (uint32_t i = 0; i < USBIP_MAX_ADAPTERS; i++) usbip_close(p, i);
  release(p);
  atomic_fetch_sub(&live_pumps, 1);
}

size_t pump_take_events(pump *p, uint32_t *pairs, size_t max) {
  size_t taken = 0;
  pump_lock(p);
  for (uint32_t i = 0; i < p->used && taken < max; i++) {
    struct channel *c = p->channels[i];
    if (c == NULL || c->kept->events == 0) continue;
    pairs[2 * taken] = i;
    pairs[2 * taken + 1] = c->kept->events | (c->kept->open ? STATE_OPEN : 0) | (c->kept->output_stopped ? STATE_OUTPUT_STOPPED : 0);
    c->kept->events = 0;
    taken++;
  }
  for (uint32_t i = 0; i < USBIP_MAX_ADAPTERS && taken < max; i++) {
    uint32_t events = p->adapters[i] == NULL ? 0 : usb_take_events(p->adapters[i]);
    if (events == 0) continue;
    pairs[2 * taken] = PUMP_MAX_CHANNELS + i;
    pairs[2 * taken + 1] = events;
    taken++;
  }
  if (taken < max) {
    p->has_events = false;
    p->notified = false;
  }
  pump_unlock(p);
  return taken;
}

double pump_unanswered_ms(pump *p) {
  uint64_t now = monotonic_ns();
  uint64_t asked = 0;
  bool first = atomic_compare_exchange_strong(&p->asked_ns, &asked, now);
  pump_wake(p);
  return first || asked > now ? 0 : (double)(now - asked) / NS_PER_MS;
}

void pump_count_live(int channels, int fences) {
  atomic_fetch_add(&live_channels, channels);
  atomic_fetch_add(&live_fences, fences);
}

struct live_counts pump_live_counts(void) {
  return (struct live_counts){
      .pumps = atomic_load(&live_pumps),
      .channels = atomic_load(&live_channels),
      .fences = atomic_load(&live_fences),
  };
}
