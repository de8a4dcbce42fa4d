// The calls that open, join, steer and close a channel. Each takes the lock, changes state, and lets the thread do the
// work; the ones that end the use of a descriptor take it out of the epoll set before they return.
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include "channel.h"
#include "usbip/usbip.h"

static struct channel *find(pump *p, uint32_t id) {
  return id < PUMP_MAX_CHANNELS ? p->channels[id] : NULL;
}

static void free_channel(struct channel *c) {
  pump *p = c->pump;
  if (c->watch >= 0) inotify_rm_watch(p->inotify_fd, c->watch);
  for (int i = 0; i < PUMP_MAX_FENCES; i++) {
    if (c->fences[i].state != FENCE_FREE) pump_count_live(0, -1);
  }
  if (c->adapter != NULL) usb_leave(c);
  p->channels[c->id] = NULL;
  while (p->used > 0 && p->channels[p->used - 1] == NULL) p->used--;
  kept_unmap(c);
  free(c->tap.data);
  free(c->slave_path);
  free(c);
  pump_count_live(-1, 0);
}

static struct channel *new_channel(pump *p, const struct channel_options *options) {
  uint32_t id = 0;
  while (id < PUMP_MAX_CHANNELS && p->channels[id] != NULL) id++;
  struct channel *c = id < PUMP_MAX_CHANNELS ? calloc(1, sizeof *c) : NULL;
  if (c == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  c->pump = p;
  c->id = id;
  c->generation = ++p->generation;
  c->kind = options->kind;
  c->counters = options->counters;
  c->tty_fd = options->tty_fd;
  c->net_fd = -1;
  c->watch = -1;
  c->offline = options->offline;
  c->on_loss = (struct offline){.mode = OFFLINE_BLOCK};
  c->look_ahead = options->look_ahead;
  c->termios_poll_at = NEVER;
  c->up_retry.at = NEVER;
  c->look_ahead_retry.at = NEVER;
  c->fence_retry.at = NEVER;
  p->channels[id] = c;
  if (id >= p->used) p->used = id + 1;
  pump_count_live(1, 0);
  if (kept_map(c, options->keep_fd, options->adopt) == 0) return c;
  int error = errno;
  free_channel(c);
  errno = error;
  return NULL;
}

// What an application asked and nobody was told: it is in no other place. Open and closed are looked for anew.
#define ASKED_EVENTS \
  (EVENT_SETTINGS | EVENT_FLUSH_INPUT | EVENT_FLUSH_OUTPUT | EVENT_OUTPUT_STOPPED | EVENT_OUTPUT_STARTED)

static void adopt(struct channel *c) {
  c->adopted = true;
  c->stopped[DOWN] = true;
  c->stopped[UP] = true;
  kept_recover(c);
  c->kept->events &= ASKED_EVENTS;
  if (c->kept->events != 0) c->pump->has_events = true;
}

// Whoever opened it, closed it or changed its settings since the earlier process looked is found as at any other look.
static void adopt_pty(struct channel *c) {
  adopt(c);
  channel_set_gauge(c, TTY_OPEN, c->kept->open ? 1 : 0);
  channel_set_gauge(c, ADOPTED_OPEN, c->kept->open ? 1 : 0);
  if (!c->kept->open) {
    channel_drop_up(c, SIZE_MAX, UP_UNREAD);  // in hand for nobody
    c->kept->cleared = false;                 // somebody may have come and gone
    return;
  }
  tty_poll_termios(c);
  tty_look(c, false, false);
}

static int open_pty(struct channel *c, const struct channel_options *options) {
  const char *path = options->slave_path;
  c->slave_path = strdup(path);
  if (c->slave_path == NULL) return -1;
  c->watch = inotify_add_watch(c->pump->inotify_fd, path, IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE);
  if (c->watch == -1) return -1;
  if (options->adopt) {
    adopt_pty(c);
    if (c->kept->open) return 0;
  } else if (termios_get(c->tty_fd, &c->kept->termios) == -1) {
    return -1;
  }
  tty_reset(c);  // looks; and a PTY that nobody has open is clear for its first opener
  return 0;
}

// The adapter knows whether it is open, before and after.
static int open_usbip(struct channel *c, const struct channel_options *options) {
  pump *p = c->pump;
  uint32_t id = (uint32_t)options->tty_fd;
  struct adapter *a = id < USBIP_MAX_ADAPTERS ? p->adapters[id] : NULL;
  uint32_t port = options->adapter_port;
  if (a == NULL || port >= USB_PORTS || a->channels[port] != NULL) {
    errno = a == NULL || port >= USB_PORTS ? ENODEV : EBUSY;
    return -1;
  }
  c->tty_fd = -1;
  if (options->adopt) adopt(c);
  c->adapter = a;
  c->adapter_port = port;
  a->channels[port] = c;
  c->kept->open = a->kept->ports[port].open;
  channel_set_gauge(c, TTY_OPEN, c->kept->open ? 1 : 0);
  channel_set_gauge(c, ADOPTED_OPEN, c->kept->open ? 1 : 0);
  if (!c->kept->open) channel_drop_up(c, SIZE_MAX, UP_UNREAD);
  return 0;
}

static int open_side(struct channel *c, const struct channel_options *options) {
  if (c->kind == TTY_USBIP) return open_usbip(c, options);
  if (c->kind == TTY_PTY) return open_pty(c, options);
  if (c->kind == TTY_CONNECT) return pump_set_interest(c, false, &c->tty_interest, EPOLLOUT);
  c->kept->open = true;
  channel_set_gauge(c, TTY_OPEN, 1);
  return pump_set_interest(c, false, &c->tty_interest, EPOLLIN);
}

int channel_open(pump *p, const struct channel_options *options) {
  pump_lock(p);
  struct channel *c = new_channel(p, options);
  int result = -1;
  if (c != NULL && open_side(c, options) == 0) {
    result = (int)c->id;
    pump_mark_dirty(c);
  } else {
    result = -errno;
    if (c != NULL) free_channel(c);
  }
  pump_unlock(p);
  return result;
}

int channel_attach(pump *p, uint32_t id, int net_fd, struct offline on_loss) {
  pump_lock(p);
  struct channel *c = find(p, id);
  int result = 0;
  if (c == NULL) {
    result = -ENOENT;
  } else if (c->net_fd >= 0) {
    result = -EISCONN;
  } else {
    c->net_fd = net_fd;
    c->net_ending = false;
    // In the set from the start, so that a descriptor that cannot be watched is refused here.
    if (pump_set_interest(c, true, &c->net_interest, EPOLLRDHUP) == -1) {
      result = -errno;
      c->net_fd = -1;
    } else {
      c->on_loss = on_loss;
      if (c->adopted) channel_resume_count(c);
      c->unacknowledged = channel_output_queue(c);
      channel_set_gauge(c, NET_ERRNO, 0);
      channel_set_gauge(c, ATTACHED, 1);
      pump_mark_dirty(c);
    }
  }
  pump_unlock(p);
  return result;
}

int channel_detach(pump *p, uint32_t id, struct offline offline) {
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) {
    channel_unjoin(c, offline);
    pump_mark_dirty(c);
  }
  pump_unlock(p);
  return c != NULL ? 0 : -ENOENT;
}

int channel_set_offline(pump *p, uint32_t id, struct offline offline) {
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) {
    c->on_loss = offline;
    if (c->net_fd < 0) channel_unjoin(c, offline);
    pump_mark_dirty(c);
  }
  pump_unlock(p);
  return c != NULL ? 0 : -ENOENT;
}

int channel_stop(pump *p, uint32_t id, enum direction direction) {
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) {
    c->stopped[direction] = true;
    pump_mark_dirty(c);
  }
  pump_unlock(p);
  return c != NULL ? 0 : -ENOENT;
}

// A stop that its caller was not told of yet: it will be told, and resumes then.
static bool stopped_untold(const struct channel *c, enum direction direction) {
  uint32_t stops = direction == DOWN ? EVENT_SETTINGS | EVENT_FLUSH_INPUT | EVENT_FLUSH_OUTPUT : EVENT_FLUSH_INPUT;
  return c->kept->events & stops;
}

int channel_resume(pump *p, uint32_t id, enum direction direction) {
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL && !stopped_untold(c, direction)) {
    c->stopped[direction] = false;
    if (direction == DOWN) c->kept->held = 0;
    pump_mark_dirty(c);
  }
  pump_unlock(p);
  return c != NULL ? 0 : -ENOENT;
}

int64_t channel_drop(pump *p, uint32_t id, enum direction direction, size_t limit) {
  int64_t dropped = -ENOENT;
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) {
    size_t bytes = direction == DOWN ? channel_drop_down(c, limit, DOWN_DROPPED) : channel_drop_up(c, limit, UP_DROPPED);
    dropped = (int64_t)bytes;
    pump_mark_dirty(c);
  }
  pump_unlock(p);
  return dropped;
}

int channel_set_look_ahead(pump *p, uint32_t id, uint32_t bytes) {
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) {
    c->look_ahead = bytes;
    c->keeps_up = false;
    c->full_since = 0;
    retry_disarm(&c->look_ahead_retry);
    pump_mark_dirty(c);
  }
  pump_unlock(p);
  return c != NULL ? 0 : -ENOENT;
}

static int free_slot(const struct channel *c) {
  for (int i = 0; i < PUMP_MAX_FENCES; i++) {
    if (c->fences[i].state == FENCE_FREE) return i;
  }
  return -EAGAIN;
}

static int begin_fence(struct channel *c, uint32_t timeout_ms, bool *done, enum fence_result *result) {
  uint64_t sendable = park_length(&c->parked[DOWN]) - c->kept->held;
  channel_count(c, FENCES, 1);
  *done = true;
  if (c->net_fd < 0) {
    *result = FENCE_DETACHED;
    return 0;
  }
  *result = FENCE_PASSED;
  if (sendable == 0 && channel_output_queue(c) == 0) return 0;
  *done = false;
  int slot = free_slot(c);
  if (slot < 0) return slot;
  uint64_t now = monotonic_ns();
  c->fences[slot] = (struct fence){
      .state = FENCE_WAITING,
      .target = c->sent + sendable,
      .began = now,
      .deadline = now + timeout_ms * NS_PER_MS,
  };
  pump_count_live(0, 1);
  pump_mark_dirty(c);
  return slot;
}

int channel_fence(pump *p, uint32_t id, uint32_t timeout_ms, bool *done, enum fence_result *result) {
  pump_lock(p);
  struct channel *c = find(p, id);
  int slot = c != NULL ? begin_fence(c, timeout_ms, done, result) : -ENOENT;
  pump_unlock(p);
  return slot;
}

int channel_take_fences(pump *p, uint32_t id, struct fence_done done[PUMP_MAX_FENCES]) {
  int count = 0;
  pump_lock(p);
  struct channel *c = find(p, id);
  for (uint32_t i = 0; c != NULL && i < PUMP_MAX_FENCES; i++) {
    if (c->fences[i].state != FENCE_DONE) continue;
    done[count++] = (struct fence_done){.slot = i, .result = c->fences[i].result};
    c->fences[i].state = FENCE_FREE;
    pump_count_live(0, -1);
  }
  pump_unlock(p);
  return c != NULL ? count : -ENOENT;
}

int channel_tap(pump *p, uint32_t id, uint32_t bytes) {
  uint8_t *data = bytes > 0 ? malloc(bytes) : NULL;
  if (bytes > 0 && data == NULL) return -ENOMEM;
  pump_lock(p);
  struct channel *c = find(p, id);
  uint8_t *before = data;
  if (c != NULL) {
    before = c->tap.data;
    c->tap = (struct tap){.data = data, .capacity = bytes};
  }
  pump_unlock(p);
  free(before);
  return c != NULL ? 0 : -ENOENT;
}

int channel_read_tap(pump *p, uint32_t id, uint8_t **records, size_t *bytes) {
  int result = -ENOENT;
  *records = NULL;
  *bytes = 0;
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) {
    result = 0;
    size_t length = c->tap.length;
    if (length > 0) *records = malloc(length);
    if (*records != NULL) {
      memcpy(*records, c->tap.data, length);
      *bytes = length;
      c->tap.length = 0;
    }
  }
  pump_unlock(p);
  return result;
}

int channel_reset(pump *p, uint32_t id, enum reset_result *result) {
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) *result = tty_reset(c);
  pump_unlock(p);
  return c != NULL ? 0 : -ENOENT;
}

static uint8_t *take_parked(const struct park *park, size_t *bytes) {
  *bytes = 0;
  uint8_t *copy = park_length(park) > 0 ? malloc(park_length(park)) : NULL;
  if (copy != NULL) *bytes = park_copy(park, copy);
  return copy;
}

int channel_close(pump *p, uint32_t id, struct parked *parked) {
  *parked = (struct parked){0};
  pump_lock(p);
  struct channel *c = find(p, id);
  if (c != NULL) {
    parked->down = take_parked(&c->parked[DOWN], &parked->down_bytes);
    parked->up = take_parked(&c->parked[UP], &parked->up_bytes);
    channel_unjoin(c, (struct offline){.mode = OFFLINE_BLOCK});
    pump_set_interest(c, false, &c->tty_interest, 0);
    free_channel(c);
  }
  pump_unlock(p);
  return c != NULL ? 0 : -ENOENT;
}

static int watch(struct channel *c, const char *path) {
  int inotify = c->pump->inotify_fd;
  if (c->kind != TTY_USBIP) return -EINVAL;
  if (c->watch >= 0) inotify_rm_watch(inotify, c->watch);
  c->watch = -1;
  if (path == NULL) return 0;
  c->watch = inotify_add_watch(inotify, path, IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE);
  return c->watch == -1 ? -errno : 0;
}

int channel_watch(pump *p, uint32_t id, const char *path, uint32_t openers) {
  pump_lock(p);
  struct channel *c = find(p, id);
  int result = c == NULL ? -ENOENT : watch(c, path);
  if (c != NULL) c->openers = openers;
  pump_unlock(p);
  return result;
}
