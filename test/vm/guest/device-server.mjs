// device-server.mjs PORTS DATA_PORT COMMAND_PORT: the simulator of `ttynp simulate --verbose`, which says too what left each
// port, and does to its lines what a command on stdin asks:
//   PORT lines dsr=0 ri=1     these show so from now on, the others as the plug makes them of DTR and RTS
//   PORT inject HEX           bytes arrive on the line
//   PORT error TIMES HEX parity ... (framing, overrun) told once, and this byte again and again, 15 ms apart
//   PORT break
//   PORT hold on|off          the device at the other end takes nothing
//   PORT echo on|off          whether what leaves comes back
//   PORT join OTHER           a null modem between the two, for good; bytes wait for room, none is lost
import { createInterface } from 'node:readline';

const dist = process.env.TTYNP_DIST ?? '/usr/lib/ttynp/dist';
const { runSimulator } = await import(`${dist}/serve/simulator.js`);

const [ports, dataPort, commandPort] = process.argv.slice(2).map(Number);
/** Each line begins with its time, seconds. */
const say = (text) => process.stdout.write(`${(performance.now() / 1000).toFixed(4)} ${text}\n`);
const log = { log: (_level, message) => say(message), child: () => log };
/** By port: what is at the other end of its cable. */
const cables = new Map();

const simulator = await runSimulator({
  ports,
  dataPort,
  commandPort,
  verbose: true,
  log,
  echo: false,
  observer: (n) => ({
    transmitted: (bytes) => {
      if (!cables.has(n)) say(`port ${n}: sent ${Buffer.from(bytes).toString('hex')}`);
      (cables.get(n) ?? plugOf(n)).take(bytes);
    },
    lines: (lines) => cables.get(n)?.lines(lines),
    break: (on) => {
      if (on) (cables.get(n) ?? plugOf(n)).break();
    },
    flushed: (queue, dropped) => say(`port ${n}: flushed ${queue}, ${dropped} dropped`),
  }),
});

/** What arrives at port `n`: in order, as there is room. */
class Cable {
  #waiting = [];
  #timer;
  constructor(n) {
    this.n = n;
  }
  take(bytes) {
    this.#waiting.push(Uint8Array.from(bytes));
    this.#timer ??= setImmediate(() => this.#push());
  }
  break() {
    setImmediate(() => simulator.line(this.n).injectBreak());
  }
  #push() {
    this.#timer = undefined;
    while (this.#waiting.length > 0) {
      const [bytes] = this.#waiting;
      const used = simulator.line(this.n).inject(bytes);
      if (used === bytes.length) this.#waiting.shift();
      else {
        this.#waiting[0] = bytes.subarray(used);
        this.#timer = setTimeout(() => this.#push(), 2);
        return;
      }
    }
  }
}

class Plug extends Cable {
  on = true;
  take(bytes) {
    if (this.on) super.take(bytes);
  }
  lines() {}
}

class NullModem extends Cable {
  lines({ dtr, rts }) {
    simulator.line(this.n).forceLines({ cts: rts, dsr: dtr, dcd: dtr });
  }
}

const plugs = new Map();
function plugOf(n) {
  if (!plugs.has(n)) plugs.set(n, new Plug(n));
  return plugs.get(n);
}

const commands = {
  lines: (n, words) => {
    const lines = Object.fromEntries(words.map((word) => word.split('=')).map(([name, on]) => [name, on === '1']));
    simulator.line(n).forceLines(lines);
  },
  error: (n, [times, hex, ...words]) => {
    simulator.line(n).injectErrors(Object.fromEntries(words.map((word) => [word, true])));
    let left = Number(times);
    const timer = setInterval(() => {
      if (left-- > 0) simulator.line(n).inject(Buffer.from(hex, 'hex'));
      else clearInterval(timer);
    }, 15);
  },
  break: (n) => simulator.line(n).injectBreak(),
  inject: (n, [hex]) => simulator.line(n).inject(Buffer.from(hex, 'hex')),
  hold: (n, [on]) => simulator.line(n).hold(on === 'on'),
  echo: (n, [on]) => {
    plugOf(n).on = on === 'on';
  },
  join: (n, [other]) => {
    for (const [from, to] of [
      [n, Number(other)],
      [Number(other), n],
    ]) {
      cables.set(from, new NullModem(to));
      cables.get(from).lines(simulator.line(from).outputLines);
    }
  },
};

say(`ready: ${ports} port(s)`);
for await (const line of createInterface({ input: process.stdin })) {
  const [port, command, ...words] = line.trim().split(' ');
  try {
    commands[command](Number(port), words);
    say(`port ${port}: did ${[command, ...words].join(' ')}`);
  } catch (error) {
    say(`port ${port}: cannot ${command}: ${error}`);
  }
}
await simulator.close();
