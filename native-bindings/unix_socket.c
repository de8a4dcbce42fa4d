// Unix stream sockets by path, as descriptors: whoever has one gives it to the kernel, or asks who is at the other end.
// Nothing here waits on the caller's thread.
#define _GNU_SOURCE
#include "module.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "errno.h"

static bool unix_address(struct arguments *a, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  return string_argument(a, 0, address->sun_path, sizeof address->sun_path) > 0;
}

// connectUnix(path) -> fd; a unix connect is done at once, or EAGAIN: too many wait to be accepted
static napi_value connect_unix(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct sockaddr_un address;
  bool named = unix_address(&a, &address);
  if (a.bad) return NULL;
  if (!named) return throw_errno(env, EINVAL, "connect");
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd == -1) return throw_errno(env, errno, "socket");
  if (RETRY(connect(fd, (struct sockaddr *)&address, sizeof address)) == -1) {
    int error = errno;
    close(fd);
    return throw_errno(env, error, "connect");
  }
  return make_number(env, fd);
}

// listenUnix(path, backlog) -> fd
static napi_value listen_unix(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct sockaddr_un address;
  bool named = unix_address(&a, &address);
  int32_t backlog = int_argument(&a, 1);
  if (a.bad) return NULL;
  if (!named) return throw_errno(env, EINVAL, "bind");
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd == -1) return throw_errno(env, errno, "socket");
  const char *call = "bind";
  bool failed = bind(fd, (struct sockaddr *)&address, sizeof address) == -1;
  if (!failed && (failed = listen(fd, backlog) == -1)) call = "listen";
  if (failed) {
    int error = errno;
    close(fd);
    return throw_errno(env, error, call);
  }
  return make_number(env, fd);
}

// acceptConnection(fd) -> fd; -1 where none waits. The listening socket may be a blocking one.
static napi_value accept_connection(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  if (RETRY(poll(&waiting, 1, 0)) <= 0) return make_number(env, -1);
  int accepted = RETRY(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (accepted == -1 && errno != EAGAIN && errno != ECONNABORTED) return throw_errno(env, errno, "accept");
  return make_number(env, accepted);
}

// peerCredentials(fd) -> { pid, uid, gid } of who connected, when it connected
static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1) return throw_errno(env, errno, "getsockopt");
  napi_value result;
  napi_create_object(env, &result);
  set_field(env, result, "pid", make_number(env, peer.pid));
  set_field(env, result, "uid", make_number(env, peer.uid));
  set_field(env, result, "gid", make_number(env, peer.gid));
  return result;
}

// sendNow(fd, text) -> bytes taken; one send(2), which does not wait
static napi_value send_now(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  char text[2048];
  size_t length = string_argument(&a, 1, text, sizeof text);
  if (a.bad) return NULL;
  ssize_t sent = RETRY(send(fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL));
  return sent == -1 ? throw_errno(env, errno, "send") : make_number(env, (double)sent);
}

// A wait for something to read, on a thread of libuv's pool.
struct readable_wait {
  napi_async_work work;
  napi_deferred deferred;
  int fd;
  int timeout_ms;
  int ready;
};

static void wait_readable(napi_env env, void *data) {
  (void)env;
  struct readable_wait *wait = data;
  struct pollfd polled = {.fd = wait->fd, .events = POLLIN};
  wait->ready = poll(&polled, 1, wait->timeout_ms);
}

static void waited_readable(napi_env env, napi_status status, void *data) {
  struct readable_wait *wait = data;
  napi_resolve_deferred(env, wait->deferred, make_bool(env, status == napi_ok && wait->ready > 0));
  napi_delete_async_work(env, wait->work);
  free(wait);
}

// awaitReadable(fd, timeoutMs) -> Promise<boolean>; occupies one thread of the pool meanwhile
static napi_value await_readable(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int32_t timeout_ms = int_argument(&a, 1);
  if (a.bad) return NULL;
  struct readable_wait *wait = calloc(1, sizeof *wait);
  if (wait == NULL) return throw_errno(env, ENOMEM, "poll");
  wait->fd = fd;
  wait->timeout_ms = timeout_ms;
  napi_value promise;
  napi_create_promise(env, &wait->deferred, &promise);
  napi_create_async_work(env, NULL, make_string(env, "ttynp.awaitReadable"), wait_readable, waited_readable, wait, &wait->work);
  napi_queue_async_work(env, wait->work);
  return promise;
}

void register_unix_socket(napi_env env, napi_value exports) {
  export_function(env, exports, "connectUnix", connect_unix);
  export_function(env, exports, "listenUnix", listen_unix);
  export_function(env, exports, "acceptConnection", accept_connection);
  export_function(env, exports, "peerCredentials", peer_credentials);
  export_function(env, exports, "sendNow", send_now);
  export_function(env, exports, "awaitReadable", await_readable);
}
