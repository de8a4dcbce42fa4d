// The built daemon in front of servers of RFC 2217 and raw TCP: programs at the tty, asserted at the far end; a server that
// goes and comes; restarts of the daemon.
import { afterEach, describe, expect, test } from 'vitest';
import { cli, eventually, Whole } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';
import { managedTests } from '../support/managed.js';
import { Rfc2217Peer, type Rfc2217PeerOptions } from '../support/rfc2217-peer.js';
import { pyserialServer } from '../support/rfc2217-servers.js';
import { App } from '../support/rig.js';

const { cleanups, managed, open } = managedTests();
let whole: Whole | undefined;
afterEach(async () => {
  await whole?.close();
  whole = undefined;
});

const TTY = 'ttyNP5';

/** A configuration with one tty on a server of that protocol. */
const behind = (protocol: string, dataPort: number, more: object = {}) => ({
  servers: { far: { address: '127.0.0.1', protocol } },
  ttys: { [TTY]: { server: 'far', port: 1, dataPort, ...more } },
});

async function peer(options?: Rfc2217PeerOptions): Promise<Rfc2217Peer> {
  const made = await Rfc2217Peer.listen(options);
  cleanups.push(() => made.close());
  return made;
}

const ECHO: Rfc2217PeerOptions = { script: (socket) => socket.pipe(socket) };

function app(): App {
  if (!whole) throw new Error('no daemon');
  const opened = new App(whole.path(TTY));
  cleanups.push(() => opened.close());
  return opened;
}

describe('rfc2217', () => {
  test("pyserial at the tty, pyserial's server at the far end: settings, bytes, what is shown, the end of a use", async () => {
    const server = await pyserialServer();
    cleanups.push(() => server.close());
    whole = await Whole.start(behind('rfc2217', server.port));
    const python = new Python();
    cleanups.push(() => python.close());
    await python.run(`s = serial.Serial(${JSON.stringify(whole.path(TTY))}, 38400, timeout=5, stopbits=2)`);
    await python.run(`data = bytes(range(256)) * 8; s.write(data); back = s.read(len(data))`);
    expect(await python.run('back == data')).toBe(true);
    expect(await server.run('[port.baudrate, port.stopbits, port.dtr, port.rts]')).toEqual([38400, 2, true, true]);
    await python.run('s.baudrate = 31250');
    await eventually('the rate', async () => (await server.run('port.baudrate')) === 31250);
    const view = await whole.portIs('up', ({ acknowledged }) => acknowledged?.format === '31250,8N2', TTY);
    expect(view).toMatchObject({
      protocol: 'rfc2217',
      state: 'up',
      commandPort: null,
      peer: `127.0.0.1:${server.port}`,
      lines: { dtr: true, rts: true, cts: true, dsr: true },
    });
    expect(view.limits.join()).toContain('drain');
    expect(view.commandRoundTripMs).toBeGreaterThan(0);
    const { stdout } = await cli(['port', TTY, '--socket', whole.socketPath]);
    expect(stdout).toContain(`far port 1, rfc2217, 127.0.0.1 data ${server.port}\n`);
    const doctor = await cli(['doctor', TTY, '--socket', whole.socketPath]);
    expect(doctor.stdout).toMatch(/RFC 2217 .*acknowledged 31250,8N2/);
    await python.run('s.close()');
    await whole.portIs('idle', ({ state }) => state === 'idle', TTY);
    expect(await server.run('[port.dtr, port.rts]')).toEqual([false, false]);
  });

  test('a program that writes and closes at once: all of it arrives, then its lines go down', async () => {
    const server = await peer();
    whole = await Whole.start(behind('rfc2217', server.port));
    const program = app();
    const bytes = Buffer.from(Uint8Array.from({ length: 3000 }, (_, i) => i * 3));
    expect(program.write(bytes)).toBe(bytes.length);
    program.close();
    // A busy daemon has not seen the open yet.
    await whole.portIs('idle again', ({ connects, state }) => connects === 1 && state === 'idle', TTY);
    expect(Buffer.from(server.dataBytes).equals(bytes)).toBe(true);
    expect(server.requests.at(-1)).toEqual({ type: 'lines', lines: { dtr: false, rts: false } });
    const { drops } = await whole.port(TTY);
    expect(Object.values(drops).every((n) => n === 0)).toBe(true);
  });

  test('what the server tells is counted; a server that goes and comes is connected again', async () => {
    const server = await peer();
    whole = await Whole.start(behind('rfc2217', server.port));
    const program = app();
    await whole.portIs('up', ({ state }) => state === 'up', TTY);
    server.report({ type: 'errors', errors: { parity: true, framing: false, overrun: false, bufferOverrun: false } });
    server.report({ type: 'lines', lines: { cts: false, dsr: true, dcd: false, ri: false } });
    const view = await whole.portIs('told', ({ lineErrors, lines }) => lineErrors.parity === 1 && !lines.cts, TTY);
    expect(view.lines).toMatchObject({ dsr: true, dcd: false });
    server.drop();
    await whole.portIs('connected again', ({ connects, state }) => connects === 2 && state === 'up', TTY);
    program.write('again');
    await eventually('it arrives', () => Buffer.from(server.dataBytes).toString().endsWith('again'));
  });

  test('a trace shows commands by their names', async () => {
    const server = await peer();
    whole = await Whole.start(behind('rfc2217', server.port));
    const texts: string[] = [];
    const stop = new AbortController();
    const client = whole.client;
    const follow = async () => {
      for await (const record of client.trace(TTY, stop.signal))
        if (record.type === 'command') texts.push(`${record.direction} ${record.text}`);
    };
    const reading = (async () => {
      // One that was asked for before the daemon could be is asked for again.
      while (!stop.signal.aborted) await follow().catch(() => {});
    })();
    const program = app();
    await whole.portIs('up', ({ state }) => state === 'up', TTY);
    // Until the trace is there, changes are not seen.
    let rate = 1200;
    await eventually(
      () => `commands: ${texts}`,
      async () => {
        rate = rate === 1200 ? 2400 : 1200;
        program.set({ baudRate: rate });
        await whole?.portIs('told', ({ acknowledged }) => acknowledged?.format === `${rate},8N1`, TTY);
        return texts.includes(`received SET-BAUDRATE ${rate}`);
      },
    );
    expect(texts).toContain(`sent SET-BAUDRATE ${rate}`);
    expect(texts).toContain('sent SET-CONTROL DTR ON');
    stop.abort();
    await reading;
  });

  test('what it cannot carry and an application needs: refused, with the reason', async () => {
    const server = await peer();
    whole = await Whole.start(behind('rfc2217', server.port, { needs: ['drain'] }));
    const view = await whole.port(TTY);
    expect(view.state).toBe('failed');
    expect(view.reason?.message).toBe(`${TTY} needs drain, which protocol rfc2217 has not: take it out of needs`);
  });
});

describe('tcp', () => {
  test('bytes and nothing else, both ways; what a program sets stays here', async () => {
    const server = await peer(ECHO);
    whole = await Whole.start(behind('tcp', server.port));
    const program = app();
    const bytes = Buffer.from(Uint8Array.from({ length: 2000 }, (_, i) => i));
    program.write(bytes);
    expect((await program.readExactly(bytes.length)).equals(bytes)).toBe(true);
    program.set({ baudRate: 1200 });
    program.write('after');
    expect((await program.readExactly(5)).toString()).toBe('after');
    const view = await whole.port(TTY);
    expect(view).toMatchObject({
      protocol: 'tcp',
      acknowledged: null,
      asked: { format: '1200,8N1' },
      commandPort: null,
    });
    expect(view.limits.join()).toContain('raw TCP');
    program.close();
    await whole.portIs('idle', ({ state }) => state === 'idle', TTY);
    await eventually('the server sees the end', () => server.order.includes('-'));
  });

  test('its end is seen, and it is connected again', async () => {
    const server = await peer(ECHO);
    whole = await Whole.start(behind('tcp', server.port));
    const program = app();
    await whole.portIs('up', ({ state }) => state === 'up', TTY);
    server.drop();
    await whole.portIs('connected again', ({ connects, state }) => connects === 2 && state === 'up', TTY);
    program.write('again');
    expect((await program.readExactly(5)).toString()).toBe('again');
  });
});

describe('a restart of the daemon', () => {
  test.each(['restart', 'kill9'] as const)('by %s: raw TCP goes on with its connection', async (how) => {
    const server = await peer(ECHO);
    const m = await managed(behind('tcp', server.port));
    const program = open(m, TTY);
    program.write('one');
    expect((await program.readExactly(3)).toString()).toBe('one');
    await m[how]();
    program.write('two');
    expect((await program.readExactly(3)).toString()).toBe('two');
    expect(server.order).toEqual(['+']);
  });

  test('rfc2217: what is written while no daemon runs waits for the connection of the next one', async () => {
    const server = await peer();
    const m = await managed(behind('rfc2217', server.port));
    const program = open(m, TTY);
    await m.whole.portIs('is up', ({ state }) => state === 'up', TTY);
    await m.handOver();
    program.write('meanwhile');
    await m.again();
    await eventually('it arrives', () => server.dataBytes.length >= 'meanwhile'.length);
    expect(Buffer.from(server.dataBytes).toString()).toBe('meanwhile');
    expect((await m.whole.port(TTY)).drops).toMatchObject({ offline: 0 });
  });

  test('rfc2217: what was written is sent once, the application stays, and the connection is made anew', async () => {
    const server = await peer();
    const m = await managed(behind('rfc2217', server.port));
    const program = open(m, TTY);
    await m.whole.portIs('is up', ({ state }) => state === 'up', TTY);
    const bytes = Buffer.alloc(3000, 'x');
    program.write(bytes);
    await m.restart();
    // Sent before, or by the next daemon where the application's write had not been read yet; once in either case.
    await eventually('it has arrived', () => server.dataBytes.length >= bytes.length);
    expect(Buffer.from(server.dataBytes).toString()).toBe(bytes.toString());
    await m.whole.portIs('is up again', ({ state }) => state === 'up', TTY);
    program.write('after');
    await eventually('it arrives', () => Buffer.from(server.dataBytes).toString().endsWith('xafter'));
    server.line?.write('up');
    expect((await program.readExactly(2)).toString()).toBe('up');
    expect(server.order.filter((what) => what === '+')).toHaveLength(2);
  });

  test('another protocol meanwhile: the connection of the old one is ended', async () => {
    const server = await peer(ECHO);
    const m = await managed(behind('tcp', server.port));
    const program = open(m, TTY);
    await m.whole.portIs('is up', ({ state }) => state === 'up', TTY);
    const other = await peer();
    await m.handOver();
    m.whole.configure(behind('rfc2217', other.port));
    await m.again();
    // What is written while nobody is connected is dropped, as offlineData says.
    await m.whole.portIs('is up there', ({ state, protocol }) => state === 'up' && protocol === 'rfc2217', TTY);
    program.write('hello');
    await eventually('it arrives there', () => Buffer.from(other.dataBytes).toString().endsWith('hello'));
    await eventually('the old one is ended', () => server.order.includes('-'));
  });
});
