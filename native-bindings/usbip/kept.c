// What of an adapter outlives the process, and how one that was killed at any instruction is gone on with.
// A message is handled once: it is looked at in the socket, taken out of it, and what it says is stored before it counts as
// handled; to handle it again changes nothing. A transfer is answered once: `answering` tells which was being answered.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "usbip.h"

#define HEAD_BYTES 16384
#define KEPT_BYTES (HEAD_BYTES + USB_INBOX_BYTES + USB_REPLY_BYTES + USB_PORTS * (size_t)USB_OUT_BYTES)
// Its last byte is the version of the layout.
#define USB_MAGIC 0x7474796e70756232ull

_Static_assert(sizeof(struct usb_kept) <= HEAD_BYTES, "struct usb_kept fits");
_Static_assert(KEPT_BYTES == USBIP_KEPT_BYTES, "as the header says");

static bool queue_is_whole(const struct usb_queue *q) {
  if (q->tail - q->head > USB_TRANSFERS) return false;
  for (uint32_t i = q->head; i != q->tail; i++) {
    const struct usb_transfer *t = &q->transfers[i % USB_TRANSFERS];
    if (t->done > t->length || t->length > USB_OUT_BYTES) return false;
  }
  return true;
}

static bool is_whole(const struct usb_kept *k) {
  if (k->magic != USB_MAGIC || k->interfaces > USB_PORTS || k->packet_bytes > 1024) return false;
  if (k->inbox > USB_INBOX_BYTES || (k->inbox > 0 && k->handled > k->inbox)) return false;
  if (k->replies.tail < k->replies.head || k->replies.tail - k->replies.head > USB_REPLY_BYTES) return false;
  if (k->requests_tail - k->requests_head > USB_REQUESTS) return false;
  for (int i = 0; i < USB_PORTS; i++) {
    if (!queue_is_whole(&k->ports[i].in) || !queue_is_whole(&k->ports[i].out)) return false;
  }
  return true;
}

// 0, or -1 with errno set: EBADMSG where it is nothing of ours.
int usb_map(struct adapter *a, int fd, bool adopt) {
  struct stat file;
  if (fd >= 0 && fstat(fd, &file) == -1) return -1;
  if (fd >= 0 && file.st_size < (off_t)KEPT_BYTES && ftruncate(fd, (off_t)KEPT_BYTES) == -1) return -1;
  int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  uint8_t *at = mmap(NULL, KEPT_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) return -1;
  a->kept = (struct usb_kept *)at;
  a->inbox = at + HEAD_BYTES;
  a->replies = a->inbox + USB_INBOX_BYTES;
  for (int i = 0; i < USB_PORTS; i++) a->out[i] = a->replies + USB_REPLY_BYTES + (size_t)i * USB_OUT_BYTES;
  if (!adopt) {
    usb_clear(a);
    return 0;
  }
  if (is_whole(a->kept)) return 0;
  usb_unmap(a);
  errno = EBADMSG;
  return -1;
}

void usb_unmap(struct adapter *a) {
  if (a->kept != NULL) munmap(a->kept, KEPT_BYTES);
  a->kept = NULL;
}

// As a chip that has just got power.
void usb_clear(struct adapter *a) {
  *a->kept = (struct usb_kept){.magic = USB_MAGIC};
  for (int i = 0; i < USB_PORTS; i++) {
    a->kept->ports[i].modem = STATUS_RESERVED;
    a->kept->ports[i].told = STATUS_RESERVED;
    a->kept->ports[i].transmitter_empty = true;
  }
}

// A transfer whose answer is there already is not answered again.
static void finish_answer(struct adapter *a) {
  struct usb_kept *k = a->kept;
  uint32_t seqnum = (uint32_t)k->answering;
  bool answered = k->answering != 0 && k->replies.tail == k->answer_end;
  for (int i = 0; answered && i < USB_PORTS; i++) {
    struct usb_transfer *in = usb_first(&k->ports[i].in);
    struct usb_transfer *out = usb_first(&k->ports[i].out);
    if (in != NULL && in->seqnum == seqnum) in->live = false;
    if (out != NULL && out->seqnum == seqnum) out->live = false;
  }
  for (uint32_t i = k->requests_head; answered && i != k->requests_tail; i++) {
    struct usb_request *r = &k->requests[i % USB_REQUESTS];
    if (r->kind == USBIP_CONTROL && r->seqnum == seqnum) r->live = false;
  }
  a->answered = answered;
  a->answered_seqnum = seqnum;
  k->answering = 0;
}

// The first message of what was looked at carries a number that no other has: is it in the socket still?
static bool in_socket(const struct adapter *a) {
  uint8_t header[USB_HEADER_BYTES];
  ssize_t n = RETRY(recv(a->fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT));
  return n == sizeof header && memcmp(header, a->inbox, sizeof header) == 0;
}

void usb_recover(struct adapter *a) {
  struct usb_kept *k = a->kept;
  finish_answer(a);
  // A send that was begun has been done: one that does not wait cannot be stopped in the middle by a signal.
  if (k->replies.offered > k->replies.head && k->replies.offered <= k->replies.tail) k->replies.head = k->replies.offered;
  k->replies.offered = 0;
  if (k->inbox > 0 && !k->consumed && in_socket(a)) RETRY(recv(a->fd, a->inbox, k->inbox, MSG_DONTWAIT));
  k->consumed = true;
  usb_handle_inbox(a);
  a->answered = false;
  for (uint32_t i = k->requests_head; i != k->requests_tail; i++) {
    struct usb_request *r = &k->requests[i % USB_REQUESTS];
    r->told = false;
    // Whoever goes on sees by itself what is open.
    if (r->kind == USBIP_CLOSED) r->live = false;
  }
  usb_count_waits(a);
}
