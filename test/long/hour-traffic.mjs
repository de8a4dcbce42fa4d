// The child of test/long/hour.test.ts: the applications at all ttys. Each writes messages at its pace, and compares every byte that
// its device sends back. On standard input `report` or `stop`, a word a line; each is answered with one line of JSON. The ttys stay open. Judges nothing.
//   argv: a JSON list of { path, group }, milliseconds between two messages of a tty
import { constants, openSync, writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { ReadStream } from 'node:tty';

const MAGIC = 0xa7;
const HEADER = 8;
/** Of a message whose end is right but not its middle, bytes were changed; of one that was cut, its end stands elsewhere. */
const END = 4;
/** Round trips whose beginning is remembered, of a tty. */
const REMEMBERED = 4096;
const TURNS = 20;
/** Of the histogram: tenths of a millisecond. */
const BUCKETS = 200_000;
const DRAIN_MS = 20_000;

const [ttys, intervalMs] = process.argv.slice(2).map((text) => JSON.parse(text));
const delay = monitorEventLoopDelay({ resolution: 5 });
const groups = new Map();
let hangups = 0;

/** Message `seq` of tty `n`: of 8 to 247 bytes, all others in another message. */
function message(n, seq) {
  const length = HEADER + (((Math.imul(seq + 1, 0x9e3779b1) ^ (n * 40_503)) >>> 8) % 240);
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32LE((((MAGIC ^ n ^ length) << 24) | (length << 16) | (n << 8) | MAGIC) >>> 0, 0);
  bytes.writeUInt32LE(seq, 4);
  for (let i = HEADER; i < length; i++) bytes[i] = seq * 31 + i * 7 + n * 13;
  return bytes;
}

function groupOf(name) {
  const fresh = {
    ports: 0,
    bytes: 0,
    sent: 0,
    received: 0,
    missing: 0,
    disorder: 0,
    changed: 0,
    torn: 0,
    unfinished: 0,
    maxMs: 0,
  };
  const group = groups.get(name) ?? { ...fresh, times: new Float64Array(BUCKETS + 1) };
  groups.set(name, group);
  return group;
}

class Application {
  constructor({ path, group }, n) {
    this.n = n;
    this.group = groupOf(group);
    this.group.ports++;
    this.seq = 0;
    this.next = 0;
    this.unwritten = Buffer.alloc(0);
    this.unread = Buffer.alloc(0);
    this.began = new Float64Array(REMEMBERED);
    const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
    this.fd = openSync(path, flags);
    this.stream = new ReadStream(openSync(path, flags));
    this.stream.on('data', (bytes) => this.take(bytes));
    for (const end of ['end', 'error']) this.stream.on(end, () => hangups++);
  }

  /** Nothing more while the tty has no room for the last one. */
  write() {
    if (this.unwritten.length === 0) {
      this.began[this.seq % REMEMBERED] = performance.now();
      this.unwritten = message(this.n, this.seq++);
      this.group.sent++;
    }
    this.flush();
  }

  flush() {
    if (this.unwritten.length === 0) return;
    try {
      this.unwritten = this.unwritten.subarray(writeSync(this.fd, this.unwritten));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }

  take(bytes) {
    const now = performance.now();
    this.group.bytes += bytes.length;
    let rest = this.unread.length === 0 ? bytes : Buffer.concat([this.unread, bytes]);
    while (rest.length >= HEADER) {
      const length = rest[2];
      const whole =
        rest[0] === MAGIC && rest[1] === this.n && rest[3] === (MAGIC ^ this.n ^ length) && length >= HEADER;
      if (whole && rest.length < length) break;
      const seq = rest.readUInt32LE(4);
      const wanted = message(this.n, seq);
      if (whole && rest.subarray(0, length).equals(wanted)) {
        this.whole(seq, now);
        rest = rest.subarray(length);
        continue;
      }
      if (whole && rest.subarray(length - END, length).equals(wanted.subarray(-END))) this.group.changed++;
      this.group.torn++;
      rest = rest.subarray(1);
    }
    this.unread = Buffer.from(rest);
  }

  whole(seq, now) {
    const { group } = this;
    if (seq < this.next || seq >= this.seq) {
      group.disorder++;
      return;
    }
    group.missing += seq - this.next;
    this.next = seq + 1;
    group.received++;
    const ms = now - this.began[seq % REMEMBERED];
    group.maxMs = Math.max(group.maxMs, ms);
    group.times[Math.min(BUCKETS, Math.trunc(ms * 10))]++;
  }
}

function quantile({ received, times }, q) {
  let seen = 0;
  const at = times.findIndex((n) => {
    seen += n;
    return seen >= received * q;
  });
  return at / 10;
}

function report() {
  const said = {};
  for (const [name, group] of groups) {
    const { times, ...rest } = group;
    said[name] = { ...rest, p50Ms: quantile(group, 0.5), p99Ms: quantile(group, 0.99) };
  }
  const [p99, max] = [delay.percentile(99), delay.max].map((ns) => ns / 1e6);
  process.stdout.write(`${JSON.stringify({ groups: said, hangups, ownDelay: { p99Ms: p99, maxMs: max } })}\n`);
}

const applications = ttys.map((tty, n) => new Application(tty, n));
let turn = 0;
const timer = setInterval(() => {
  for (let i = turn; i < applications.length; i += TURNS) applications[i].write();
  turn = (turn + 1) % TURNS;
}, intervalMs / TURNS);
delay.enable();

/** Until all that was sent is back, or no longer. */
async function drain() {
  clearInterval(timer);
  const end = performance.now() + DRAIN_MS;
  const open = () => applications.filter(({ next, seq }) => next < seq);
  while (open().length > 0 && performance.now() < end) {
    for (const application of open()) application.flush();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  for (const { group, next, seq } of open()) group.unfinished += seq - next;
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'stop') await drain();
  report();
}
