// One datagram to a unix socket: the service manager's, with descriptors where there are any (sd_notify(3), "Notes"), or
// another's, such as the journal's. Never waits.
#define _GNU_SOURCE
#include "module.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

void register_notify(napi_env env, napi_value exports) {
  export_function(env, exports, "notify", notify);
  export_function(env, exports, "sendDatagram", send_datagram);
}
