// Virtual USB adapters for JavaScript: numbers name them, their events come with the pump's.
#include <string.h>

#include "errno.h"
#include "module.h"
#include "pump.h"

#define REQUESTS 16
#define REQUEST_NUMBERS 10

// openAdapter(pump, keepFd, adopt) -> adapter
static napi_value open_adapter(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  pump *p = pump_argument(&a);
  if (p == NULL) return NULL;
  int32_t keep_fd = int_argument(&a, 1);
  bool adopt = bool_argument(&a, 2);
  if (a.bad) return NULL;
  int id = usbip_open(p, keep_fd, adopt);
  return id < 0 ? throw_errno(env, -id, "openAdapter") : make_number(env, id);
}

// A binding for a call that takes (pump, adapter, ...) and gives a number or -errno.
#define ADAPTER_CALL(name, javascript, call)                      \
  static napi_value name(napi_env env, napi_callback_info info) { \
    struct arguments a = take_arguments(env, info);               \
    pump *p = pump_argument(&a);                                  \
    if (p == NULL) return NULL;                                   \
    uint32_t id = uint_argument(&a, 1);                           \
    int result = call;                                            \
    if (a.bad) return NULL;                                       \
    return result < 0 ? throw_errno(env, -result, javascript) : make_number(env, result); \
  }

static int plug(pump *p, struct arguments *a, uint32_t id) {
  int32_t fd = int_argument(a, 2);
  uint32_t interfaces = uint_argument(a, 3);
  uint32_t packet_bytes = uint_argument(a, 4);
  bool adopt = bool_argument(a, 5);
  return a->bad ? 0 : usbip_plug(p, id, fd, interfaces, packet_bytes, adopt);
}

// (pump, adapter, seqnum, status, bytes)
static int answer(pump *p, struct arguments *a, uint32_t id) {
  uint32_t seqnum = uint_argument(a, 2);
  int32_t status = int_argument(a, 3);
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void *data = NULL;
  if (a->count > 4) napi_get_typedarray_info(a->env, a->values[4], &type, &length, &data, NULL, NULL);
  if (a->bad) return 0;
  return type == napi_uint8_array ? usbip_answer(p, id, seqnum, status, data, length) : -EINVAL;
}

static int port_byte(pump *p, struct arguments *a, uint32_t id, int (*call)(pump *, uint32_t, uint32_t, uint8_t)) {
  uint32_t port = uint_argument(a, 2);
  uint32_t byte = uint_argument(a, 3);
  return a->bad ? 0 : call(p, id, port, (uint8_t)byte);
}

static int port_only(pump *p, struct arguments *a, uint32_t id, int (*call)(pump *, uint32_t, uint32_t)) {
  uint32_t port = uint_argument(a, 2);
  return a->bad ? 0 : call(p, id, port);
}

static int transmitted(pump *p, struct arguments *a, uint32_t id) {
  uint32_t port = uint_argument(a, 2);
  double taken = number_argument(a, 3);
  return a->bad ? 0 : usbip_transmitted(p, id, port, taken);
}

ADAPTER_CALL(plug_call, "plugAdapter", plug(p, &a, id))
ADAPTER_CALL(settle_call, "settleAdapter", usbip_settle(p, id))
ADAPTER_CALL(unplug_call, "unplugAdapter", usbip_unplug(p, id))
ADAPTER_CALL(close_call, "closeAdapter", usbip_close(p, id))
ADAPTER_CALL(answer_call, "answerAdapter", answer(p, &a, id))
ADAPTER_CALL(modem_call, "setAdapterModem", port_byte(p, &a, id, usbip_set_modem))
ADAPTER_CALL(errors_call, "setAdapterErrors", port_byte(p, &a, id, usbip_set_errors))
ADAPTER_CALL(break_call, "setAdapterBreak", port_only(p, &a, id, usbip_set_break))
ADAPTER_CALL(transmitted_call, "adapterTransmitted", transmitted(p, &a, id))
ADAPTER_CALL(output_waits_call, "adapterOutputWaits", port_only(p, &a, id, usbip_output_waits))
ADAPTER_CALL(discard_call, "discardAdapterOutput", port_byte(p, &a, id, usbip_discard))
ADAPTER_CALL(is_open_call, "isAdapterPortOpen", port_only(p, &a, id, usbip_is_open))

static void append(napi_env env, napi_value array, uint32_t *at, double number) {
  napi_set_element(env, array, (*at)++, make_number(env, number));
}

// takeAdapterRequests(pump, adapter) -> [kind, port, seqnum, in, length, then of the setup: type, request, value, index, length ...]
static napi_value take_requests(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  pump *p = pump_argument(&a);
  if (p == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  if (a.bad) return NULL;
  napi_value result;
  uint32_t at = 0;
  napi_create_array(env, &result);
  struct usbip_told told[REQUESTS];
  int count;
  do {
    count = usbip_take_requests(p, id, told, REQUESTS);
    if (count < 0) return throw_errno(env, -count, "takeAdapterRequests");
    for (int i = 0; i < count; i++) {
      const uint8_t *setup = told[i].setup;
      const double numbers[REQUEST_NUMBERS] = {
          told[i].kind, told[i].port, told[i].seqnum, told[i].in, told[i].length,
          setup[0], setup[1], setup[2] | setup[3] << 8, setup[4] | setup[5] << 8, setup[6] | setup[7] << 8,
      };
      for (int n = 0; n < REQUEST_NUMBERS; n++) append(env, result, &at, numbers[n]);
    }
  } while (count == REQUESTS);
  return result;
}

// adapterLost(pump, adapter) -> why, in words
static napi_value lost(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  pump *p = pump_argument(&a);
  if (p == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  return a.bad ? NULL : make_string(env, usbip_lost(p, id));
}

void register_usbip(napi_env env, napi_value exports) {
  export_function(env, exports, "openAdapter", open_adapter);
  export_function(env, exports, "plugAdapter", plug_call);
  export_function(env, exports, "settleAdapter", settle_call);
  export_function(env, exports, "unplugAdapter", unplug_call);
  export_function(env, exports, "closeAdapter", close_call);
  export_function(env, exports, "takeAdapterRequests", take_requests);
  export_function(env, exports, "answerAdapter", answer_call);
  export_function(env, exports, "setAdapterModem", modem_call);
  export_function(env, exports, "setAdapterErrors", errors_call);
  export_function(env, exports, "setAdapterBreak", break_call);
  export_function(env, exports, "adapterTransmitted", transmitted_call);
  export_function(env, exports, "adapterOutputWaits", output_waits_call);
  export_function(env, exports, "discardAdapterOutput", discard_call);
  export_function(env, exports, "isAdapterPortOpen", is_open_call);
  export_function(env, exports, "adapterLost", lost);
  export_number(env, exports, "adapterKeptBytes", (double)USBIP_KEPT_BYTES);
  export_number(env, exports, "firstAdapter", PUMP_MAX_CHANNELS);
}
