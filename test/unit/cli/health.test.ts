// What a monitoring system is told, and by which exit code.
import { describe, expect, test } from 'vitest';
import type { StatusView } from '../../../src/api/types.js';
import { Fault } from '../../../src/base/fault.js';
import { healthLine, judgeHealth, unreachable } from '../../../src/cli/health.js';

const server = (name: string, down = false) => ({
  name,
  address: '192.168.127.254',
  protocol: 'realcom',
  ports: 8,
  up: down ? 0 : 3,
  down,
  reason: null,
});

const WELL: StatusView = {
  apiVersion: 1,
  version: '0.1.0',
  pid: 1,
  startedAt: '2026-01-31T12:00:00.000Z',
  configFile: '/etc/ttynp/ttynp.yaml',
  runtimeDir: '/run/ttynp',
  ports: 16,
  up: 3,
  open: 4,
  failed: 0,
  withoutDevice: 0,
  servers: [server('boiler-house'), server('hall-2')],
  pumpHeartbeatAgeMs: 12,
  lastReload: null,
};

const DATA = 'open=4 connected=3';

describe('the daemon answers', () => {
  const table: [string, Partial<StatusView>, number, string][] = [
    ['all is well', {}, 0, 'TTYNP OK - 16 ports, 4 open, 3 connected'],
    ['a port failed', { failed: 1 }, 1, 'TTYNP WARNING - 1 of 16 ports failed; 16 ports, 4 open, 3 connected'],
    [
      'a port has no device',
      { withoutDevice: 1 },
      1,
      'TTYNP WARNING - 1 of 16 ports wait for their device; 16 ports, 4 open, 3 connected',
    ],
    ['no port has a device', { withoutDevice: 16 }, 2, 'TTYNP CRITICAL - 16 of 16 ports wait for their device'],
    ['all ports failed', { failed: 16 }, 2, 'TTYNP CRITICAL - 16 of 16 ports failed'],
    [
      'a server is down',
      { servers: [server('boiler-house'), server('hall-2', true)] },
      1,
      'TTYNP WARNING - 1 of 2 servers down (hall-2)',
    ],
    [
      'all servers are down',
      { servers: ['a', 'b', 'c', 'd', 'e'].map((name) => server(name, true)) },
      2,
      'TTYNP CRITICAL - 5 of 5 servers down (a, b, c and 2 more)',
    ],
    ['the pump is stuck', { pumpHeartbeatAgeMs: 7000 }, 2, 'TTYNP CRITICAL - the pump is stuck for 7 s'],
    [
      'a reload was refused',
      { lastReload: { at: '2026-01-31T12:00:00.000Z', ok: false, message: 'x' } },
      1,
      'TTYNP WARNING - the last reload was refused',
    ],
    ['no ports at all', { ports: 0, servers: [], open: 0, up: 0 }, 0, 'TTYNP OK - 0 ports, 0 open, 0 connected'],
  ];
  for (const [shows, change, code, line] of table) {
    test(shows, () => {
      const health = judgeHealth({ ...WELL, ...change });
      expect(health.code).toBe(code);
      expect(healthLine(health).startsWith(line), healthLine(health)).toBe(true);
    });
  }

  test('the worst of several counts, and all are said', () => {
    const health = judgeHealth({ ...WELL, failed: 1, pumpHeartbeatAgeMs: 6000 });
    expect([health.code, health.health, health.problems.length]).toEqual([2, 'critical', 2]);
  });

  test('performance data after one bar, one line, whatever a server is called', () => {
    const line = healthLine(judgeHealth({ ...WELL, servers: [server('a|b\nc', true)] }));
    expect(line.split('|').length).toBe(2);
    expect(line).not.toContain('\n');
    expect(line).toMatch(new RegExp(`\\| ports=16 ${DATA} failed=0 servers_down=1 pump_age=0.012s;;5$`));
  });
});

describe('the daemon does not', () => {
  const table: [Fault, number, string][] = [
    [new Fault('NO_DAEMON', 'no daemon at /x'), 2, 'TTYNP CRITICAL - no daemon at /x'],
    [new Fault('PEER_TIMEOUT', 'does not answer'), 2, 'TTYNP CRITICAL - does not answer'],
    [new Fault('PERMISSION', 'not allowed'), 3, 'TTYNP UNKNOWN - not allowed'],
    [new Fault('PEER_PROTOCOL', 'no ttynp daemon'), 3, 'TTYNP UNKNOWN - no ttynp daemon'],
  ];
  for (const [fault, code, line] of table) {
    test(fault.code, () => {
      const health = unreachable(fault);
      expect([health.code, healthLine(health)]).toEqual([code, line]);
    });
  }
});
