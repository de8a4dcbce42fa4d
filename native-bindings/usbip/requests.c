// Control requests: JavaScript answers them. A port's requests keep their place among its bytes: what was written before is
// taken first, and what is written after waits until they are answered.
#include <string.h>

#include "usbip.h"

void usb_tell_requests(struct adapter *a) {
  a->requests_untold = true;
  a->pump->has_events = true;
}

static uint32_t port_of(const struct usb_request *r) {
  return r->kind == USBIP_CLOSED ? r->port : (uint32_t)r->setup[4] - 1;
}

void usb_push(struct adapter *a, const struct usb_request *request) {
  struct usb_kept *k = a->kept;
  while (k->requests_head != k->requests_tail && !k->requests[k->requests_head % USB_REQUESTS].live) k->requests_head++;
  if (k->requests_tail - k->requests_head >= USB_REQUESTS) {
    usb_fail(a, "more requests wait than a serial driver makes");
    return;
  }
  struct usb_request *slot = &k->requests[k->requests_tail % USB_REQUESTS];
  *slot = *request;
  slot->live = true;
  atomic_signal_fence(memory_order_seq_cst);
  k->requests_tail++;
  usb_count_waits(a);
  usb_tell_requests(a);
}

// What was written before the request is not all taken yet, and there is patience left.
static bool is_behind(const struct adapter *a, const struct usb_request *r) {
  if (!r->behind || r->told || port_of(r) >= USB_PORTS) return false;
  struct usb_port *port = &a->kept->ports[port_of(r)];
  bool waits = false;
  for (uint32_t i = port->out.head; i != port->out.tail; i++) {
    const struct usb_transfer *t = &port->out.transfers[i % USB_TRANSFERS];
    waits = waits || (t->live && t->seqnum == r->last);
  }
  if (!waits || a->pump->now < r->patience) return waits;
  port->stuck = true;
  return false;
}

// Output was taken or given up, or time is over: what was asked behind it can be told.
void usb_output_moved(struct adapter *a, uint32_t index) {
  if ((a->behind >> index & 1) != 0) usb_count_waits(a);
}

// A port's bytes keep their place behind what its driver asked for, and that its own behind what was written before.
void usb_count_waits(struct adapter *a) {
  const struct usb_kept *k = a->kept;
  uint8_t waits[USB_PORTS] = {0};
  bool untold = false;
  a->behind = 0;
  for (uint32_t i = k->requests_head; i != k->requests_tail; i++) {
    const struct usb_request *r = &k->requests[i % USB_REQUESTS];
    uint32_t port = port_of(r);
    if (!r->live || r->kind != USBIP_CONTROL || (r->setup[0] & 0x60) != 0x40 || port >= USB_PORTS) continue;
    // Output goes on up to the first that is behind it.
    if (waits[port] == 0 && is_behind(a, r)) {
      a->behind |= 1u << port;
      usb_arm(a, r->patience);
    } else if ((a->behind >> port & 1) == 0) {
      waits[port]++;
      untold = untold || !r->told;
    }
  }
  if (untold) usb_tell_requests(a);
  for (uint32_t i = 0; i < USB_PORTS; i++) {
    if (waits[i] == 0 && a->waits[i] > 0 && a->channels[i] != NULL) pump_mark_dirty(a->channels[i]);
    a->waits[i] = waits[i];
  }
}

int usb_take_requests(struct adapter *a, struct usbip_told *told, size_t max) {
  struct usb_kept *k = a->kept;
  size_t count = 0;
  uint32_t behind = 0;
  for (uint32_t i = k->requests_head; i != k->requests_tail && count < max; i++) {
    struct usb_request *r = &k->requests[i % USB_REQUESTS];
    if (!r->live || r->told) continue;
    uint32_t port = port_of(r);
    if (is_behind(a, r)) behind |= 1u << port;
    if (port < USB_PORTS && (behind >> port & 1) != 0) continue;
    told[count] = (struct usbip_told){.kind = r->kind, .port = r->port, .seqnum = r->seqnum, .in = r->in, .length = r->length};
    memcpy(told[count].setup, r->setup, sizeof r->setup);
    r->told = true;
    if (r->kind == USBIP_CLOSED) r->live = false;
    count++;
  }
  return (int)count;
}

int usb_answer(struct adapter *a, uint32_t seqnum, int32_t status, const uint8_t *data, size_t length) {
  for (uint32_t i = a->kept->requests_head; i != a->kept->requests_tail; i++) {
    struct usb_request *r = &a->kept->requests[i % USB_REQUESTS];
    if (!r->live || r->kind != USBIP_CONTROL || r->seqnum != seqnum) continue;
    // Never longer than asked: the kernel would give the device up.
    size_t asked = (size_t)r->setup[6] | (size_t)r->setup[7] << 8;
    if (asked > r->length) asked = r->length;
    if (r->unlinked) r->live = false;
    else usb_answer_control(a, r, status, data, status != 0 || !r->in ? 0 : length < asked ? length : asked);
    usb_count_waits(a);
    return 0;
  }
  return 0;
}
