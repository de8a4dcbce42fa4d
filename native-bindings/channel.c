// One channel's byte moving, down: tty -> network (up is channel_up.c), and its turns. What one side has no room for is parked,
// and while something is parked nothing more is taken from the other side. Never blocks, and moves a bounded amount per call.
#include "channel.h"
#include "usbip/usbip.h"

#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PTY_READ_BYTES 4095  // the most that one read of a PTY master gives
#define WORTHWHILE_ROOM 512  // do not read an application's output in smaller pieces than this
// Of a peer whose pace nobody knows: what is taken ahead of it until it was seen to take that at once.
#define UNKNOWN_PACE_BYTES 65536
#define AT_ONCE_NS (5 * NS_PER_MS)
#define NOT_AT_ONCE_NS (20 * NS_PER_MS)

void channel_raise(struct channel *c, uint32_t events) {
  c->kept->events |= events;
  c->pump->has_events = true;
}

// Bytes that the socket has and the peer's TCP does not.
uint64_t channel_output_queue(const struct channel *c) {
  int queued = 0;
  if (c->net_fd < 0 || RETRY(ioctl(c->net_fd, SIOCOUTQ, &queued)) == -1 || queued < 0) return 0;
  return (uint64_t)queued < c->sent ? (uint64_t)queued : c->sent;
}

// What an earlier process gave to this socket, and the peer has not taken, counts as sent: fences wait for it.
void channel_resume_count(struct channel *c) {
  int queued = 0;
  c->adopted = false;
  if (RETRY(ioctl(c->net_fd, SIOCOUTQ, &queued)) == 0 && queued > 0) c->sent += (uint64_t)queued;
}

// Drops the oldest `bytes` of what is parked.
size_t channel_drop_down(struct channel *c, size_t bytes, enum channel_counter cause) {
  struct park *park = &c->parked[DOWN];
  size_t dropped = bytes < park_length(park) ? bytes : park_length(park);
  park_consume(park, dropped);
  if (c->kept->held > park_length(park)) c->kept->held = park_length(park);
  channel_count(c, cause, (double)dropped);
  channel_set_gauge(c, DOWN_PARKED, (double)park_length(park));
  channel_advance_fences(c, dropped);
  return dropped;
}

size_t channel_drop_up(struct channel *c, size_t bytes, enum channel_counter cause) {
  struct park *park = &c->parked[UP];
  size_t dropped = bytes < park_length(park) ? bytes : park_length(park);
  park_consume(park, dropped);
  if (park_length(park) == 0) {
    retry_disarm(&c->up_retry);
    c->tty_out_idle = false;
  }
  channel_count(c, cause, (double)dropped);
  channel_set_gauge(c, UP_PARKED, (double)park_length(park));
  return dropped;
}

void channel_unjoin(struct channel *c, struct offline offline) {
  c->offline = offline;
  if (c->net_fd >= 0) {
    channel_count(c, DOWN_LOST, (double)channel_output_queue(c));
    pump_set_interest(c, true, &c->net_interest, 0);
    c->net_fd = -1;
    channel_set_gauge(c, ATTACHED, 0);
    c->net_ending = false;
    c->net_error = 0;
    c->unacknowledged = 0;
    c->keeps_up = false;
    c->full_since = 0;
    retry_disarm(&c->look_ahead_retry);
    channel_finish_fences(c, FENCE_DETACHED);
  }
  if (offline.mode == OFFLINE_DISCARD) channel_drop_down(c, SIZE_MAX, DOWN_DISCARDED);
}

void channel_lose_net(struct channel *c, int error) {
  if (c->net_error != 0) error = c->net_error;
  channel_set_gauge(c, NET_ERRNO, error);
  channel_unjoin(c, c->on_loss);
  channel_raise(c, error != 0 ? EVENT_NET_ERROR : EVENT_NET_END);
}

// Returns how many bytes the socket took; a failed socket takes none, and is detached.
static size_t send_down(struct channel *c, const uint8_t *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t n = RETRY(send(c->net_fd, bytes + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (n < 0) break;
    done += (size_t)n;
  }
  int error = done < length ? errno : 0;
  c->sent += done;
  c->unacknowledged += done;
  channel_count(c, DOWN_SENT, (double)done);
  if (error != 0 && error != EAGAIN && error != ENOBUFS) {
    c->net_ending = true;  // what was received before is still there to be read
    c->net_error = error;
  }
  return done;
}

// How much may be taken ahead of the peer now. SIOCOUTQ is asked only when the upper bound that we keep is used up, and not
// while a peer of unknown pace keeps up: the socket's own buffer is the bound then, and tells by an event when it has room,
// where the look-ahead has to be looked at by a timer.
static size_t send_room(struct channel *c) {
  if (c->keeps_up) return SCRATCH_BYTES;
  uint64_t before = c->unacknowledged;
  uint64_t most = c->look_ahead != LOOK_AHEAD_UNKNOWN ? c->look_ahead : UNKNOWN_PACE_BYTES;
  uint64_t worthwhile = most < WORTHWHILE_ROOM ? most : WORTHWHILE_ROOM;
  // At half of it, so that the pieces of a stream are as large as they can be.
  if (c->unacknowledged > most / 2 || c->unacknowledged + worthwhile > most) c->unacknowledged = channel_output_queue(c);
  if (c->unacknowledged + worthwhile > most) {
    if (c->full_since == 0) c->full_since = c->pump->now;
    retry_arm(c, &c->look_ahead_retry, c->unacknowledged < before);
    return 0;
  }
  if (c->full_since != 0 && c->look_ahead == LOOK_AHEAD_UNKNOWN && c->unacknowledged <= most / 2) {
    c->keeps_up = c->pump->now - c->full_since < AT_ONCE_NS;
  }
  c->full_since = 0;
  retry_disarm(&c->look_ahead_retry);
  uint64_t room = most - c->unacknowledged;
  return room < SCRATCH_BYTES ? (size_t)room : SCRATCH_BYTES;
}

// The socket of a peer that keeps up is full, or what was left for it is sent.
static void judge_pace(struct channel *c, bool full) {
  if (!c->keeps_up) return;
  uint64_t now = c->pump->now;
  if (full && c->full_since == 0) c->full_since = now;
  if (c->full_since != 0 && now - c->full_since > NOT_AT_ONCE_NS) c->keeps_up = false;
  if (!full) c->full_since = 0;
}

static void send_parked(struct channel *c) {
  struct park *park = &c->parked[DOWN];
  if (c->net_fd < 0 || park_length(park) <= c->kept->held) return;
  size_t sendable = park_length(park) - c->kept->held;
  size_t room = send_room(c);
  size_t asked = sendable < room ? sendable : room;
  size_t done = 0;
  while (done < asked) {
    const uint8_t *bytes;
    size_t piece = park_first(park, &bytes);
    if (piece > asked - done) piece = asked - done;
    park_offer(park, piece);
    size_t sent = send_down(c, bytes, piece);
    park_consume(park, sent);
    done += sent;
    if (sent < piece) break;
  }
  judge_pace(c, done < asked);
  // What the socket has room for, but may not have yet, has no event of its own.
  if (done == asked && asked < sendable && asked > 0) retry_arm(c, &c->look_ahead_retry, true);
}

// How much may be read. The rest of what a writer who is gone has left is little and goes into the park: only when all
// of it is read is the end seen, and can be waited for or given up.
static size_t read_room(struct channel *c) {
  if (c->hung_up || (c->net_fd < 0 && c->offline.mode == OFFLINE_BLOCK)) return PUMP_PARK_BYTES - park_length(&c->parked[DOWN]);
  return c->net_fd < 0 ? SCRATCH_BYTES : send_room(c);
}

bool channel_takes_down(const struct channel *c) {
  if (c->stopped[DOWN] || c->tty_failed) return false;
  if (c->kind == TTY_PTY && !c->kept->open) return false;
  // A writer that is gone cannot be blocked.
  if (c->hung_up && park_length(&c->parked[DOWN]) < PUMP_PARK_BYTES) return true;
  if (c->net_fd >= 0) return park_length(&c->parked[DOWN]) == 0 && !c->net_ending;
  return c->offline.mode != OFFLINE_BLOCK;
}

// Bytes were taken from the tty; the last `held` of them may belong to settings that the device does not have yet.
static void deliver_down(struct channel *c, const uint8_t *bytes, size_t length, size_t held) {
  if (length == 0) return;
  channel_count(c, DOWN_TAKEN, (double)length);
  channel_set_gauge(c, LAST_DOWN_MS, (double)(c->pump->now / NS_PER_MS));
  tap_record(c, DOWN, bytes, length);
  if (c->net_fd < 0 && c->offline.mode == OFFLINE_DISCARD) {
    channel_count(c, DOWN_DISCARDED, (double)length);
    return;
  }
  if (c->net_fd < 0) {
    size_t limit = c->offline.mode == OFFLINE_HOLD ? c->offline.bytes : PUMP_PARK_BYTES;
    c->pump->hand->parked_at = c->parked[DOWN].ring->tail + (length < limit ? length : limit);
    size_t dropped = park_append_over(&c->parked[DOWN], bytes, length, limit);
    channel_count(c, DOWN_OVERFLOWED, (double)dropped);
    c->kept->held += held;
    if (c->kept->held > park_length(&c->parked[DOWN])) c->kept->held = park_length(&c->parked[DOWN]);
    return;
  }
  size_t sendable = park_length(&c->parked[DOWN]) == 0 && !c->net_ending ? length - held : 0;
  if (c->hung_up && sendable > 0) {
    size_t room = send_room(c);
    if (sendable > room) sendable = room;
  }
  struct hand *hand = c->pump->hand;
  hand->held = held;
  hand->offered = sendable;
  size_t done = sendable > 0 ? send_down(c, bytes, sendable) : 0;
  hand->done = done;
  hand->offered = 0;
  if (done == length) return;
  judge_pace(c, done < sendable);
  if (!hand_park_rest(c, DOWN, bytes + done, length - done)) {
    channel_count(c, DOWN_DROPPED, (double)(length - done));
    return;
  }
  c->kept->held += held;
  if (length - done > held) channel_count(c, DOWN_STALLS, 1);
}

static bool must_poll_termios(const struct channel *c) {
  return c->kind == TTY_PTY && (c->kept->termios.c_lflag & EXTPROC) == 0;
}

// Reads until a short read, or until all is read when the application has gone.
static enum tty_read gather(struct channel *c, size_t room, size_t *gathered, size_t *held) {
  uint8_t *scratch = c->pump->scratch;
  struct hand *hand = c->pump->hand;
  // No read for the little that is left: what is not read now comes with more.
  while (*gathered == 0 || room - *gathered >= PTY_READ_BYTES) {
    if (must_poll_termios(c) && tty_poll_termios(c)) return TTY_STATUS;
    size_t asked = room - *gathered;
    size_t got = 0;
    hand->reading = true;
    enum tty_read outcome = tty_read(c, scratch + *gathered, asked, &got);
    if (outcome == TTY_DATA) hand->length = *gathered + got;
    hand->reading = false;
    if (outcome == TTY_STATUS) {
      if (got & TIOCPKT_FLUSHWRITE) {
        channel_count(c, DOWN_TAKEN, (double)*gathered);
        channel_count(c, DOWN_DROPPED, (double)*gathered);
        *gathered = 0;
        hand->length = 0;
      }
      if (c->stopped[DOWN]) return outcome;
      continue;
    }
    if (outcome != TTY_DATA) return outcome;
    *gathered += got;
    if (must_poll_termios(c) && tty_poll_termios(c)) {
      *held = got;
      return TTY_STATUS;
    }
    bool brief = got < (asked < PTY_READ_BYTES ? asked : PTY_READ_BYTES);
    if (brief && !c->hung_up) return TTY_EMPTY;
  }
  return TTY_DATA;
}

void channel_move_down(struct channel *c) {
  if (!channel_takes_down(c)) return;
  size_t room = read_room(c);
  if (room == 0) return;
  size_t gathered = 0;
  size_t held = 0;
  hand_take(c, DOWN);
  enum tty_read outcome = gather(c, room, &gathered, &held);
  deliver_down(c, c->pump->scratch, gathered, held);
  hand_release(c);
  if (outcome == TTY_CLOSED) tty_became_closed(c);
  if (outcome == TTY_FAILED) {
    c->tty_failed = true;
    channel_raise(c, EVENT_TTY_ERROR);
  }
  if (outcome == TTY_DATA && c->hung_up) pump_mark_dirty(c);  // the rest has no event of its own
}

// An end that cannot be reached by reading: `up` is stopped, or what was received fits nowhere on a dead socket.
static void end_net(struct channel *c) {
  if (c->net_fd < 0 || !c->net_ending || channel_takes_up(c)) return;
  if (!c->stopped[UP] && c->net_error == 0) return;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->net_fd, SOL_SOCKET, SO_ERROR, &error, &size);
  channel_lose_net(c, error);
}

static void update_interest(struct channel *c) {
  uint32_t tty = 0;
  bool present = c->kind != TTY_PTY || (c->kept->open && !c->hung_up);
  if (present && !c->tty_failed && c->kind != TTY_USBIP) {
    if (c->kind == TTY_PTY) tty |= EPOLLPRI;
    if (channel_takes_down(c) && c->look_ahead_retry.at == NEVER) tty |= EPOLLIN;
    if (park_length(&c->parked[UP]) > 0 && !c->tty_out_idle) tty |= EPOLLOUT;
  }
  pump_set_interest(c, false, &c->tty_interest, tty);
  // An adapter's port has no descriptor of its own: what it has is taken while it may be.
  if (c->kind == TTY_USBIP && channel_takes_down(c) && c->look_ahead_retry.at == NEVER && usb_has_out(c)) pump_mark_dirty(c);

  uint32_t net = 0;
  if (c->net_fd >= 0 && !c->net_ending) {
    net |= channel_takes_up(c) ? EPOLLIN : EPOLLRDHUP;
    if (park_length(&c->parked[DOWN]) > c->kept->held && c->look_ahead_retry.at == NEVER) net |= EPOLLOUT;
  }
  pump_set_interest(c, true, &c->net_interest, net);
}

static void read_status(struct channel *c) {
  struct pollfd pending = {.fd = c->tty_fd, .events = POLLPRI};
  size_t got = 0;
  uint8_t byte;
  if (poll(&pending, 1, 0) == 1 && (pending.revents & POLLPRI)) tty_read(c, &byte, 0, &got);
}

void channel_work(struct channel *c, uint32_t ready) {
  if (c->kind == TTY_CONNECT) {
    if (ready == 0) return;
    pump_set_interest(c, false, &c->tty_interest, 0);
    channel_raise(c, EVENT_READY);
    return;
  }
  uint64_t now = c->pump->now;
  if (c->kind == TTY_PTY && (ready & TTY_READY_HUP)) c->hung_up = c->kept->open;
  if (ready & NET_READY_END) c->net_ending = true;
  if (c->termios_poll_at <= now) tty_termios_due(c);

  send_parked(c);
  if (ready & TTY_READY_PRI && !channel_takes_down(c)) read_status(c);
  if (retry_due(&c->look_ahead_retry, now)) {
    if (channel_takes_down(c)) send_room(c);
    else retry_disarm(&c->look_ahead_retry);
  }
  bool readable = (ready & (TTY_READY_IN | TTY_READY_PRI | TTY_READY_HUP)) || (c->kind == TTY_USBIP && usb_has_out(c));
  if (readable || c->hung_up) channel_move_down(c);
  if (c->hung_up && !channel_takes_down(c)) tty_check_dry(c);

  bool told_writable = ready & TTY_READY_OUT;
  bool parked = park_length(&c->parked[UP]) > 0;
  if (parked && c->kind == TTY_PTY) {
    // It is older than a flush that nobody has read of yet, and must not follow it into the PTY.
    read_status(c);
    parked = park_length(&c->parked[UP]) > 0;
  }
  if (told_writable || retry_due(&c->up_retry, now) || c->up_retry.at == NEVER) channel_write_parked(c, told_writable);
  // The socket is not in the set while anything is parked: more is likely to be there than not.
  bool emptied = parked && park_length(&c->parked[UP]) == 0;
  if (emptied || (ready & NET_READY_IN) || (c->net_ending && !c->stopped[UP])) channel_move_up(c);
  end_net(c);

  channel_check_fences(c);
  channel_set_gauge(c, DOWN_PARKED, (double)park_length(&c->parked[DOWN]));
  channel_set_gauge(c, UP_PARKED, (double)park_length(&c->parked[UP]));
  update_interest(c);
}
