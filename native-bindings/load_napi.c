// The load engine for JavaScript: a measurement runs on threads of its own, and its callback is called once when it is over.
// Descriptors stay the caller's and have to stay open until then.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "errno.h"
#include "load/load.h"
#include "module.h"

struct job {
  napi_threadsafe_function over;
  pthread_t thread;
  bool running;         // the thread has to be joined yet
  int references;       // of JavaScript's handle and of the run; only the env's own thread counts
  struct load_end *end;  // in the one of these that there is
  struct latency *latency;
  struct stream *stream;
  struct duplex *duplex;
  uint8_t *table;
};

static void drop(struct job *j) {
  if (--j->references > 0) return;
  if (j->latency != NULL) {
    free(j->latency->times);
    free(j->latency->request);
  }
  if (j->duplex != NULL) {
    free(j->duplex->a);
    free(j->duplex->b);
  }
  free(j->latency);
  free(j->stream);
  free(j->duplex);
  free(j->table);
  free(j);
}

static napi_value float64_array(napi_env env, const double *values, size_t count) {
  napi_value buffer;
  napi_value array = NULL;
  void *data = NULL;
  if (napi_create_arraybuffer(env, count * sizeof(double), &data, &buffer) != napi_ok) return NULL;
  if (count > 0) memcpy(data, values, count * sizeof(double));
  napi_create_typedarray(env, napi_float64_array, count, buffer, 0, &array);
  return array;
}

static napi_value histogram_array(napi_env env, const struct histogram *h) {
  double counts[HISTOGRAM_BUCKETS];
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) counts[i] = (double)h->counts[i];
  return float64_array(env, counts, HISTOGRAM_BUCKETS);
}

static void number_to(napi_env env, napi_value object, const char *name, double value) {
  set_field(env, object, name, make_number(env, value));
}

static void difference_to(napi_env env, napi_value object, const struct difference *d) {
  number_to(env, object, "differenceAt", (double)d->at);
  number_to(env, object, "expected", d->expected);
  number_to(env, object, "got", d->got);
}

static void latency_to(napi_env env, napi_value o, const struct latency *l) {
  set_field(env, o, "times", float64_array(env, l->times, l->done));
  number_to(env, o, "lost", l->lost);
  number_to(env, o, "mismatched", l->mismatched);
  number_to(env, o, "split", l->split);
  number_to(env, o, "gap", (double)l->gap);
}

static void stream_to(napi_env env, napi_value o, const struct stream *s) {
  number_to(env, o, "sent", (double)atomic_load(&s->sent));
  number_to(env, o, "received", (double)atomic_load(&s->received));
  number_to(env, o, "elapsed", (double)s->elapsed);
  difference_to(env, o, &s->difference);
}

static void duplex_to(napi_env env, napi_value o, const struct duplex *d) {
  number_to(env, o, "offered", (double)d->offered);
  number_to(env, o, "sent", (double)d->sent);
  number_to(env, o, "received", (double)d->received);
  number_to(env, o, "inTime", (double)d->in_time);
  number_to(env, o, "wrong", d->wrong);
  number_to(env, o, "failed", d->failed);
  number_to(env, o, "cpu", (double)d->cpu);
  difference_to(env, o, &d->difference);
  set_field(env, o, "aToB", histogram_array(env, &d->a_to_b));
  set_field(env, o, "bToA", histogram_array(env, &d->b_to_a));
  set_field(env, o, "late", histogram_array(env, &d->late));
}

static napi_value result_of(napi_env env, const struct job *j) {
  napi_value result;
  napi_create_object(env, &result);
  set_field(env, result, "canceled", make_bool(env, atomic_load(&j->end->canceled)));
  number_to(env, result, "errno", j->end->error);
  set_field(env, result, "syscall", make_string(env, j->end->syscall == NULL ? "" : j->end->syscall));
  if (j->latency != NULL) latency_to(env, result, j->latency);
  if (j->stream != NULL) stream_to(env, result, j->stream);
  if (j->duplex != NULL) duplex_to(env, result, j->duplex);
  return result;
}

static void *run(void *argument) {
  struct job *j = argument;
  if (j->latency != NULL) latency_run(j->latency);
  if (j->stream != NULL) stream_run(j->stream);
  if (j->duplex != NULL) duplex_run(j->duplex);
  napi_call_threadsafe_function(j->over, j, napi_tsfn_blocking);
  return NULL;
}

// The env goes away while a measurement runs.
static void end_of_env(void *data) {
  struct job *j = data;
  atomic_store(&j->end->canceled, true);
  pthread_join(j->thread, NULL);
  j->running = false;
  napi_release_threadsafe_function(j->over, napi_tsfn_abort);
  drop(j);
}

static void in_javascript(napi_env env, napi_value callback, void *context, void *data) {
  (void)context;
  struct job *j = data;
  if (env == NULL || !j->running) return;
  pthread_join(j->thread, NULL);
  j->running = false;
  napi_remove_env_cleanup_hook(env, end_of_env, j);
  napi_value result = result_of(env, j);
  napi_release_threadsafe_function(j->over, napi_tsfn_release);
  drop(j);
  napi_value undefined;
  napi_get_undefined(env, &undefined);
  napi_call_function(env, undefined, callback, 1, &result, NULL);
}

static void forgotten(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  drop(data);
}

// No thread of ours takes a signal that is meant for the process; those that it starts inherit that.
static int start_thread(struct job *j) {
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int error = pthread_create(&j->thread, NULL, run, j);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

// A job begins with one reference, JavaScript's; the handle drops it.
static napi_value start(napi_env env, struct job *j, napi_value callback) {
  napi_value handle;
  napi_create_external(env, j, forgotten, NULL, &handle);
  napi_value name = make_string(env, "ttynp.load");
  if (napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, NULL, in_javascript, &j->over) != napi_ok) {
    return throw_errno(env, EINVAL, "load");
  }
  int error = start_thread(j);
  if (error != 0) {
    napi_release_threadsafe_function(j->over, napi_tsfn_abort);
    return throw_errno(env, error, "pthread_create");
  }
  j->references++;
  j->running = true;
  napi_add_env_cleanup_hook(env, end_of_env, j);
  return handle;
}

static struct job *make_job(struct arguments *a, size_t mask_index) {
  uint32_t mask = uint_argument(a, mask_index);
  if (a->bad) return NULL;
  struct job *j = calloc(1, sizeof *j);
  uint8_t *table = j == NULL ? NULL : pattern_make((uint8_t)mask);
  if (table == NULL) {
    free(j);
    throw_errno(a->env, ENOMEM, "load");
    return NULL;
  }
  j->references = 1;
  j->table = table;
  return j;
}

static napi_value refuse(struct job *j, napi_env env, int error) {
  drop(j);
  return throw_errno(env, error, "load");
}

// Fields of an options object that is argument 0.
static double option(struct arguments *a, const char *name) {
  return a->count > 0 ? number_field(a->env, a->values[0], name) : 0;
}

static bool bytes_option(struct arguments *a, const char *name, uint8_t **copy, size_t *length) {
  napi_value value;
  napi_typedarray_type type;
  void *data = NULL;
  bool is_array = false;
  if (napi_get_named_property(a->env, a->values[0], name, &value) != napi_ok) return true;
  napi_is_typedarray(a->env, value, &is_array);
  if (!is_array) return true;  // not given
  napi_get_typedarray_info(a->env, value, &type, length, &data, NULL, NULL);
  if (type != napi_uint8_array || *length == 0 || *length > LOAD_BUFFER) return false;
  *copy = malloc(*length);
  if (*copy != NULL) memcpy(*copy, data, *length);
  return *copy != NULL;
}

static bool usable(int fd) {
  return fd >= 0 && is_nonblocking(fd);
}

// measureLatency({ legs, out0, in0, out1, in1, bytes, replyBytes, request, count, giveUpAfter, timeout, quiet }, mask, callback)
static napi_value measure_latency(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct job *j = make_job(&a, 1);
  if (j == NULL) return NULL;
  struct latency *l = j->latency = calloc(1, sizeof *l);
  if (l == NULL) return refuse(j, env, ENOMEM);
  size_t request_bytes = 0;
  j->end = &l->end;
  l->table = j->table;
  l->legs = (int)option(&a, "legs");
  l->out[0] = (int)option(&a, "out0");
  l->in[0] = (int)option(&a, "in0");
  l->out[1] = (int)option(&a, "out1");
  l->in[1] = (int)option(&a, "in1");
  l->bytes = (uint32_t)option(&a, "bytes");
  l->reply_bytes = (uint32_t)option(&a, "replyBytes");
  l->count = (uint32_t)option(&a, "count");
  l->give_up_after = (uint32_t)option(&a, "giveUpAfter");
  l->timeout = (int64_t)option(&a, "timeout");
  l->quiet = (int64_t)option(&a, "quiet");
  if (!bytes_option(&a, "request", &l->request, &request_bytes)) return refuse(j, env, EINVAL);
  if (l->request != NULL) l->bytes = (uint32_t)request_bytes;
  bool sound = (l->legs == 1 || l->legs == 2) && l->bytes > 0 && l->bytes <= LOAD_BUFFER && l->reply_bytes > 0 && l->reply_bytes <= LOAD_BUFFER;
  if (l->request == NULL || l->legs == 2) sound = sound && l->reply_bytes == l->bytes;
  for (int i = 0; i < l->legs && sound; i++) sound = usable(l->out[i]) && usable(l->in[i]);
  if (!sound) return refuse(j, env, EINVAL);
  l->times = malloc(((size_t)l->count + 1) * sizeof *l->times);
  if (l->times == NULL) return refuse(j, env, ENOMEM);
  return start(env, j, a.values[2]);
}

// measureStream({ out, in, bytes, duration, chunk, window, quiet }, mask, callback)
static napi_value measure_stream(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct job *j = make_job(&a, 1);
  if (j == NULL) return NULL;
  struct stream *s = j->stream = calloc(1, sizeof *s);
  if (s == NULL) return refuse(j, env, ENOMEM);
  j->end = &s->end;
  s->table = j->table;
  s->out = (int)option(&a, "out");
  s->in = (int)option(&a, "in");
  s->bytes = (uint64_t)option(&a, "bytes");
  s->duration = (int64_t)option(&a, "duration");
  s->chunk = (uint32_t)option(&a, "chunk");
  s->window = (uint64_t)option(&a, "window");
  s->quiet = (int64_t)option(&a, "quiet");
  s->difference.at = -1;
  bool ends = s->bytes > 0 || s->duration > 0;
  if (!ends || s->chunk == 0 || s->chunk > LOAD_BUFFER || !usable(s->out) || !usable(s->in)) return refuse(j, env, EINVAL);
  return start(env, j, a.values[2]);
}

static int *fds_argument(struct arguments *a, size_t index, size_t *count) {
  napi_typedarray_type type;
  void *data = NULL;
  if (a->count <= index) return NULL;
  if (napi_get_typedarray_info(a->env, a->values[index], &type, count, &data, NULL, NULL) != napi_ok) return NULL;
  if (type != napi_int32_array || *count == 0) return NULL;
  for (size_t i = 0; i < *count; i++) {
    if (!usable(((int32_t *)data)[i])) return NULL;
  }
  int *copy = malloc(*count * sizeof *copy);
  if (copy != NULL) memcpy(copy, data, *count * sizeof *copy);
  return copy;
}

// measureDuplex({ bytes, interval, duration, drain, threads }, mask, callback, a, b): a and b are Int32Arrays of descriptors
static napi_value measure_duplex(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  struct job *j = make_job(&a, 1);
  if (j == NULL) return NULL;
  struct duplex *d = j->duplex = calloc(1, sizeof *d);
  if (d == NULL) return refuse(j, env, ENOMEM);
  size_t others = 0;
  size_t count = 0;
  j->end = &d->end;
  d->table = j->table;
  d->bytes = (uint32_t)option(&a, "bytes");
  d->interval = (int64_t)option(&a, "interval");
  d->duration = (int64_t)option(&a, "duration");
  d->drain = (int64_t)option(&a, "drain");
  d->two_threads = option(&a, "threads") == 2;
  d->a = fds_argument(&a, 3, &count);
  d->b = fds_argument(&a, 4, &others);
  d->pairs = (uint32_t)count;
  bool sound = d->a != NULL && d->b != NULL && count == others && d->bytes > 0 && d->interval > 0 && d->duration >= d->interval;
  if (!sound) return refuse(j, env, EINVAL);
  return start(env, j, a.values[2]);
}

// cancelLoad(handle): its callback comes nevertheless, soon
static napi_value cancel_load(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  void *data = NULL;
  if (a.count < 1 || napi_get_value_external(env, a.values[0], &data) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "argument 0 must be a measurement");
    return NULL;
  }
  struct job *j = data;
  atomic_store(&j->end->canceled, true);
  return NULL;
}

// loadBuckets() -> Float64Array: what a time in each bucket of a histogram was, in nanoseconds
static napi_value load_buckets(napi_env env, napi_callback_info info) {
  (void)info;
  double values[HISTOGRAM_BUCKETS];
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) values[i] = histogram_value(i);
  return float64_array(env, values, HISTOGRAM_BUCKETS);
}

// barePty() -> { fd, path }: raw, non-blocking, and not in packet mode: what the machine's own PTY does
static napi_value bare_pty(napi_env env, napi_callback_info info) {
  (void)info;
  int unlocked = 0;
  char path[64] = "";
  struct termios raw;
  int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1) return throw_errno(env, errno, "posix_openpt");
  bool failed = ioctl(fd, TIOCSPTLCK, &unlocked) == -1 || ptsname_r(fd, path, sizeof path) != 0 || tcgetattr(fd, &raw) == -1;
  cfmakeraw(&raw);
  if (failed || tcsetattr(fd, TCSANOW, &raw) == -1) {
    int error = errno;
    close(fd);
    return throw_errno(env, error, "posix_openpt");
  }
  napi_value result;
  napi_create_object(env, &result);
  number_to(env, result, "fd", fd);
  set_field(env, result, "path", make_string(env, path));
  return result;
}

// processCpu(pid) -> nanoseconds that all threads of the process have run, those that have ended too
static napi_value process_cpu(napi_env env, napi_callback_info info) {
  struct arguments a = take_arguments(env, info);
  int32_t pid = int_argument(&a, 0);
  if (a.bad) return NULL;
  clockid_t clock;
  struct timespec used;
  int error = clock_getcpuclockid(pid, &clock);
  if (error != 0) return throw_errno(env, error, "clock_getcpuclockid");
  if (clock_gettime(clock, &used) == -1) return throw_errno(env, errno, "clock_gettime");
  return make_number(env, (double)used.tv_sec * NS_PER_S + (double)used.tv_nsec);
}

void register_load(napi_env env, napi_value exports) {
  export_function(env, exports, "measureLatency", measure_latency);
  export_function(env, exports, "measureStream", measure_stream);
  export_function(env, exports, "measureDuplex", measure_duplex);
  export_function(env, exports, "cancelLoad", cancel_load);
  export_function(env, exports, "loadBuckets", load_buckets);
  export_function(env, exports, "barePty", bare_pty);
  export_function(env, exports, "processCpu", process_cpu);
}
