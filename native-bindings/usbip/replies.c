// Answers to the kernel, in a ring that is sent in one piece at the end of a turn. The kernel gives the device up when one is
// answered twice or was never asked: every answer takes its transfer off the list in the same breath.
#include <string.h>
#include <sys/socket.h>

#include "usbip.h"

#define RESERVE 8192  // for what cannot wait, when data fill the rest

static void put_u32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 24);
  at[1] = (uint8_t)(value >> 16);
  at[2] = (uint8_t)(value >> 8);
  at[3] = (uint8_t)value;
}

static void put(struct adapter *a, uint64_t *at, const void *bytes, size_t length) {
  size_t offset = *at % USB_REPLY_BYTES;
  size_t piece = length < USB_REPLY_BYTES - offset ? length : USB_REPLY_BYTES - offset;
  memcpy(a->replies + offset, bytes, piece);
  if (length > piece) memcpy(a->replies, (const uint8_t *)bytes + piece, length - piece);
  *at += length;
}

static size_t space(const struct adapter *a) {
  return USB_REPLY_BYTES - (size_t)(a->kept->replies.tail - a->kept->replies.head);
}

// For data: what must not wait still fits when there is none of it.
size_t usb_reply_room(const struct adapter *a) {
  size_t free = space(a);
  return free > RESERVE ? free - RESERVE : 0;
}

static void header(struct adapter *a, uint64_t *at, uint32_t command, uint32_t seqnum, int32_t status, uint32_t actual) {
  uint8_t bytes[USB_HEADER_BYTES] = {0};
  put_u32(bytes, command);
  put_u32(bytes + 4, seqnum);
  put_u32(bytes + 20, (uint32_t)status);
  put_u32(bytes + 24, actual);
  put(a, at, bytes, sizeof bytes);
}

static void commit(struct adapter *a, uint64_t at) {
  atomic_signal_fence(memory_order_seq_cst);
  a->kept->replies.tail = at;
  usb_touch(a);
}

static bool has_space(struct adapter *a, size_t bytes) {
  if (space(a) >= bytes) return true;
  usb_fail(a, "the kernel takes no answers");
  return false;
}

// The answer is about to be put: a ring that ends where it will has it.
static void begin(struct adapter *a, uint32_t seqnum, size_t bytes) {
  a->kept->answer_end = a->kept->replies.tail + bytes;
  a->kept->answering = 1ull << 32 | seqnum;
  atomic_signal_fence(memory_order_seq_cst);
}

// To what is on no list: it is answered as soon as it is asked.
void usb_answer_now(struct adapter *a, uint32_t seqnum, int32_t status, uint32_t actual, const uint8_t *data, size_t length) {
  if (!has_space(a, USB_HEADER_BYTES + length)) return;
  uint64_t at = a->kept->replies.tail;
  // Until its message counts as handled: then it is not answered again (kept.c).
  begin(a, seqnum, USB_HEADER_BYTES + length);
  header(a, &at, RET_SUBMIT, seqnum, status, actual);
  if (length > 0) put(a, &at, data, length);
  commit(a, at);
}

void usb_answer_unlink(struct adapter *a, uint32_t seqnum, int32_t status) {
  if (!has_space(a, USB_HEADER_BYTES)) return;
  uint64_t at = a->kept->replies.tail;
  header(a, &at, RET_UNLINK, seqnum, status, 0);
  commit(a, at);
}

// The oldest transfer that was not unlinked; NULL: none.
struct usb_transfer *usb_first(struct usb_queue *q) {
  while (q->head != q->tail && !q->transfers[q->head % USB_TRANSFERS].live) q->head++;
  return q->head == q->tail ? NULL : &q->transfers[q->head % USB_TRANSFERS];
}

static void end(struct adapter *a, bool *live) {
  *live = false;
  atomic_signal_fence(memory_order_seq_cst);
  a->kept->answering = 0;
}

// The oldest transfer in of a port gets a packet; the caller knows that there is one, and room.
void usb_answer_in(struct adapter *a, struct usb_port *port, const uint8_t status[STATUS_BYTES], const uint8_t *data, size_t length) {
  struct usb_transfer *t = usb_first(&port->in);
  uint64_t at = a->kept->replies.tail;
  begin(a, t->seqnum, USB_HEADER_BYTES + STATUS_BYTES + length);
  header(a, &at, RET_SUBMIT, t->seqnum, 0, (uint32_t)(STATUS_BYTES + length));
  put(a, &at, status, STATUS_BYTES);
  if (length > 0) put(a, &at, data, length);
  commit(a, at);
  end(a, &t->live);
  port->told = port->modem;
}

// The oldest transfer out of a port has been taken.
void usb_answer_out(struct adapter *a, struct usb_port *port) {
  struct usb_transfer *t = usb_first(&port->out);
  uint64_t at = a->kept->replies.tail;
  begin(a, t->seqnum, USB_HEADER_BYTES);
  header(a, &at, RET_SUBMIT, t->seqnum, 0, t->length);
  commit(a, at);
  end(a, &t->live);
}

void usb_answer_control(struct adapter *a, struct usb_request *r, int32_t status, const uint8_t *data, size_t length) {
  if (!has_space(a, USB_HEADER_BYTES + length)) return;
  uint64_t at = a->kept->replies.tail;
  begin(a, r->seqnum, USB_HEADER_BYTES + length);
  header(a, &at, RET_SUBMIT, r->seqnum, status, r->in || status != 0 ? (uint32_t)length : r->length);
  if (length > 0) put(a, &at, data, length);
  commit(a, at);
  end(a, &r->live);
}

// Gives the socket what it takes. False: it is gone.
bool usb_send(struct adapter *a) {
  struct ring *ring = &a->kept->replies;
  while (ring->head != ring->tail) {
    size_t at = ring->head % USB_REPLY_BYTES;
    size_t length = (size_t)(ring->tail - ring->head);
    if (length > USB_REPLY_BYTES - at) length = USB_REPLY_BYTES - at;
    ring->offered = ring->head + length;
    atomic_signal_fence(memory_order_seq_cst);
    ssize_t n = RETRY(send(a->fd, a->replies + at, length, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (n > 0) ring->head += (uint64_t)n;
    atomic_signal_fence(memory_order_seq_cst);
    ring->offered = 0;
    if (n < 0) return errno == EAGAIN || errno == ENOBUFS;
  }
  return true;
}
