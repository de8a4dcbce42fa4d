// A driver of a UART, played: loaded before the C library (LD_PRELOAD), it answers the ioctls that a PTY does not know, so
// that a real port's code runs on a machine without one. What the line does is told by the test, in a file that both map; what
// the port did is left there. Its core has locks as that of USB serial ports, two for each: one for all that is asked, and one by which
// bytes wait for settings; whoever has them waits for the device, which may hang. TIOCMIWAIT waits as the kernel's does: until a line
// changes or a signal comes, and no close ends it.
#define _GNU_SOURCE
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

// All words, so that a test writes them as one Int32Array.
struct state {
  int32_t lines;      // TIOCM_ bits that the device drives
  int32_t counters[9];  // parity, frame, overrun, buf_overrun, brk, cts, dsr, dcd, rng
  int32_t outputs;    // TIOCM_ bits that the port drives
  int32_t sets;       // how often it has set them
  int32_t breaks;     // begun, and ended
  int32_t breaks_ended;
  int32_t queued;     // TIOCOUTQ
  int32_t drains;     // TCSBRK with 1
  int32_t waits;      // threads in TIOCMIWAIT now
  int32_t rs485;      // flags
  int32_t refuses;    // cflag bits that the driver does not know: it takes them out
  int32_t hangs;      // one more than the number of the PTY whose device answers nothing
  int32_t holds;      // an adapter has bytes in its own buffer and CTS holds it: TCSBRK and TIOCSBRK wait for it
  int32_t held;       // threads that wait so now
  int32_t no_miwait;  // TIOCMIWAIT is not known, as to cp210x
  int32_t breaking;   // the line is in a break
};

static struct state *state(void) {
  static struct state *mapped;
  if (mapped != NULL) return mapped;
  int fd = open(getenv("UART_STATE"), O_RDWR | O_CLOEXEC);
  if (fd == -1) abort();
  mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return mapped;
}

static int32_t now(volatile int32_t *word) {
  return *word;
}

static int wait_for_change(struct state *s) {
  int32_t before = now(&s->lines);
  __atomic_add_fetch(&s->waits, 1, __ATOMIC_SEQ_CST);
  int result = 0;
  while (now(&s->lines) == before) {
    if (nanosleep(&(struct timespec){.tv_sec = 0, .tv_nsec = 2000000}, NULL) == -1) {
      errno = EINTR;
      result = -1;
      break;
    }
  }
  __atomic_sub_fetch(&s->waits, 1, __ATOMIC_SEQ_CST);
  return result;
}

static int counters(struct state *s, struct serial_icounter_struct *count) {
  memset(count, 0, sizeof *count);
  count->parity = now(&s->counters[0]);
  count->frame = now(&s->counters[1]);
  count->overrun = now(&s->counters[2]);
  count->buf_overrun = now(&s->counters[3]);
  count->brk = now(&s->counters[4]);
  return 0;
}

#define PORTS 256
#define PTY_SLAVES 136  // the major number, Linux, Documentation/admin-guide/devices.txt

static pthread_mutex_t of_port[PORTS] = {[0 ... PORTS - 1] = PTHREAD_MUTEX_INITIALIZER};
static pthread_rwlock_t of_settings[PORTS] = {[0 ... PORTS - 1] = PTHREAD_RWLOCK_INITIALIZER};

// Whether it hung.
static bool ask_device(struct state *s, int port) {
  bool hung = false;
  for (; now(&s->hangs) == port + 1; hung = true) nanosleep(&(struct timespec){.tv_sec = 0, .tv_nsec = 2000000}, NULL);
  return hung;
}

// Its number; -1: it is none.
static int port_of(int fd) {
  struct stat of;
  if (fstat(fd, &of) != 0 || !S_ISCHR(of.st_mode) || major(of.st_rdev) != PTY_SLAVES) return -1;
  return (int)minor(of.st_rdev);
}

ssize_t read(int fd, void *into, size_t length) {
  int port = port_of(fd);
  if (port < 0) return syscall(SYS_read, fd, into, length);
  pthread_rwlock_rdlock(&of_settings[port]);
  ssize_t result = syscall(SYS_read, fd, into, length);
  pthread_rwlock_unlock(&of_settings[port]);
  return result;
}

ssize_t write(int fd, const void *from, size_t length) {
  int port = port_of(fd);
  if (port < 0) return syscall(SYS_write, fd, from, length);
  pthread_rwlock_rdlock(&of_settings[port]);
  ssize_t result = syscall(SYS_write, fd, from, length);
  pthread_rwlock_unlock(&of_settings[port]);
  return result;
}

// tty_wait_until_sent(): under no lock, as long as it takes; a signal ends it.
static int wait_until_sent(struct state *s) {
  int result = 0;
  __atomic_add_fetch(&s->held, 1, __ATOMIC_SEQ_CST);
  while (now(&s->holds) && result == 0) {
    if (nanosleep(&(struct timespec){.tv_sec = 0, .tv_nsec = 2000000}, NULL) == -1) result = -1;
  }
  __atomic_sub_fetch(&s->held, 1, __ATOMIC_SEQ_CST);
  if (result == -1) errno = EINTR;
  return result;
}

static int perform(struct state *s, int fd, unsigned long request, void *argument);

int ioctl(int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  struct state *s = state();
  int port = port_of(fd);
  if (request == TIOCMIWAIT || request == TIOCGICOUNT || port < 0) return perform(s, fd, request, argument);
  if ((request == TCSBRK || request == TIOCSBRK) && wait_until_sent(s) == -1) return -1;
  if (request == TCSETS2) pthread_rwlock_wrlock(&of_settings[port]);
  pthread_mutex_lock(&of_port[port]);
  bool hung = (request == TIOCMSET || request == TIOCMGET || request == TCSETS2) && ask_device(s, port);
  int result = perform(s, fd, request, argument);
  int error = errno;
  pthread_mutex_unlock(&of_port[port]);
  if (request == TCSETS2) pthread_rwlock_unlock(&of_settings[port]);
  // Of those who waited it is the last to go on, as the scheduler may have it.
  if (hung) nanosleep(&(struct timespec){.tv_sec = 0, .tv_nsec = 50000000}, NULL);
  errno = error;
  return result;
}

static int perform(struct state *s, int fd, unsigned long request, void *argument) {
  switch (request) {
    case TIOCMGET:
      *(int *)argument = now(&s->lines) | now(&s->outputs);
      return 0;
    case TIOCMSET:
      s->outputs = *(int *)argument & 6;
      s->sets++;
      return 0;
    case TIOCMIWAIT:
      if (now(&s->no_miwait)) {
        errno = ENOTTY;
        return -1;
      }
      return wait_for_change(s);
    case TIOCGICOUNT:
      return counters(s, argument);
    case TIOCSBRK:
      s->breaks++;
      s->breaking = 1;
      return 0;
    case TIOCCBRK:
      s->breaks_ended++;
      s->breaking = 0;
      return 0;
    case TIOCOUTQ:
      *(int *)argument = now(&s->queued);
      return 0;
    case TCSBRK:
      s->drains++;
      return 0;
    case TIOCSRS485:
      s->rs485 = (int32_t)((struct serial_rs485 *)argument)->flags;
      return 0;
    default:
      break;
  }
  // A PTY has neither frame nor handshake to refuse.
  struct termios2 changed;
  if (request == TCSETS2) {
    changed = *(struct termios2 *)argument;
    changed.c_cflag &= ~(tcflag_t)now(&s->refuses);
    argument = &changed;
  }
  return (int)syscall(SYS_ioctl, fd, request, argument);
}
