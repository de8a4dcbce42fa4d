// One channel's bytes from the network to the tty. What the tty has no room for is parked, and then nothing more is taken.
// Never blocks, and moves a bounded amount per call.
#include "channel.h"
#include "usbip/usbip.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static size_t deliver_usb(struct channel *c, const struct iovec *pieces, size_t count) {
  size_t done = 0;
  for (size_t i = 0; i < count; i++) {
    size_t taken = usb_deliver(c, pieces[i].iov_base, pieces[i].iov_len);
    done += taken;
    if (taken < pieces[i].iov_len) break;
  }
  return done;
}

// Returns how many bytes the tty took. In one call: when it is full, what it would take at once is a little, and the reader
// would be woken for that.
static size_t write_up(struct channel *c, const struct iovec *pieces, size_t count) {
  size_t done = 0;
  if (c->kind == TTY_USBIP) {
    done = deliver_usb(c, pieces, count);
  } else {
    ssize_t n = RETRY(count == 1 ? write(c->tty_fd, pieces->iov_base, pieces->iov_len) : writev(c->tty_fd, pieces, (int)count));
    if (n > 0) done = (size_t)n;
    if (n == -1 && errno != EAGAIN && !c->tty_failed) {
      c->tty_failed = true;
      channel_raise(c, EVENT_TTY_ERROR);
    }
  }
  channel_count(c, UP_DELIVERED, (double)done);
  return done;
}

void channel_write_parked(struct channel *c, bool told_writable) {
  struct park *park = &c->parked[UP];
  if (park_length(park) == 0) return;
  struct iovec pieces[2];
  size_t count = park_pieces(park, pieces);
  park_offer(park, park_length(park));
  size_t done = write_up(c, pieces, count);
  park_consume(park, done);
  if (c->tty_failed) channel_drop_up(c, SIZE_MAX, UP_DROPPED);
  if (done > 0) c->tty_out_idle = false;
  if (done == 0 && told_writable) c->tty_out_idle = true;
  if (park_length(park) > 0 && c->kind != TTY_USBIP) {
    // EPOLLOUT of a PTY master comes only when the slave is dry: look again before.
    retry_arm(c, &c->up_retry, done > 0);
  } else {
    retry_disarm(&c->up_retry);
  }
}

static bool delivers_up(const struct channel *c) {
  return c->kept->open || c->kind == TTY_PLAIN;
}

bool channel_takes_up(const struct channel *c) {
  if (c->net_fd < 0 || c->stopped[UP]) return false;
  if (!delivers_up(c) || c->tty_failed) return true;
  if (c->net_ending) return park_length(&c->parked[UP]) < PUMP_PARK_BYTES;
  return park_length(&c->parked[UP]) == 0;
}

static void deliver_up(struct channel *c, const uint8_t *bytes, size_t length) {
  channel_count(c, UP_TAKEN, (double)length);
  channel_set_gauge(c, LAST_UP_MS, (double)(c->pump->now / NS_PER_MS));
  tap_record(c, UP, bytes, length);
  if (!delivers_up(c) || c->tty_failed) {
    channel_count(c, c->tty_failed ? UP_DROPPED : UP_UNREAD, (double)length);
    return;
  }
  bool first = park_length(&c->parked[UP]) == 0;
  struct hand *hand = c->pump->hand;
  if (first) hand->offered = length;
  struct iovec whole = {.iov_base = (void *)bytes, .iov_len = length};
  size_t done = first ? write_up(c, &whole, 1) : 0;
  hand->done = done;
  hand->offered = 0;
  if (done == length) return;
  if (c->tty_failed || !hand_park_rest(c, UP, bytes + done, length - done)) {
    channel_count(c, UP_DROPPED, (double)(length - done));
    return;
  }
  if (!first) return;
  channel_count(c, UP_STALLS, 1);
  if (c->kind != TTY_USBIP) retry_arm(c, &c->up_retry, true);
}

void channel_move_up(struct channel *c) {
  if (!channel_takes_up(c)) return;
  uint8_t *scratch = c->pump->scratch;
  struct hand *hand = c->pump->hand;
  size_t asked = SCRATCH_BYTES;
  if (c->net_ending && asked > PUMP_PARK_BYTES - park_length(&c->parked[UP])) asked = PUMP_PARK_BYTES - park_length(&c->parked[UP]);
  hand_take(c, UP);
  hand->reading = true;
  ssize_t n = RETRY(recv(c->net_fd, scratch, asked, MSG_DONTWAIT));
  if (n > 0) hand->length = (uint64_t)n;
  hand->reading = false;
  if (n > 0) deliver_up(c, scratch, (size_t)n);
  hand_release(c);
  if (n > 0) {
    if (c->net_ending && channel_takes_up(c)) pump_mark_dirty(c);  // the rest has no event of its own
  } else if (n == 0) {
    channel_lose_net(c, 0);
  } else if (errno != EAGAIN) {
    channel_lose_net(c, errno);
  } else if (c->net_error != 0) {
    channel_lose_net(c, c->net_error);
  } else {
    c->net_ending = false;  // it was no end: back to waiting
  }
}
