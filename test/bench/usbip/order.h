// What the client and the far end say to each other over a tty: an order (how many bytes down, how many up, at which rate), then
// the bytes of a pattern both ways, then the far end's verdict on those that it got. Both sides know the pattern, so that
// every byte is checked at the end that it was for.
#ifndef ORDER_H
#define ORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define PORTS 16          // that take orders; the port after them echoes
#define CALL_BYTES 4096   // per read() and write()
#define TICK_MS 10        // how often a paced sender sends
#define QUIET_MS 5000     // after so long without a byte those that are missing are lost
#define PERIOD 65521      // a prime: no buffer is as long

struct order {
  uint32_t down;  // bytes towards the far end
  uint32_t up;    // bytes from it
  uint32_t rate;  // of each, in bytes per second; 0: as fast as they are taken
};

struct verdict {
  uint8_t good;   // everything came that was ordered, and nothing else
  uint8_t received[4];
};

static uint8_t pattern[2 * PERIOD];

static void make_pattern(void) {
  uint32_t x = 2463534242U;
  for (int i = 0; i < PERIOD; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    pattern[i] = pattern[i + PERIOD] = (uint8_t)(x >> 24);
  }
}

// The bytes from `position` on of one port and one direction, at least PERIOD of them.
static const uint8_t *pattern_at(uint32_t position, int port, bool up) {
  return pattern + ((uint64_t)position + (uint32_t)port * 4001 + (up ? 30011 : 0)) % PERIOD;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// How many of `total` bytes may have been sent after so long.
static uint32_t due(uint32_t total, uint32_t rate, double elapsed_ms) {
  if (rate == 0) return total;
  double bytes = rate * elapsed_ms / 1e3;
  return bytes < total ? (uint32_t)bytes : total;
}

#endif
