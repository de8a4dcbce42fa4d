// What the emulator's parts know of each other: adapters in the kernel, and their ports, each with a TCP connection.
#ifndef EMULATOR_H
#define EMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chip.h"

#define MAX_DEVICES 8
#define HEADER_BYTES 48
#define PACKET_BYTES 512
#define MAX_URBS 8          // of one port and direction; the driver has two
#define OUT_BYTES 16384     // of one port, not yet taken by its connection
#define UP_BYTES 16384      // of one port, read from its connection in one call
#define FROM_KERNEL 65536
#define TO_KERNEL 262144

// Transfers that wait, oldest first.
struct urbs {
  uint32_t seqnum[MAX_URBS];
  uint32_t length[MAX_URBS];
  int count;
};

struct device {
  int fd;
  int interfaces;
  char serial[16];
  struct port *ports;
  uint8_t in[FROM_KERNEL];
  size_t in_length;
  uint8_t out[TO_KERNEL];
  size_t out_length;
  bool writable;
};

struct port {
  struct device *device;
  int tcp_port;
  int fd;  // -1: nobody has the tty open
  bool readable;
  bool writable;
  struct urbs wanted;
  struct urbs written;
  uint8_t out[OUT_BYTES];
  size_t out_length;
  uint8_t up[UP_BYTES];
  size_t up_from;
  size_t up_to;
  // The receive pacing: this much since `burst_from`.
  size_t burst;
  double burst_from;
  bool paced;
};

_Noreturn void die(const char *what);

// device.c: USB/IP of one adapter.
void device_receive(struct device *d);
void device_fill(struct device *d, uint32_t seqnum, const uint8_t *data, size_t length);
void device_complete(struct device *d, uint32_t seqnum, uint32_t length);
void device_flush(struct device *d);

// port.c: the bytes of one port.
void port_open(struct port *p);
void port_close(struct port *p);
void port_write(struct port *p, uint32_t seqnum, const uint8_t *data, uint32_t length);
void port_want(struct port *p, uint32_t seqnum, uint32_t length);
// Whether the transfer was outstanding; it is forgotten.
bool port_unlink(struct port *p, uint32_t seqnum);
// Moves what can be moved, both ways.
void port_step(struct port *p);
// How long until a paced port may go on; -1: none waits.
int port_wait_ms(const struct port *p);

// emulator.c
void watch(int fd, void *source);

#endif
