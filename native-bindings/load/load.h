// The load engine: what writes to descriptors, reads from others and keeps the time, for `ttynp bench` and the benchmark suite.
// It knows neither ttys nor sockets nor Node: every descriptor is the caller's, open and non-blocking, and nobody else uses it
// meanwhile. Times are nanoseconds of CLOCK_MONOTONIC.
#ifndef TTYNP_LOAD_H
#define TTYNP_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_BUFFER 65536
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

// ---- pattern.c: bytes that say where they belong

// The table repeats after a prime number of bytes, so that no lost or doubled block of 4 KiB, 64 KiB or a page goes unseen.
#define PATTERN_PERIOD 65521
#define PATTERN_TABLE (PATTERN_PERIOD + LOAD_BUFFER)

// Only the bits of the mask occur. NULL: no memory. The caller frees it.
uint8_t *pattern_make(uint8_t mask);
// LOAD_BUFFER bytes that belong at this place.
const uint8_t *pattern_at(const uint8_t *table, uint64_t offset);

struct difference {
  int64_t at;  // -1: every byte was right
  uint8_t expected;
  uint8_t got;
};

// Looks for the first wrong one of at most LOAD_BUFFER bytes, where none was found before.
void pattern_compare(const uint8_t *table, uint64_t offset, const uint8_t *bytes, size_t length, struct difference *found);

// ---- histogram.c: bounded memory, and at most 0.8 % off

#define HISTOGRAM_LINEAR 256
#define HISTOGRAM_BUCKETS (HISTOGRAM_LINEAR + 128 * 30)

struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, int64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
// The middle of the bucket's range, in nanoseconds.
double histogram_value(size_t bucket);

// ---- wait.c

int64_t now_ns(void);

struct load_end {
  _Atomic bool canceled;
  int error;            // errno of what ended it early, 0: nothing
  const char *syscall;  // NULL where there is no error
};

// Whether the descriptor is ready before the deadline; also false when it was canceled. Never waits longer than a slice without
// looking at that.
bool wait_for(struct load_end *end, int fd, short events, int64_t deadline);
// -1 with `end` set; 0 where the descriptor has nothing, or no room, now. An end of file is the error EPIPE.
ssize_t read_some(struct load_end *end, int fd, void *bytes, size_t length);
ssize_t write_some(struct load_end *end, int fd, const void *bytes, size_t length);
bool is_nonblocking(int fd);

// ---- latency.c: one thread, one round trip after the other

struct latency {
  struct load_end end;
  // One leg: what is written to out[0] comes back at in[0]. Two: what has come whole at in[0] is written to out[1], and has to
  // arrive at in[1].
  int legs;
  int out[2];
  int in[2];
  uint8_t *table;
  uint8_t *request;  // NULL: the pattern's bytes, others in every round
  uint32_t bytes;
  uint32_t reply_bytes;  // of two legs: the same as bytes
  uint32_t count;
  uint32_t give_up_after;  // so many failures in a row
  int64_t timeout;
  int64_t quiet;  // after a failure: what comes until nothing came for so long belongs to no later round

  double *times;  // of the rounds that were whole and right
  uint32_t done;
  uint32_t lost;
  uint32_t mismatched;
  uint32_t split;  // what came over a leg in more than one read
  int64_t gap;     // the longest time between two of those reads
};

void latency_run(struct latency *l);

// ---- stream.c: as fast as it goes, one way

struct stream {
  struct load_end end;
  int out;
  int in;
  uint8_t *table;
  uint64_t bytes;    // 0: no end but the duration
  int64_t duration;  // 0: no end but the bytes
  uint32_t chunk;    // of one write, at most LOAD_BUFFER
  uint64_t window;   // at most so many on the way; 0: as many as fit
  int64_t quiet;     // what has not come for so long after the last write will not come

  _Atomic uint64_t sent;
  _Atomic uint64_t received;
  int64_t elapsed;  // from the first write to the last read
  struct difference difference;
};

void stream_run(struct stream *s);

// ---- duplex.c: N pairs of descriptors, messages both ways in step

struct duplex {
  struct load_end end;
  uint32_t pairs;
  int *a;
  int *b;
  uint8_t *table;
  uint32_t bytes;  // of a message
  int64_t interval;
  int64_t duration;
  int64_t drain;  // how long after it is waited for what was sent
  bool two_threads;

  int64_t offered;  // bytes, both ways
  int64_t sent;
  int64_t received;
  int64_t in_time;  // of them, until ten intervals after the duration
  uint32_t wrong;   // directions with a byte that is not the pattern's
  uint32_t failed;  // directions whose descriptor ended
  struct difference difference;
  uint64_t cpu;  // of the engine's own threads
  struct histogram a_to_b;   // from when a message was due to its last byte
  struct histogram b_to_a;
  struct histogram late;     // from when a message was due to its write
};

void duplex_run(struct duplex *d);

#endif
