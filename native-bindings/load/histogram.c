// Counts of times in buckets that grow with the time: the first 256 are 1 ns wide, and from there on every power of two has 128.
// Ends at 2^38 ns (4.6 minutes); what is slower counts in the last bucket.

#include "load.h"

#define PER_OCTAVE 128
#define FIRST_OCTAVE 8

static size_t bucket_of(int64_t ns) {
  if (ns < 0) return 0;
  if (ns < HISTOGRAM_LINEAR) return (size_t)ns;
  int octave = 63 - __builtin_clzll((unsigned long long)ns);
  size_t within = (size_t)(ns >> (octave - 7)) - PER_OCTAVE;
  size_t bucket = HISTOGRAM_LINEAR + (size_t)(octave - FIRST_OCTAVE) * PER_OCTAVE + within;
  return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

void histogram_add(struct histogram *h, int64_t ns) {
  h->counts[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->counts[i] += from->counts[i];
}

double histogram_value(size_t bucket) {
  if (bucket < HISTOGRAM_LINEAR) return (double)bucket;
  size_t octave = (bucket - HISTOGRAM_LINEAR) / PER_OCTAVE + FIRST_OCTAVE;
  size_t within = (bucket - HISTOGRAM_LINEAR) % PER_OCTAVE;
  double width = (double)(UINT64_C(1) << (octave - 7));
  return (double)(PER_OCTAVE + within) * width + width / 2;
}
