// The pump for JavaScript: numbers name pumps and channels, and one thread-safe function per pump tells that there are
// events to take. It keeps the process alive only while its pump has channels.
#include <stdlib.h>
#include <string.h>

#include "errno.h"
#include "module.h"
#include "pump.h"

struct joint {
  napi_env env;
  pump *pump;
  napi_threadsafe_function wake;
  napi_ref counters[PUMP_MAX_CHANNELS];  // keep the memory that a channel counts in
  uint32_t channels;
  struct instance *instance;
  uint32_t index;
};

struct instance {
  struct joint *pumps[MAX_PUMPS];
};

static void on_events(void *context) {
  struct joint *j = context;
  napi_call_threadsafe_function(j->wake, NULL, napi_tsfn_nonblocking);
}

// Runs in the env's thread: calls the function that createPump() was given.
static void call_javascript(napi_env env, napi_value callback, void *context, void *data) {
  (void)context;
  (void)data;
  napi_value undefined;
  if (env == NULL || callback == NULL) return;
  napi_get_undefined(env, &undefined);
  napi_call_function(env, undefined, callback, 0, NULL, NULL);
}

static void end_joint(struct joint *j) {
  pump_destroy(j->pump);
  napi_release_threadsafe_function(j->wake, napi_tsfn_abort);
  for (uint32_t i = 0; i < PUMP_MAX_CHANNELS; i++) {
    if (j->counters[i] != NULL) napi_delete_reference(j->env, j->counters[i]);
  }
  j->instance->pumps[j->index] = NULL;
  free(j);
}

static void on_env_end(void *argument) {
  end_joint(argument);
}

static napi_value create_pump(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct instance *instance = NULL;
  napi_get_instance_data(env, (void **)&instance);
  uint32_t index = 0;
  while (index < MAX_PUMPS && instance->pumps[index] != NULL) index++;
  if (index == MAX_PUMPS) return throw_errno(env, EMFILE, "createPump");
  int hand_fd = a.count > 1 ? int_argument(&a, 1) : -1;
  if (a.bad) return NULL;
  struct joint *j = calloc(1, sizeof *j);
  if (j == NULL) return throw_errno(env, ENOMEM, "createPump");
  j->env = env;
  j->instance = instance;
  j->index = index;
  napi_value name = make_string(env, "ttynp pump");
  napi_status made = a.count < 1 ? napi_invalid_arg
                                 : napi_create_threadsafe_function(env, a.values[0], NULL, name, 0, 1, NULL, NULL, NULL,
                                                                   call_javascript, &j->wake);
  if (made != napi_ok) {
    free(j);
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "argument 0 must be a function");
    return NULL;
  }
  napi_unref_threadsafe_function(env, j->wake);
  j->pump = pump_create(on_events, j, hand_fd);
  if (j->pump == NULL) {
    int error = errno;
    napi_release_threadsafe_function(j->wake, napi_tsfn_abort);
    free(j);
    return throw_errno(env, error, "createPump");
  }
  instance->pumps[index] = j;
  // After the thread-safe function, so that it runs before that one's own hook.
  napi_add_env_cleanup_hook(env, on_env_end, j);
  return make_number(env, index);
}

// The pump of argument 0; NULL with an exception pending.
static struct joint *joint_argument(struct arguments *a) {
  uint32_t index = uint_argument(a, 0);
  struct instance *instance = NULL;
  if (a->bad) return NULL;
  napi_get_instance_data(a->env, (void **)&instance);
  struct joint *j = index < MAX_PUMPS ? instance->pumps[index] : NULL;
  if (j == NULL) throw_errno(a->env, EBADF, "pump");
  return j;
}

pump *pump_argument(struct arguments *a) {
  struct joint *j = joint_argument(a);
  return j == NULL ? NULL : j->pump;
}

static napi_value destroy_pump(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  napi_remove_env_cleanup_hook(env, on_env_end, j);
  end_joint(j);
  return NULL;
}

static napi_value freeze_pump(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j != NULL) pump_freeze(j->pump);
  return NULL;
}

// takeEvents(pump, Uint32Array) -> pairs filled
static napi_value take_events(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  napi_typedarray_type type;
  size_t length = 0;
  void *data = NULL;
  if (a.count < 2 || napi_get_typedarray_info(env, a.values[1], &type, &length, &data, NULL, NULL) != napi_ok ||
      type != napi_uint32_array) {
    return throw_errno(env, EINVAL, "takeEvents");
  }
  return make_number(env, (double)pump_take_events(j->pump, data, length / 2));
}

// unanswered(pump) -> milliseconds
static napi_value unanswered(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  return j == NULL ? NULL : make_number(env, pump_unanswered_ms(j->pump));
}

static napi_value live_counts(napi_env env, napi_callback_info info) {
  (void)info;
  struct live_counts counts = pump_live_counts();
  napi_value result;
  napi_create_object(env, &result);
  set_field(env, result, "pumps", make_number(env, counts.pumps));
  set_field(env, result, "channels", make_number(env, counts.channels));
  set_field(env, result, "fences", make_number(env, counts.fences));
  return result;
}

static struct offline offline_arguments(struct arguments *a, size_t index) {
  struct offline offline = {.mode = (enum offline_mode)uint_argument(a, index), .bytes = uint_argument(a, index + 1)};
  return offline;
}

// openChannel(pump, ttyFd, kind, slavePath, lookAhead, offlineMode, offlineBytes, counters: Float64Array,
//   keepFd = -1, adopt = false, adapterPort = 0) -> channel
static napi_value open_channel(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  char path[256];
  string_argument(&a, 3, path, sizeof path);
  struct channel_options options = {
      .tty_fd = int_argument(&a, 1),
      .kind = (enum tty_kind)uint_argument(&a, 2),
      .slave_path = path,
      .look_ahead = uint_argument(&a, 4),
      .offline = offline_arguments(&a, 5),
      .keep_fd = a.count > 8 ? int_argument(&a, 8) : -1,
      .adopt = a.count > 9 && bool_argument(&a, 9),
      .adapter_port = a.count > 10 ? uint_argument(&a, 10) : 0,
  };
  if (a.bad) return NULL;
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void *data = NULL;
  if (a.count > 7) napi_get_typedarray_info(env, a.values[7], &type, &length, &data, NULL, NULL);
  if (type != napi_float64_array || length < COUNTER_COUNT) return throw_errno(env, EINVAL, "openChannel");
  options.counters = data;
  int id = channel_open(j->pump, &options);
  if (id < 0) return throw_errno(env, -id, "openChannel");
  napi_create_reference(env, a.values[7], 1, &j->counters[id]);
  if (j->channels++ == 0) napi_ref_threadsafe_function(env, j->wake);
  return make_number(env, id);
}

static napi_value parked_bytes(napi_env env, uint8_t *bytes, size_t length) {
  napi_value buffer;
  void *data = NULL;
  napi_value result;
  napi_create_arraybuffer(env, length, &data, &buffer);
  if (length > 0) memcpy(data, bytes, length);
  napi_create_typedarray(env, napi_uint8_array, length, buffer, 0, &result);
  free(bytes);
  return result;
}

// closeChannel(pump, channel) -> { down, up }
static napi_value close_channel(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  if (a.bad) return NULL;
  struct parked parked;
  int error = channel_close(j->pump, id, &parked);
  if (error != 0) return throw_errno(env, -error, "closeChannel");
  napi_delete_reference(env, j->counters[id]);
  j->counters[id] = NULL;
  if (--j->channels == 0) napi_unref_threadsafe_function(env, j->wake);
  napi_value result;
  napi_create_object(env, &result);
  set_field(env, result, "down", parked_bytes(env, parked.down, parked.down_bytes));
  set_field(env, result, "up", parked_bytes(env, parked.up, parked.up_bytes));
  return result;
}

// A binding for a call that takes (pump, channel, ...) and gives 0 or -errno.
#define CHANNEL_CALL(name, javascript, call)                     \
  static napi_value name(napi_env env, napi_callback_info info) { \
    struct arguments a = take_arguments(env, info);              \
    struct joint *j = joint_argument(&a);                        \
    if (j == NULL) return NULL;                                  \
    uint32_t id = uint_argument(&a, 1);                          \
    int error = call;                                            \
    if (!a.bad && error < 0) throw_errno(env, -error, javascript); \
    return NULL;                                                 \
  }

static int attach(struct joint *j, struct arguments *a, uint32_t id) {
  int32_t fd = int_argument(a, 2);
  struct offline on_loss = offline_arguments(a, 3);
  return a->bad ? 0 : channel_attach(j->pump, id, fd, on_loss);
}

static int detach(struct joint *j, struct arguments *a, uint32_t id) {
  struct offline offline = offline_arguments(a, 2);
  return a->bad ? 0 : channel_detach(j->pump, id, offline);
}

static int set_offline(struct joint *j, struct arguments *a, uint32_t id) {
  struct offline offline = offline_arguments(a, 2);
  return a->bad ? 0 : channel_set_offline(j->pump, id, offline);
}

static int stop(struct joint *j, struct arguments *a, uint32_t id) {
  uint32_t direction = uint_argument(a, 2);
  return a->bad ? 0 : channel_stop(j->pump, id, direction == UP ? UP : DOWN);
}

static int resume(struct joint *j, struct arguments *a, uint32_t id) {
  uint32_t direction = uint_argument(a, 2);
  return a->bad ? 0 : channel_resume(j->pump, id, direction == UP ? UP : DOWN);
}

static int set_look_ahead(struct joint *j, struct arguments *a, uint32_t id) {
  uint32_t bytes = uint_argument(a, 2);
  return a->bad ? 0 : channel_set_look_ahead(j->pump, id, bytes);
}

static int tap(struct joint *j, struct arguments *a, uint32_t id) {
  uint32_t bytes = uint_argument(a, 2);
  return a->bad ? 0 : channel_tap(j->pump, id, bytes);
}

CHANNEL_CALL(attach_call, "attach", attach(j, &a, id))
CHANNEL_CALL(detach_call, "detach", detach(j, &a, id))
CHANNEL_CALL(set_offline_call, "setOffline", set_offline(j, &a, id))
CHANNEL_CALL(stop_call, "stop", stop(j, &a, id))
CHANNEL_CALL(resume_call, "resume", resume(j, &a, id))
CHANNEL_CALL(set_look_ahead_call, "setLookAhead", set_look_ahead(j, &a, id))
CHANNEL_CALL(tap_call, "tap", tap(j, &a, id))

// watchNode(pump, channel, path, openers), "" for none
static int watch_node(struct joint *j, struct arguments *a, uint32_t id) {
  char path[256];
  size_t length = string_argument(a, 2, path, sizeof path);
  uint32_t openers = uint_argument(a, 3);
  return a->bad ? 0 : channel_watch(j->pump, id, length > 0 ? path : NULL, openers);
}

CHANNEL_CALL(watch_node_call, "watchNode", watch_node(j, &a, id))

static napi_value drop(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  uint32_t direction = uint_argument(&a, 2);
  uint32_t bytes = uint_argument(&a, 3);
  if (a.bad) return NULL;
  int64_t dropped = channel_drop(j->pump, id, direction == UP ? UP : DOWN, bytes);
  if (dropped < 0) return throw_errno(env, (int)-dropped, "drop");
  return make_number(env, (double)dropped);
}

// fence(pump, channel, timeoutMs) -> slot, or -1 - result where that is known at once
static napi_value fence(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  uint32_t timeout_ms = uint_argument(&a, 2);
  if (a.bad) return NULL;
  bool done = false;
  enum fence_result result = FENCE_PASSED;
  int slot = channel_fence(j->pump, id, timeout_ms, &done, &result);
  if (slot < 0) return throw_errno(env, -slot, "fence");
  return make_number(env, done ? -1 - (double)result : slot);
}

// takeFences(pump, channel) -> [slot, result, slot, result ...]
static napi_value take_fences(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  if (a.bad) return NULL;
  struct fence_done done[PUMP_MAX_FENCES];
  int count = channel_take_fences(j->pump, id, done);
  napi_value result;
  napi_create_array(env, &result);
  for (int i = 0; i < count; i++) {
    napi_set_element(env, result, (uint32_t)(2 * i), make_number(env, done[i].slot));
    napi_set_element(env, result, (uint32_t)(2 * i + 1), make_number(env, done[i].result));
  }
  return result;
}

static napi_value read_tap(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  if (a.bad) return NULL;
  uint8_t *records = NULL;
  size_t bytes = 0;
  int error = channel_read_tap(j->pump, id, &records, &bytes);
  if (error < 0) return throw_errno(env, -error, "readTap");
  return parked_bytes(env, records, bytes);
}

static napi_value reset(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct joint *j = joint_argument(&a);
  if (j == NULL) return NULL;
  uint32_t id = uint_argument(&a, 1);
  if (a.bad) return NULL;
  enum reset_result result = RESET_FAILED;
  int error = channel_reset(j->pump, id, &result);
  if (error < 0) return throw_errno(env, -error, "reset");
  return make_number(env, result);
}

static void free_instance(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

bool register_pump(napi_env env, napi_value exports) {
  struct instance *instance = calloc(1, sizeof *instance);
  if (instance == NULL) return false;
  if (napi_set_instance_data(env, instance, free_instance, NULL) != napi_ok) {
    free(instance);
    return false;
  }
  export_function(env, exports, "createPump", create_pump);
  export_function(env, exports, "destroyPump", destroy_pump);
  export_function(env, exports, "freezePump", freeze_pump);
  export_function(env, exports, "takeEvents", take_events);
  export_function(env, exports, "unanswered", unanswered);
  export_function(env, exports, "liveCounts", live_counts);
  export_function(env, exports, "openChannel", open_channel);
  export_function(env, exports, "closeChannel", close_channel);
  export_function(env, exports, "attach", attach_call);
  export_function(env, exports, "detach", detach_call);
  export_function(env, exports, "setOffline", set_offline_call);
  export_function(env, exports, "stop", stop_call);
  export_function(env, exports, "resume", resume_call);
  export_function(env, exports, "setLookAhead", set_look_ahead_call);
  export_function(env, exports, "tap", tap_call);
  export_function(env, exports, "watchNode", watch_node_call);
  export_function(env, exports, "drop", drop);
  export_function(env, exports, "fence", fence);
  export_function(env, exports, "takeFences", take_fences);
  export_function(env, exports, "readTap", read_tap);
  export_function(env, exports, "reset", reset);
  export_number(env, exports, "counterCount", COUNTER_COUNT);
  return true;
}
