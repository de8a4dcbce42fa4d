// Bytes that say where they belong: a lost, doubled, late or foreign one differs from what is expected at its place.
#include <stdlib.h>
#include <string.h>

#include "load.h"

uint8_t *pattern_make(uint8_t mask) {
  uint8_t *table = malloc(PATTERN_TABLE);
  if (table == NULL) return NULL;
  uint32_t x = 2463534242u;  // Marsaglia's xorshift32: all byte values, in no order that a fault could share
  for (size_t i = 0; i < PATTERN_PERIOD; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    table[i] = (uint8_t)(x >> 8) & mask;
  }
  for (size_t i = PATTERN_PERIOD; i < PATTERN_TABLE; i++) table[i] = table[i % PATTERN_PERIOD];
  return table;
}

const uint8_t *pattern_at(const uint8_t *table, uint64_t offset) {
  return table + offset % PATTERN_PERIOD;
}

void pattern_compare(const uint8_t *table, uint64_t offset, const uint8_t *bytes, size_t length, struct difference *found) {
  const uint8_t *expected = pattern_at(table, offset);
  if (found->at >= 0 || memcmp(expected, bytes, length) == 0) return;
  size_t i = 0;
  while (bytes[i] == expected[i]) i++;
  *found = (struct difference){.at = (int64_t)(offset + i), .expected = expected[i], .got = bytes[i]};
}
