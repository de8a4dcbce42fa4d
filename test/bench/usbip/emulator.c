// emulator FIRST_TCP_PORT PORTS: what the usbip backend is compared with. The same adapter with the same rules, as C: one process,
// one epoll, edge-triggered, no allocation while it runs. Plugs itself in as root and lives until the kernel lets go of it or
// it is ended; port i is the TCP connection to FIRST_TCP_PORT + i while the tty is open. The adapters' serial numbers are bench0,
// bench1 and so on, with at most 15 ports each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "emulator.h"

#define VHCI "/sys/devices/platform/vhci_hcd.0/"
#define HIGH_SPEED 3

static struct device devices[MAX_DEVICES];
static struct port ports[MAX_DEVICES * MAX_INTERFACES];
static int device_count;
static int port_count;
static int epoll_fd;

void die(const char *what) {
  fprintf(stderr, "emulator: %s (%s)\n", what, strerror(errno));
  exit(1);
}

void watch(int fd, void *source) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = source};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

// The number of a high-speed port that nothing is plugged into.
static int free_vhci_port(void) {
  FILE *status = fopen(VHCI "status", "r");
  if (status == NULL) die(VHCI "status");
  char line[256];
  int found = -1;
  while (found < 0 && fgets(line, sizeof line, status) != NULL) {
    char hub[8];
    int port;
    int state;
    if (sscanf(line, "%7s %d %d", hub, &port, &state) == 3 && strcmp(hub, "hs") == 0 && state == 4) found = port;
  }
  fclose(status);
  if (found < 0) die("no port of the controller is free");
  return found;
}

static void plug(struct device *d, int n) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) die("socketpair");
  char text[64];
  int length = snprintf(text, sizeof text, "%d %d %d %d", free_vhci_port(), pair[1], 0x10002 + n, HIGH_SPEED);
  int attach = open(VHCI "attach", O_WRONLY | O_CLOEXEC);
  if (attach < 0 || write(attach, text, (size_t)length) != length) die(VHCI "attach");
  close(attach);
  close(pair[1]);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  d->fd = pair[0];
  d->writable = true;
  watch(d->fd, d);
}

static void make(int first_tcp_port) {
  for (int i = 0; i < port_count; i++) {
    struct device *d = &devices[i / MAX_INTERFACES];
    ports[i] = (struct port){.device = d, .tcp_port = first_tcp_port + i, .fd = -1};
    d->interfaces++;
  }
  for (device_count = 0; device_count * MAX_INTERFACES < port_count; device_count++) {
    struct device *d = &devices[device_count];
    d->ports = &ports[device_count * MAX_INTERFACES];
    snprintf(d->serial, sizeof d->serial, "bench%d", device_count);
    plug(d, device_count);
  }
}

static void note(const struct epoll_event *event) {
  void *source = event->data.ptr;
  if (source >= (void *)devices && source < (void *)(devices + MAX_DEVICES)) {
    struct device *d = source;
    if (event->events & EPOLLOUT) d->writable = true;
    if (event->events & ~(uint32_t)EPOLLOUT) device_receive(d);
    return;
  }
  struct port *p = source;
  if (event->events & EPOLLOUT) p->writable = true;
  if (event->events & ~(uint32_t)EPOLLOUT) p->readable = true;
}

// Returns how long to wait.
static int step(void) {
  int timeout = -1;
  for (struct port *p = ports; p < ports + port_count; p++) {
    port_step(p);
    int wait = port_wait_ms(p);
    if (wait >= 0 && (timeout < 0 || wait < timeout)) timeout = wait;
  }
  for (struct device *d = devices; d < devices + device_count; d++) device_flush(d);
  return timeout;
}

int main(int argc, char **argv) {
  int most = MAX_DEVICES * MAX_INTERFACES;
  port_count = argc == 3 ? atoi(argv[2]) : 0;
  if (port_count < 1 || port_count > most) {
    fprintf(stderr, "usage: emulator FIRST_TCP_PORT PORTS (at most %d)\n", most);
    return 2;
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  make(atoi(argv[1]));
  int timeout = -1;
  for (;;) {
    struct epoll_event events[64];
    int n = epoll_wait(epoll_fd, events, 64, timeout);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) note(&events[i]);
    timeout = step();
  }
}
