// The kernel's messages (USB/IP, big-endian, headers of 48 bytes): looked at in the socket, taken out of it whole, handled
// one by one. A message that makes no sense ends the connection; one that nobody knows is stalled.
// Source: Linux, Documentation/usb/usbip_protocol.rst, drivers/usb/usbip/vhci_tx.c; docs/protocol/usbip.md.
#include <string.h>
#include <sys/socket.h>

#include "usbip.h"

#define STALL (-32)      // EPIPE
#define UNLINKED (-104)  // ECONNRESET
#define VENDOR_OUT 0x40
#define VENDOR_IN 0xc0
#define FTDI_RESET 0
#define FTDI_MODEM_CONTROL 1
#define FTDI_FLOW_CONTROL 2
#define FTDI_MODEM_STATUS 5
#define BOTH_LINES_OFF 0x0300
#define PATIENCE_NS (2000 * NS_PER_MS)  // the driver gives a request 5 s

static uint32_t u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// Of the message that begins here; 0 before its header is whole, SIZE_MAX for what is none.
size_t usb_message_length(const uint8_t *bytes, size_t length) {
  if (length < USB_HEADER_BYTES) return 0;
  uint32_t command = u32(bytes);
  uint32_t direction = u32(bytes + 12);
  uint32_t data = u32(bytes + 24);
  if (command == CMD_UNLINK) return USB_HEADER_BYTES;
  if (command != CMD_SUBMIT || direction > 1) return SIZE_MAX;
  if (direction == 1) return USB_HEADER_BYTES;
  return data <= USB_MESSAGE_MAX ? USB_HEADER_BYTES + data : SIZE_MAX;
}

static bool is_queued(const struct usb_queue *q, uint32_t seqnum) {
  for (uint32_t i = q->head; i != q->tail; i++) {
    if (q->transfers[i % USB_TRANSFERS].seqnum == seqnum) return true;
  }
  return false;
}

static void enqueue(struct adapter *a, struct usb_queue *q, struct usb_transfer t) {
  usb_first(q);  // what was unlinked makes room
  if (is_queued(q, t.seqnum)) return;
  if (usb_queue_full(q)) {
    usb_fail(a, "more transfers wait than a serial driver has");
    return;
  }
  q->transfers[q->tail % USB_TRANSFERS] = t;
  atomic_signal_fence(memory_order_seq_cst);
  q->tail++;
}

static void transfer_in(struct adapter *a, uint32_t index, uint32_t seqnum, uint32_t length) {
  struct usb_port *port = &a->kept->ports[index];
  enqueue(a, &port->in, (struct usb_transfer){.seqnum = seqnum, .length = length < USB_MESSAGE_MAX ? length : USB_MESSAGE_MAX, .live = true});
}

static void transfer_out(struct adapter *a, uint32_t index, uint32_t seqnum, const uint8_t *data, uint32_t length) {
  struct usb_queue *q = &a->kept->ports[index].out;
  if (is_queued(q, seqnum)) return;
  const struct usb_transfer *first = usb_first(q);
  uint64_t at = 0;
  if (first != NULL) {
    const struct usb_transfer *last = &q->transfers[(q->tail - 1) % USB_TRANSFERS];
    at = last->at + last->length;
    if (at + length - first->at > USB_OUT_BYTES) {
      usb_fail(a, "more bytes wait to be taken than a serial driver sends");
      return;
    }
  }
  size_t offset = at % USB_OUT_BYTES;
  size_t piece = length < USB_OUT_BYTES - offset ? length : USB_OUT_BYTES - offset;
  memcpy(a->out[index] + offset, data, piece);
  memcpy(a->out[index], data + piece, length - piece);
  enqueue(a, q, (struct usb_transfer){.seqnum = seqnum, .length = length, .at = at, .live = true});
}

static bool knows_request(const struct adapter *a, uint32_t seqnum) {
  for (uint32_t i = a->kept->requests_head; i != a->kept->requests_tail; i++) {
    const struct usb_request *r = &a->kept->requests[i % USB_REQUESTS];
    if (r->live && r->kind == USBIP_CONTROL && r->seqnum == seqnum) return true;
  }
  return false;
}

static void modem_status(struct adapter *a, uint32_t index, uint32_t seqnum) {
  struct usb_port *port = &a->kept->ports[index];
  uint8_t status[STATUS_BYTES];
  usb_status(port, 0, status);
  usb_answer_now(a, seqnum, 0, STATUS_BYTES, status, STATUS_BYTES);
  // Whoever drains asks again and again, once the driver has nothing left.
  if (port->transmitter_empty || usb_first(&port->out) != NULL) return;
  a->asked |= 1u << index;
  a->pump->has_events = true;
}

// A request has its place behind what was written before it; but no driver waits for ever.
static void wait_for_output(struct adapter *a, uint32_t index, struct usb_request *request) {
  struct usb_port *port = &a->kept->ports[index];
  if (a->channels[index] == NULL || a->discard[index] || port->stuck || usb_first(&port->out) == NULL) return;
  request->behind = true;
  request->last = port->out.transfers[(port->out.tail - 1) % USB_TRANSFERS].seqnum;
  request->patience = monotonic_ns() + PATIENCE_NS;
}

static void control(struct adapter *a, const uint8_t *header) {
  const uint8_t *setup = header + 40;
  uint32_t seqnum = u32(header + 4);
  uint32_t index = (uint32_t)setup[4] - 1;
  bool of_port = index < a->kept->interfaces;
  uint32_t value = setup[2] | (uint32_t)setup[3] << 8;
  if (of_port && setup[0] == VENDOR_IN && setup[1] == FTDI_MODEM_STATUS) {
    modem_status(a, index, seqnum);
    return;
  }
  if (knows_request(a, seqnum)) return;
  struct usb_request request = {.kind = USBIP_CONTROL, .seqnum = seqnum, .length = u32(header + 24), .in = u32(header + 12) == 1};
  memcpy(request.setup, setup, sizeof request.setup);
  bool vendor = of_port && setup[0] == VENDOR_OUT;
  if (vendor) wait_for_output(a, index, &request);
  if (vendor && setup[1] == FTDI_RESET && value == 0) usb_port_opened(a, index);
  usb_push(a, &request);
  if (!vendor) return;
  struct usb_port *port = &a->kept->ports[index];
  // A driver whose buffer is full has no transfer in to take back when it is closed.
  bool off = port->flow_off && setup[1] == FTDI_MODEM_CONTROL && value == BOTH_LINES_OFF;
  if (off && usb_first(&port->in) == NULL) usb_port_closed(a, index);
  port->flow_off = setup[1] == FTDI_FLOW_CONTROL && value == 0 && setup[5] == 0;
}

static bool unlink_from(struct usb_queue *q, uint32_t target) {
  for (uint32_t i = q->head; i != q->tail; i++) {
    struct usb_transfer *t = &q->transfers[i % USB_TRANSFERS];
    if (!t->live || t->seqnum != target) continue;
    t->live = false;
    return true;
  }
  return false;
}

static bool unlink_request(struct adapter *a, uint32_t target) {
  for (uint32_t i = a->kept->requests_head; i != a->kept->requests_tail; i++) {
    struct usb_request *r = &a->kept->requests[i % USB_REQUESTS];
    if (!r->live || r->kind != USBIP_CONTROL || r->seqnum != target) continue;
    // It has its effect all the same, but no answer.
    if (r->told) r->live = false;
    else r->unlinked = true;
    usb_count_waits(a);
    return true;
  }
  return false;
}

static void unlink_transfer(struct adapter *a, uint32_t seqnum, uint32_t target) {
  bool found = unlink_request(a, target);
  uint32_t closed = UINT32_MAX;
  for (uint32_t i = 0; !found && i < a->kept->interfaces; i++) {
    struct usb_port *port = &a->kept->ports[i];
    found = unlink_from(&port->out, target);
    if (found) usb_output_moved(a, i);
    if (found || !unlink_from(&port->in, target)) continue;
    found = true;
    // A driver closes a port by taking its transfers in back.
    if (usb_first(&port->in) == NULL) closed = i;
  }
  usb_answer_unlink(a, seqnum, found ? UNLINKED : 0);
  if (closed != UINT32_MAX) usb_port_closed(a, closed);
}

static void handle(struct adapter *a, const uint8_t *message, uint32_t *works) {
  uint32_t seqnum = u32(message + 4);
  if (u32(message) == CMD_UNLINK) {
    unlink_transfer(a, seqnum, u32(message + 20));
    return;
  }
  uint32_t endpoint = u32(message + 16);
  uint32_t length = u32(message + 24);
  bool in = u32(message + 12) == 1;
  if (a->answered && a->answered_seqnum == seqnum) return;  // by the process before, which did not get further
  if (endpoint == 0) {
    control(a, message);
    return;
  }
  if (endpoint > a->kept->interfaces) {
    usb_answer_now(a, seqnum, STALL, 0, NULL, 0);
    return;
  }
  *works |= 1u << (endpoint - 1);
  if (in) transfer_in(a, endpoint - 1, seqnum, length);
  else transfer_out(a, endpoint - 1, seqnum, message + USB_HEADER_BYTES, length);
}

// What was taken out of the socket and is not handled yet. Data move only after all of it: a message that is handled
// again after a crash finds what it did the first time.
void usb_handle_inbox(struct adapter *a) {
  struct usb_kept *k = a->kept;
  uint32_t works = 0;
  while (k->handled < k->inbox && a->lost == NULL) {
    size_t length = usb_message_length(a->inbox + k->handled, k->inbox - k->handled);
    if (length == 0 || length > k->inbox - k->handled) break;
    handle(a, a->inbox + k->handled, &works);
    atomic_signal_fence(memory_order_seq_cst);
    k->handled += (uint32_t)length;
    atomic_signal_fence(memory_order_seq_cst);
    k->answering = 0;
  }
  k->inbox = 0;
  atomic_signal_fence(memory_order_seq_cst);
  k->handled = 0;
  k->consumed = false;
  for (uint32_t i = 0; works >> i != 0; i++) {
    if (works >> i & 1) usb_port_works(a, i);
  }
}

// Returns how many bytes whole messages at the beginning have; SIZE_MAX where one is none.
static size_t whole_messages(const uint8_t *bytes, size_t length) {
  size_t whole = 0;
  while (whole < length) {
    size_t next = usb_message_length(bytes + whole, length - whole);
    if (next == SIZE_MAX) return whole > 0 ? whole : SIZE_MAX;
    if (next == 0 || next > length - whole) break;
    whole += next;
  }
  return whole;
}

// Reads what there is, and handles it. False: nothing was there.
bool usb_receive(struct adapter *a) {
  struct usb_kept *k = a->kept;
  ssize_t n = RETRY(recv(a->fd, a->inbox, USB_INBOX_BYTES, MSG_PEEK | MSG_DONTWAIT));
  if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) return false;
  if (n <= 0) {
    usb_fail(a, "the kernel has let go of the device");
    return false;
  }
  size_t whole = whole_messages(a->inbox, (size_t)n);
  if (whole == SIZE_MAX) {
    usb_fail(a, "what the kernel sends is no USB/IP that a serial driver speaks");
    return false;
  }
  a->cut = whole == 0;
  if (a->cut) return false;
  k->consumed = false;
  k->handled = 0;
  atomic_signal_fence(memory_order_seq_cst);
  k->inbox = (uint32_t)whole;
  atomic_signal_fence(memory_order_seq_cst);
  // The same bytes again, at the same place.
  if (RETRY(recv(a->fd, a->inbox, whole, MSG_DONTWAIT)) != (ssize_t)whole) {
    usb_fail(a, "the kernel's messages cannot be read");
    return false;
  }
  k->consumed = true;
  usb_handle_inbox(a);
  return true;
}
