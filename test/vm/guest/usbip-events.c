/*
 * usbip-events TTY DEVICE PORT: what a program in C asks of a serial port beyond bytes: TIOCMIWAIT, TIOCGICOUNT, tcdrain(), PARMRK, BRKINT.
 * DEVICE.in takes the commands of device-server.mjs for its port PORT, DEVICE.log is what it says. One line per check; exit code 1
 * where one failed. Never looks at ttynp.
 */
#include "usbip-port.h"

/* Exactly these bytes, and then none. */
static void expect(const char *name, const char *bytes, size_t length) {
  unsigned char got[64];
  char shown[200] = "";
  size_t n = take(got, length, PATIENCE_MS);
  n += take(got + n, sizeof got - n, 50);
  for (size_t i = 0; i < n; i++) sprintf(shown + strlen(shown), " %02x", got[i]);
  check(n == length && memcmp(got, bytes, length) == 0, "%s:%s", name, shown);
}

enum { TIMES = 100 };

/*
 * An error comes on another connection than the bytes, and marks the first that it finds within 100 ms: of a hundred, one after the other,
 * exactly one comes as `marked`, whichever, and all others as they are. 1: so it is, -1: none is marked, 0: anything else.
 */
static int marked_once(const char *error, char byte, const char *marked, size_t length, size_t *n) {
  unsigned char got[2 * TIMES];
  char command[80], plain[TIMES];
  size_t at = 0;
  snprintf(command, sizeof command, "error %d %02x %s", TIMES, byte, error);
  device(command);
  *n = take(got, TIMES - 1 + length, PATIENCE_MS);
  *n += take(got + *n, sizeof got - *n, 100);
  memset(plain, byte, sizeof plain);
  while (at < *n && at < TIMES - 1 && got[at] == (unsigned char)byte) at++;
  if (*n == TIMES - 1 + length && memcmp(got + at, marked, length) == 0 &&
      memcmp(got + at + length, plain, TIMES - 1 - at) == 0)
    return 1;
  return *n == TIMES && memcmp(got, plain, TIMES) == 0 ? -1 : 0;
}

/* A machine that is so busy that nothing moves for 100 ms marks none, as it should; then once more. */
static void marks(const char *name, const char *error, char byte, const char *marked, size_t length) {
  size_t n = 0;
  int outcome = -1;
  for (int trial = 0; trial < 3 && outcome < 0; trial++) outcome = marked_once(error, byte, marked, length, &n);
  check(outcome == 1, "%s: %zu bytes for %d", name, n, TIMES);
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

/* An answer of the device has no RI: where one tells of another line first, RI follows by what the device tells of itself. */
static int await_alone(int all, int bit) {
  for (double end = now() + PATIENCE_MS / 1e3; now() < end; pause_ms(5))
    if ((modem() & all) == bit) return 1;
  return 0;
}

/* TIOCMGET asks the chip; what is counted and wakes comes with the data, later but in order. RI of the plug never moves by itself. */
static void ring(const char *command) {
  int before = counts().rng;
  device(command);
  for (double end = now() + PATIENCE_MS / 1e3; counts().rng == before && now() < end;) pause_ms(5);
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
  ring("lines ri=1");
  ring("lines cts=0 dsr=0 dcd=0 ri=0");
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
    int has = modem() & lines[i].bit;
    check(woken && has && await_alone(all, lines[i].bit), "TIOCMIWAIT wakes when %s rises, TIOCMGET has it and it alone", lines[i].name);
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

  marks("PARMRK: a parity error is ff 00 before one byte, and before no other", "parity", 'A', "\xff\0A", 3);
  marks("PARMRK: so is a framing error", "framing", 'C', "\xff\0C", 3);
  device("inject ff44");
  expect("PARMRK: ff that is data comes twice", "\xff\xff" "D", 3);
  device("break");
  expect("PARMRK: a break is ff 00 00", "\xff\0\0", 3);
  after = counts();
  for (int trial = 0; trial < 3 && after.overrun == before.overrun; trial++, after = counts())
    marks("an overrun takes nothing away", "overrun", 'E', "E", 1);
  check(after.parity == before.parity + 1 && after.frame == before.frame + 1 && after.brk == before.brk + 1 &&
            after.overrun == before.overrun + 1,
        "TIOCGICOUNT counted each: parity %d frame %d brk %d overrun %d", after.parity - before.parity,
        after.frame - before.frame, after.brk - before.brk, after.overrun - before.overrun);

  raw(INPCK, B9600);
  marks("INPCK alone: the byte with the error is NUL", "parity", 'F', "\0", 1);
  raw(INPCK | IGNPAR | ICRNL, B9600);
  marks("IGNPAR: it is left out", "parity", 'H', "", 0);
  raw(0, B9600);
  marks("without INPCK it comes as it is", "parity", 'J', "J", 1);
  raw(IGNBRK | ICRNL, B9600);
  device("break");
  pause_ms(100);
  device("inject 4c");
  expect("IGNBRK: a break is nothing", "L", 1);
  raw(0, B9600);
  device("break");
  expect("a break without BRKINT and PARMRK is one NUL", "\0", 1);

  raw(PARMRK | INPCK, B9600);
  before = counts();
  device("error 0 00 parity");
  pause_ms(1000);
  device("inject 4d");
  expect("an error that no byte follows is not laid at the door of a later one", "M", 1);
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
