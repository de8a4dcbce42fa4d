// One datagram to a unix socket: the service manager's, with descriptors where there are any (sd_notify(3), "Notes"), or
// another's, such as the journal's. Nothing here waits, but the two calls that say so: a daemon that hands over has to know
// that the manager has what it was given before it ends.
#define _GNU_SOURCE
#include "module.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "errno.h"

#define MAX_FDS 253  // SCM_MAX_FD

// '@' begins the name of an abstract socket.
static socklen_t fill_address(struct sockaddr_un *address, const char *path, size_t length) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (length == 0 || length >= sizeof address->sun_path) return 0;
  memcpy(address->sun_path, path, length);
  if (path[0] != '@') return (socklen_t)sizeof *address;
  address->sun_path[0] = '\0';
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static int send_state(struct sockaddr_un *address, socklen_t size, char *state, size_t length, const int *fds, uint32_t count) {
  struct iovec part = {.iov_base = state, .iov_len = length};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS)];
  } control;
  struct msghdr message = {.msg_name = address, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd == -1) return -1;
  ssize_t sent = RETRY(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
  int error = errno;
  close(fd);
  errno = error;
  return sent == -1 ? -1 : 0;
}

// notify(socketPath, state, fds: number[])
static napi_value notify(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char path[128];
  char state[4096];
  int fds[MAX_FDS];
  uint32_t count = 0;
  size_t path_length = string_argument(&a, 0, path, sizeof path);
  size_t length = string_argument(&a, 1, state, sizeof state);
  if (a.bad) return NULL;
  if (a.count > 2) napi_get_array_length(env, a.values[2], &count);
  if (count > MAX_FDS) return throw_errno(env, EINVAL, "sendmsg");
  for (uint32_t i = 0; i < count; i++) {
    napi_value value;
    napi_get_element(env, a.values[2], i, &value);
    if (napi_get_value_int32(env, value, &fds[i]) != napi_ok) return throw_errno(env, EINVAL, "sendmsg");
  }
  struct sockaddr_un address;
  socklen_t size = fill_address(&address, path, path_length);
  if (size == 0) return throw_errno(env, EINVAL, "sendmsg");
  if (send_state(&address, size, state, length, fds, count) == -1) return throw_errno(env, errno, "sendmsg");
  return NULL;
}

// sendDatagram(socketPath, bytes: Uint8Array)
static napi_value send_datagram(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char path[128];
  size_t path_length = string_argument(&a, 0, path, sizeof path);
  if (a.bad) return NULL;
  napi_typedarray_type type = napi_int8_array;
  void *bytes = NULL;
  size_t length = 0;
  bool is_typed = false;
  if (a.count > 1) napi_is_typedarray(env, a.values[1], &is_typed);
  if (is_typed) napi_get_typedarray_info(env, a.values[1], &type, &length, &bytes, NULL, NULL);
  if (type != napi_uint8_array) return throw_errno(env, EINVAL, "sendmsg");
  struct sockaddr_un address;
  socklen_t size = fill_address(&address, path, path_length);
  if (size == 0) return throw_errno(env, EINVAL, "sendmsg");
  if (send_state(&address, size, bytes, length, NULL, 0) == -1) return throw_errno(env, errno, "sendmsg");
  return NULL;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// 1: the event or an error is there; 0: it is late; -1: errno. A signal costs nothing of the time.
static int wait_for(int fd, short events, int64_t deadline) {
  for (;;) {
    int64_t left = deadline - now_ms();
    struct pollfd state = {.fd = fd, .events = events};
    int n = poll(&state, 1, left > 0 ? (int)left : 0);
    if (n >= 0) return n;
    if (errno != EINTR) return -1;
  }
}

// awaitDatagramRoom(socketPath, timeoutMs) -> boolean. Only a connected socket is told that its receiver has room.
static napi_value await_datagram_room(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char path[128];
  size_t path_length = string_argument(&a, 0, path, sizeof path);
  uint32_t timeout = uint_argument(&a, 1);
  if (a.bad) return NULL;
  int64_t deadline = now_ms() + (timeout > INT32_MAX ? INT32_MAX : timeout);
  struct sockaddr_un address;
  socklen_t size = fill_address(&address, path, path_length);
  if (size == 0) return throw_errno(env, EINVAL, "connect");
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd == -1) return throw_errno(env, errno, "socket");
  const char *call = "connect";
  int n = RETRY(connect(fd, (struct sockaddr *)&address, size));
  if (n == 0) {
    call = "poll";
    n = wait_for(fd, POLLOUT, deadline);
  }
  int error = errno;
  close(fd);
  return n == -1 ? throw_errno(env, error, call) : make_bool(env, n > 0);
}

// beginBarrier(socketPath) -> fd that has an end when the manager has handled what was sent before
static napi_value begin_barrier(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char path[128];
  size_t path_length = string_argument(&a, 0, path, sizeof path);
  if (a.bad) return NULL;
  struct sockaddr_un address;
  socklen_t size = fill_address(&address, path, path_length);
  if (size == 0) return throw_errno(env, EINVAL, "sendmsg");
  // systemd ignores the whole message where anything else is in it, or more than one descriptor.
  char state[] = "BARRIER=1";
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) == -1) return throw_errno(env, errno, "pipe2");
  int failed = send_state(&address, size, state, sizeof state - 1, &ends[1], 1);
  int error = errno;
  close(ends[1]);
  if (!failed) return make_number(env, ends[0]);
  close(ends[0]);
  return throw_errno(env, error, "sendmsg");
}

// awaitEnd(fd, timeoutMs) -> boolean: nobody holds the pipe's other end any more
static napi_value await_end(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  uint32_t timeout = uint_argument(&a, 1);
  if (a.bad) return NULL;
  int n = wait_for(fd, 0, now_ms() + (timeout > INT32_MAX ? INT32_MAX : timeout));
  return n == -1 ? throw_errno(env, errno, "poll") : make_bool(env, n > 0);
}

void register_notify(napi_env env, napi_value exports) {
  export_function(env, exports, "notify", notify);
  export_function(env, exports, "sendDatagram", send_datagram);
  export_function(env, exports, "awaitDatagramRoom", await_datagram_room);
  export_function(env, exports, "beginBarrier", begin_barrier);
  export_function(env, exports, "awaitEnd", await_end);
}
