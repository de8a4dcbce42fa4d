// What the path of a byte costs, as counted and not as timed: the same on a slow machine and a busy one. A change that makes
// it dearer fails here; one that makes it cheaper lowers the figure. Each was counted on Debian 12, x86_64.

/**
 * System calls of the whole daemon for 8 bytes out and 8 back: epoll_wait, readv, send, epoll_wait, recv, write make 6. Beside
 * them are only what a second costs (timers of JavaScript) and SIOCOUTQ, once in a look-ahead.
 */
export const CALLS_PER_ROUND_TRIP = 6;
/** Under strace on a busy machine a second has few round trips. One more call in each is 1. */
export const CALLS_PER_ROUND_TRIP_MARGIN = 0.5;

/** What a PTY holds for sure, and what is moved in one piece: between 4095 (one read) and 12 KiB (its queue). */
export const PIECE_BYTES = 8192;
/**
 * System calls of the pump's thread for 64 KiB in such pieces. Down: epoll_wait, three readv of 4095 bytes at the most, one send.
 * Up: epoll_wait, recv, write.
 */
export const CALLS_PER_64_KIB = { down: 8 * 5, up: 8 * 3 } as const;
/** Half a call in each piece. */
export const CALLS_PER_64_KIB_MARGIN = 4;

/**
 * Instructions of the pump's thread for 8 bytes out and 8 back, the kernel's not counted. A compiler or a C library of another
 * version makes others, so the figure is of one: what `cc -dumpmachine -dumpversion` say on Debian 12.
 */
export const INSTRUCTIONS_PER_ROUND_TRIP = 1891;
export const INSTRUCTIONS_COUNTED_WITH = 'x86_64-linux-gnu 12';
/** Runs differ by less than a thousandth. */
export const INSTRUCTIONS_MARGIN = 0.05;

/** Round trips in which JavaScript is watched. */
export const WATCHED_ROUND_TRIPS = 100_000;
/**
 * Bytes that JavaScript may allocate in each: no byte visits it, so nothing but what a second costs anyway (timers, counters that
 * are looked at). The smallest object has 16.
 */
export const ALLOCATED_PER_ROUND_TRIP = 8;
/**
 * What is held after so many, more than before: within what collections of an idle daemon differ by (some 130 KB). The smallest
 * object in each round trip would be 3 MB.
 */
export const HELD_MORE_BYTES = 256 * 1024;
