// Descriptors and control requests of the adapter. Follows USB 2.0, 9.6 and docs/protocol/usbip.md, section 3.
#include "chip.h"

#include <string.h>

#define GET_LATENCY 10

struct setup parse_setup(const uint8_t b[8]) {
  return (struct setup){
      .type = b[0],
      .request = b[1],
      .value = (uint16_t)(b[2] | b[3] << 8),
      .index = (uint16_t)(b[4] | b[5] << 8),
      .length = (uint16_t)(b[6] | b[7] << 8),
  };
}

static int copy(uint8_t *answer, const void *bytes, int length) {
  memcpy(answer, bytes, (size_t)length);
  return length;
}

static int configuration(int interfaces, uint8_t *answer) {
  int total = 9 + 23 * interfaces;
  uint8_t head[9] = {9, 2, (uint8_t)total, (uint8_t)(total >> 8), (uint8_t)interfaces, 1, 0, 0xc0, 0};
  uint8_t *at = answer + copy(answer, head, sizeof head);
  for (int i = 0; i < interfaces; i++) {
    uint8_t n = (uint8_t)i;
    uint8_t part[23] = {9, 4, n, 0, 2, 0xff, 0xff, 0xff, 2, 7, 5, (uint8_t)(0x81 + n), 2, 0, 2, 0,
                        7, 5, (uint8_t)(0x01 + n), 2, 0, 2, 0};
    at += copy(at, part, sizeof part);
  }
  return total;
}

static int string_descriptor(const char *text, uint8_t *answer) {
  int length = 2;
  for (const char *c = text; *c != '\0' && length < 254; c++) {
    answer[length++] = (uint8_t)*c;
    answer[length++] = 0;
  }
  answer[0] = (uint8_t)length;
  answer[1] = 3;
  return length;
}

static int descriptor(uint16_t value, int interfaces, const char *serial, uint8_t *answer) {
  // Release 8.00 is what tells the driver that there are several ports.
  static const uint8_t device[18] = {18, 1, 0, 2, 0, 0, 0, 64, 0x03, 0x04, 0x11, 0x60, 0, 8, 1, 2, 3, 1};
  static const uint8_t qualifier[10] = {10, 6, 0, 2, 0, 0, 0, 64, 1, 0};
  static const uint8_t english[4] = {4, 3, 9, 4};
  switch (value) {
    case 0x0100:
      return copy(answer, device, sizeof device);
    case 0x0200:
      return configuration(interfaces, answer);
    case 0x0300:
      return copy(answer, english, sizeof english);
    case 0x0301:
      return string_descriptor("benchmark", answer);
    case 0x0302:
      return string_descriptor("serial ports", answer);
    case 0x0303:
      return string_descriptor(serial, answer);
    case 0x0600:
      return copy(answer, qualifier, sizeof qualifier);
    default:
      return -1;
  }
}

int standard_answer(struct setup setup, int interfaces, const char *serial, uint8_t answer[MAX_ANSWER]) {
  if ((setup.type & 0x80) == 0) return 0;
  switch (setup.request) {
    case 0:  // GET_STATUS
      return copy(answer, (uint8_t[]){(setup.type & 0x1f) == 0, 0}, 2);
    case 6:  // GET_DESCRIPTOR
      return descriptor(setup.value, interfaces, serial, answer);
    default:
      return -1;
  }
}

void status_bytes(bool idle, uint8_t into[2]) {
  into[0] = 0xb1;  // CTS, DSR, DCD
  into[1] = idle ? 0x60 : 0x20;
}

int vendor_answer(struct setup setup, bool idle, uint8_t answer[MAX_ANSWER]) {
  switch (setup.request) {
    case MODEM_STATUS:
      status_bytes(idle, answer);
      return 2;
    case GET_LATENCY:
      answer[0] = 1;
      return 1;
    default:
      return (setup.type & 0x80) == 0 ? 0 : -1;
  }
}
