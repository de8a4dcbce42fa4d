// A real serial port: open and lock, modem lines, break, queues, counters, RS-485. Settings are termios.c's.
// Nothing here waits but the two calls of await_serial, which are work for a thread of libuv's pool.
#define _GNU_SOURCE
#include "module.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "errno.h"
#include "serial_port.h"

// asm/ioctls.h has the numbers, but <sys/ioctl.h>, which declares this and the TIOCM_ bits, clashes with asm/termbits.h.
int ioctl(int fd, unsigned long request, ...);

static const char *lock_port(int fd) {
  struct termios2 probe;
  if (RETRY(ioctl(fd, TCGETS2, &probe)) == -1) return "TCGETS2";
  if (RETRY(flock(fd, LOCK_EX | LOCK_NB)) == -1) return "flock";
  return RETRY(ioctl(fd, TIOCEXCL)) == -1 ? "TIOCEXCL" : NULL;
}

// openSerialPort(path) -> fd, non-blocking and nobody else's: flock() for those who ask, TIOCEXCL for those who do not
static napi_value open_serial_port(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char path[4096];
  string_argument(&a, 0, path, sizeof path);
  if (a.bad) return NULL;
  int fd = RETRY(open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (fd == -1) return throw_errno(env, errno, "open");
  const char *failed = lock_port(fd);
  if (failed == NULL) return make_number(env, fd);
  int error = errno;
  close(fd);
  return throw_errno(env, error, failed);
}

// closeSerialPort(fd): what is queued is dropped, or close(2) would wait for it
static napi_value close_serial_port(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  RETRY(ioctl(fd, TCFLSH, TCIOFLUSH));
  RETRY(ioctl(fd, TIOCNXCL));
  RETRY(flock(fd, LOCK_UN));  // a wait that goes on has another descriptor of the same open file
  if (close(fd) == -1 && errno != EINTR) return throw_errno(env, errno, "close");
  return NULL;
}

// modemBits(fd) -> TIOCMGET
static napi_value modem_bits(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int bits = 0;
  if (a.bad) return NULL;
  if (RETRY(ioctl(fd, TIOCMGET, &bits)) == -1) return throw_errno(env, errno, "TIOCMGET");
  return make_number(env, bits);
}

// setModemBits(fd, bits, mask): one TIOCMSET, so that two lines move together; bits outside of the mask stay
static napi_value set_modem_bits(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int32_t wanted = int_argument(&a, 1);
  int32_t mask = int_argument(&a, 2);
  int bits = 0;
  if (a.bad) return NULL;
  if (RETRY(ioctl(fd, TIOCMGET, &bits)) == -1) return throw_errno(env, errno, "TIOCMGET");
  bits = (bits & ~mask) | (wanted & mask);
  if (RETRY(ioctl(fd, TIOCMSET, &bits)) == -1) return throw_errno(env, errno, "TIOCMSET");
  return NULL;
}

int serial_counters(int fd, double counters[SERIAL_COUNTERS]) {
  struct serial_icounter_struct count;
  memset(&count, 0, sizeof count);
  if (RETRY(ioctl(fd, TIOCGICOUNT, &count)) == -1) return -1;
  counters[0] = count.parity;
  counters[1] = count.frame;
  counters[2] = count.overrun;
  counters[3] = count.buf_overrun;
  counters[4] = count.brk;
  counters[5] = count.cts;
  counters[6] = count.dsr;
  counters[7] = count.dcd;
  counters[8] = count.rng;
  return 0;
}

// lineCounters(fd) -> [parity, frame, overrun, buf_overrun, brk, cts, dsr, dcd, rng] of TIOCGICOUNT
static napi_value line_counters(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  double counters[SERIAL_COUNTERS];
  if (a.bad) return NULL;
  if (serial_counters(fd, counters) == -1) return throw_errno(env, errno, "TIOCGICOUNT");
  napi_value list;
  napi_create_array_with_length(env, SERIAL_COUNTERS, &list);
  for (uint32_t i = 0; i < SERIAL_COUNTERS; i++) napi_set_element(env, list, i, make_number(env, counters[i]));
  return list;
}

// One ioctl whose argument is a small number, under the name that its error gets.
static napi_value simple_call(napi_env env, int fd, unsigned long request, int argument, const char *name) {
  if (RETRY(ioctl(fd, request, argument)) == -1) return throw_errno(env, errno, name);
  return NULL;
}

static const int QUEUES[] = {TCIFLUSH, TCOFLUSH, TCIOFLUSH};

// flushQueues(fd, which): 0 received, 1 to be transmitted, 2 both
static napi_value flush_queues(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  uint32_t which = uint_argument(&a, 1);
  if (a.bad) return NULL;
  return which > 2 ? throw_errno(env, EINVAL, "TCFLSH") : simple_call(env, fd, TCFLSH, QUEUES[which], "TCFLSH");
}

// runTransmitter(fd, on): as if XON or XOFF had been received. TCOOFF first, since TCOON alone resumes only what
// TCOOFF has stopped, and not what a received XOFF has.
static napi_value run_transmitter(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  bool on = bool_argument(&a, 1);
  if (a.bad) return NULL;
  if (RETRY(ioctl(fd, TCXONC, TCOOFF)) == -1) return throw_errno(env, errno, "TCXONC");
  return on ? simple_call(env, fd, TCXONC, TCOON, "TCXONC") : NULL;
}

// endBreak(fd)
static napi_value end_break(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  return a.bad ? NULL : simple_call(env, fd, TIOCCBRK, 0, "TIOCCBRK");
}

static napi_value queue_length(napi_env env, napi_callback_info info, unsigned long request, const char *name) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int queued = 0;
  if (a.bad) return NULL;
  if (RETRY(ioctl(fd, request, &queued)) == -1) return throw_errno(env, errno, name);
  return make_number(env, queued);
}

// unreadBytes(fd) -> TIOCINQ
static napi_value unread_bytes(napi_env env, napi_callback_info info) {
  return queue_length(env, info, TIOCINQ, "TIOCINQ");
}

// untransmittedBytes(fd) -> TIOCOUTQ: of the driver; what is in the UART's FIFO is not counted
static napi_value untransmitted_bytes(napi_env env, napi_callback_info info) {
  return queue_length(env, info, TIOCOUTQ, "TIOCOUTQ");
}

// setRs485(fd, { flags, delayBefore, delayAfter }) -> the flags in force
static napi_value set_rs485(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct serial_rs485 rs485;
  memset(&rs485, 0, sizeof rs485);
  rs485.flags = (uint32_t)number_field(env, a.values[1], "flags");
  rs485.delay_rts_before_send = (uint32_t)number_field(env, a.values[1], "delayBefore");
  rs485.delay_rts_after_send = (uint32_t)number_field(env, a.values[1], "delayAfter");
  if (RETRY(ioctl(fd, TIOCSRS485, &rs485)) == -1) return throw_errno(env, errno, "TIOCSRS485");
  return make_number(env, rs485.flags);
}

// A request that the kernel carries out only when everything has been transmitted. It has a descriptor of its own, so that
// the port may be closed meanwhile; a flush ends the wait.
struct serial_wait {
  napi_async_work work;
  napi_deferred deferred;
  int fd;
  bool begins_break;
  int error;
};

static void wait_serial(napi_env env, void *data) {
  (void)env;
  struct serial_wait *wait = data;
  // TCSBRK with an argument other than 0 is tcdrain(3).
  int n = wait->begins_break ? RETRY(ioctl(wait->fd, TIOCSBRK)) : RETRY(ioctl(wait->fd, TCSBRK, 1));
  wait->error = n == -1 ? errno : 0;
  close(wait->fd);
}

static void waited_serial(napi_env env, napi_status status, void *data) {
  struct serial_wait *wait = data;
  if (status == napi_cancelled) close(wait->fd);
  const char *name = errno_name(wait->error);
  napi_resolve_deferred(env, wait->deferred, make_string(env, wait->error == 0 ? "" : name));
  napi_delete_async_work(env, wait->work);
  free(wait);
}

// awaitSerial(fd, beginsBreak) -> Promise<string>: '' or the errno's name
static napi_value await_serial(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  bool begins_break = bool_argument(&a, 1);
  if (a.bad) return NULL;
  int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own == -1) return throw_errno(env, errno, "dup");
  struct serial_wait *wait = calloc(1, sizeof *wait);
  if (wait == NULL) {
    close(own);
    return throw_errno(env, ENOMEM, "ioctl");
  }
  wait->fd = own;
  wait->begins_break = begins_break;
  napi_value promise;
  napi_create_promise(env, &wait->deferred, &promise);
  napi_create_async_work(env, NULL, make_string(env, "ttynp.awaitSerial"), wait_serial, waited_serial, wait, &wait->work);
  napi_queue_async_work(env, wait->work);
  return promise;
}

void register_serial_port(napi_env env, napi_value exports) {
  export_function(env, exports, "openSerialPort", open_serial_port);
  export_function(env, exports, "closeSerialPort", close_serial_port);
  export_function(env, exports, "modemBits", modem_bits);
  export_function(env, exports, "setModemBits", set_modem_bits);
  export_function(env, exports, "lineCounters", line_counters);
  export_function(env, exports, "flushQueues", flush_queues);
  export_function(env, exports, "runTransmitter", run_transmitter);
  export_function(env, exports, "endBreak", end_break);
  export_function(env, exports, "unreadBytes", unread_bytes);
  export_function(env, exports, "untransmittedBytes", untransmitted_bytes);
  export_function(env, exports, "setRs485", set_rs485);
  export_function(env, exports, "awaitSerial", await_serial);
}
