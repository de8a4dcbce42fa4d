// Pseudo-terminals: a master in packet mode whose slave is raw and silent before anyone can open it.
#define _GNU_SOURCE
#include "errno.h"
#include "module.h"
#include "termios2.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct wanted {
  uint32_t baud_rate;
  uint32_t cflag;  // CSTOPB, CRTSCTS, HUPCL ...
  uint32_t iflag;  // IXON, IXOFF
  uint8_t start;
  uint8_t stop;
};

static int arm(int master, const struct wanted *wanted) {
  struct termios2 t;
  if (termios_get(master, &t) == -1) return -1;
  termios_rearm(&t);
  t.c_iflag = wanted->iflag;
  t.c_oflag = 0;
  t.c_cflag = CREAD | CS8 | wanted->cflag;
  termios_set_rate(&t, wanted->baud_rate, wanted->baud_rate);
  t.c_cc[VSTART] = wanted->start;
  t.c_cc[VSTOP] = wanted->stop;
  return termios_set(master, &t);
}

static int publish(const char *path, int32_t uid, int32_t gid, int32_t mode) {
  int slave = RETRY(open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (slave == -1) return -1;
  int failed = 0;
  if (uid >= 0 || gid >= 0) failed = RETRY(fchown(slave, (uid_t)uid, (gid_t)gid));
  if (!failed && mode >= 0) failed = RETRY(fchmod(slave, (mode_t)mode));
  int error = errno;
  close(slave);  // opened and closed once: from now on nobody has it open, and poll says so
  errno = error;
  return failed;
}

static int set_up(int master, const struct wanted *wanted, char *path, size_t size) {
  int unlocked = 0;
  int packet = 1;
  if (RETRY(ioctl(master, TIOCSPTLCK, &unlocked)) == -1) return -1;
  int error = ptsname_r(master, path, size);
  if (error != 0) {
    errno = error;
    return -1;
  }
  if (arm(master, wanted) == -1) return -1;
  return RETRY(ioctl(master, TIOCPKT, &packet));
}

static void swallow_status(int master) {
  for (int i = 0; i < 4; i++) {
    struct pollfd pending = {.fd = master, .events = POLLPRI};
    uint8_t byte;
    if (poll(&pending, 1, 0) != 1 || !(pending.revents & POLLPRI)) return;
    if (RETRY(read(master, &byte, 1)) != 1) return;
  }
}

// createPty({ baudRate, cflag, iflag, start, stop }, uid, gid, mode) -> { fd, path }; -1: as the kernel makes it
static napi_value create_pty(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t uid = int_argument(&a, 1);
  int32_t gid = int_argument(&a, 2);
  int32_t mode = int_argument(&a, 3);
  if (a.bad) return NULL;
  struct wanted wanted = {
      .baud_rate = (uint32_t)number_field(env, a.values[0], "baudRate"),
      .cflag = (uint32_t)number_field(env, a.values[0], "cflag"),
      .iflag = (uint32_t)number_field(env, a.values[0], "iflag"),
      .start = (uint8_t)number_field(env, a.values[0], "start"),
      .stop = (uint8_t)number_field(env, a.values[0], "stop"),
  };
  char path[64];
  int master = RETRY(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (master == -1) return throw_errno(env, errno, "posix_openpt");
  if (set_up(master, &wanted, path, sizeof path) == -1 || publish(path, uid, gid, mode) == -1) {
    int error = errno;
    close(master);
    return throw_errno(env, error, "createPty");
  }
  swallow_status(master);
  napi_value result;
  napi_create_object(env, &result);
  set_field(env, result, "fd", make_number(env, master));
  set_field(env, result, "path", make_string(env, path));
  return result;
}

static napi_value rearm(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct termios2 t;
  if (termios_get(fd, &t) == -1) return throw_errno(env, errno, "TCGETS2");
  termios_rearm(&t);
  if (termios_set(fd, &t) == -1) return throw_errno(env, errno, "TCSETS2");
  return NULL;
}

static napi_value clear_stale(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char path[256];
  string_argument(&a, 0, path, sizeof path);
  if (a.bad) return NULL;
  int slave = RETRY(open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (slave == -1) return throw_errno(env, errno, "open");
  int failed = RETRY(ioctl(slave, TIOCNXCL)) | RETRY(ioctl(slave, TCXONC, TCOON)) | RETRY(ioctl(slave, TCFLSH, TCIFLUSH));
  int error = errno;
  close(slave);
  return failed ? throw_errno(env, error, "tcflush") : NULL;
}

static napi_value is_hung_up(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct pollfd state = {.fd = fd};
  return make_bool(env, poll(&state, 1, 0) == 1 && (state.revents & POLLHUP));
}

// slavePath(masterFd) -> "/dev/pts/7"
static napi_value slave_path(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  char path[64];
  if (a.bad) return NULL;
  int error = ptsname_r(fd, path, sizeof path);
  return error != 0 ? throw_errno(env, error, "ptsname") : make_string(env, path);
}

void register_pty(napi_env env, napi_value exports) {
  export_function(env, exports, "createPty", create_pty);
  export_function(env, exports, "rearm", rearm);
  export_function(env, exports, "clearStale", clear_stale);
  export_function(env, exports, "isHungUp", is_hung_up);
  export_function(env, exports, "slavePath", slave_path);
}
