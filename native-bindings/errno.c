// The names of the errno values that terminals, sockets and files give. strerrorname_np() is glibc's alone.
#include "errno.h"

#define NAME(number) \
  case number:       \
    return #number

const char *errno_name(int number) {
  switch (number) {
    NAME(EACCES);
    NAME(EADDRINUSE);
    NAME(EADDRNOTAVAIL);
    NAME(EAFNOSUPPORT);
    NAME(EAGAIN);
    NAME(EALREADY);
    NAME(EBADF);
    NAME(EBUSY);
    NAME(ECANCELED);
    NAME(ECONNABORTED);
    NAME(ECONNREFUSED);
    NAME(ECONNRESET);
    NAME(EDESTADDRREQ);
    NAME(EEXIST);
    NAME(EFAULT);
    NAME(EHOSTDOWN);
    NAME(EHOSTUNREACH);
    NAME(EINPROGRESS);
    NAME(EINTR);
    NAME(EINVAL);
    NAME(EIO);
    NAME(EISCONN);
    NAME(EISDIR);
    NAME(ELOOP);
    NAME(EMFILE);
    NAME(EMSGSIZE);
    NAME(ENAMETOOLONG);
    NAME(ENETDOWN);
    NAME(ENETRESET);
    NAME(ENETUNREACH);
    NAME(ENFILE);
    NAME(ENOBUFS);
    NAME(ENODEV);
    NAME(ENOENT);
    NAME(ENOMEM);
    NAME(ENOPROTOOPT);
    NAME(ENOSPC);
    NAME(ENOSYS);
    NAME(ENOTCONN);
    NAME(ENOTDIR);
    NAME(ENOTSOCK);
    NAME(ENOTTY);
    NAME(ENXIO);
    NAME(EOPNOTSUPP);
    NAME(EPERM);
    NAME(EPIPE);
    NAME(EPROTO);
    NAME(EPROTONOSUPPORT);
    NAME(EPROTOTYPE);
    NAME(EROFS);
    NAME(ESHUTDOWN);
    NAME(ETIMEDOUT);
    NAME(ETOOMANYREFS);
    NAME(EBADMSG);
  }
  return "EUNKNOWN";
}
