// What of a channel and of the pump outlives the process: memory of a memfd that somebody else holds too, so that a
// later process goes on where this one was stopped or killed. Without a descriptor it is memory as any other.
// Layout of a channel's: one page of struct kept, then the rings of both directions. Of the pump's: a page, then scratch.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"

#define PAGE 4096
#define KEPT_BYTES (PAGE + 2 * (size_t)PUMP_PARK_BYTES)
#define HAND_BYTES (PAGE + (size_t)SCRATCH_BYTES)
// Their last byte is the version of the layout.
#define KEPT_MAGIC 0x7474796e706b3031ull
#define HAND_MAGIC 0x7474796e70683031ull

_Static_assert(sizeof(struct kept) <= PAGE, "struct kept fits its page");
_Static_assert(sizeof(struct hand) <= PAGE, "struct hand fits its page");

// A descriptor is made as long as it must be; NULL with errno set.
static void *map(int fd, size_t bytes) {
  struct stat file;
  if (fd >= 0 && fstat(fd, &file) == -1) return NULL;
  // Beyond the end of the file a touch would be SIGBUS.
  if (fd >= 0 && file.st_size < (off_t)bytes && ftruncate(fd, (off_t)bytes) == -1) return NULL;
  int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  return at == MAP_FAILED ? NULL : at;
}

static bool is_whole(const struct kept *kept) {
  if (kept->magic != KEPT_MAGIC || kept->id == 0) return false;
  for (int d = 0; d < 2; d++) {
    const struct ring *ring = &kept->rings[d];
    if (ring->tail < ring->head || ring->tail - ring->head > PUMP_PARK_BYTES) return false;
  }
  return kept->held <= kept->rings[DOWN].tail - kept->rings[DOWN].head;
}

static int new_id(uint64_t *id) {
  *id = 0;
  while (*id == 0) {
    if (RETRY(getrandom(id, sizeof *id, 0)) != sizeof *id) return -1;
  }
  return 0;
}

int kept_map(struct channel *c, int fd, bool adopt) {
  struct kept *kept = map(fd, KEPT_BYTES);
  if (kept == NULL) return -1;
  c->kept = kept;
  for (int d = 0; d < 2; d++) {
    c->parked[d].ring = &kept->rings[d];
    c->parked[d].data = (uint8_t *)kept + PAGE + (size_t)d * PUMP_PARK_BYTES;
  }
  if (adopt) {
    if (is_whole(kept)) return 0;
    errno = EBADMSG;
    return -1;
  }
  *kept = (struct kept){.magic = KEPT_MAGIC};
  return new_id(&kept->id);
}

void kept_unmap(struct channel *c) {
  if (c->kept != NULL) munmap(c->kept, KEPT_BYTES);
  c->kept = NULL;
}

struct hand *hand_map(int fd) {
  return map(fd, HAND_BYTES);
}

void hand_unmap(struct hand *hand) {
  if (hand != NULL) munmap(hand, HAND_BYTES);
}

uint8_t *hand_scratch(struct hand *hand) {
  return (uint8_t *)hand + PAGE;
}

// What an earlier process had in hand moves aside, so that the channels find theirs when they are adopted.
void hand_begin(struct hand *hand, struct hand *was, uint8_t *bytes) {
  *was = (struct hand){0};
  if (hand->magic == HAND_MAGIC && hand->length <= SCRATCH_BYTES) {
    *was = *hand;
    memcpy(bytes, hand_scratch(hand), was->length);
  }
  *hand = (struct hand){.magic = HAND_MAGIC};
}

void hand_take(struct channel *c, enum direction direction) {
  struct hand *hand = c->pump->hand;
  hand->length = 0;
  hand->done = 0;
  hand->offered = 0;
  hand->held = 0;
  hand->parked_at = 0;
  hand->direction = direction;
  hand->id = c->kept->id;
}

void hand_release(struct channel *c) {
  c->pump->hand->id = 0;
}

// What of the bytes in hand found no room. A process that is killed meanwhile has them in one place or the other.
bool hand_park_rest(struct channel *c, enum direction direction, const uint8_t *bytes, size_t length) {
  c->pump->hand->parked_at = c->parked[direction].ring->tail + length;
  return park_append(&c->parked[direction], bytes, length);
}

static void suspect(struct channel *c, enum direction direction, uint64_t bytes) {
  channel_count(c, direction == DOWN ? DOWN_SUSPECTED : UP_SUSPECTED, (double)bytes);
}

// What was given to a write that did not come back may have arrived: it is not given to another.
static void drop_offered(struct channel *c, enum direction direction) {
  struct ring *ring = c->parked[direction].ring;
  uint64_t until = ring->offered < ring->tail ? ring->offered : ring->tail;
  if (until > ring->head) {
    suspect(c, direction, until - ring->head);
    park_consume(&c->parked[direction], (size_t)(until - ring->head));
  }
  ring->offered = 0;
}

static void park_hand(struct channel *c, const struct hand *was, const uint8_t *bytes) {
  struct park *park = &c->parked[was->direction];
  if (was->reading) channel_set_gauge(c, was->direction == DOWN ? DOWN_READ_CUT : UP_READ_CUT, 1);
  uint64_t gone = was->done + was->offered;
  if (gone > was->length) gone = was->length;
  suspect(c, was->direction, gone - was->done);
  // The rest was parked already: only the word of it is missing.
  if (was->parked_at != 0 && park->ring->tail == was->parked_at) return;
  uint64_t rest = was->length - gone;
  park_append_over(park, bytes + gone, (size_t)rest, PUMP_PARK_BYTES);
  if (was->direction == DOWN) c->kept->held += was->held < rest ? was->held : rest;
}

// The channel goes on where a process ended that may have been killed at any instruction.
void kept_recover(struct channel *c) {
  drop_offered(c, DOWN);
  drop_offered(c, UP);
  const struct hand *was = &c->pump->was;
  if (was->id == c->kept->id && was->id != 0 && was->direction <= UP) park_hand(c, was, c->pump->was_bytes);
  if (c->kept->held > park_length(&c->parked[DOWN])) c->kept->held = park_length(&c->parked[DOWN]);
  channel_set_gauge(c, DOWN_PARKED, (double)park_length(&c->parked[DOWN]));
  channel_set_gauge(c, UP_PARKED, (double)park_length(&c->parked[UP]));
}
