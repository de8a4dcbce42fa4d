// Tells when something happens at a serial port: bytes, room, the end, a modem line, an error counter. Reads no byte.
// Two threads per port: one polls the descriptor, and looks at the counters now and then, because nothing wakes a waiter
// for a line error; one sits in TIOCMIWAIT, which a close does not wake, so that a signal ends it.
#define _GNU_SOURCE
#include "module.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "errno.h"
#include "serial_port.h"

int ioctl(int fd, unsigned long request, ...);

// <sys/ioctl.h> has them; see serial_port.c.
#define MODEM_INPUTS (0x020 | 0x040 | 0x080 | 0x100)  // CTS, CD, RNG, DSR

enum { READABLE = 1, WRITABLE = 2, HUNG_UP = 4, LINE = 8 };

struct waiter {
  atomic_int references;  // JavaScript's, and the thread-safe function's
  int fd;
  int wake;
  int sample_ms;
  pthread_t poller;
  pthread_t modem;
  bool has_modem;
  bool running;
  atomic_bool stop;
  atomic_bool modem_ended;
  atomic_bool modem_waits;  // TIOCMIWAIT works: else whoever asks for the lines is told to, at each sample
  atomic_int wanted;
  atomic_int pending;
  napi_threadsafe_function tell;
};

static void drop(struct waiter *w) {
  if (atomic_fetch_sub(&w->references, 1) == 1) free(w);
}

static void tell(struct waiter *w, int what) {
  if (atomic_fetch_or(&w->pending, what) == 0) napi_call_threadsafe_function(w->tell, NULL, napi_tsfn_nonblocking);
}

static void in_javascript(napi_env env, napi_value callback, void *context, void *data) {
  (void)data;
  struct waiter *w = context;
  int what = atomic_exchange(&w->pending, 0);
  if (env == NULL || callback == NULL || what == 0 || atomic_load(&w->stop)) return;
  napi_value receiver;
  napi_value argument = make_number(env, what);
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, callback, 1, &argument, NULL);
}

static void told_last(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  drop(data);
}

struct sample {
  double counters[SERIAL_COUNTERS];
};

// Never TIOCMGET: a device that does not answer it would hold up whoever ends the waiter.
static void take_sample(struct waiter *w, struct sample *s) {
  memset(s, 0, sizeof *s);
  if (serial_counters(w->fd, s->counters) == -1) memset(s->counters, 0, sizeof s->counters);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int look(struct waiter *w, struct pollfd polled[2], int timeout_ms) {
  int wanted = atomic_load(&w->wanted);
  polled[1].events = (short)((wanted & READABLE ? POLLIN : 0) | (wanted & WRITABLE ? POLLOUT : 0));
  if (RETRY(poll(polled, 2, timeout_ms)) <= 0) return 0;
  if (polled[0].revents) {
    uint64_t count;
    if (read(w->wake, &count, sizeof count) < 0 && errno != EAGAIN) return 0;
  }
  int what = 0;
  if (polled[1].revents & (POLLHUP | POLLERR | POLLNVAL)) {
    what = HUNG_UP;
    polled[1].fd = -1;  // it stays so: nothing more is to be seen there
  }
  if (polled[1].revents & POLLIN) what |= READABLE;
  if (polled[1].revents & POLLOUT) what |= WRITABLE;
  return what;
}

static void *poller(void *data) {
  struct waiter *w = data;
  struct pollfd polled[2] = {{.fd = w->wake, .events = POLLIN}, {.fd = w->fd}};
  struct sample last;
  take_sample(w, &last);
  // Whoever opened the port looked at it before: what has changed since then is no change to `last`.
  if (w->sample_ms > 0) tell(w, LINE);
  int64_t due = now_ms() + w->sample_ms;
  while (!atomic_load(&w->stop)) {
    int64_t left = due - now_ms();
    int what = look(w, polled, w->sample_ms == 0 ? -1 : left > 0 ? (int)left : 0);
    // Each is told once for each time that it was wanted.
    atomic_fetch_and(&w->wanted, ~(what & (READABLE | WRITABLE)));
    if (w->sample_ms > 0 && polled[1].fd >= 0 && now_ms() >= due) {
      struct sample present;
      take_sample(w, &present);
      bool may_have_changed = w->has_modem && !atomic_load(&w->modem_waits);
      if (may_have_changed || memcmp(&last, &present, sizeof last) != 0) what |= LINE;
      last = present;
      due = now_ms() + w->sample_ms;
    }
    if (what != 0) tell(w, what);
  }
  return NULL;
}

static void woken(int number) {
  (void)number;
}

static void install_handler(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = woken;  // without SA_RESTART: the ioctl ends with EINTR
  sigaction(SIGRTMIN + 9, &action, NULL);
}

int serial_waking_signal(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install_handler);
  return SIGRTMIN + 9;
}

static void *modem(void *data) {
  struct waiter *w = data;
  while (!atomic_load(&w->stop)) {
    if (ioctl(w->fd, TIOCMIWAIT, (unsigned long)MODEM_INPUTS) == 0) tell(w, LINE);
    else if (errno != EINTR) break;
  }
  atomic_store(&w->modem_waits, false);
  atomic_store(&w->modem_ended, true);
  return NULL;
}

// No thread of ours takes a signal that is meant for the process.
static int start_thread(pthread_t *thread, void *(*run)(void *), struct waiter *w, bool wakeable) {
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  if (wakeable) sigdelset(&blocked, serial_waking_signal());
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int error = pthread_create(thread, NULL, run, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

static void wake(struct waiter *w) {
  uint64_t one = 1;
  if (write(w->wake, &one, sizeof one) < 0) return;  // it is awake then
}

static void release(struct waiter *w) {
  close(w->wake);
  close(w->fd);
  napi_release_threadsafe_function(w->tell, napi_tsfn_abort);
}

static void stop(struct waiter *w) {
  if (!w->running) return;
  w->running = false;
  atomic_store(&w->stop, true);
  wake(w);
  pthread_join(w->poller, NULL);
  if (w->has_modem) {
    // A signal that comes just before the thread enters the ioctl is lost; the next one is not.
    while (!atomic_load(&w->modem_ended)) {
      pthread_kill(w->modem, serial_waking_signal());
      nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    pthread_join(w->modem, NULL);
  }
  release(w);
}

static void end_of_env(void *data) {
  stop(data);
}

static void forgotten(napi_env env, void *data, void *hint) {
  (void)hint;
  struct waiter *w = data;
  if (w->running) napi_remove_env_cleanup_hook(env, end_of_env, w);
  stop(w);
  drop(w);
}

static int start(struct waiter *w) {
  serial_waking_signal();
  int error = start_thread(&w->poller, poller, w, false);
  if (error != 0) {
    release(w);
    return error;
  }
  w->running = true;
  atomic_store(&w->modem_waits, w->has_modem);
  error = w->has_modem ? start_thread(&w->modem, modem, w, true) : 0;
  if (error == 0) return 0;
  w->has_modem = false;
  stop(w);
  return error;
}

static napi_status make_function(napi_env env, napi_value callback, struct waiter *w) {
  napi_value name = make_string(env, "ttynp.serialWaiter");
  return napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, w, told_last, w, in_javascript, &w->tell);
}

// watchSerialPort(fd, sampleMs, modem, callback(what)) -> handle. sampleMs 0: the counters are not looked at. The descriptor
// is the caller's, who may close it at any time: the waiter has its own.
static napi_value watch_serial_port(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int32_t sample_ms = int_argument(&a, 1);
  bool has_modem = bool_argument(&a, 2);
  if (a.bad || a.count < 4) return NULL;
  struct waiter *w = calloc(1, sizeof *w);
  if (w == NULL) return throw_errno(env, ENOMEM, "poll");
  *w = (struct waiter){.references = 1, .sample_ms = sample_ms, .has_modem = has_modem};
  w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int error = w->fd == -1 || w->wake == -1 ? errno : 0;
  if (error == 0 && make_function(env, a.values[3], w) != napi_ok) error = EINVAL;
  if (error != 0) {
    if (w->fd != -1) close(w->fd);
    if (w->wake != -1) close(w->wake);
    drop(w);
    return throw_errno(env, error, "poll");
  }
  atomic_fetch_add(&w->references, 1);
  error = start(w);
  if (error != 0) {
    drop(w);
    return throw_errno(env, error, "pthread_create");
  }
  napi_value handle;
  napi_create_external(env, w, forgotten, NULL, &handle);
  napi_add_env_cleanup_hook(env, end_of_env, w);
  return handle;
}

static struct waiter *waiter_argument(struct arguments *a) {
  void *w = NULL;
  if (a->count < 1 || napi_get_value_external(a->env, a->values[0], &w) != napi_ok) {
    napi_throw_type_error(a->env, "ERR_INVALID_ARG_TYPE", "argument 0 must be a waiter");
    a->bad = true;
  }
  return w;
}

// wantSerialEvents(handle, what): 1 readable, 2 writable; each is told once
static napi_value want_serial_events(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct waiter *w = waiter_argument(&a);
  int32_t what = int_argument(&a, 1);
  if (a.bad || !w->running) return NULL;
  int before = atomic_exchange(&w->wanted, what & (READABLE | WRITABLE));
  if (before != what) wake(w);
  return NULL;
}

// endSerialWaiter(handle): its threads have ended when it returns
static napi_value end_serial_waiter(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct waiter *w = waiter_argument(&a);
  if (a.bad || !w->running) return NULL;
  napi_remove_env_cleanup_hook(env, end_of_env, w);
  stop(w);
  return NULL;
}

void register_serial_waiter(napi_env env, napi_value exports) {
  export_function(env, exports, "watchSerialPort", watch_serial_port);
  export_function(env, exports, "wantSerialEvents", want_serial_events);
  export_function(env, exports, "endSerialWaiter", end_serial_waiter);
}
