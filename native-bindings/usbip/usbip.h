// A virtual USB serial adapter in the pump: the vhci socket on one side, a channel for each port on the other. It answers the
// kernel's bulk transfers and framing of an FTDI chip by itself; control requests are JavaScript's (docs/protocol/usbip.md).
// All state that a later process needs lies in memory that outlives this one, and no pointer does.
#ifndef TTYNP_USBIP_H
#define TTYNP_USBIP_H

#include "../channel.h"

#define USB_HEADER_BYTES 48
#define USB_INBOX_BYTES 65536
#define USB_REPLY_BYTES 65536
#define USB_PORTS USBIP_PORTS
#define USB_OUT_BYTES 16384  // of one port
#define USB_MESSAGE_MAX 4096  // more than any transfer out of a serial driver carries
#define USB_TRANSFERS 16      // each way of one port: a serial driver has two
#define USB_REQUESTS 64

#define CMD_SUBMIT 1
#define CMD_UNLINK 2
#define RET_SUBMIT 3
#define RET_UNLINK 4

// FTDI's two status bytes.
#define STATUS_BYTES 2
#define STATUS_RESERVED 0x01
#define STATUS_BREAK 0x10
#define STATUS_HOLDING_EMPTY 0x20
#define STATUS_TRANSMITTER_EMPTY 0x40

// A transfer that the kernel waits for. `live` is stored last and cleared first.
struct usb_transfer {
  uint32_t seqnum;
  uint32_t length;
  uint32_t done;  // out: taken of it
  bool live;
  uint64_t at;  // out: where its bytes are, as a total
};

struct usb_queue {
  uint32_t head;
  uint32_t tail;
  struct usb_transfer transfers[USB_TRANSFERS];
};

struct usb_port {
  struct usb_queue in;
  struct usb_queue out;
  uint8_t modem;   // the first status byte
  uint8_t told;    // as the kernel was given it last: it counts what differs from that
  uint8_t errors;  // flags of the second, for the next byte
  bool brk;        // a break is to be told
  bool due;        // a packet is to be sent though there is no data
  bool open;
  bool transmitter_empty;
  bool stuck;      // patience with its output ran out: nothing waits for it before it moves again
  bool flow_off;   // the last request was the one that a driver sends before it lowers the lines at a close
  uint64_t errors_end;  // CLOCK_MONOTONIC, when nobody wants to know any more
};

struct usb_request {
  enum usbip_kind kind;
  uint32_t port;  // of USBIP_CLOSED
  uint32_t seqnum;
  uint32_t length;
  uint8_t setup[8];
  bool in;
  bool behind;        // what was written before it is to be taken first,
  uint32_t last;      // up to this transfer,
  uint64_t patience;  // but not for longer: CLOCK_MONOTONIC
  bool told;
  bool unlinked;  // before it was told: it is done, and not answered
  bool live;
};

// What outlives the process. Behind it: the inbox, the replies, and for each port the bytes of its transfers out.
struct usb_kept {
  uint64_t magic;
  uint32_t interfaces;
  uint32_t packet_bytes;
  uint32_t inbox;     // whole messages that were looked at
  uint32_t handled;   // of them
  bool consumed;      // they are out of the socket
  uint64_t answering;   // a transfer that is being answered: its seqnum and a bit above, 0: none
  uint64_t answer_end;  // where the replies end once it is
  struct ring replies;
  uint32_t requests_head;
  uint32_t requests_tail;
  struct usb_request requests[USB_REQUESTS];
  struct usb_port ports[USB_PORTS];
};

struct adapter {
  pump *pump;
  uint32_t id;
  int fd;  // -1: nothing is plugged
  uint32_t interest;
  uint32_t generation;
  struct usb_kept *kept;
  uint8_t *inbox;
  uint8_t *replies;
  uint8_t *out[USB_PORTS];
  struct channel *channels[USB_PORTS];
  // Of what the kernel has been given lately: its buffer drops what overfills it before a throttle takes effect.
  uint64_t burst_began[USB_PORTS];
  uint32_t burst[USB_PORTS];
  uint64_t timer;       // NEVER: none
  bool answered;        // while what was left is gone on with: this message has its answer
  uint32_t answered_seqnum;
  bool adopting;        // not all channels are back: what is written waits for them
  bool cut;             // the socket has part of a message: the rest is waited for by the timer
  bool dirty;           // there are answers to send
  bool requests_untold;
  uint8_t waits[USB_PORTS];  // requests of the port that are not answered: what is written after them waits
  uint32_t behind;      // ports whose next request waits for output, as bits
  bool discard[USB_PORTS];  // what is written goes nowhere, until the next open
  uint32_t asked;       // ports whose transmitter was asked for, as bits
  bool lost_untold;
  const char *lost;     // why
};

static inline bool usb_queue_full(const struct usb_queue *q) {
  return q->tail - q->head >= USB_TRANSFERS;
}

// kept.c
int usb_map(struct adapter *a, int fd, bool adopt);
void usb_unmap(struct adapter *a);
void usb_clear(struct adapter *a);
void usb_recover(struct adapter *a);

// replies.c
size_t usb_reply_room(const struct adapter *a);
void usb_answer_now(struct adapter *a, uint32_t seqnum, int32_t status, uint32_t actual, const uint8_t *data, size_t length);
void usb_answer_control(struct adapter *a, struct usb_request *r, int32_t status, const uint8_t *data, size_t length);
void usb_answer_unlink(struct adapter *a, uint32_t seqnum, int32_t status);
void usb_answer_in(struct adapter *a, struct usb_port *port, const uint8_t status[STATUS_BYTES], const uint8_t *data, size_t length);
void usb_answer_out(struct adapter *a, struct usb_port *port);
bool usb_send(struct adapter *a);
struct usb_transfer *usb_first(struct usb_queue *q);

// port.c
void usb_status(const struct usb_port *port, uint8_t flags, uint8_t status[STATUS_BYTES]);
size_t usb_deliver(struct channel *c, const uint8_t *bytes, size_t length);
void usb_deliver_due(struct adapter *a, uint32_t index);
size_t usb_take(struct channel *c, uint8_t *into, size_t room);
bool usb_has_out(const struct channel *c);
void usb_discard_out(struct adapter *a, uint32_t index);
void usb_leave(struct channel *c);
void usb_port_opened(struct adapter *a, uint32_t index);
void usb_port_closed(struct adapter *a, uint32_t index);
void usb_port_works(struct adapter *a, uint32_t index);
void usb_port_timers(struct adapter *a);

// messages.c
bool usb_receive(struct adapter *a);
size_t usb_message_length(const uint8_t *bytes, size_t length);
void usb_handle_inbox(struct adapter *a);

// requests.c
void usb_tell_requests(struct adapter *a);
void usb_push(struct adapter *a, const struct usb_request *request);
void usb_output_moved(struct adapter *a, uint32_t index);
void usb_count_waits(struct adapter *a);
int usb_take_requests(struct adapter *a, struct usbip_told *told, size_t max);
int usb_answer(struct adapter *a, uint32_t seqnum, int32_t status, const uint8_t *data, size_t length);

// adapter.c
void usb_fail(struct adapter *a, const char *reason);
void usb_arm(struct adapter *a, uint64_t at);
void usb_touch(struct adapter *a);
void usb_flush(struct adapter *a);
void usb_work(struct adapter *a, uint32_t ready);
void usb_flush_all(pump *p);
void usb_run_timers(pump *p);
uint32_t usb_take_events(struct adapter *a);

#endif
