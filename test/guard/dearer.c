// In the place of readv(2), which the pump calls once for what an application wrote: makes each round trip one system call and some
// hundred instructions dearer, as a careless change would. The guards must see it. Preloaded into the daemon, linked into a harness.
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t readv(int fd, const struct iovec *parts, int count) {
  for (volatile int i = 0; i < 50; i++) continue;
  syscall(SYS_getppid);
  return syscall(SYS_readv, fd, parts, count);
}
