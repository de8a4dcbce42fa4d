// The pump: one epoll thread that moves bytes between two descriptors per channel. A plain C interface, without Node.
// It never opens, connects or closes a descriptor, and never decides policy: what was configured is what it does.
// Every function may be called from any thread and returns without waiting for input or output.
#ifndef TTYNP_PUMP_H
#define TTYNP_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUMP_MAX_CHANNELS 4096
#define PUMP_MAX_FENCES 8
#define PUMP_PARK_BYTES 65536
// The peer's pace is not known: 64 KiB, and where it takes that at once, what the socket's send buffer has room for.
#define LOOK_AHEAD_UNKNOWN 0

typedef struct pump pump;

enum direction { DOWN, UP };

// What a channel raises; bits, because events coalesce until they are taken.
enum channel_event {
  EVENT_OPENED = 1 << 0,
  EVENT_CLOSED = 1 << 1,
  EVENT_SETTINGS = 1 << 2,
  EVENT_TERMIOS = 1 << 3,
  EVENT_FLUSH_INPUT = 1 << 4,
  EVENT_FLUSH_OUTPUT = 1 << 5,
  EVENT_OUTPUT_STOPPED = 1 << 6,
  EVENT_OUTPUT_STARTED = 1 << 7,
  EVENT_NET_END = 1 << 8,
  EVENT_NET_ERROR = 1 << 9,
  EVENT_TTY_ERROR = 1 << 10,
  EVENT_TAP = 1 << 11,
  EVENT_FENCE = 1 << 12,  // fences are done: take them
  EVENT_READY = 1 << 13,  // a connecting socket is connected or has failed
  EVENT_CLOSING = 1 << 14,  // of TTY_USBIP: the last descriptor is being closed, and the kernel waits for the output
  STATE_OPEN = 1 << 30,   // not an event: an application has the tty open at the time of taking
  STATE_OUTPUT_STOPPED = 1 << 29, // not an event: the application has its output stopped
};

// Doubles, so that JavaScript reads them where they lie; written with relaxed atomic stores.
enum channel_counter {
  DOWN_TAKEN,
  DOWN_SENT,
  UP_TAKEN,
  UP_DELIVERED,
  DOWN_PARKED,
  UP_PARKED,
  DOWN_DISCARDED,
  DOWN_OVERFLOWED,
  DOWN_DROPPED,
  UP_DROPPED,
  UP_UNREAD,
  DOWN_STALLS,
  UP_STALLS,
  FENCES,
  FENCE_WAIT_US,
  TAP_DROPPED,
  LAST_DOWN_MS,
  LAST_UP_MS,
  TTY_OPEN,
  DOWN_LOST,
  NET_ERRNO,
  ATTACHED,  // 1 while a network side is joined
  // Adopted from a process that was killed: bytes that a write had in hand, and whether a read had (1), whose bytes are unknown.
  DOWN_SUSPECTED,
  UP_SUSPECTED,
  DOWN_READ_CUT,
  UP_READ_CUT,
  ADOPTED_OPEN,  // 1: an application had it open when the earlier process looked last
  COUNTER_COUNT
};

enum tty_kind {
  TTY_PTY,      // a PTY master in packet mode
  TTY_PLAIN,    // any other descriptor that can be read and written
  TTY_CONNECT,  // a connecting socket: EVENT_READY, and nothing else
  TTY_USBIP     // a port of a virtual adapter
};

enum offline_mode { OFFLINE_DISCARD, OFFLINE_HOLD, OFFLINE_BLOCK };

struct offline {
  enum offline_mode mode;
  uint32_t bytes;  // of OFFLINE_HOLD
};

struct channel_options {
  int tty_fd;                // of TTY_USBIP: the adapter's number
  uint32_t adapter_port;     // of TTY_USBIP
  enum tty_kind kind;
  const char *slave_path;  // of TTY_PTY
  uint32_t look_ahead;     // bytes that may be taken ahead of the peer, or LOOK_AHEAD_UNKNOWN
  struct offline offline;
  double *counters;  // COUNTER_COUNT of them; must outlive the channel
  int keep_fd;       // a memfd that holds what an adopter needs, -1: none. Owned by the caller, needed only in this call
  bool adopt;        // go on from what it holds: -EBADMSG where that is nothing of ours
};

enum fence_result { FENCE_PASSED, FENCE_TIMEOUT, FENCE_DETACHED };

struct fence_done {
  uint32_t slot;
  enum fence_result result;
};

struct parked {
  uint8_t *down;
  size_t down_bytes;
  uint8_t *up;
  size_t up_bytes;
};

enum reset_result { RESET_FAILED, RESET_DONE, RESET_OPENED };

struct live_counts {
  int pumps;
  int channels;
  int fences;
};

// Starts the thread. `notify` is called, from any thread and without a lock, when there are events to take; not again
// before pump_take_events(). `hand_fd`: a memfd as channel_options.keep_fd, of the pump itself: what an earlier process had
// in hand is given back to the channels that adopt. NULL with errno set when it cannot.
pump *pump_create(void (*notify)(void *context), void *context, int hand_fd);
// Ends the thread, so that nothing moves any more, and leaves all state as it is for an adopter. Only destroy may follow.
void pump_freeze(pump *p);
// Joins the thread and closes what is left. `notify` is not called any more when it returns.
void pump_destroy(pump *p);
// Fills (channel, bits) pairs; returns how many. Call again while it returns `max`.
size_t pump_take_events(pump *p, uint32_t *pairs, size_t max);
// Asks the thread to turn once, and tells for how many milliseconds it has not done so since it was asked before; 0: it has.
// The thread has no timer for that, which would be set and cleared at every sleep: one that is stuck shows at the second look.
double pump_unanswered_ms(pump *p);
struct live_counts pump_live_counts(void);

// The channel's number, or -errno.
int channel_open(pump *p, const struct channel_options *options);
// All below return 0 or -errno; -ENOENT for a channel that is not open.
int channel_attach(pump *p, uint32_t id, int net_fd, struct offline on_loss);
int channel_detach(pump *p, uint32_t id, struct offline offline);
int channel_set_offline(pump *p, uint32_t id, struct offline offline);
int channel_stop(pump *p, uint32_t id, enum direction direction);
int channel_resume(pump *p, uint32_t id, enum direction direction);
// Drops the oldest `bytes` of what is parked; returns how many those were, or -errno.
int64_t channel_drop(pump *p, uint32_t id, enum direction direction, size_t bytes);
int channel_set_look_ahead(pump *p, uint32_t id, uint32_t bytes);
// Sets *done when the result is known at once; else returns the slot that channel_take_fences() will tell. -EAGAIN: all taken.
int channel_fence(pump *p, uint32_t id, uint32_t timeout_ms, bool *done, enum fence_result *result);
int channel_take_fences(pump *p, uint32_t id, struct fence_done done[PUMP_MAX_FENCES]);
int channel_tap(pump *p, uint32_t id, uint32_t bytes);
// Copies whole records into a buffer that the caller frees. A record: u32 length, u32 direction, double microseconds, bytes.
int channel_read_tap(pump *p, uint32_t id, uint8_t **records, size_t *bytes);
// Re-arms a PTY that nobody has open, and clears what its last opener left.
int channel_reset(pump *p, uint32_t id, enum reset_result *result);
// The buffers of `parked` are the caller's to free.
int channel_close(pump *p, uint32_t id, struct parked *parked);
// Of TTY_USBIP: watches the opens and closes of its device node, which so many have open already; NULL: no more. Without
// permission to read the node: -EACCES, and nothing is told.
int channel_watch(pump *p, uint32_t id, const char *path, uint32_t openers);

// Virtual USB adapters (usbip/). Their numbers in pump_take_events() begin at PUMP_MAX_CHANNELS, with bits of their own: bit n
// is port n, whose application may wait for its transmitter.
#define USBIP_MAX_ADAPTERS 64
#define USBIP_PORTS 15
#define USBIP_KEPT_BYTES (16384 + 65536 + 65536 + USBIP_PORTS * (size_t)16384)

enum usbip_event {
  USBIP_REQUESTS = 1 << 16,
  USBIP_LOST = 1 << 17,
};

enum usbip_kind { USBIP_CONTROL, USBIP_CLOSED };

// A control request, to be answered with its seqnum, or the word that a port was closed.
struct usbip_told {
  enum usbip_kind kind;
  uint32_t port;    // of USBIP_CLOSED
  uint32_t seqnum;
  bool in;
  uint32_t length;
  uint8_t setup[8];
};

// `keep_fd`, `adopt`: as of a channel. The adapter's number, or -errno.
int usbip_open(pump *p, int keep_fd, bool adopt);
// All below return 0 or -errno; -ENOENT for an adapter that is not open. The socket stays the caller's, who unplugs before
// it is closed. `adopt`: go on from what is kept, with the same socket.
int usbip_plug(pump *p, uint32_t id, int fd, uint32_t interfaces, uint32_t packet_bytes, bool adopt);
// After an adopting plug, when all channels are open again: until then what applications wrote waits for them.
int usbip_settle(pump *p, uint32_t id);
int usbip_unplug(pump *p, uint32_t id);
int usbip_close(pump *p, uint32_t id);
// Returns how many; call again while it returns `max`.
int usbip_take_requests(pump *p, uint32_t id, struct usbip_told *told, size_t max);
// A request that was taken back meanwhile needs no answer. `status` 0 or -errno.
int usbip_answer(pump *p, uint32_t id, uint32_t seqnum, int32_t status, const uint8_t *data, size_t length);
// FTDI's first status byte.
int usbip_set_modem(pump *p, uint32_t id, uint32_t port, uint8_t modem);
// Flags of the second for the next byte, dropped where none follows in time; break is told at once.
int usbip_set_errors(pump *p, uint32_t id, uint32_t port, uint8_t flags);
int usbip_set_break(pump *p, uint32_t id, uint32_t port);
// Nothing is left of the `taken` bytes that the channel took in all. 1: nothing was written since, a drain ends.
int usbip_transmitted(pump *p, uint32_t id, uint32_t port, double taken);
// 1: transfers of the application wait to be taken.
int usbip_output_waits(pump *p, uint32_t id, uint32_t port);
// On: what is written goes nowhere, until off or the next open; who closes waits for nobody.
int usbip_discard(pump *p, uint32_t id, uint32_t port, uint8_t on);
// 1: an application has it open.
int usbip_is_open(pump *p, uint32_t id, uint32_t port);
// Why the device was lost; a static text.
const char *usbip_lost(pump *p, uint32_t id);

#endif
