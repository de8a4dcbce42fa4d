// What the harnesses have in common: a PTY and a socket pair joined by a channel of a pump without Node.
#ifndef TTYNP_HARNESS_LINE_H
#define TTYNP_HARNESS_LINE_H

#include "pump.h"

#define LOOK_AHEAD 8192
#define HOLD \
  (struct offline) { .mode = OFFLINE_HOLD, .bytes = PUMP_PARK_BYTES }

struct line {
  int master;
  char slave[64];
  int near;  // joined
  int far;
  int id;
  double counters[COUNTER_COUNT];
};

// 0, or -1 with errno set, or -errno of the pump. Leaves the slave closed. The descriptors stay the caller's to close.
int harness_line_open(pump *p, struct line *line);

#endif
