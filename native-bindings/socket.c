// Sockets that JavaScript's net module cannot give: connected without reading, tuned before connect, measured after.
// Nothing here waits: a connect is begun, and the pump tells when it has ended.
#define _GNU_SOURCE
#include "module.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "errno.h"

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_storage storage;
};

// "192.0.2.1", "2001:db8::1", "fe80::1%eth1"; returns the address's length, 0 for anything else.
static socklen_t parse_address(const char *host, uint16_t port, union address *address) {
  memset(address, 0, sizeof *address);
  if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons(port);
    return sizeof address->v4;
  }
  char numeric[INET6_ADDRSTRLEN + 1];
  const char *scope = strchr(host, '%');
  size_t length = scope != NULL ? (size_t)(scope - host) : strlen(host);
  if (length >= sizeof numeric) return 0;
  memcpy(numeric, host, length);
  numeric[length] = '\0';
  if (inet_pton(AF_INET6, numeric, &address->v6.sin6_addr) != 1) return 0;
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htons(port);
  if (scope != NULL) {
    unsigned index = if_nametoindex(scope + 1);
    if (index == 0) index = (unsigned)strtoul(scope + 1, NULL, 10);
    if (index == 0) return 0;
    address->v6.sin6_scope_id = index;
  }
  return sizeof address->v6;
}

static int set_option(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

// Sets an option that was asked for; 0 means that it was not.
static int set_if(int fd, int level, int option, double value) {
  return value > 0 ? set_option(fd, level, option, (int)value) : 0;
}

static int tune(napi_env env, int fd, napi_value options) {
  int failed = set_if(fd, IPPROTO_TCP, TCP_NODELAY, number_field(env, options, "noDelay"));
  double idle = number_field(env, options, "keepAliveIdle");
  if (idle > 0) {
    failed |= set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    failed |= set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)idle);
    failed |= set_if(fd, IPPROTO_TCP, TCP_KEEPINTVL, number_field(env, options, "keepAliveInterval"));
    failed |= set_if(fd, IPPROTO_TCP, TCP_KEEPCNT, number_field(env, options, "keepAliveCount"));
  }
  failed |= set_if(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, number_field(env, options, "userTimeoutMs"));
  failed |= set_if(fd, SOL_SOCKET, SO_SNDBUF, number_field(env, options, "sendBuffer"));
  failed |= set_if(fd, SOL_SOCKET, SO_RCVBUF, number_field(env, options, "receiveBuffer"));
  failed |= set_if(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, number_field(env, options, "notSentLowat"));
  return failed;
}

// beginConnect(host, port, options) -> fd of a socket that is connecting
static napi_value begin_connect(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char host[128];
  string_argument(&a, 0, host, sizeof host);
  uint32_t port = uint_argument(&a, 1);
  if (a.bad) return NULL;
  union address address;
  socklen_t length = parse_address(host, (uint16_t)port, &address);
  if (length == 0 || port == 0 || port > 65535) return throw_errno(env, EINVAL, "connect");
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd == -1) return throw_errno(env, errno, "socket");
  bool failed = a.count > 2 && tune(env, fd, a.values[2]) != 0;
  if (failed || (connect(fd, &address.any, length) == -1 && errno != EINPROGRESS && errno != EINTR)) {
    int error = errno;
    close(fd);
    return throw_errno(env, error, failed ? "setsockopt" : "connect");
  }
  return make_number(env, fd);
}

// setSocketOptions(fd, options)
static napi_value set_socket_options(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  if (a.count > 1 && tune(env, fd, a.values[1]) != 0) return throw_errno(env, errno, "setsockopt");
  return NULL;
}

// beginListen(host, port, backlog, receiveBuffer) -> fd; the buffer is set before listen(), as TCP's window needs it
static napi_value begin_listen(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char host[128];
  string_argument(&a, 0, host, sizeof host);
  uint32_t port = uint_argument(&a, 1);
  int32_t backlog = int_argument(&a, 2);
  uint32_t receive_buffer = uint_argument(&a, 3);
  if (a.bad) return NULL;
  union address address;
  socklen_t length = parse_address(host, (uint16_t)port, &address);
  if (length == 0 || port > 65535) return throw_errno(env, EINVAL, "bind");
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd == -1) return throw_errno(env, errno, "socket");
  const char *call = "setsockopt";
  bool failed = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == -1 ||
                set_if(fd, SOL_SOCKET, SO_RCVBUF, receive_buffer) == -1;
  if (!failed && (failed = bind(fd, &address.any, length) == -1)) call = "bind";
  if (!failed && (failed = listen(fd, backlog) == -1)) call = "listen";
  if (failed) {
    int error = errno;
    close(fd);
    return throw_errno(env, error, call);
  }
  return make_number(env, fd);
}

static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1) {
    return throw_errno(env, errno, "socketpair");
  }
  napi_value result;
  napi_create_array_with_length(env, 2, &result);
  napi_set_element(env, result, 0, make_number(env, fds[0]));
  napi_set_element(env, result, 1, make_number(env, fds[1]));
  return result;
}

static napi_value output_queue(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int queued = 0;
  if (a.bad) return NULL;
  if (RETRY(ioctl(fd, SIOCOUTQ, &queued)) == -1) return throw_errno(env, errno, "SIOCOUTQ");
  return make_number(env, queued);
}

static napi_value input_queue(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int waiting = 0;
  if (a.bad) return NULL;
  if (RETRY(ioctl(fd, FIONREAD, &waiting)) == -1) return throw_errno(env, errno, "FIONREAD");
  return make_number(env, waiting);
}

static napi_value discard_input(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  // No more than what is there now: a peer that keeps sending must not keep us here.
  int waiting = 0;
  if (RETRY(ioctl(fd, FIONREAD, &waiting)) == -1) return throw_errno(env, errno, "FIONREAD");
  char bytes[16384];
  int done = 0;
  while (done < waiting) {
    size_t asked = (size_t)(waiting - done) < sizeof bytes ? (size_t)(waiting - done) : sizeof bytes;
    ssize_t n = RETRY(recv(fd, bytes, asked, MSG_DONTWAIT));
    if (n <= 0) break;
    done += (int)n;
  }
  return make_number(env, done);
}

static napi_value socket_error(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int error = 0;
  socklen_t size = sizeof error;
  if (a.bad) return NULL;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1) return throw_errno(env, errno, "getsockopt");
  return make_number(env, error);
}

static napi_value is_established(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  struct tcp_info tcp = {0};
  socklen_t size = sizeof tcp;
  if (a.bad) return NULL;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &size) == -1) return throw_errno(env, errno, "getsockopt");
  return make_number(env, tcp.tcpi_state == TCP_ESTABLISHED);
}

static napi_value address_of(napi_env env, napi_callback_info info, bool peer) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  union address address = {0};
  socklen_t size = sizeof address;
  int failed = peer ? getpeername(fd, &address.any, &size) : getsockname(fd, &address.any, &size);
  if (failed) return throw_errno(env, errno, peer ? "getpeername" : "getsockname");
  char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 2] = "";
  uint16_t port = 0;
  if (address.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof text);
    port = ntohs(address.v4.sin_port);
  } else if (address.any.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &address.v6.sin6_addr, text, INET6_ADDRSTRLEN);
    port = ntohs(address.v6.sin6_port);
    char name[IF_NAMESIZE];
    size_t length = strlen(text);
    if (address.v6.sin6_scope_id != 0 && if_indextoname(address.v6.sin6_scope_id, name) != NULL) {
      snprintf(text + length, sizeof text - length, "%%%s", name);
    }
  }
  napi_value result;
  napi_create_object(env, &result);
  set_field(env, result, "address", make_string(env, text));
  set_field(env, result, "port", make_number(env, port));
  return result;
}

static napi_value local_address(napi_env env, napi_callback_info info) {
  return address_of(env, info, false);
}

static napi_value peer_address(napi_env env, napi_callback_info info) {
  return address_of(env, info, true);
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  // Not repeated after EINTR: Linux has released the number by then.
  if (close(fd) == -1 && errno != EINTR) return throw_errno(env, errno, "close");
  return NULL;
}

static napi_value dup_fd(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy == -1 ? throw_errno(env, errno, "dup") : make_number(env, copy);
}

// shutdownFd(fd, 0 read | 1 write | 2 both)
static napi_value shutdown_fd(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  int32_t how = int_argument(&a, 1);
  if (a.bad) return NULL;
  return shutdown(fd, how) == -1 ? throw_errno(env, errno, "shutdown") : NULL;
}

static napi_value set_linger_0(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct linger linger = {.l_onoff = 1};
  if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == -1) return throw_errno(env, errno, "setsockopt");
  return NULL;
}

void register_socket(napi_env env, napi_value exports) {
  export_function(env, exports, "beginConnect", begin_connect);
  export_function(env, exports, "beginListen", begin_listen);
  export_function(env, exports, "setSocketOptions", set_socket_options);
  export_function(env, exports, "socketPair", socket_pair);
  export_function(env, exports, "outputQueue", output_queue);
  export_function(env, exports, "inputQueue", input_queue);
  export_function(env, exports, "discardInput", discard_input);
  export_function(env, exports, "isEstablished", is_established);
  export_function(env, exports, "socketError", socket_error);
  export_function(env, exports, "localAddress", local_address);
  export_function(env, exports, "peerAddress", peer_address);
  export_function(env, exports, "closeFd", close_fd);
  export_function(env, exports, "dupFd", dup_fd);
  export_function(env, exports, "shutdownFd", shutdown_fd);
  export_function(env, exports, "setLinger0", set_linger_0);
}
