// When a channel must be looked at again although no descriptor says so, and the fences that wait for that.
// Delays grow while nothing moves, so that a peer or an application that never reads costs no CPU.
#include "channel.h"

void channel_arm(struct channel *c, uint64_t at) {
  if (at < c->pump->next_timer) c->pump->next_timer = at;
}

void retry_arm(struct channel *c, struct retry *retry, bool progress) {
  uint32_t grown = retry->delay_ms + (retry->delay_ms + 1) / 2;
  if (progress || retry->delay_ms == 0) grown = RETRY_MIN_MS;
  retry->delay_ms = grown < RETRY_MAX_MS ? grown : RETRY_MAX_MS;
  retry->at = c->pump->now + retry->delay_ms * NS_PER_MS;
  channel_arm(c, retry->at);
}

void retry_disarm(struct retry *retry) {
  retry->at = NEVER;
  retry->delay_ms = 0;
}

bool retry_due(const struct retry *retry, uint64_t now) {
  return retry->at <= now;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t channel_next_timer(const struct channel *c) {
  uint64_t at = earlier(c->up_retry.at, c->look_ahead_retry.at);
  at = earlier(at, c->fence_retry.at);
  at = earlier(at, c->termios_poll_at);
  for (int i = 0; i < PUMP_MAX_FENCES; i++) {
    if (c->fences[i].state == FENCE_WAITING) at = earlier(at, c->fences[i].deadline);
  }
  return at;
}

static void finish(struct channel *c, struct fence *fence, enum fence_result result) {
  fence->state = FENCE_DONE;
  fence->result = result;
  channel_count(c, FENCE_WAIT_US, (double)((monotonic_ns() - fence->began) / 1000));
  channel_raise(c, EVENT_FENCE);
}

void channel_finish_fences(struct channel *c, enum fence_result result) {
  for (int i = 0; i < PUMP_MAX_FENCES; i++) {
    if (c->fences[i].state == FENCE_WAITING) finish(c, &c->fences[i], result);
  }
  retry_disarm(&c->fence_retry);
}

// Parked bytes, the oldest, were dropped: no fence waits for them any more.
void channel_advance_fences(struct channel *c, size_t dropped) {
  for (int i = 0; i < PUMP_MAX_FENCES; i++) {
    struct fence *fence = &c->fences[i];
    uint64_t behind = fence->target > c->sent ? fence->target - c->sent : 0;
    fence->target -= dropped < behind ? dropped : behind;
  }
}

void channel_check_fences(struct channel *c) {
  bool waiting = false;
  for (int i = 0; i < PUMP_MAX_FENCES; i++) waiting |= c->fences[i].state == FENCE_WAITING;
  if (!waiting) return;

  uint64_t before = c->unacknowledged;
  uint64_t acknowledged = c->sent - channel_output_queue(c);
  c->unacknowledged = c->sent - acknowledged;
  waiting = false;
  for (int i = 0; i < PUMP_MAX_FENCES; i++) {
    struct fence *fence = &c->fences[i];
    if (fence->state != FENCE_WAITING) continue;
    if (acknowledged >= fence->target) {
      finish(c, fence, FENCE_PASSED);
    } else if (c->pump->now >= fence->deadline) {
      finish(c, fence, FENCE_TIMEOUT);
    } else {
      waiting = true;
      channel_arm(c, fence->deadline);
    }
  }
  if (waiting) {
    retry_arm(c, &c->fence_retry, c->unacknowledged < before);
  } else {
    retry_disarm(&c->fence_retry);
  }
}
