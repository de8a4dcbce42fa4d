// What the binding files share: arguments in, values and errors out. Only these files know Node-API.
#ifndef TTYNP_MODULE_H
#define TTYNP_MODULE_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_ARGUMENTS 12
#define MAX_PUMPS 16

struct arguments {
  napi_env env;
  size_t count;
  napi_value values[MAX_ARGUMENTS];
  bool bad;  // a value had the wrong type: a TypeError is pending
};

// The state of one env: what lives in no C static.
struct instance;

struct arguments take_arguments(napi_env env, napi_callback_info info);
int32_t int_argument(struct arguments *a, size_t index);
uint32_t uint_argument(struct arguments *a, size_t index);
double number_argument(struct arguments *a, size_t index);
bool bool_argument(struct arguments *a, size_t index);
// Copies at most size - 1 bytes; a longer string is a wrong value.
size_t string_argument(struct arguments *a, size_t index, char *into, size_t size);
// The field's value; 0 where it is missing.
double number_field(napi_env env, napi_value object, const char *name);

napi_value make_number(napi_env env, double value);
napi_value make_string(napi_env env, const char *text);
napi_value make_bool(napi_env env, bool value);
void set_field(napi_env env, napi_value object, const char *name, napi_value value);
// Throws an Error with { code, errno, syscall }; returns NULL for `return throw_errno(...)`.
napi_value throw_errno(napi_env env, int error, const char *syscall);
void export_function(napi_env env, napi_value exports, const char *name, napi_callback function);
void export_number(napi_env env, napi_value exports, const char *name, double value);

struct termios2;
// Into what was read from the descriptor: fields that the object has not stay. termios.c
void termios_from(napi_env env, napi_value object, struct termios2 *t);
napi_value termios_object(napi_env env, const struct termios2 *t);

struct pump;
// The pump of argument 0; NULL with an exception pending.
struct pump *pump_argument(struct arguments *a);

bool register_pump(napi_env env, napi_value exports);
void register_usbip(napi_env env, napi_value exports);
void register_pty(napi_env env, napi_value exports);
void register_termios(napi_env env, napi_value exports);
void register_socket(napi_env env, napi_value exports);
void register_unix_socket(napi_env env, napi_value exports);
void register_notify(napi_env env, napi_value exports);
void register_memfd(napi_env env, napi_value exports);
void register_serial_calls(napi_env env, napi_value exports);
void register_serial_port(napi_env env, napi_value exports);
void register_serial_waiter(napi_env env, napi_value exports);
void register_load(napi_env env, napi_value exports);

#endif
