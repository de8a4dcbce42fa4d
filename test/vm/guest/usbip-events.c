/*
 * usbip-events TTY DEVICE PORT: what a program in C asks of a serial port beyond bytes: TIOCMIWAIT, TIOCGICOUNT, tcdrain(), PARMRK, BRKINT.
 * DEVICE.in takes the commands of device-server.mjs for its port PORT, DEVICE.log is what it says. One line per check; exit code 1
 * where one failed. Never looks at ttynp.
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

/* Exactly these bytes, and then none; or exactly those: returns which. */
static int expect(const char *name, const char *bytes, size_t length, const char *or, size_t or_length) {
  unsigned char got[64];
  char shown[200] = "";
  size_t n = take(got, length < or_length ? length : or_length, PATIENCE_MS);
  n += take(got + n, sizeof got - n, 50);
  if (or && n == or_length && memcmp(got, or, n) == 0) return 2;
  for (size_t i = 0; i < n; i++) sprintf(shown + strlen(shown), " %02x", got[i]);
  check(n == length && memcmp(got, bytes, length) == 0, "%s:%s", name, shown);
  return 1;
}

/*
 * An error comes on another connection than the byte that it marks: on a busy machine it may come too late for it, and then it marks
 * nothing. Told again then, and the kernel counts the ones that were in time.
 */
static void marks(const char *name, const char *command, const char *bytes, size_t length, const char *clean, size_t clean_length) {
  for (int trial = 0; trial < 5; trial++) {
    device(command);
    if (expect(name, bytes, length, clean, clean_length) == 1) return;
    pause_ms(300);
  }
  check(0, "%s: not marked", name);
}

struct waiter {
  int bit;
  volatile pid_t thread;
  volatile int woken;
};

static void *wait_for(void *argument) {
  struct waiter *w = argument;
  w->thread = (pid_t)syscall(SYS_gettid);
  w->woken = ioctl(tty, TIOCMIWAIT, w->bit) == 0 ? 1 : -1;
  return NULL;
}

static int asleep(pid_t thread) {
  char name[64], state = 0;
  snprintf(name, sizeof name, "/proc/self/task/%d/stat", thread);
  FILE *file = fopen(name, "r");
  if (!file) return 0;
  if (fscanf(file, "%*d %*s %c", &state) != 1) state = 0;
  fclose(file);
  return state == 'S';
}

static void begin_wait(struct waiter *w, pthread_t *thread, int bit) {
  memset(w, 0, sizeof *w);
  w->bit = bit;
  pthread_create(thread, NULL, wait_for, w);
  while (!w->thread || !asleep(w->thread)) pause_ms(1);
}

static int await_woken(struct waiter *w) {
  for (double end = now() + PATIENCE_MS / 1e3; !w->woken && now() < end;) pause_ms(5);
  return w->woken == 1;
}

static int await_modem(int bit, int on) {
  for (double end = now() + PATIENCE_MS / 1e3; now() < end; pause_ms(5))
    if (((modem() & bit) != 0) == on) return 1;
  return 0;
}

static void modem_lines(void) {
  static const struct {
    const char *name, *rest;
    int bit, offset, other;
    const char *change_other;
  } lines[] = {
      {"cts", "dsr=0 dcd=0 ri=0", TIOCM_CTS, offsetof(struct serial_icounter_struct, cts), TIOCM_RNG, "ri=1"},
      {"dsr", "cts=0 dcd=0 ri=0", TIOCM_DSR, offsetof(struct serial_icounter_struct, dsr), TIOCM_CTS, "cts=1"},
      {"dcd", "cts=0 dsr=0 ri=0", TIOCM_CAR, offsetof(struct serial_icounter_struct, dcd), TIOCM_DSR, "dsr=1"},
      {"ri", "cts=0 dsr=0 dcd=0", TIOCM_RNG, offsetof(struct serial_icounter_struct, rng), TIOCM_CAR, "dcd=1"},
  };
  const int all = TIOCM_CTS | TIOCM_DSR | TIOCM_CAR | TIOCM_RNG;
  raw(0, B9600);
  device("lines cts=0 dsr=0 dcd=0 ri=0");
  check(await_modem(all, 0), "TIOCMGET: no line is on");
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    char command[80];
    struct waiter w;
    pthread_t thread;
    struct serial_icounter_struct before = counts();
    int count = *(int *)((char *)&before + lines[i].offset);
    begin_wait(&w, &thread, lines[i].bit);
    snprintf(command, sizeof command, "lines cts=0 dsr=0 dcd=0 ri=0 %s", lines[i].change_other);
    device(command);
    int other = await_modem(lines[i].other, 1);
    pause_ms(20);
    check(other && !w.woken, "TIOCMIWAIT for %s sleeps on while another line (%s) changes", lines[i].name, lines[i].change_other);
    snprintf(command, sizeof command, "lines %s %s=1", lines[i].rest, lines[i].name);
    device(command);
    int woken = await_woken(&w);
    check(woken && (modem() & all) == lines[i].bit, "TIOCMIWAIT wakes when %s rises, TIOCMGET has it and it alone", lines[i].name);
    if (!woken) exit(1);
    pthread_join(thread, NULL);
    begin_wait(&w, &thread, lines[i].bit);
    device("lines cts=0 dsr=0 dcd=0 ri=0");
    check(await_woken(&w) && await_modem(all, 0), "... and when it falls");
    if (!w.woken) exit(1);
    pthread_join(thread, NULL);
    struct serial_icounter_struct after = counts();
    check(*(int *)((char *)&after + lines[i].offset) == count + 2, "TIOCGICOUNT counted %s twice", lines[i].name);
  }
  device("lines");
}

static void errors(void) {
  struct serial_icounter_struct before, after;
  device("echo off");
  raw(PARMRK | INPCK, B9600);
  tcflush(tty, TCIFLUSH);
  before = counts();

  marks("PARMRK: a parity error is ff 00 before its byte, and before no other", "error 4142 parity", "\xff\0AB", 4, "AB", 2);
  marks("PARMRK: so is a framing error; ff that is data comes twice", "error 43ff44 framing", "\xff\0C\xff\xff" "D", 6,
        "C\xff\xff" "D", 4);
  device("break");
  expect("PARMRK: a break is ff 00 00", "\xff\0\0", 3, NULL, 3);
  after = counts();
  check(after.parity == before.parity + 1 && after.frame == before.frame + 1 && after.brk == before.brk + 1,
        "TIOCGICOUNT counted each: parity %d frame %d brk %d", after.parity - before.parity, after.frame - before.frame,
        after.brk - before.brk);
  for (int trial = 0; trial < 5 && after.overrun == before.overrun; trial++, after = counts()) {
    device("error 45 overrun");
    expect("an overrun takes nothing away", "E", 1, NULL, 1);
  }
  check(after.overrun == before.overrun + 1, "TIOCGICOUNT counted the overrun");

  raw(INPCK, B9600);
  marks("INPCK alone: the byte with the error is NUL", "error 4647 parity", "\0G", 2, "FG", 2);
  raw(INPCK | IGNPAR | ICRNL, B9600);
  marks("IGNPAR: it is left out", "error 4849 parity", "I", 1, "HI", 2);
  raw(0, B9600);
  device("error 4a4b parity");
  expect("without INPCK it comes as it is", "JK", 2, NULL, 2);
  raw(IGNBRK | ICRNL, B9600);
  device("break");
  pause_ms(100);
  device("inject 4c");
  expect("IGNBRK: a break is nothing", "L", 1, NULL, 1);
  raw(0, B9600);
  device("break");
  expect("a break without BRKINT and PARMRK is one NUL", "\0", 1, NULL, 1);

  raw(PARMRK | INPCK, B9600);
  before = counts();
  device("error - parity");
  pause_ms(1000);
  device("inject 4d");
  expect("an error that no byte follows is not laid at the door of a later one", "M", 1, NULL, 1);
  after = counts();
  check(after.parity == before.parity, "... nor counted by the kernel");
}

static volatile sig_atomic_t interrupted;
static void on_interrupt(int signal) { interrupted = signal; }

/* In a session of its own, whose terminal the tty is. */
static int session_leader(int up) {
  struct sigaction action = {.sa_handler = on_interrupt};
  sigaction(SIGINT, &action, NULL);
  setsid();
  close(tty);
  tty = open(path, O_RDWR);
  if (tty < 0 || ioctl(tty, TIOCSCTTY, 0)) return 2;
  raw(BRKINT, B9600);
  if (write(up, "x", 1) != 1) return 2;
  for (double end = now() + PATIENCE_MS / 1e3; !interrupted && now() < end;) pause_ms(5);
  return interrupted == SIGINT ? 0 : 1;
}

static void interrupt(void) {
  int up[2], status = -1;
  char byte;
  if (pipe(up)) return;
  pid_t child = fork();
  if (child == 0) _exit(session_leader(up[1]));
  close(up[1]);
  if (read(up[0], &byte, 1) == 1) device("break");
  waitpid(child, &status, 0);
  close(up[0]);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "BRKINT: a break interrupts the session leader (exit %d)", WEXITSTATUS(status));
}

/* How many bytes the device says it has sent. */
static size_t sent(const char *log) {
  size_t digits = 0;
  for (const char *line = log; (line = strstr(line, ": sent ")); line += 7) digits += strspn(line + 7, "0123456789abcdef");
  return digits / 2;
}

static void drain(void) {
  static const struct {
    size_t bytes;
    speed_t rate;
    double seconds;
  } trials[] = {{1, B300, 10.0 / 300}, {1, B9600, 10.0 / 9600}, {100, B9600, 1000.0 / 9600}, {300, B4800, 3000.0 / 4800},
                {700, B9600, 7000.0 / 9600}, {3000, B115200, 30000.0 / 115200}};
  static char data[3000];
  device("echo off");
  memset(data, 'U', sizeof data);
  for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
    raw(0, trials[i].rate);
    tcdrain(tty);
    off_t from = mark();
    double began = now();
    ssize_t wrote = write(tty, data, trials[i].bytes);
    tcdrain(tty);
    double took = now() - began;
    size_t there = sent(said(from));
    check(wrote == (ssize_t)trials[i].bytes && there == trials[i].bytes && took >= trials[i].seconds,
          "tcdrain of %zu bytes: all sent when it returns (%zu), %.3f s, the line's time is %.3f s", trials[i].bytes, there, took,
          trials[i].seconds);
  }

  struct termios t;
  raw(0, B9600);
  tcdrain(tty);
  off_t from = mark();
  if (write(tty, data, 200) != 200) check(0, "write of 200 bytes");
  tcgetattr(tty, &t);
  cfsetspeed(&t, B19200);
  tcsetattr(tty, TCSADRAIN, &t);
  await_said("19200", from);
  const char *log = said(from);
  char *change = strstr(log, "19200");
  if (change) *change = 0;
  check(change && sent(log) == 200, "TCSADRAIN: the settings come after the bytes (%zu of 200)", sent(log));

  from = mark();
  tcsendbreak(tty, 0);
  await_said("break off", from);
  log = said(from);
  const char *on = strstr(log, ": break on"), *off = strstr(log, ": break off");
  double length = 0;
  if (on && off) {
    while (on > log && on[-1] != '\n') on--;
    while (off > log && off[-1] != '\n') off--;
    length = atof(off) - atof(on);
  }
  check(length >= 0.2 && length < 2, "tcsendbreak: %.3f s on the wire", length);
  device("echo on");
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  path = argv[1];
  snprintf(in_path, sizeof in_path, "%s.in", argv[2]);
  snprintf(port, sizeof port, "port %s: ", argv[3]);
  snprintf(log_path, sizeof log_path, "%s.log", argv[2]);
  tty = open(path, O_RDWR | O_NOCTTY);
  if (tty < 0) {
    perror(path);
    return 1;
  }
  modem_lines();
  errors();
  drain();
  interrupt();
  return failed;
}
