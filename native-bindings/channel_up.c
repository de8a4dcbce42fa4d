// One channel's bytes from the network to the tty. What the tty has no room for is parked, and then nothing more is taken.
// Never blocks, and moves a bounded amount per call.
#include "channel.h"
#include "usbip/usbip.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UP_CHUNK 16384
#define UP_ROUNDS 4

// Returns how many bytes the tty took.
static size_t write_up(struct channel *c, const uint8_t *bytes, size_t length) {
  if (c->kind == TTY_USBIP) {
    size_t taken = usb_deliver(c, bytes, length);
    channel_count(c, UP_DELIVERED, (double)taken);
    return taken;
  }
  size_t done = 0;
  int error = 0;
  while (done < length) {
    ssize_t n = RETRY(write(c->tty_fd, bytes + done, length - done));
    if (n == -1) error = errno;
    if (n <= 0) break;
    done += (size_t)n;
    // It is full: what it would take at once is a little, and the reader would be woken for that.
    if (done < length) break;
  }
  if (error != 0 && error != EAGAIN && !c->tty_failed) {
    c->tty_failed = true;
    channel_raise(c, EVENT_TTY_ERROR);
  }
  channel_count(c, UP_DELIVERED, (double)done);
  return done;
}

void channel_write_parked(struct channel *c, bool told_writable) {
  struct park *park = &c->parked[UP];
  if (park_length(park) == 0) return;
  size_t done = 0;
  while (park_length(park) > 0) {
    const uint8_t *bytes;
    size_t piece = park_first(park, &bytes);
    park_offer(park, piece);
    size_t written = write_up(c, bytes, piece);
    park_consume(park, written);
    done += written;
    if (written < piece) break;
  }
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
  size_t done = first ? write_up(c, bytes, length) : 0;
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
  uint8_t *scratch = c->pump->scratch;
  struct hand *hand = c->pump->hand;
  for (int round = 0; channel_takes_up(c); round++) {
    if (round >= UP_ROUNDS) {
      if (c->net_ending) pump_mark_dirty(c);  // the rest has no event of its own
      return;
    }
    size_t asked = UP_CHUNK;
    if (c->net_ending && asked > PUMP_PARK_BYTES - park_length(&c->parked[UP])) asked = PUMP_PARK_BYTES - park_length(&c->parked[UP]);
    hand_take(c, UP);
    hand->reading = true;
    ssize_t n = RETRY(recv(c->net_fd, scratch, asked, MSG_DONTWAIT));
    if (n > 0) hand->length = (uint64_t)n;
    hand->reading = false;
    if (n > 0) deliver_up(c, scratch, (size_t)n);
    hand_release(c);
    if (n > 0) {
      if ((size_t)n < asked && !c->net_ending) return;
      continue;
    }
    if (n == 0) {
      channel_lose_net(c, 0);
    } else if (errno != EAGAIN) {
      channel_lose_net(c, errno);
    } else if (c->net_error != 0) {
      channel_lose_net(c, c->net_error);
    } else {
      c->net_ending = false;  // it was no end: back to waiting
    }
    return;
  }
}
