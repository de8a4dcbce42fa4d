// The daemon's metrics as a collector reads them over TCP, while bytes pass and a connection is lost.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli, eventually, Whole } from '../support/e2e.js';
import { freePort } from '../support/free-ports.js';
import { parsePrometheus, sampleValue } from '../support/prometheus-text.js';
import { App } from '../support/rig.js';

let whole: Whole;
let port: number;

beforeAll(async () => {
  port = await freePort();
  whole = await Whole.start({
    simulator: { unpaced: true },
    tty: { disconnectDelay: '50ms' },
    config: { metrics: { listen: `127.0.0.1:${port}` }, log: { level: 'debug' } },
  });
});
afterAll(() => whole.close());

const scrape = async () => parsePrometheus(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
const TTY = { tty: 'ttyNP0', server: 'simulator' };

test('what passed is counted, over TCP and on the control socket', async () => {
  const app = new App(whole.path());
  try {
    await whole.portIs('up', (view) => view.state === 'up');
    app.write(Buffer.from('counted'));
    await whole.portIs('got it back', (view) => view.received.bytes === 7);
    const read = await scrape();
    expect(sampleValue(read, 'ttynp_port_sent_bytes_total', TTY)).toBe(7);
    expect(sampleValue(read, 'ttynp_port_received_bytes_total', TTY)).toBe(7);
    expect(sampleValue(read, 'ttynp_port_state', { ...TTY, state: 'up' })).toBe(1);
    expect(sampleValue(read, 'ttynp_command_round_trip_seconds_count', TTY)).toBeGreaterThan(0);
    expect(sampleValue(read, 'process_resident_memory_bytes')).toBeGreaterThan(1e6);
    const printed = await cli(['--socket', whole.socketPath, 'metrics']);
    expect(Object.keys(parsePrometheus(printed.stdout).types)).toEqual(Object.keys(read.types));
    const health = await cli(['--socket', whole.socketPath, 'health']);
    expect([health.code, health.stdout]).toEqual([
      0,
      expect.stringMatching(/^TTYNP OK - 1 ports, 1 open, 1 connected/),
    ]);
  } finally {
    app.close();
  }
  await whole.portIs('idle', (view) => view.state === 'idle');
  const log = whole.daemon.stderr;
  expect(log).toMatch(/ttyNP0: connected to 127\.0\.0\.1:\d+/);
  expect(log).toMatch(/ttyNP0: disconnected from \S+ after .*7 bytes sent, 7 received.*event=disconnect.*cause=CLOSED/);
});

test('a connection that was lost and made again is one reconnect, with its cause', async () => {
  const app = new App(whole.path());
  try {
    await whole.portIs('up', (view) => view.state === 'up');
    const { connects } = await whole.port();
    await whole.simulator.stop('reset');
    await whole.portIs('lost', (view) => view.peer === null);
    await whole.simulator.start();
    await whole.portIs('up again', (view) => view.connects === connects + 1);
    let reconnects: unknown;
    await eventually(
      () => `one reconnect: ${JSON.stringify(reconnects)}`,
      async () => {
        reconnects = (await scrape()).samples.filter(({ name }) => name === 'ttynp_port_reconnects_total');
        return Array.isArray(reconnects) && reconnects.length === 1;
      },
    );
    expect(reconnects).toMatchObject([{ labels: { ...TTY, cause: 'peer_closed' }, value: 1 }]);
  } finally {
    app.close();
  }
});
