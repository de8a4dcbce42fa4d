// The adapter's answers to control requests: an FTDI chip with up to 15 interfaces at high speed. No IO.
// Follows docs/protocol/usbip.md, section 3.
#ifndef CHIP_H
#define CHIP_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_INTERFACES 15
#define MAX_ANSWER 512

#define RESET 0
#define MODEM_STATUS 5

struct setup {
  uint8_t type;
  uint8_t request;
  uint16_t value;
  uint16_t index;
  uint16_t length;
};

struct setup parse_setup(const uint8_t bytes[8]);

// Of a standard request: its answer's length, 0 for one that has none, -1 for a stall.
int standard_answer(struct setup setup, int interfaces, const char *serial, uint8_t answer[MAX_ANSWER]);

// Of a vendor request. `idle`: everything that was written has left.
int vendor_answer(struct setup setup, bool idle, uint8_t answer[MAX_ANSWER]);

// The two bytes that begin every packet in.
void status_bytes(bool idle, uint8_t into[2]);

#endif
