// One port of the chip: the framing of FTDI's packets, and what of the kernel's transfers a channel is given. A packet in
// begins with two status bytes, and an error flag in them means all bytes of the packet: the one it is for goes alone.
// Source: Linux, drivers/usb/serial/ftdi_sio.c; docs/protocol/usbip.md.
#include <string.h>

#include "usbip.h"

// The kernel's buffer of a tty drops what overfills it before a throttle takes effect: no more at once, with a pause after.
#define BURST_BYTES (32u * 1024)
#define BURST_NS (10 * NS_PER_MS)

void usb_status(const struct usb_port *port, uint8_t flags, uint8_t status[STATUS_BYTES]) {
  status[0] = port->modem | STATUS_RESERVED;
  status[1] = flags | STATUS_HOLDING_EMPTY | (port->transmitter_empty ? STATUS_TRANSMITTER_EMPTY : 0);
}

static bool can_fill(struct adapter *a, struct usb_port *port) {
  const struct usb_transfer *t = usb_first(&port->in);
  return a->fd >= 0 && t != NULL && t->length > STATUS_BYTES && usb_reply_room(a) >= USB_HEADER_BYTES + a->kept->packet_bytes;
}

// How much more may go now; 0: not before the pause is over, and the timer is set.
static uint32_t burst_room(struct adapter *a, uint32_t index) {
  if (a->pump->now - a->burst_began[index] >= BURST_NS) {
    a->burst_began[index] = a->pump->now;
    a->burst[index] = 0;
  }
  if (a->burst[index] < BURST_BYTES) return BURST_BYTES - a->burst[index];
  usb_arm(a, a->burst_began[index] + BURST_NS);
  return 0;
}

// A break is its flag and one NUL, ahead of what waits: nobody knows where it was.
static void deliver_break(struct adapter *a, struct usb_port *port) {
  static const uint8_t nul = 0;
  uint8_t status[STATUS_BYTES];
  usb_status(port, STATUS_BREAK, status);
  port->brk = false;
  port->due = false;
  usb_answer_in(a, port, status, &nul, 1);
}

// Returns how many bytes the kernel was given.
size_t usb_deliver(struct channel *c, const uint8_t *bytes, size_t length) {
  struct adapter *a = c->adapter;
  if (a == NULL) return 0;
  struct usb_port *port = &a->kept->ports[c->adapter_port];
  size_t done = 0;
  while (done < length && can_fill(a, port)) {
    if (port->brk) {
      deliver_break(a, port);
      continue;
    }
    uint32_t allowed = burst_room(a, c->adapter_port);
    if (allowed == 0) break;
    size_t room = usb_first(&port->in)->length;
    if (room > a->kept->packet_bytes) room = a->kept->packet_bytes;
    room -= STATUS_BYTES;
    if (room > allowed) room = allowed;
    uint8_t status[STATUS_BYTES];
    usb_status(port, port->errors, status);
    size_t piece = port->errors != 0 ? 1 : length - done < room ? length - done : room;
    port->errors = 0;
    port->due = false;
    usb_answer_in(a, port, status, bytes + done, piece);
    a->burst[c->adapter_port] += (uint32_t)piece;
    done += piece;
  }
  return done;
}

// What is to be told though there are no data: a change of lines, a break.
void usb_deliver_due(struct adapter *a, uint32_t index) {
  struct usb_port *port = &a->kept->ports[index];
  uint8_t status[STATUS_BYTES];
  if (port->brk && can_fill(a, port)) deliver_break(a, port);
  if (!port->due || !can_fill(a, port)) return;
  usb_status(port, 0, status);
  port->due = false;
  usb_answer_in(a, port, status, NULL, 0);
}

// The oldest bytes that the application wrote. Each transfer is answered when its last byte is taken.
size_t usb_take(struct channel *c, uint8_t *into, size_t room) {
  struct adapter *a = c->adapter;
  if (a == NULL) return 0;
  struct usb_port *port = &a->kept->ports[c->adapter_port];
  size_t got = 0;
  if (a->discard[c->adapter_port]) usb_discard_out(a, c->adapter_port);
  for (;;) {
    struct usb_transfer *t = usb_first(&port->out);
    if (a->waits[c->adapter_port] > 0 || t == NULL || got == room || usb_reply_room(a) < USB_HEADER_BYTES) return got;
    size_t piece = t->length - t->done < room - got ? t->length - t->done : room - got;
    size_t at = (t->at + t->done) % USB_OUT_BYTES;
    size_t first = piece < USB_OUT_BYTES - at ? piece : USB_OUT_BYTES - at;
    memcpy(into + got, a->out[c->adapter_port] + at, first);
    memcpy(into + got + first, a->out[c->adapter_port], piece - first);
    got += piece;
    port->transmitter_empty = false;
    t->done += (uint32_t)piece;
    port->stuck = false;
    if (t->done == t->length) usb_answer_out(a, port);
    usb_output_moved(a, c->adapter_port);
  }
}

bool usb_has_out(const struct channel *c) {
  const struct adapter *a = c->adapter;
  return a != NULL && a->waits[c->adapter_port] == 0 && usb_reply_room(a) >= USB_HEADER_BYTES && usb_first(&a->kept->ports[c->adapter_port].out) != NULL;
}

// Nobody takes what is written: it goes nowhere, as on a line without a device.
void usb_discard_out(struct adapter *a, uint32_t index) {
  struct usb_port *port = &a->kept->ports[index];
  struct channel *c = a->channels[index];
  if (c == NULL && a->adopting) return;
  const struct usb_transfer *t;
  while ((t = usb_first(&port->out)) != NULL && usb_reply_room(a) >= USB_HEADER_BYTES) {
    if (c != NULL) channel_count(c, DOWN_DROPPED, t->length - t->done);
    usb_answer_out(a, port);
  }
  usb_output_moved(a, index);
}

// The channel goes: what waits for it waits no longer, and a drain of what it took ends.
void usb_leave(struct channel *c) {
  struct adapter *a = c->adapter;
  uint32_t index = c->adapter_port;
  a->channels[index] = NULL;
  a->discard[index] = false;
  if (c->pump->frozen) return;
  a->kept->ports[index].transmitter_empty = true;
  usb_discard_out(a, index);
  if (a->dirty) usb_flush(a);
}

void usb_port_opened(struct adapter *a, uint32_t index) {
  struct usb_port *port = &a->kept->ports[index];
  struct channel *c = a->channels[index];
  // It was closed while the kernel waited for no data of it: only now can that be seen.
  if (port->open) usb_port_closed(a, index);
  port->open = true;
  port->due = false;
  port->flow_off = false;
  port->stuck = false;
  a->discard[index] = false;
  if (c == NULL) return;
  c->kept->open = true;
  channel_set_gauge(c, TTY_OPEN, 1);
}

void usb_port_closed(struct adapter *a, uint32_t index) {
  struct usb_port *port = &a->kept->ports[index];
  struct channel *c = a->channels[index];
  port->due = false;
  port->brk = false;
  port->errors = 0;
  if (!port->open) return;
  port->open = false;
  a->discard[index] = false;
  usb_push(a, &(struct usb_request){.kind = USBIP_CLOSED, .port = index});
  if (c == NULL) return;
  c->kept->open = false;
  channel_drop_up(c, SIZE_MAX, UP_UNREAD);
  channel_set_gauge(c, TTY_OPEN, 0);
  pump_mark_dirty(c);
}

// The kernel asked something of the port, or its pause is over: whatever can move moves.
void usb_port_works(struct adapter *a, uint32_t index) {
  struct channel *c = a->channels[index];
  if (c == NULL || a->discard[index]) usb_discard_out(a, index);
  if (c != NULL) channel_work(c, TTY_READY_IN | TTY_READY_OUT);
  usb_deliver_due(a, index);
}

// Errors that no byte followed in time are told to nobody.
void usb_port_timers(struct adapter *a) {
  for (uint32_t i = 0; i < a->kept->interfaces; i++) {
    struct usb_port *port = &a->kept->ports[i];
    if (port->errors == 0) continue;
    if (port->errors_end <= a->pump->now) port->errors = 0;
    else usb_arm(a, port->errors_end);
  }
}
