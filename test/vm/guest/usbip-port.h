/*
 * The serial port that a program in C has open, and the device server (device-server.mjs) at its other end. DEVICE.in takes commands,
 * DEVICE.log is what it says. For one source file: everything is static.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 15000

static const char *path;
static char in_path[256], log_path[256];
/* "port 3: " */
static char port[32];
static int tty;
static int failed;

static void check(int ok, const char *format, ...) {
  va_list more;
  printf(ok ? "ok   " : "FAIL ");
  va_start(more, format);
  vprintf(format, more);
  va_end(more);
  printf("\n");
  fflush(stdout);
  if (!ok) failed = 1;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}

/* What the device server said of our port after `from` bytes of its log, in memory that the next call uses again. */
static const char *said(off_t from) {
  static char text[1 << 20];
  char line[1 << 14];
  size_t length = 0;
  FILE *log = fopen(log_path, "r");
  text[0] = 0;
  if (!log) return text;
  fseeko(log, from, SEEK_SET);
  while (fgets(line, sizeof line, log) && length + strlen(line) < sizeof text)
    if (strstr(line, port)) length = (size_t)(stpcpy(text + length, line) - text);
  fclose(log);
  return text;
}

static off_t mark(void) {
  struct stat state;
  return stat(log_path, &state) ? 0 : state.st_size;
}

static int await_said(const char *text, off_t from) {
  for (double end = now() + PATIENCE_MS / 1e3; now() < end; pause_ms(10))
    if (strstr(said(from), text)) return 1;
  return 0;
}

/* Returns when the device has done it. */
static void device(const char *command) {
  char line[256], done[270];
  off_t from = mark();
  int fd = open(in_path, O_WRONLY);
  snprintf(line, sizeof line, "%d %s\n", atoi(port + strlen("port ")), command);
  snprintf(done, sizeof done, "did %s\n", command);
  if (fd < 0 || write(fd, line, strlen(line)) < 0) perror(in_path);
  close(fd);
  if (!await_said(done, from)) check(0, "the device server obeys: %s", command);
}

static int modem(void) {
  int bits = 0;
  ioctl(tty, TIOCMGET, &bits);
  return bits;
}

static struct serial_icounter_struct counts(void) {
  struct serial_icounter_struct all;
  memset(&all, 0, sizeof all);
  ioctl(tty, TIOCGICOUNT, &all);
  return all;
}

/*
 * Raw, 8 bits, and these input flags. Where nothing at all is to be done with input (ICRNL is something), the kernel leaves IGNPAR and
 * IGNBRK to the driver (TTY_DRIVER_REAL_RAW), and ftdi_sio does not know them: so it is with every adapter of its kind.
 */
static void raw(tcflag_t input, speed_t rate) {
  struct termios t;
  tcgetattr(tty, &t);
  cfmakeraw(&t);
  t.c_iflag = input;
  t.c_cflag |= CREAD | CLOCAL | HUPCL;
  t.c_cflag &= ~(tcflag_t)CRTSCTS;
  cfsetspeed(&t, rate);
  tcsetattr(tty, TCSANOW, &t);
}

/* Up to `wanted` bytes, or what came until nothing came for long. */
static size_t take(unsigned char *into, size_t wanted, int patience_ms) {
  size_t got = 0;
  struct pollfd p = {tty, POLLIN, 0};
  while (got < wanted && poll(&p, 1, patience_ms) > 0) {
    ssize_t n = read(tty, into + got, wanted - got);
    if (n <= 0) break;
    got += (size_t)n;
  }
  return got;
}
