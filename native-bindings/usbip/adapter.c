// An adapter's life: the calls that open, plug, answer and close it, its turns, its timers. Every call takes the pump's lock,
// and sends by itself what it has to tell the kernel; only what a channel does is left to the pump's thread.
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "usbip.h"

#define ROUNDS 4
#define CUT_NS (1 * NS_PER_MS)
#define ERRORS_NS (100 * NS_PER_MS)

static struct adapter *find(pump *p, uint32_t id) {
  return id < USBIP_MAX_ADAPTERS ? p->adapters[id] : NULL;
}

static struct usb_port *find_port(const struct adapter *a, uint32_t index) {
  return a != NULL && index < USB_PORTS ? &a->kept->ports[index] : NULL;
}

void usb_arm(struct adapter *a, uint64_t at) {
  if (at < a->timer) a->timer = at;
  if (at >= a->pump->next_timer) return;
  a->pump->next_timer = at;
  if (!pthread_equal(pthread_self(), a->pump->thread)) pump_wake(a->pump);
}

void usb_touch(struct adapter *a) {
  a->dirty = true;
  a->pump->has_answers = true;
}

// The device is gone, and whoever owns the socket is told why. Once.
void usb_fail(struct adapter *a, const char *reason) {
  if (a->lost != NULL) return;
  a->lost = reason;
  a->lost_untold = true;
  a->pump->has_events = true;
}

uint32_t usb_take_events(struct adapter *a) {
  uint32_t events = a->asked | (a->requests_untold ? USBIP_REQUESTS : 0) | (a->lost_untold ? USBIP_LOST : 0);
  a->asked = 0;
  a->requests_untold = false;
  a->lost_untold = false;
  return events;
}

static void update_interest(struct adapter *a) {
  if (a->fd < 0) return;
  bool waits = a->kept->replies.head != a->kept->replies.tail;
  uint32_t wanted = a->lost != NULL ? 0 : (a->cut ? 0 : EPOLLIN) | (waits ? EPOLLOUT : 0);
  pump_watch_adapter(a, wanted);
}

// Ports that had to wait for room among the answers go on.
static void wake_ports(struct adapter *a) {
  for (uint32_t i = 0; i < a->kept->interfaces; i++) {
    if (a->channels[i] != NULL) pump_mark_dirty(a->channels[i]);
    else usb_discard_out(a, i);
  }
}

void usb_flush(struct adapter *a) {
  a->dirty = false;
  if (a->fd < 0 || a->lost != NULL) return;
  size_t wanted = USB_HEADER_BYTES + a->kept->packet_bytes;
  bool tight = usb_reply_room(a) < wanted;
  if (!usb_send(a)) usb_fail(a, "the kernel has let go of the device");
  // Who found no room in this turn has no event to go on with.
  if (tight && usb_reply_room(a) >= wanted) wake_ports(a);
  update_interest(a);
}

void usb_flush_all(pump *p) {
  p->has_answers = false;
  for (uint32_t i = 0; i < USBIP_MAX_ADAPTERS; i++) {
    if (p->adapters[i] != NULL && p->adapters[i]->dirty) usb_flush(p->adapters[i]);
  }
}

void usb_work(struct adapter *a, uint32_t ready) {
  if (a->fd < 0 || a->lost != NULL) return;
  if (ready & EPOLLOUT) {
    usb_flush(a);
    wake_ports(a);
  }
  for (int round = 0; round < ROUNDS && a->lost == NULL; round++) {
    if (!usb_receive(a)) break;
  }
  if (a->cut) usb_arm(a, a->pump->now + CUT_NS);
  update_interest(a);
}

static void run_timer(struct adapter *a) {
  a->timer = NEVER;
  if (a->fd < 0 || a->lost != NULL) return;
  usb_port_timers(a);
  for (uint32_t i = 0; i < a->kept->interfaces; i++) {
    struct channel *c = a->channels[i];
    usb_output_moved(a, i);
    if (c != NULL && park_length(&c->parked[UP]) > 0) usb_port_works(a, i);
  }
  if (a->cut) usb_work(a, 0);
}

void usb_run_timers(pump *p) {
  for (uint32_t i = 0; i < USBIP_MAX_ADAPTERS; i++) {
    struct adapter *a = p->adapters[i];
    if (a == NULL) continue;
    if (a->timer <= p->now) run_timer(a);
    if (a->timer < p->next_timer) p->next_timer = a->timer;
  }
}

int usbip_open(pump *p, int keep_fd, bool adopt) {
  struct adapter *a = calloc(1, sizeof *a);
  if (a == NULL) return -ENOMEM;
  a->pump = p;
  a->fd = -1;
  a->timer = NEVER;
  if (usb_map(a, keep_fd, adopt) == -1) {
    int error = errno;
    free(a);
    return -error;
  }
  pump_lock(p);
  uint32_t id = 0;
  while (id < USBIP_MAX_ADAPTERS && p->adapters[id] != NULL) id++;
  if (id < USBIP_MAX_ADAPTERS) {
    a->id = id;
    a->generation = ++p->generation;
    p->adapters[id] = a;
  }
  pump_unlock(p);
  if (id < USBIP_MAX_ADAPTERS) return (int)id;
  usb_unmap(a);
  free(a);
  return -EMFILE;
}

static int plug(struct adapter *a, int fd, uint32_t interfaces, uint32_t packet_bytes, bool adopt) {
  if (a->fd >= 0) return -EISCONN;
  if (interfaces == 0 || interfaces > USB_PORTS || packet_bytes < 8 || packet_bytes > 1024) return -EINVAL;
  a->fd = fd;
  a->lost = NULL;
  a->lost_untold = false;
  a->cut = false;
  a->adopting = adopt;
  if (!adopt) usb_clear(a);
  a->kept->interfaces = interfaces;
  a->kept->packet_bytes = packet_bytes;
  if (pump_watch_adapter(a, EPOLLIN) == -1) {
    a->fd = -1;
    return -errno;
  }
  if (!adopt) return 0;
  usb_recover(a);
  usb_tell_requests(a);
  usb_port_timers(a);
  wake_ports(a);
  usb_touch(a);
  pump_wake(a->pump);
  return 0;
}

static void unplug(struct adapter *a) {
  if (a->fd < 0) return;
  pump_watch_adapter(a, 0);
  a->fd = -1;
  a->generation = ++a->pump->generation;
  for (uint32_t i = 0; i < USB_PORTS; i++) usb_port_closed(a, i);
  // What was asked is nobody's question any more; that a port was closed is still to be told.
  bool closed[USB_PORTS] = {false};
  for (uint32_t i = a->kept->requests_head; i != a->kept->requests_tail; i++) {
    const struct usb_request *r = &a->kept->requests[i % USB_REQUESTS];
    if (r->live && r->kind == USBIP_CLOSED) closed[r->port] = true;
  }
  usb_clear(a);
  for (uint32_t i = 0; i < USB_PORTS; i++) {
    if (closed[i]) usb_push(a, &(struct usb_request){.kind = USBIP_CLOSED, .port = i});
  }
  a->asked = 0;
  a->adopting = false;
  usb_count_waits(a);
}

// One call of JavaScript's: `body` works on `a`, and what it has to say is sent.
#define CALL(...)                  \
  int result = -ENOENT;            \
  pump_lock(p);                    \
  struct adapter *a = find(p, id); \
  if (a != NULL) {                 \
    result = 0;                    \
    __VA_ARGS__;                   \
    if (a->dirty) usb_flush(a);    \
  }                                \
  pump_unlock(p);                  \
  return result

#define PORT_CALL(...)                         \
  CALL(                                        \
    struct usb_port *port = find_port(a, index); \
    if (port == NULL) result = -EINVAL;        \
    else __VA_ARGS__)

int usbip_plug(pump *p, uint32_t id, int fd, uint32_t interfaces, uint32_t packet_bytes, bool adopt) {
  CALL(result = plug(a, fd, interfaces, packet_bytes, adopt));
}

int usbip_settle(pump *p, uint32_t id) {
  CALL({
    a->adopting = false;
    wake_ports(a);
  });
}

int usbip_unplug(pump *p, uint32_t id) {
  CALL(unplug(a));
}

int usbip_close(pump *p, uint32_t id) {
  pump_lock(p);
  struct adapter *a = find(p, id);
  if (a != NULL) {
    if (a->fd >= 0) pump_watch_adapter(a, 0);
    for (int i = 0; i < USB_PORTS; i++) {
      if (a->channels[i] != NULL) a->channels[i]->adapter = NULL;
    }
    p->adapters[id] = NULL;
  }
  pump_unlock(p);
  if (a == NULL) return -ENOENT;
  usb_unmap(a);
  free(a);
  return 0;
}

int usbip_take_requests(pump *p, uint32_t id, struct usbip_told *told, size_t max) {
  CALL(result = usb_take_requests(a, told, max));
}

int usbip_answer(pump *p, uint32_t id, uint32_t seqnum, int32_t status, const uint8_t *data, size_t length) {
  CALL(result = usb_answer(a, seqnum, status, data, length));
}

int usbip_set_modem(pump *p, uint32_t id, uint32_t index, uint8_t modem) {
  PORT_CALL({
    port->modem = modem;
    // Who opens is not told what there was before: without a connection no line is on, and DCD that falls hangs up.
    port->due = port->open && modem != port->told;
    usb_deliver_due(a, index);
  });
}

int usbip_set_errors(pump *p, uint32_t id, uint32_t index, uint8_t flags) {
  PORT_CALL(if (port->open) {
    port->errors |= flags;
    port->errors_end = monotonic_ns() + ERRORS_NS;
    usb_arm(a, port->errors_end);
  });
}

int usbip_set_break(pump *p, uint32_t id, uint32_t index) {
  PORT_CALL({
    port->brk = port->open;
    usb_deliver_due(a, index);
  });
}

static int transmitted(const struct adapter *a, struct usb_port *port, uint32_t index, double taken) {
  const struct channel *c = a->channels[index];
  double now = 0;
  if (c != NULL) __atomic_load(&c->counters[DOWN_TAKEN], &now, __ATOMIC_RELAXED);
  if (now != taken || usb_first(&port->out) != NULL) return 0;
  port->transmitter_empty = true;
  return 1;
}

int usbip_transmitted(pump *p, uint32_t id, uint32_t index, double taken) {
  PORT_CALL(result = transmitted(a, port, index, taken));
}

int usbip_output_waits(pump *p, uint32_t id, uint32_t index) {
  PORT_CALL(result = usb_first(&port->out) != NULL ? 1 : 0);
}

int usbip_discard(pump *p, uint32_t id, uint32_t index, uint8_t on) {
  PORT_CALL({
    a->discard[index] = port->open && on;
    if (on) {
      port->transmitter_empty = true;
      usb_discard_out(a, index);
    } else if (a->channels[index] != NULL) {
      pump_mark_dirty(a->channels[index]);
    }
  });
}

int usbip_is_open(pump *p, uint32_t id, uint32_t index) {
  PORT_CALL(result = port->open ? 1 : 0);
}

const char *usbip_lost(pump *p, uint32_t id) {
  pump_lock(p);
  struct adapter *a = find(p, id);
  const char *reason = a != NULL && a->lost != NULL ? a->lost : "";
  pump_unlock(p);
  return reason;
}
