// The tty side of a channel: packet mode, open and close, and the termios that decide when `down` must stop.
// poll(master) & POLLHUP is the truth about open and closed; inotify only says when to look.
#include "channel.h"
#include "usbip/usbip.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define DROP_ROUNDS 256  // of 4 KiB: a peer that never stops sending does not hold the thread

// Drops what the network socket has received; an end or an error is left for the next reader.
static void drop_received(struct channel *c) {
  uint8_t bytes[4096];
  for (int round = 0; c->net_fd >= 0 && round < DROP_ROUNDS; round++) {
    ssize_t n = RETRY(recv(c->net_fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_PEEK));
    if (n > 0) n = RETRY(recv(c->net_fd, bytes, (size_t)n, MSG_DONTWAIT));
    if (n <= 0) return;
    channel_count(c, UP_TAKEN, (double)n);
    channel_count(c, UP_DROPPED, (double)n);
  }
}

static void handle_status(struct channel *c, uint8_t status) {
  if (status & TIOCPKT_FLUSHREAD) {
    channel_drop_up(c, SIZE_MAX, UP_DROPPED);
    drop_received(c);
    // Nothing passes until the device has flushed too: neither what is stale, nor a request whose answer it would drop.
    c->stopped[UP] = true;
    c->stopped[DOWN] = true;
    channel_raise(c, EVENT_FLUSH_INPUT);
  }
  if (status & TIOCPKT_FLUSHWRITE) {
    channel_drop_down(c, SIZE_MAX, DOWN_DROPPED);
    c->stopped[DOWN] = true;
    channel_raise(c, EVENT_FLUSH_OUTPUT);
  }
  if (status & TIOCPKT_STOP) {
    c->kept->output_stopped = true;
    channel_raise(c, EVENT_OUTPUT_STOPPED);
  }
  if (status & TIOCPKT_START) {
    c->kept->output_stopped = false;
    channel_raise(c, EVENT_OUTPUT_STARTED);
  }
  if (status & (TIOCPKT_IOCTL | TIOCPKT_DOSTOP | TIOCPKT_NOSTOP)) tty_poll_termios(c);
}

// On TTY_STATUS `got` is the packet byte.
enum tty_read tty_read(struct channel *c, uint8_t *into, size_t room, size_t *got) {
  if (c->kind == TTY_USBIP) {
    *got = usb_take(c, into, room);
    return *got > 0 ? TTY_DATA : TTY_EMPTY;
  }
  uint8_t status = 0;
  struct iovec parts[2] = {{.iov_base = &status, .iov_len = 1}, {.iov_base = into, .iov_len = room}};
  bool packet = c->kind == TTY_PTY;
  ssize_t n = packet ? RETRY(readv(c->tty_fd, parts, 2)) : RETRY(read(c->tty_fd, into, room));
  if (n < 0 && errno == EAGAIN) return TTY_EMPTY;
  if (n < 0 && errno == EIO && packet) return TTY_CLOSED;
  if (n < 0) return TTY_FAILED;
  if (!packet) {
    *got = (size_t)n;
    return n == 0 ? TTY_FAILED : TTY_DATA;
  }
  if (n == 0) return TTY_EMPTY;
  if (status != TIOCPKT_DATA) {
    *got = status;
    handle_status(c, status);
    return TTY_STATUS;
  }
  *got = (size_t)n - 1;
  return *got > 0 ? TTY_DATA : TTY_EMPTY;
}

static void schedule_termios_poll(struct channel *c) {
  c->termios_poll_at = NEVER;
  if (!c->kept->open || (c->kept->termios.c_lflag & EXTPROC)) return;
  // All at the same moments: the thread wakes for many ports at once.
  uint64_t wait = c->termios_wait_ms * NS_PER_MS;
  c->termios_poll_at = (c->pump->now / wait + 1) * wait;
  channel_arm(c, c->termios_poll_at);
}

// True when a line setting changed; `down` is stopped then.
bool tty_poll_termios(struct channel *c) {
  struct termios2 now;
  if (c->kind != TTY_PTY || termios_get(c->tty_fd, &now) == -1) return false;
  bool same = termios_same(&c->kept->termios, &now);
  bool same_line = same || termios_same_line(&c->kept->termios, &now);
  c->kept->termios = now;
  if (!same_line) {
    c->stopped[DOWN] = true;
    channel_raise(c, EVENT_SETTINGS);
  } else if (!same) {
    channel_raise(c, EVENT_TERMIOS);
  }
  c->termios_wait_ms = TERMIOS_POLL_MS;
  schedule_termios_poll(c);
  return !same_line;
}

// Its time has come, and nothing else has: less and less often while nothing changes.
void tty_termios_due(struct channel *c) {
  struct termios2 before = c->kept->termios;
  uint32_t waited = c->termios_wait_ms;
  tty_poll_termios(c);
  if (!termios_same(&before, &c->kept->termios)) return;
  c->termios_wait_ms = waited * 2 < TERMIOS_IDLE_POLL_MS ? waited * 2 : TERMIOS_IDLE_POLL_MS;
  schedule_termios_poll(c);
}

// The last application has gone and `down` may not be read now. Poll, unlike a read, tells whether it left anything.
void tty_check_dry(struct channel *c) {
  struct pollfd state = {.fd = c->tty_fd, .events = POLLIN | POLLPRI};
  size_t got = 0;
  uint8_t byte;
  while (poll(&state, 1, 0) == 1 && (state.revents & POLLPRI)) {
    if (tty_read(c, &byte, 0, &got) != TTY_STATUS) return;
  }
  if ((state.revents & POLLHUP) && !(state.revents & POLLIN)) tty_became_closed(c);
}

static bool is_hung_up(const struct channel *c) {
  struct pollfd state = {.fd = c->tty_fd};
  return poll(&state, 1, 0) == 1 && (state.revents & POLLHUP);
}

// `told`: by inotify; else its word for this open is still to come, and is no second open.
static void became_open(struct channel *c, bool told) {
  c->kept->open = true;
  c->hung_up = false;
  c->shared = false;
  c->open_untold = !told;
  c->closed_at = 0;
  c->kept->cleared = false;
  channel_set_gauge(c, TTY_OPEN, 1);
  channel_raise(c, EVENT_OPENED);
  tty_poll_termios(c);
  schedule_termios_poll(c);
}

static int open_slave(const struct channel *c) {
  return RETRY(open(c->slave_path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
}

// Our own clearing leaves packet bits behind: they are nobody's request. `keep`: the others may be somebody's.
static void swallow_status(struct channel *c, bool keep) {
  for (int i = 0; i < 4; i++) {
    struct pollfd pending = {.fd = c->tty_fd, .events = POLLPRI};
    uint8_t status;
    if (poll(&pending, 1, 0) != 1 || !(pending.revents & POLLPRI)) return;
    if (RETRY(read(c->tty_fd, &status, 1)) != 1) return;
    if (keep) handle_status(c, status & ~TIOCPKT_FLUSHREAD);
  }
}

// Unread input of one opener never reaches the next, who has it open already.
static void flush_for_next(struct channel *c) {
  int slave = open_slave(c);
  if (slave == -1) return;
  RETRY(ioctl(slave, TCFLSH, TCIFLUSH));
  close(slave);
  pump_read_inotify(c->pump, c);
  swallow_status(c, true);
}

// Nobody has it open: unread input, TIOCEXCL and a stopped output go, the termios that no opener inherits are re-armed.
static bool clear_last(struct channel *c) {
  struct termios2 armed;
  if (termios_get(c->tty_fd, &armed) == -1) return false;
  termios_rearm(&armed);
  int slave = open_slave(c);
  if (slave == -1) return false;
  int failed = RETRY(ioctl(slave, TIOCNXCL));
  failed |= RETRY(ioctl(slave, TCXONC, TCOON));
  failed |= RETRY(ioctl(slave, TCFLSH, TCIFLUSH));
  failed |= termios_set(slave, &armed);
  close(slave);
  pump_read_inotify(c->pump, c);
  swallow_status(c, false);
  if (failed) return false;
  c->kept->termios = armed;
  return true;
}

// Its own slave descriptor hid what inotify told meanwhile: look whether somebody came.
static void look_after_clear(struct channel *c) {
  int unread = 0;
  bool wrote = ioctl(c->tty_fd, FIONREAD, &unread) == 0 && unread > 0;
  tty_look(c, wrote, false);
  if (!c->kept->open) return;
  c->open_untold = true;
  pump_mark_dirty(c);
}

void tty_became_closed(struct channel *c) {
  c->kept->open = false;
  c->hung_up = false;
  c->saw = (struct saw){0};  // whoever it told of has gone as well
  c->kept->output_stopped = false;
  c->termios_poll_at = NEVER;
  pump_set_interest(c, false, &c->tty_interest, 0);
  channel_drop_up(c, SIZE_MAX, UP_UNREAD);
  channel_set_gauge(c, TTY_OPEN, 0);
  channel_raise(c, EVENT_CLOSED);
  c->kept->cleared = is_hung_up(c) && clear_last(c);
  if (c->kept->cleared) look_after_clear(c);
}

// What inotify told since the last look. `reopened`: an open came after a close, and none before.
void tty_look(struct channel *c, bool saw_open, bool reopened) {
  bool hung_up = is_hung_up(c);
  if (!c->kept->open) {
    if (hung_up && !saw_open) return;
    if (!c->kept->cleared) flush_for_next(c);
    became_open(c, saw_open);
    c->hung_up = hung_up;
    return;
  }
  if (hung_up) {
    c->hung_up = true;
    return;
  }
  // It is open. One opener that closed and one that opened cannot be told from a second opener unless the first was alone.
  if (c->hung_up || (reopened && !c->shared)) {
    channel_move_down(c);
    channel_drop_up(c, SIZE_MAX, UP_UNREAD);
    channel_raise(c, EVENT_CLOSED);
    flush_for_next(c);
    became_open(c, reopened);
    return;
  }
  if (!saw_open) return;
  c->shared = true;
  c->closed_at = 0;
}

enum reset_result tty_reset(struct channel *c) {
  if (c->kind != TTY_PTY) return RESET_FAILED;
  if (!c->kept->open) pump_read_inotify(c->pump, NULL);
  tty_look(c, false, false);
  if (c->kept->open) {
    pump_mark_dirty(c);
    return RESET_OPENED;
  }
  c->kept->cleared = c->kept->cleared || clear_last(c);
  if (!c->kept->cleared) return RESET_FAILED;
  look_after_clear(c);
  return c->kept->open ? RESET_OPENED : RESET_DONE;
}
