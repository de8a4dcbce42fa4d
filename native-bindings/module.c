// Registration of the addon, and the few conversions that all bindings use.
#include "module.h"

#include <stdio.h>
#include <string.h>

#include "errno.h"

struct arguments take_arguments(napi_env env, napi_callback_info info) {
  struct arguments a = {.env = env, .count = MAX_ARGUMENTS};
  napi_get_cb_info(env, info, &a.count, a.values, NULL, NULL);
  if (a.count > MAX_ARGUMENTS) a.count = MAX_ARGUMENTS;  // it tells how many were given, not how many fit
  return a;
}

static void wrong(struct arguments *a, size_t index, const char *expected) {
  if (a->bad) return;
  char text[64];
  snprintf(text, sizeof text, "argument %zu must be %s", index, expected);
  napi_throw_type_error(a->env, "ERR_INVALID_ARG_TYPE", text);
  a->bad = true;
}

double number_argument(struct arguments *a, size_t index) {
  double value = 0;
  if (index >= a->count || napi_get_value_double(a->env, a->values[index], &value) != napi_ok) wrong(a, index, "a number");
  return value;
}

int32_t int_argument(struct arguments *a, size_t index) {
  double value = number_argument(a, index);
  if (value >= INT32_MIN && value <= INT32_MAX) return (int32_t)value;
  wrong(a, index, "a 32-bit integer");
  return -1;
}

uint32_t uint_argument(struct arguments *a, size_t index) {
  double value = number_argument(a, index);
  if (value >= 0 && value <= UINT32_MAX) return (uint32_t)value;
  wrong(a, index, "an unsigned 32-bit integer");
  return 0;
}

bool bool_argument(struct arguments *a, size_t index) {
  bool value = false;
  if (index >= a->count || napi_get_value_bool(a->env, a->values[index], &value) != napi_ok) wrong(a, index, "a boolean");
  return value;
}

size_t string_argument(struct arguments *a, size_t index, char *into, size_t size) {
  size_t length = 0;
  into[0] = '\0';
  bool ok = index < a->count && napi_get_value_string_utf8(a->env, a->values[index], NULL, 0, &length) == napi_ok;
  if (!ok || length >= size) {
    wrong(a, index, "a short string");
    return 0;
  }
  napi_get_value_string_utf8(a->env, a->values[index], into, size, &length);
  return length;
}

double number_field(napi_env env, napi_value object, const char *name) {
  napi_value value;
  double number = 0;
  if (napi_get_named_property(env, object, name, &value) != napi_ok) return 0;
  napi_get_value_double(env, value, &number);
  return number;
}

napi_value make_number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

napi_value make_string(napi_env env, const char *text) {
  napi_value result = NULL;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value make_bool(napi_env env, bool value) {
  napi_value result = NULL;
  napi_get_boolean(env, value, &result);
  return result;
}

void set_field(napi_env env, napi_value object, const char *name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

napi_value throw_errno(napi_env env, int error, const char *syscall) {
  char text[256];
  napi_value thrown;
  snprintf(text, sizeof text, "%s: %s", syscall, strerror(error));
  napi_create_error(env, make_string(env, errno_name(error)), make_string(env, text), &thrown);
  set_field(env, thrown, "errno", make_number(env, error));
  set_field(env, thrown, "syscall", make_string(env, syscall));
  napi_throw(env, thrown);
  return NULL;
}

void export_function(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value);
  set_field(env, exports, name, value);
}

void export_number(napi_env env, napi_value exports, const char *name, double value) {
  set_field(env, exports, name, make_number(env, value));
}

static napi_value name_of_errno(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t number = int_argument(&a, 0);
  return a.bad ? NULL : make_string(env, errno_name(number));
}

#ifdef TTYNP_PLANTED_ERROR
// Proves that a sanitizer run fails when it should: writes one byte past what was allocated.
#include <stdlib.h>
static napi_value planted_error(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  size_t size = uint_argument(&a, 0);
  volatile char *bytes = malloc(size);
  bytes[size] = 1;
  free((void *)bytes);
  return NULL;
}
#endif

NAPI_MODULE_INIT() {
  export_function(env, exports, "errnoName", name_of_errno);
#ifdef TTYNP_PLANTED_ERROR
  export_function(env, exports, "plantedError", planted_error);
#endif
  if (!register_pump(env, exports)) return NULL;
  register_usbip(env, exports);
  register_pty(env, exports);
  register_termios(env, exports);
  register_socket(env, exports);
  register_unix_socket(env, exports);
  register_notify(env, exports);
  register_memfd(env, exports);
  register_serial_calls(env, exports);
  register_serial_port(env, exports);
  register_serial_waiter(env, exports);
  register_load(env, exports);
  return exports;
}
