// What a serial port's driver may let its caller wait for: an adapter behind USB is asked over the bus, for seconds where it hangs, and a
// break or a drain begins when everything has been transmitted. What the kernel knows itself waits too, where the driver's core has one
// lock for all of it (usb-serial). Each is work for a thread of libuv's pool, and gives a promise.
#define _GNU_SOURCE
#include "module.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "errno.h"
#include "serial_port.h"
#include "termios2.h"

// Of timer_create(2); not every <signal.h> has it.
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct call {
  napi_async_work work;
  napi_deferred deferred;
  // Returns the promise's value, or -1 with errno set and `failed` naming the system call.
  int (*perform)(struct call *call);
  int fd;  // its own, so that the port may be closed meanwhile; a flush ends a wait for output
  char *path;
  struct termios2 termios;
  bool tells_termios;  // the promise's value is what `termios` is then
  int bits;
  int mask;
  int result;
  int error;
  const char *failed;
};

static int named(struct call *call, const char *name, int result) {
  if (result == -1) call->failed = name;
  return result;
}

static int perform_open(struct call *call) {
  struct termios2 probe;
  int fd = RETRY(open(call->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (fd == -1) return named(call, "open", -1);
  // Nobody else's: flock() for those who ask, TIOCEXCL for those who do not.
  if (named(call, "TCGETS2", termios_get(fd, &probe)) != -1 && named(call, "flock", RETRY(flock(fd, LOCK_EX | LOCK_NB))) != -1 &&
      named(call, "TIOCEXCL", RETRY(ioctl(fd, TIOCEXCL))) != -1) {
    return fd;
  }
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// What is queued is dropped, or close(2) would wait for it.
static int perform_close(struct call *call) {
  RETRY(ioctl(call->fd, TCFLSH, TCIOFLUSH));
  RETRY(ioctl(call->fd, TIOCNXCL));
  RETRY(flock(call->fd, LOCK_UN));  // a call that goes on has another descriptor of the same open file
  return 0;
}

static int perform_get_termios(struct call *call) {
  return named(call, "TCGETS2", termios_get(call->fd, &call->termios));
}

static int perform_set_termios(struct call *call) {
  struct termios2 wanted = call->termios;
  if (perform_get_termios(call) == -1) return -1;
  wanted.c_line = call->termios.c_line;
  if (named(call, "TCSETS2", termios_set(call->fd, &wanted)) == -1) return -1;
  return perform_get_termios(call);
}

static int perform_modem_bits(struct call *call) {
  int bits = 0;
  if (named(call, "TIOCMGET", RETRY(ioctl(call->fd, TIOCMGET, &bits))) == -1) return -1;
  return bits;
}

// One TIOCMSET, so that two lines move together; bits outside of the mask stay.
static int perform_set_modem_bits(struct call *call) {
  int bits = perform_modem_bits(call);
  if (bits == -1) return -1;
  bits = (bits & ~call->mask) | (call->bits & call->mask);
  return named(call, "TIOCMSET", RETRY(ioctl(call->fd, TIOCMSET, &bits)));
}

static const int QUEUES[] = {TCIFLUSH, TCOFLUSH, TCIOFLUSH};

static int perform_flush(struct call *call) {
  return named(call, "TCFLSH", RETRY(ioctl(call->fd, TCFLSH, QUEUES[call->bits])));
}

// TCOOFF first, since TCOON alone resumes only what TCOOFF has stopped, and not what a received XOFF has.
static int perform_run_transmitter(struct call *call) {
  if (named(call, "TCXONC", RETRY(ioctl(call->fd, TCXONC, TCOOFF))) == -1) return -1;
  return call->bits ? named(call, "TCXONC", RETRY(ioctl(call->fd, TCXONC, TCOON))) : 0;
}

static int perform_unread(struct call *call) {
  int queued = 0;
  return named(call, "TIOCINQ", RETRY(ioctl(call->fd, TIOCINQ, &queued))) == -1 ? -1 : queued;
}

static int perform_untransmitted(struct call *call) {
  int queued = 0;
  return named(call, "TIOCOUTQ", RETRY(ioctl(call->fd, TIOCOUTQ, &queued))) == -1 ? -1 : queued;
}

#define SENDING_MS 100

// A break and a drain wait until all has been transmitted: what an adapter behind USB has in its own buffer too, which CTS or XOFF may
// hold for ever, and which no flush drops. So a signal ends the wait: again and again, since one may come before it begins.
// Returns 1, or 0 where it took too long: nothing has been done then.
static int when_sent(struct call *call, unsigned long request, unsigned long argument, const char *name) {
  sigset_t waking;
  sigset_t before;
  timer_t timer;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = serial_waking_signal();
  event.sigev_notify_thread_id = gettid();
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) == -1) return named(call, "timer_create", -1);
  sigemptyset(&waking);
  sigaddset(&waking, event.sigev_signo);
  pthread_sigmask(SIG_UNBLOCK, &waking, &before);
  struct itimerspec due = {.it_value.tv_nsec = SENDING_MS * 1000000L, .it_interval.tv_nsec = 10 * 1000000L};
  timer_settime(timer, 0, &due, NULL);
  int result = ioctl(call->fd, request, argument);
  int error = errno;
  timer_delete(timer);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  if (result == 0) return 1;
  return error == EINTR ? 0 : named(call, name, -1);
}

static int perform_begin_break(struct call *call) {
  return when_sent(call, TIOCSBRK, 0, "TIOCSBRK");
}

static int perform_end_break(struct call *call) {
  return named(call, "TIOCCBRK", RETRY(ioctl(call->fd, TIOCCBRK)));
}

// TCSBRK with an argument other than 0 is tcdrain(3). It is for what the driver's queue does not count: where something was written
// meanwhile, it would only wait.
static int perform_drain(struct call *call) {
  int queued = 0;
  if (RETRY(ioctl(call->fd, TIOCOUTQ, &queued)) == 0 && queued > 0) return 0;
  return when_sent(call, TCSBRK, 1, "TCSBRK");
}

static void in_pool(napi_env env, void *data) {
  (void)env;
  struct call *call = data;
  call->result = call->perform(call);
  call->error = call->result == -1 ? errno : 0;
  if (call->fd >= 0) close(call->fd);
}

static void done(napi_env env, napi_status status, void *data) {
  struct call *call = data;
  if (status == napi_cancelled) {
    if (call->fd >= 0) close(call->fd);
    call->error = ECANCELED;
    call->failed = "ioctl";
  }
  if (call->error == 0) {
    napi_resolve_deferred(env, call->deferred, call->tells_termios ? termios_object(env, &call->termios) : make_number(env, call->result));
  } else {
    napi_value error;
    throw_errno(env, call->error, call->failed);
    napi_get_and_clear_last_exception(env, &error);
    napi_reject_deferred(env, call->deferred, error);
  }
  napi_delete_async_work(env, call->work);
  free(call->path);
  free(call);
}

static napi_value begin(napi_env env, const struct call *from) {
  struct call *call = calloc(1, sizeof *call);
  if (call == NULL) {
    if (from->fd >= 0) close(from->fd);
    free(from->path);
    return throw_errno(env, ENOMEM, "ioctl");
  }
  *call = *from;
  napi_value promise;
  napi_create_promise(env, &call->deferred, &promise);
  napi_create_async_work(env, NULL, make_string(env, "ttynp.serial"), in_pool, done, call, &call->work);
  napi_queue_async_work(env, call->work);
  return promise;
}

static napi_value begin_at(napi_env env, int fd, struct call call) {
  call.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return call.fd == -1 ? throw_errno(env, errno, "dup") : begin(env, &call);
}

// openSerialPort(path) -> Promise of fd, non-blocking and nobody else's
static napi_value open_serial_port(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char path[4096];
  string_argument(&a, 0, path, sizeof path);
  if (a.bad) return NULL;
  struct call call = {.perform = perform_open, .fd = -1, .path = strdup(path)};
  return call.path == NULL ? throw_errno(env, ENOMEM, "open") : begin(env, &call);
}

// closeSerialPort(fd) -> Promise: the descriptor is the call's from now on
static napi_value close_serial_port(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct call call = {.perform = perform_close, .fd = fd};
  return begin(env, &call);
}

// readTermios(fd) -> Promise of what is in force
static napi_value read_termios(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  return a.bad ? NULL : begin_at(env, fd, (struct call){.perform = perform_get_termios, .tells_termios = true});
}

// applyTermios(fd, termios) -> Promise of what is in force then
static napi_value apply_termios(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct call call = {.perform = perform_set_termios, .tells_termios = true};
  termios_from(env, a.values[1], &call.termios);
  return begin_at(env, fd, call);
}

// setModemBits(fd, bits, mask) -> Promise
static napi_value set_modem_bits(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  struct call call = {.perform = perform_set_modem_bits, .bits = int_argument(&a, 1), .mask = int_argument(&a, 2)};
  return a.bad ? NULL : begin_at(env, fd, call);
}

static napi_value simple(napi_env env, napi_callback_info info, int (*perform)(struct call *call)) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  return a.bad ? NULL : begin_at(env, fd, (struct call){.perform = perform});
}

// modemBits(fd) -> Promise of TIOCMGET
static napi_value modem_bits(napi_env env, napi_callback_info info) {
  return simple(env, info, perform_modem_bits);
}

// flushQueues(fd, which) -> Promise; 0: received, 1: to be transmitted, 2: both
static napi_value flush_queues(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  uint32_t which = uint_argument(&a, 1);
  if (a.bad) return NULL;
  return which > 2 ? throw_errno(env, EINVAL, "TCFLSH") : begin_at(env, fd, (struct call){.perform = perform_flush, .bits = (int)which});
}

// runTransmitter(fd, on) -> Promise; as if XON or XOFF had been received
static napi_value run_transmitter(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  struct call call = {.perform = perform_run_transmitter, .bits = bool_argument(&a, 1)};
  return a.bad ? NULL : begin_at(env, fd, call);
}

// unreadBytes(fd) -> Promise of TIOCINQ
static napi_value unread_bytes(napi_env env, napi_callback_info info) {
  return simple(env, info, perform_unread);
}

// untransmittedBytes(fd) -> Promise of TIOCOUTQ: of the driver; what is in the UART's FIFO is not counted
static napi_value untransmitted_bytes(napi_env env, napi_callback_info info) {
  return simple(env, info, perform_untransmitted);
}

// beginBreak(fd), endBreak(fd), drainSerialPort(fd) -> Promise
static napi_value begin_break(napi_env env, napi_callback_info info) {
  return simple(env, info, perform_begin_break);
}

static napi_value end_break(napi_env env, napi_callback_info info) {
  return simple(env, info, perform_end_break);
}

static napi_value drain(napi_env env, napi_callback_info info) {
  return simple(env, info, perform_drain);
}

void register_serial_calls(napi_env env, napi_value exports) {
  export_function(env, exports, "openSerialPort", open_serial_port);
  export_function(env, exports, "closeSerialPort", close_serial_port);
  export_function(env, exports, "readTermios", read_termios);
  export_function(env, exports, "applyTermios", apply_termios);
  export_function(env, exports, "flushQueues", flush_queues);
  export_function(env, exports, "runTransmitter", run_transmitter);
  export_function(env, exports, "unreadBytes", unread_bytes);
  export_function(env, exports, "untransmittedBytes", untransmitted_bytes);
  export_function(env, exports, "modemBits", modem_bits);
  export_function(env, exports, "setModemBits", set_modem_bits);
  export_function(env, exports, "beginBreak", begin_break);
  export_function(env, exports, "endBreak", end_break);
  export_function(env, exports, "drainSerialPort", drain);
}
