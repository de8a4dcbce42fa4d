// Where the figures were taken: what they can be compared with. Reads /proc and asks programs for their version.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

function version(command, args, pattern) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return pattern.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[1] ?? null;
}

export function machine() {
  const model = /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? process.arch;
  return {
    date: new Date().toISOString(),
    kernel: release(),
    node: process.version,
    cores: cpus().length,
    model,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    socat: version('socat', ['-V'], /socat version (\S+)/),
    ser2net: version('/usr/sbin/ser2net', ['-v'], /version (\S+)/),
    load: loadavg().map((l) => l.toFixed(2)),
  };
}

export function machineText(m) {
  const peers = [m.socat && `socat ${m.socat}`, m.ser2net && `ser2net ${m.ser2net}`].filter(Boolean).join(', ');
  return [
    `${m.date.slice(0, 16).replace('T', ' ')} UTC, Linux ${m.kernel}, ${m.cores} cores (${m.model}), Node ${m.node}`,
    `${peers}${peers === '' ? '' : '; '}load before it began: ${m.load.join(' ')}`,
  ];
}
