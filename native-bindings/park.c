// The two memories of a channel: bytes parked for a side that has no room, a ring in memory that outlives the process
// (keep.c), and the tap's copy of what passed. Both are bounded; neither touches a descriptor.
// A ring is whole after every store, so that a process killed between two of them leaves nothing half done: bytes first,
// then `tail`; what a write is given is `offered` before it and consumed after.
#include <string.h>

#include "channel.h"

// The compiler must not move the bytes behind the store that makes them count. The CPU may: it ends with the process.
static void bytes_first(void) {
  atomic_signal_fence(memory_order_seq_cst);
}

// The oldest bytes, as many as lie in one piece.
size_t park_first(const struct park *park, const uint8_t **bytes) {
  size_t at = park->ring->head % PUMP_PARK_BYTES;
  size_t piece = PUMP_PARK_BYTES - at;
  size_t length = park_length(park);
  *bytes = park->data + at;
  return length < piece ? length : piece;
}

// All of it, in one or two pieces; returns how many.
size_t park_pieces(const struct park *park, struct iovec pieces[2]) {
  const uint8_t *bytes;
  size_t first = park_first(park, &bytes);
  pieces[0] = (struct iovec){.iov_base = (void *)bytes, .iov_len = first};
  pieces[1] = (struct iovec){.iov_base = park->data, .iov_len = park_length(park) - first};
  return pieces[1].iov_len > 0 ? 2 : 1;
}

bool park_append(struct park *park, const uint8_t *bytes, size_t length) {
  if (park_length(park) + length > PUMP_PARK_BYTES) return false;
  size_t at = park->ring->tail % PUMP_PARK_BYTES;
  size_t piece = length < PUMP_PARK_BYTES - at ? length : PUMP_PARK_BYTES - at;
  memcpy(park->data + at, bytes, piece);
  memcpy(park->data, bytes + piece, length - piece);
  bytes_first();
  park->ring->tail += length;
  return true;
}

// Keeps at most `limit` bytes, the newest; returns how many older ones were dropped.
size_t park_append_over(struct park *park, const uint8_t *bytes, size_t length, size_t limit) {
  if (limit > PUMP_PARK_BYTES) limit = PUMP_PARK_BYTES;
  size_t dropped = 0;
  if (length > limit) {
    dropped = length - limit;
    bytes += dropped;
    length = limit;
  }
  if (park_length(park) + length > limit) {
    size_t excess = park_length(park) + length - limit;
    park_consume(park, excess);
    dropped += excess;
  }
  park_append(park, bytes, length);
  return dropped;
}

// A write is about to be given the oldest `bytes`: from now on nobody can tell whether they arrived, until consume.
void park_offer(struct park *park, size_t bytes) {
  park->ring->offered = park->ring->head + bytes;
}

void park_consume(struct park *park, size_t bytes) {
  park->ring->head += bytes;
  bytes_first();
  park->ring->offered = 0;
}

size_t park_copy(const struct park *park, uint8_t *into) {
  const uint8_t *bytes;
  size_t first = park_first(park, &bytes);
  memcpy(into, bytes, first);
  memcpy(into + first, park->data, park_length(park) - first);
  return park_length(park);
}
void tap_record(struct channel *c, enum direction direction, const uint8_t *bytes, size_t length) {
  struct tap *tap = &c->tap;
  if (tap->data == NULL || length == 0) return;
  uint32_t head[2] = {(uint32_t)length, (uint32_t)direction};
  double at_us = (double)(monotonic_ns() / 1000);
  size_t whole = sizeof head + sizeof at_us + length;
  if (tap->length + whole > tap->capacity) {
    channel_count(c, TAP_DROPPED, (double)length);
    return;
  }
  uint8_t *to = tap->data + tap->length;
  memcpy(to, head, sizeof head);
  memcpy(to + sizeof head, &at_us, sizeof at_us);
  memcpy(to + sizeof head + sizeof at_us, bytes, length);
  tap->length += whole;
  channel_raise(c, EVENT_TAP);
}
