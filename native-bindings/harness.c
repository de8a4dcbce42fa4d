// The pump without Node, for the sanitizers: applications, echoing peers, a controller, a churn of short channels and one of
// virtual adapters, each in threads of their own, for a few seconds. Every echoed byte is compared; it ends with 0 when all was right.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "errno.h"
#include "harness_line.h"
#include "pump.h"
#include "termios2.h"

#define CHANNELS 16
#define APPLICATIONS 4
#define CHUNK 6000
#define STUCK_MS 60000

static pump *shared_pump;
static struct line lines[CHANNELS];
static _Atomic bool applications_stop;
static _Atomic bool others_stop;
static _Atomic bool told;
static _Atomic int failures;
static _Atomic long echoed;

static void fail(const char *what) {
  fprintf(stderr, "harness: %s\n", what);
  atomic_fetch_add(&failures, 1);
}

static void rest_us(long us) {
  struct timespec t = {.tv_nsec = us * 1000};
  nanosleep(&t, NULL);
}

static void on_notify(void *context) {
  (void)context;
  atomic_store(&told, true);
}

static uint8_t pattern(size_t channel, size_t round, size_t at) {
  return (uint8_t)(at * 31 + (at >> 8) * 17 + round * 7 + channel);
}

// Moves one chunk out and its echo in; false when that takes too long.
static bool exchange(int slave, size_t channel, size_t round) {
  size_t sent = 0;
  size_t received = 0;
  uint8_t bytes[1024];
  for (int idle = 0; received < CHUNK && idle < 40;) {
    struct pollfd state = {.fd = slave, .events = POLLIN | (sent < CHUNK ? POLLOUT : 0)};
    if (poll(&state, 1, 500) <= 0) {
      idle++;
      continue;
    }
    if ((state.revents & POLLOUT) && sent < CHUNK) {
      size_t length = CHUNK - sent < sizeof bytes ? CHUNK - sent : sizeof bytes;
      for (size_t i = 0; i < length; i++) bytes[i] = pattern(channel, round, sent + i);
      ssize_t n = write(slave, bytes, length);
      if (n > 0) sent += (size_t)n;
    }
    ssize_t n = (state.revents & POLLIN) ? read(slave, bytes, sizeof bytes) : 0;
    for (ssize_t i = 0; i < n; i++) {
      if (bytes[i] != pattern(channel, round, received + (size_t)i)) {
        fail("an echoed byte is wrong");
        return false;
      }
    }
    if (n > 0) received += (size_t)n;
  }
  atomic_fetch_add(&echoed, (long)received);
  if (received < CHUNK) fail("an echo did not come");
  return received == CHUNK;
}

static void change_settings(int slave, size_t round) {
  struct termios2 t;
  if (termios_get(slave, &t) == -1) return;
  termios_set_rate(&t, (speed_t)(9600 + round), (speed_t)(9600 + round));
  if (round % 3 == 0) t.c_lflag &= ~(tcflag_t)EXTPROC;
  termios_set(slave, &t);
}

static void *application(void *argument) {
  size_t first = (size_t)argument;
  for (size_t round = 0; !atomic_load(&applications_stop); round++) {
    for (size_t i = first; i < CHANNELS; i += APPLICATIONS) {
      int slave = open(lines[i].slave, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
      if (slave == -1) {
        fail("a slave cannot be opened");
        return NULL;
      }
      if (round % 2 == 1) change_settings(slave, round);
      exchange(slave, i, round);
      close(slave);
    }
  }
  return NULL;
}

static void *echo(void *argument) {
  (void)argument;
  struct pollfd states[CHANNELS];
  uint8_t bytes[4096];
  while (!atomic_load(&others_stop)) {
    for (size_t i = 0; i < CHANNELS; i++) states[i] = (struct pollfd){.fd = lines[i].far, .events = POLLIN};
    if (poll(states, CHANNELS, 20) <= 0) continue;
    for (size_t i = 0; i < CHANNELS; i++) {
      if (!(states[i].revents & POLLIN)) continue;
      ssize_t n = recv(lines[i].far, bytes, sizeof bytes, MSG_DONTWAIT);
      for (ssize_t done = 0; done < n;) {
        ssize_t sent = send(lines[i].far, bytes + done, (size_t)(n - done), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) done += sent;
        else rest_us(200);
        if (atomic_load(&others_stop)) return NULL;
      }
    }
  }
  return NULL;
}

static void take_events(void) {
  uint32_t pairs[2 * CHANNELS];
  size_t count;
  do {
    count = pump_take_events(shared_pump, pairs, CHANNELS);
    for (size_t i = 0; i < count; i++) {
      uint32_t id = pairs[2 * i];
      uint32_t events = pairs[2 * i + 1];
      struct fence_done done[PUMP_MAX_FENCES];
      if (events & EVENT_FENCE) channel_take_fences(shared_pump, id, done);
      if (events & (EVENT_SETTINGS | EVENT_FLUSH_INPUT | EVENT_FLUSH_OUTPUT)) {
        channel_resume(shared_pump, id, DOWN);
        channel_resume(shared_pump, id, UP);
      }
      if (events & (EVENT_NET_END | EVENT_NET_ERROR | EVENT_TTY_ERROR)) fail("a channel lost a side");
    }
  } while (count == CHANNELS);
}

// As JavaScript does: takes events when told, and steers channels meanwhile. Unjoins and joins lose no byte.
static void *controller(void *argument) {
  (void)argument;
  for (size_t turn = 0; !atomic_load(&others_stop); turn++) {
    if (atomic_exchange(&told, false)) take_events();
    struct line *line = &lines[turn % CHANNELS];
    uint32_t id = (uint32_t)line->id;
    bool known;
    enum fence_result result;
    channel_fence(shared_pump, id, 5, &known, &result);
    if (turn % 5 == 0) {
      channel_detach(shared_pump, id, HOLD);
      channel_attach(shared_pump, id, line->near, HOLD);
    }
    if (turn % 7 == 0) channel_tap(shared_pump, id, turn % 2 == 0 ? 4096 : 0);
    uint8_t *records;
    size_t bytes;
    if (channel_read_tap(shared_pump, id, &records, &bytes) == 0) free(records);
    channel_stop(shared_pump, id, UP);
    channel_set_look_ahead(shared_pump, id, LOOK_AHEAD + (uint32_t)turn % 1000);
    channel_resume(shared_pump, id, UP);
    double taken;
    __atomic_load(&line->counters[DOWN_TAKEN], &taken, __ATOMIC_RELAXED);
    if (taken < 0) fail("a counter is wrong");
    if (pump_unanswered_ms(shared_pump) > STUCK_MS) fail("the thread does not turn");
    rest_us(300);
  }
  return NULL;
}

// Channels that live for a moment, and are closed with bytes parked.
static void *churn(void *argument) {
  (void)argument;
  while (!atomic_load(&others_stop)) {
    int tty[2];
    int net[2];
    double counters[COUNTER_COUNT] = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, tty) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, net)) {
      fail("no socket pair");
      return NULL;
    }
    struct channel_options options = {.tty_fd = tty[0], .kind = TTY_PLAIN, .look_ahead = LOOK_AHEAD, .offline = HOLD, .counters = counters, .keep_fd = -1};
    int id = channel_open(shared_pump, &options);
    if (id < 0) fail("a channel cannot be opened");
    uint8_t bytes[2048] = {0};
    (void)!write(tty[1], bytes, sizeof bytes);
    (void)!write(net[1], bytes, sizeof bytes);
    channel_attach(shared_pump, (uint32_t)id, net[0], (struct offline){.mode = OFFLINE_DISCARD});
    rest_us(100);
    (void)!write(tty[1], bytes, sizeof bytes);
    channel_drop(shared_pump, (uint32_t)id, UP, SIZE_MAX);
    struct parked parked;
    channel_close(shared_pump, (uint32_t)id, &parked);
    free(parked.down);
    free(parked.up);
    for (int i = 0; i < 2; i++) {
      close(tty[i]);
      close(net[i]);
    }
  }
  return NULL;
}

static void put_u32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void submit(int kernel, uint32_t seqnum, uint32_t endpoint, bool in, const uint8_t *setup, const uint8_t *data, uint32_t length) {
  uint8_t message[48 + 256] = {0};
  put_u32(message, 1);
  put_u32(message + 4, seqnum);
  put_u32(message + 12, in);
  put_u32(message + 16, endpoint);
  put_u32(message + 24, length);
  if (setup != NULL) memcpy(message + 40, setup, 8);
  if (!in && length > 0) memcpy(message + 48, data, length);
  size_t bytes = 48 + (in ? 0 : length);
  if (send(kernel, message, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) fail("the adapter's socket takes nothing");
}

// One life of an adapter as a kernel sees it, with an application that writes on its first port; JavaScript's part is played too.
static void plugged_life(int id, int ours, int kernel) {
  static const uint8_t open_port[8] = {0x40, 0, 0, 0, 1};
  uint8_t data[256];
  uint8_t answers[8192];
  if (usbip_plug(shared_pump, (uint32_t)id, ours, 2, 512, false) != 0) fail("an adapter cannot be plugged");
  submit(kernel, 1, 0, false, open_port, NULL, 0);
  for (uint32_t n = 2; n < 40 && !atomic_load(&others_stop); n++) {
    struct usbip_told told[4];
    memset(data, (int)n, sizeof data);
    int requests = usbip_take_requests(shared_pump, (uint32_t)id, told, 4);
    for (int i = 0; i < requests; i++) usbip_answer(shared_pump, (uint32_t)id, told[i].seqnum, 0, data, 2);
    submit(kernel, 2 * n, 1, true, NULL, NULL, 512);
    submit(kernel, 2 * n + 1, 1, false, NULL, data, sizeof data);
    usbip_set_modem(shared_pump, (uint32_t)id, 0, (uint8_t)(n << 4));
    usbip_set_errors(shared_pump, (uint32_t)id, 0, n % 3 == 0 ? 4 : 0);
    if (n % 5 == 0) usbip_set_break(shared_pump, (uint32_t)id, 0);
    usbip_transmitted(shared_pump, (uint32_t)id, 0, 256);
    // Until the transfer out is answered: a driver has no more than two.
    for (int idle = 0; idle < 1000; idle++) {
      if (recv(kernel, answers, sizeof answers, MSG_DONTWAIT) > 0) break;
      rest_us(50);
    }
  }
  usbip_unplug(shared_pump, (uint32_t)id);
}

// An adapter that is plugged in and out, with a channel whose far end echoes.
static void *adapters(void *argument) {
  (void)argument;
  while (!atomic_load(&others_stop)) {
    int vhci[2];
    int net[2];
    double counters[COUNTER_COUNT] = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, vhci) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, net)) {
      fail("no socket pair");
      return NULL;
    }
    int id = usbip_open(shared_pump, -1, false);
    struct channel_options options = {.tty_fd = id, .kind = TTY_USBIP, .look_ahead = LOOK_AHEAD, .offline = HOLD, .counters = counters, .keep_fd = -1};
    int channel = id < 0 ? id : channel_open(shared_pump, &options);
    if (channel < 0) fail("a port of an adapter cannot be opened");
    channel_attach(shared_pump, (uint32_t)channel, net[0], HOLD);
    (void)!write(net[1], "for the application", 19);
    plugged_life(id, vhci[0], vhci[1]);
    double taken;
    __atomic_load(&counters[DOWN_TAKEN], &taken, __ATOMIC_RELAXED);
    if (taken == 0 && !atomic_load(&others_stop)) fail("an adapter's port took nothing");
    struct parked parked;
    if (taken > 1000) usbip_close(shared_pump, (uint32_t)id);
    channel_close(shared_pump, (uint32_t)channel, &parked);
    usbip_close(shared_pump, (uint32_t)id);
    free(parked.down);
    free(parked.up);
    for (int i = 0; i < 2; i++) {
      close(vhci[i]);
      close(net[i]);
    }
  }
  return NULL;
}

#ifdef TTYNP_PLANTED_ERROR
// Proves that a run under a sanitizer fails when it should: a race, and a byte past what was allocated.
static int unguarded;
static void *planted(void *argument) {
  volatile uint8_t *bytes = argument;
  for (int i = 0; i < 1000; i++) unguarded++;
  bytes[8] = (uint8_t)unguarded;
  return NULL;
}

static void plant(void) {
  pthread_t threads[2];
  uint8_t *bytes = malloc(8);
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, planted, bytes);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  free(bytes);
}
#endif

int main(int count, char **arguments) {
  long seconds = count > 1 ? strtol(arguments[1], NULL, 10) : 3;
  signal(SIGPIPE, SIG_IGN);
#ifdef TTYNP_PLANTED_ERROR
  plant();
#endif
  shared_pump = pump_create(on_notify, NULL, -1);
  if (shared_pump == NULL) return 2;
  for (size_t i = 0; i < CHANNELS; i++) {
    if (harness_line_open(shared_pump, &lines[i]) != 0) {
      perror("harness: a line cannot be made");
      return 2;
    }
  }
  pthread_t others[4];
  pthread_t applications[APPLICATIONS];
  pthread_create(&others[0], NULL, echo, NULL);
  pthread_create(&others[1], NULL, controller, NULL);
  pthread_create(&others[2], NULL, churn, NULL);
  pthread_create(&others[3], NULL, adapters, NULL);
  for (size_t i = 0; i < APPLICATIONS; i++) pthread_create(&applications[i], NULL, application, (void *)i);
  sleep((unsigned)seconds);
  atomic_store(&applications_stop, true);
  for (size_t i = 0; i < APPLICATIONS; i++) pthread_join(applications[i], NULL);
  atomic_store(&others_stop, true);
  for (size_t i = 0; i < 4; i++) pthread_join(others[i], NULL);
  // Half is closed by its owner, half is left to the pump's end.
  for (size_t i = 0; i < CHANNELS / 2; i++) {
    struct parked parked;
    channel_close(shared_pump, (uint32_t)lines[i].id, &parked);
    free(parked.down);
    free(parked.up);
  }
  pump_destroy(shared_pump);
  for (size_t i = 0; i < CHANNELS; i++) {
    close(lines[i].master);
    close(lines[i].near);
    close(lines[i].far);
  }
  struct live_counts live = pump_live_counts();
  if (live.pumps != 0 || live.channels != 0 || live.fences != 0) fail("something of the pump is alive after its end");
  if (atomic_load(&echoed) == 0) fail("nothing was echoed");
  printf("harness: %ld bytes echoed, %d failures\n", atomic_load(&echoed), atomic_load(&failures));
  return atomic_load(&failures) == 0 ? 0 : 1;
}
