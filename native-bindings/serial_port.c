// A real serial port: what every driver answers at once: its counters, and at the open RS-485. What may wait is in serial_calls.c.
#define _GNU_SOURCE
#include "module.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/serial.h>
#include <string.h>

#include "errno.h"
#include "serial_port.h"

// asm/ioctls.h has the numbers, but <sys/ioctl.h>, which declares this and the TIOCM_ bits, clashes with asm/termbits.h.
int ioctl(int fd, unsigned long request, ...);

int serial_counters(int fd, double counters[SERIAL_COUNTERS]) {
  struct serial_icounter_struct count;
  memset(&count, 0, sizeof count);
  if (RETRY(ioctl(fd, TIOCGICOUNT, &count)) == -1) return -1;
  counters[0] = count.parity;
  counters[1] = count.frame;
  counters[2] = count.overrun;
  counters[3] = count.buf_overrun;
  counters[4] = count.brk;
  counters[5] = count.cts;
  counters[6] = count.dsr;
  counters[7] = count.dcd;
  counters[8] = count.rng;
  return 0;
}

// lineCounters(fd) -> [parity, frame, overrun, buf_overrun, brk, cts, dsr, dcd, rng] of TIOCGICOUNT
static napi_value line_counters(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  double counters[SERIAL_COUNTERS];
  if (a.bad) return NULL;
  if (serial_counters(fd, counters) == -1) return throw_errno(env, errno, "TIOCGICOUNT");
  napi_value list;
  napi_create_array_with_length(env, SERIAL_COUNTERS, &list);
  for (uint32_t i = 0; i < SERIAL_COUNTERS; i++) napi_set_element(env, list, i, make_number(env, counters[i]));
  return list;
}

// setRs485(fd, { flags, delayBefore, delayAfter }) -> the flags in force
static napi_value set_rs485(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct serial_rs485 rs485;
  memset(&rs485, 0, sizeof rs485);
  rs485.flags = (uint32_t)number_field(env, a.values[1], "flags");
  rs485.delay_rts_before_send = (uint32_t)number_field(env, a.values[1], "delayBefore");
  rs485.delay_rts_after_send = (uint32_t)number_field(env, a.values[1], "delayAfter");
  if (RETRY(ioctl(fd, TIOCSRS485, &rs485)) == -1) return throw_errno(env, errno, "TIOCSRS485");
  return make_number(env, rs485.flags);
}

void register_serial_port(napi_env env, napi_value exports) {
  export_function(env, exports, "lineCounters", line_counters);
  export_function(env, exports, "setRs485", set_rs485);
}
