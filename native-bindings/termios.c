// termios2 as a plain object, both ways. Meaning (line settings) is TypeScript's.
#include "termios2.h"

#include "errno.h"
#include "module.h"

napi_value termios_object(napi_env env, const struct termios2 *t) {
  napi_value result;
  napi_value cc;
  napi_create_object(env, &result);
  napi_create_array_with_length(env, NCCS, &cc);
  for (uint32_t i = 0; i < NCCS; i++) napi_set_element(env, cc, i, make_number(env, t->c_cc[i]));
  set_field(env, result, "inputSpeed", make_number(env, t->c_ispeed));
  set_field(env, result, "outputSpeed", make_number(env, t->c_ospeed));
  set_field(env, result, "iflag", make_number(env, t->c_iflag));
  set_field(env, result, "oflag", make_number(env, t->c_oflag));
  set_field(env, result, "cflag", make_number(env, t->c_cflag));
  set_field(env, result, "lflag", make_number(env, t->c_lflag));
  set_field(env, result, "cc", cc);
  return result;
}

static napi_value get_termios(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct termios2 t;
  if (termios_get(fd, &t) == -1) return throw_errno(env, errno, "TCGETS2");
  return termios_object(env, &t);
}

void termios_from(napi_env env, napi_value object, struct termios2 *t) {
  napi_value cc;
  t->c_iflag = (tcflag_t)number_field(env, object, "iflag");
  t->c_oflag = (tcflag_t)number_field(env, object, "oflag");
  t->c_lflag = (tcflag_t)number_field(env, object, "lflag");
  t->c_cflag = (tcflag_t)number_field(env, object, "cflag");
  termios_set_rate(t, (speed_t)number_field(env, object, "inputSpeed"), (speed_t)number_field(env, object, "outputSpeed"));
  napi_get_named_property(env, object, "cc", &cc);
  for (uint32_t i = 0; i < NCCS; i++) {
    napi_value value;
    uint32_t number = t->c_cc[i];
    if (napi_get_element(env, cc, i, &value) == napi_ok) napi_get_value_uint32(env, value, &number);
    t->c_cc[i] = (cc_t)number;
  }
}

static napi_value set_termios(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t fd = int_argument(&a, 0);
  if (a.bad) return NULL;
  struct termios2 t;
  if (termios_get(fd, &t) == -1) return throw_errno(env, errno, "TCGETS2");
  termios_from(env, a.values[1], &t);
  if (termios_set(fd, &t) == -1) return throw_errno(env, errno, "TCSETS2");
  return NULL;
}

void register_termios(napi_env env, napi_value exports) {
  export_function(env, exports, "getTermios", get_termios);
  export_function(env, exports, "setTermios", set_termios);
}
