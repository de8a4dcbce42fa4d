// Descriptors that outlive this process in the service manager's store: the file without a name that keeps a port's state
// (memfd_create(2)), and what kind of thing a descriptor is that came from there. Never reads or writes what is behind one.
#define _GNU_SOURCE
#include "module.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errno.h"
#include "termios2.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

// A kernel before 6.3 does not know MFD_NOEXEC_SEAL; a later one may be told to refuse a file without it
// (sysctl vm.memfd_noexec).
static int open_memfd(const char *name) {
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  return fd == -1 && errno == EINVAL ? memfd_create(name, MFD_CLOEXEC) : fd;
}

// createStateFile(name, bytes) -> fd of a file full of zeros
static napi_value create_state_file(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  char name[250];  // the kernel's limit, with the NUL
  string_argument(&a, 0, name, sizeof name);
  double bytes = number_argument(&a, 1);
  if (a.bad) return NULL;
  if (!(bytes >= 0 && bytes <= (double)(1ULL << 53))) return throw_errno(env, EINVAL, "ftruncate");
  int fd = open_memfd(name);
  if (fd == -1) return throw_errno(env, errno, "memfd_create");
  if (RETRY(ftruncate(fd, (off_t)bytes)) == -1) {
    int error = errno;
    close(fd);
    return throw_errno(env, error, "ftruncate");
  }
  return make_number(env, fd);
}

static int socket_option(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == -1 ? -1 : value;
}

static bool is_tcp(int fd) {
  int domain = socket_option(fd, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6) && socket_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

static bool is_unix_connection(int fd) {
  return socket_option(fd, SO_DOMAIN) == AF_UNIX && socket_option(fd, SO_TYPE) == SOCK_STREAM &&
         socket_option(fd, SO_ACCEPTCONN) == 0;
}

// A tty whose device was unplugged answers nothing any more, but is one.
static const char *kind_of_character_device(int fd) {
  unsigned number = 0;
  struct termios2 settings;
  if (RETRY(ioctl(fd, TIOCGPTN, &number)) == 0) return "pty-master";
  return termios_get(fd, &settings) == 0 || errno == EIO ? "tty" : "other";
}

static const char *kind_of(int fd, const struct stat *file) {
  if (S_ISCHR(file->st_mode)) return kind_of_character_device(fd);
  if (S_ISSOCK(file->st_mode)) {
    if (is_tcp(fd)) return socket_option(fd, SO_ACCEPTCONN) == 0 ? "tcp" : "tcp-listener";
    return is_unix_connection(fd) ? "unix" : "other";
  }
  // Files of tmpfs have seals, too, but a memfd never had a name.
  if (S_ISREG(file->st_mode)) return file->st_nlink == 0 && fcntl(fd, F_GET_SEALS) != -1 ? "memfd" : "other";
  return "other";
}

// descriptorKind(fd) -> "pty-master" | "tty" | "tcp" | "tcp-listener" | "unix" | "memfd" | "other"
static napi_value descriptor_kind(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  struct stat file;
  if (a.bad) return NULL;
  if (RETRY(fstat(fd, &file)) == -1) return throw_errno(env, errno, "fstat");
  return make_string(env, kind_of(fd, &file));
}

static napi_value set_close_on_exec(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  int flags = fcntl(fd, F_GETFD);
  if (flags == -1 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == -1) return throw_errno(env, errno, "fcntl");
  return NULL;
}

void register_memfd(napi_env env, napi_value exports) {
  export_function(env, exports, "createStateFile", create_state_file);
  export_function(env, exports, "descriptorKind", descriptor_kind);
  export_function(env, exports, "setCloseOnExec", set_close_on_exec);
}
