// Preloaded into the daemon it makes each round trip one system call dearer, as a careless change would: the guard must see it.
// Takes the place of readv(2), which the pump calls once for what an application wrote; moves no byte itself.
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t readv(int fd, const struct iovec *parts, int count) {
  syscall(SYS_getppid);
  return syscall(SYS_readv, fd, parts, count);
}
