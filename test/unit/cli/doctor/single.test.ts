// The far half of the doctor's walk where a port has one TCP connection.
import { describe, expect, test } from 'vitest';
import type { PortView } from '../../../../src/api/types.js';
import type { CheckResult } from '../../../../src/cli/doctor/check.js';
import type { ConnectFacts, PortFacts, ProbeFacts } from '../../../../src/cli/doctor/facts.js';
import { singleChecks } from '../../../../src/cli/doctor/single-checks.js';
import { portView } from '../../../support/fake-daemon.js';

const target = {
  name: 'ttyNP0',
  path: '/dev/ttyNP0',
  server: 'hall',
  address: '192.168.127.254',
  port: 1,
  protocol: 'rfc2217',
  dataPort: 4001,
  commandPort: null,
};

type Shown = readonly [step: string, result: CheckResult, text: string];

function shown(protocol: string, view: PortView | undefined, probe?: ProbeFacts | string): Shown[] {
  const facts: Pick<PortFacts, 'target' | 'view' | 'probe'> = { target: { ...target, protocol }, view, probe };
  return singleChecks(facts).map(({ step, result, text }) => [step, result, text]);
}

const probed = (data: ConnectFacts): ProbeFacts => ({
  address: '192.168.127.254',
  asked: '',
  command: { result: 'not tried' },
  data,
  portInit: { result: 'not tried' },
});

const idle: Partial<PortView> = { peer: null, state: 'idle', reason: null, acknowledged: null };
const failing = (code: string, message: string): Partial<PortView> => ({
  ...idle,
  state: 'waiting',
  reason: { code, message, at: '2026-01-01T00:00:00.000Z' },
});

describe('one connection a port', () => {
  test('connected: what the server acknowledged; raw TCP tells nothing of settings', () => {
    const view = portView('ttyNP0', { peer: '192.168.127.254:4001', state: 'up' });
    expect(shown('rfc2217', view)).toEqual([
      ['data port', 'ok', `192.168.127.254:4001 connected since ${view.since}`],
      ['RFC 2217', 'ok', expect.stringContaining(`acknowledged ${view.acknowledged?.format}`)],
    ]);
    expect(shown('tcp', view)[1]).toEqual(['settings', 'not checked', expect.stringContaining('the port has its own')]);
    const refused = { ...view, refused: { format: '9600,7M1', flowControl: 'none' } };
    expect(shown('rfc2217', refused)[1]).toMatchObject(['RFC 2217', 'failed', expect.stringContaining('9600,7M1')]);
  });

  test('not connected: why', () => {
    const rows: [Partial<PortView>, CheckResult, CheckResult][] = [
      [idle, 'not checked', 'not checked'],
      [failing('PEER_REFUSED', 'h:4001: connection refused'), 'failed', 'not checked'],
      [failing('PEER_BUSY', 'h:4001: in use'), 'failed', 'not checked'],
      [failing('PEER_TIMEOUT', 'h:4001: no answer'), 'failed', 'not checked'],
      [failing('PEER_NO_ROUTE', 'h:4001: no route'), 'not checked', 'not checked'],
      [failing('NAME_UNRESOLVED', 'h: no such name'), 'not checked', 'not checked'],
      [failing('PEER_MUTE', 'h:4001: no answer to the negotiation'), 'ok', 'failed'],
      [failing('PEER_PROTOCOL', 'h:4001: refuses'), 'ok', 'failed'],
    ];
    for (const [change, port, speaks] of rows) {
      const [first, second] = shown('rfc2217', portView('ttyNP0', change));
      expect([first?.[1], second?.[1]]).toEqual([port, speaks]);
      if (change.reason && port === 'failed') expect(first?.[2]).toContain(change.reason.message);
    }
    expect(shown('tcp', undefined).map(([, result]) => result)).toEqual(['not checked', 'not checked']);
  });

  test('probed: whether it accepts, and nothing is claimed beyond', () => {
    expect(shown('rfc2217', undefined, probed({ result: 'connected', ms: 1 }))).toEqual([
      ['data port', 'ok', '192.168.127.254:4001 accepts connections (1.0 ms)'],
      ['RFC 2217', 'not checked', expect.any(String)],
    ]);
    expect(shown('tcp', undefined, probed({ result: 'refused', why: 'x' }))[0]).toEqual([
      'data port',
      'failed',
      '192.168.127.254:4001 refuses connections',
    ]);
  });
});
