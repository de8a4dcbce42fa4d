// What the files of the pump share: the pump's and the channel's state. All of it is guarded by the pump's lock.
#ifndef TTYNP_CHANNEL_H
#define TTYNP_CHANNEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "errno.h"
#include "pump.h"
#include "termios2.h"

#define NS_PER_MS 1000000ull
#define NEVER UINT64_MAX
#define RETRY_MIN_MS 1
#define RETRY_MAX_MS 20
#define TERMIOS_POLL_MS 30
// Where nothing has changed for a while, and no byte is written (before which it is looked at anyway).
#define TERMIOS_IDLE_POLL_MS 120
#define SCRATCH_BYTES 65536

// Totals since the park was made: tail - head bytes wait. `offered`: a write was given the bytes up to there.
struct ring {
  uint64_t head;
  uint64_t tail;
  uint64_t offered;
};

// Bytes that wait in the pump.
struct park {
  uint8_t *data;
  struct ring *ring;
};

// What of a channel outlives the process (keep.c). Only what another process needs to go on, and no pointer.
struct kept {
  uint64_t magic;
  uint64_t id;
  struct ring rings[2];
  size_t held;          // the last `held` parked down bytes must wait for resume
  uint32_t events;      // raised and not taken yet
  bool open;            // an application has the tty open, as far as was told
  bool cleared;         // closed, and nothing of the last opener is left
  bool output_stopped;  // tcflow(TCOOFF)
  struct termios2 termios;
};

// The bytes between a read and the write that follows, of the one channel that the thread works on. They lie in scratch.
struct hand {
  uint64_t magic;
  uint64_t id;         // of the channel, 0: nothing
  uint64_t length;     // taken from one side
  uint64_t done;       // of them given to the other side
  uint64_t offered;    // more of them that a write has been given, and has not told of
  uint64_t held;
  uint64_t parked_at;  // the ring's tail once the rest is parked; 0: it is not being parked
  uint32_t direction;
  bool reading;        // a read was begun and has not told what it took
};

struct fence {
  enum { FENCE_FREE, FENCE_WAITING, FENCE_DONE } state;
  enum fence_result result;
  uint64_t target;  // bytes sent, as counted by channel.sent, that the peer must have taken
  uint64_t began;
  uint64_t deadline;
};

struct tap {
  uint8_t *data;
  size_t capacity;
  size_t length;
};

// A delay that grows while nothing moves.
struct retry {
  uint64_t at;  // NEVER: not armed
  uint32_t delay_ms;
};

// What inotify told since the last look.
struct saw {
  bool look;
  bool opened;
  bool closed;
  bool shared;    // an open came before any close
  bool reopened;  // an open came after a close, and none before
};

struct adapter;

struct channel {
  pump *pump;
  uint32_t id;
  uint32_t generation;
  enum tty_kind kind;
  double *counters;

  struct adapter *adapter;  // of TTY_USBIP; NULL once it is closed
  uint32_t adapter_port;

  int tty_fd;
  uint32_t tty_interest;  // epoll events, 0: not in the set
  int watch;              // inotify, -1: none
  uint32_t openers;       // of TTY_USBIP: descriptors, as far as its watch told
  struct saw saw;
  char *slave_path;
  bool hung_up;         // the last one has closed it, but not all it wrote has been read
  bool shared;          // a second open was seen while it was open
  uint64_t closed_at;   // a close was told while it stayed open; 0: none since it became so
  bool open_untold;     // poll said that it is open before inotify did
  bool tty_failed;
  bool tty_out_idle;  // EPOLLOUT came without room: rely on the timer

  int net_fd;  // -1: none
  uint32_t net_interest;
  bool net_ending;  // hang-up or error was seen: read what is left, outside of the epoll set
  int net_error;    // a send failed with it
  struct offline offline;
  struct offline on_loss;
  uint32_t look_ahead;
  uint64_t sent;           // bytes given to network sockets
  uint64_t unacknowledged;  // upper bound of SIOCOUTQ
  bool keeps_up;            // of unknown pace: the peer was seen to take the look-ahead at once
  uint64_t full_since;      // nothing more could be taken ahead; 0: it can

  bool stopped[2];
  struct park parked[2];
  struct kept *kept;
  bool adopted;  // its next socket has been given bytes by an earlier process

  struct retry up_retry;
  struct retry look_ahead_retry;
  struct retry fence_retry;
  uint64_t termios_poll_at;
  uint32_t termios_wait_ms;
  struct fence fences[PUMP_MAX_FENCES];
  struct tap tap;

  bool dirty;
};

struct pump {
  _Atomic int waiting;   // for `lock`, the one who has it not counted
  pthread_mutex_t next;  // taken before `lock`, so that the thread cannot starve callers
  pthread_mutex_t lock;
  pthread_t thread;
  int epoll_fd;
  int wake_fd;
  int inotify_fd;
  bool stopping;
  bool frozen;  // the thread has ended
  _Atomic uint64_t asked_ns;  // since when nobody turned who was asked to; 0: no such

  void (*notify)(void *context);
  void *context;
  bool notified;
  bool has_events;

  struct channel *channels[PUMP_MAX_CHANNELS];
  uint32_t used;  // channels[used ...] are all NULL
  struct adapter *adapters[USBIP_MAX_ADAPTERS];
  bool has_answers;  // adapters have answers to send
  uint32_t generation;
  bool has_dirty;
  uint64_t next_timer;  // no timer is due before it
  uint64_t now;

  struct hand *hand;
  uint8_t *scratch;  // of the hand
  struct hand was;   // what an earlier process had in hand
  uint8_t was_bytes[SCRATCH_BYTES];
};

// What epoll said about a channel, beside EPOLL* of one side.
enum ready {
  TTY_READY_IN = 1 << 0,
  TTY_READY_OUT = 1 << 1,
  TTY_READY_PRI = 1 << 2,
  TTY_READY_HUP = 1 << 3,
  NET_READY_IN = 1 << 4,
  NET_READY_OUT = 1 << 5,
  NET_READY_END = 1 << 6,
};

// pump.c
uint64_t monotonic_ns(void);
void pump_lock(pump *p);
void pump_unlock(pump *p);
void pump_mark_dirty(struct channel *c);
void pump_wake(pump *p);
int pump_watch_adapter(struct adapter *a, uint32_t wanted);
int pump_set_interest(struct channel *c, bool net, uint32_t *current, uint32_t wanted);
void pump_read_inotify(pump *p, struct channel *ignored);
void pump_count_live(int channels, int fences);

// channel.c
void channel_work(struct channel *c, uint32_t ready);
void channel_raise(struct channel *c, uint32_t events);
// Read by other threads at any time, written by one that holds the lock.
static inline void channel_set_gauge(struct channel *c, enum channel_counter counter, double value) {
  __atomic_store(&c->counters[counter], &value, __ATOMIC_RELAXED);
}

static inline void channel_count(struct channel *c, enum channel_counter counter, double amount) {
  double value;
  __atomic_load(&c->counters[counter], &value, __ATOMIC_RELAXED);
  channel_set_gauge(c, counter, value + amount);
}
size_t channel_drop_down(struct channel *c, size_t bytes, enum channel_counter cause);
size_t channel_drop_up(struct channel *c, size_t bytes, enum channel_counter cause);
void channel_lose_net(struct channel *c, int error);
void channel_unjoin(struct channel *c, struct offline offline);
void channel_move_down(struct channel *c);
uint64_t channel_output_queue(const struct channel *c);
void channel_resume_count(struct channel *c);

bool channel_takes_down(const struct channel *c);

// channel_up.c
void channel_write_parked(struct channel *c, bool told_writable);
bool channel_takes_up(const struct channel *c);
void channel_move_up(struct channel *c);

// timers.c
void retry_arm(struct channel *c, struct retry *retry, bool progress);
void retry_disarm(struct retry *retry);
bool retry_due(const struct retry *retry, uint64_t now);
void channel_arm(struct channel *c, uint64_t at);
uint64_t channel_next_timer(const struct channel *c);
void channel_check_fences(struct channel *c);
void channel_finish_fences(struct channel *c, enum fence_result result);
void channel_advance_fences(struct channel *c, size_t dropped);

// channel_tty.c
enum tty_read { TTY_DATA, TTY_STATUS, TTY_EMPTY, TTY_CLOSED, TTY_FAILED };
enum tty_read tty_read(struct channel *c, uint8_t *into, size_t room, size_t *got);
bool tty_poll_termios(struct channel *c);
void tty_termios_due(struct channel *c);
void tty_look(struct channel *c, bool saw_open, bool reopened);
void tty_became_closed(struct channel *c);
void tty_check_dry(struct channel *c);
enum reset_result tty_reset(struct channel *c);

// park.c
static inline size_t park_length(const struct park *park) {
  return (size_t)(park->ring->tail - park->ring->head);
}
size_t park_first(const struct park *park, const uint8_t **bytes);
bool park_append(struct park *park, const uint8_t *bytes, size_t length);
size_t park_append_over(struct park *park, const uint8_t *bytes, size_t length, size_t limit);
size_t park_pieces(const struct park *park, struct iovec pieces[2]);
void park_offer(struct park *park, size_t bytes);
void park_consume(struct park *park, size_t bytes);
size_t park_copy(const struct park *park, uint8_t *into);
void tap_record(struct channel *c, enum direction direction, const uint8_t *bytes, size_t length);


// keep.c
int kept_map(struct channel *c, int fd, bool adopt);
void kept_unmap(struct channel *c);
void kept_recover(struct channel *c);
struct hand *hand_map(int fd);
void hand_unmap(struct hand *hand);
uint8_t *hand_scratch(struct hand *hand);
void hand_begin(struct hand *hand, struct hand *was, uint8_t *bytes);
void hand_take(struct channel *c, enum direction direction);
void hand_release(struct channel *c);
bool hand_park_rest(struct channel *c, enum direction direction, const uint8_t *bytes, size_t length);

#endif
