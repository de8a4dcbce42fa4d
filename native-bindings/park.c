// The two memories of a channel: bytes parked for a side that has no room, and the tap's copy of what passed.
// Both are bounded by their caller; neither touches a descriptor.
#include <stdlib.h>
#include <string.h>

#include "channel.h"

static bool make_room(struct park *park, size_t length, size_t limit) {
  size_t capacity = limit > PUMP_PARK_BYTES ? limit : PUMP_PARK_BYTES;
  if (park->capacity < capacity) {
    uint8_t *grown = realloc(park->data, capacity);
    if (grown == NULL) return park->start + park->length + length <= park->capacity;
    park->data = grown;
    park->capacity = capacity;
  }
  if (park->start + park->length + length > park->capacity) {
    memmove(park->data, park->data + park->start, park->length);
    park->start = 0;
  }
  return park->length + length <= park->capacity;
}

bool park_append(struct park *park, const uint8_t *bytes, size_t length, size_t limit) {
  if (!make_room(park, length, limit)) return false;
  memcpy(park->data + park->start + park->length, bytes, length);
  park->length += length;
  return true;
}

// Keeps at most `limit` bytes, the newest; returns how many older ones were dropped.
size_t park_append_over(struct park *park, const uint8_t *bytes, size_t length, size_t limit) {
  size_t dropped = 0;
  if (length > limit) {
    dropped = length - limit;
    bytes += dropped;
    length = limit;
  }
  if (park->length + length > limit) {
    size_t excess = park->length + length - limit;
    park_consume(park, excess);
    dropped += excess;
  }
  if (length > 0 && !park_append(park, bytes, length, limit)) dropped += length;
  return dropped;
}

void park_consume(struct park *park, size_t bytes) {
  park->start += bytes;
  park->length -= bytes;
  if (park->length == 0) park->start = 0;
}

void park_clear(struct park *park) {
  park->start = 0;
  park->length = 0;
}

void park_free(struct park *park) {
  free(park->data);
  *park = (struct park){0};
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
