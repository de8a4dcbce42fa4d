// errno in one place: retry after a signal, and the name of a number. It decides nothing about what an error means.
#ifndef TTYNP_ERRNO_H
#define TTYNP_ERRNO_H

#include <errno.h>

// Repeats a system call that a signal interrupted. The value is the call's result; errno is left as the call set it.
#define RETRY(expression)                          \
  ({                                               \
    __typeof__(expression) retry_result;           \
    do {                                           \
      retry_result = (expression);                 \
    } while (retry_result == -1 && errno == EINTR); \
    retry_result;                                  \
  })

// "ECONNREFUSED" for ECONNREFUSED; "EUNKNOWN" for a number that is not listed.
const char *errno_name(int number);

#endif
