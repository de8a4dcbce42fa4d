// The Tty contract against every implementation.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.js';
import { Pump } from '../../src/native/pump.js';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import { DeviceLink } from '../../src/tty/device-link.js';
import { MemoryTty } from '../../src/tty/memory.js';
import { PtyTty } from '../../src/tty/pty.js';
import { onDescriptor } from '../support/pty-app.js';
import { App } from '../support/rig.js';
import { plugInTty } from '../support/usbip-rig.js';
import { ttyContract } from './tty-contract.js';

ttyContract({
  name: 'pty',
  make() {
    const dir = mkdtempSync(join(tmpdir(), 'ttynp-tty-'));
    const pump = new Pump();
    const link = new DeviceLink({ runtimeDir: dir, linkDir: dir, name: 'ttyNP0', aliases: [], report: () => {} });
    const tty = new PtyTty({ name: 'ttyNP0', link, pump, settings: DEFAULT_SETTINGS, mode: 0o600, log: silentLog });
    const apps: App[] = [];
    return {
      tty,
      open() {
        const app = new App(tty.path);
        apps.push(app);
        const queues = { rx: 'TCIFLUSH', tx: 'TCOFLUSH', both: 'TCIOFLUSH' } as const;
        return {
          fd: app.fd,
          setRate: (baudRate) => app.set({ baudRate }),
          flush: (queue) => onDescriptor(app.fd, `termios.tcflush(0, termios.${queues[queue]})`),
          sendBreak: () => onDescriptor(app.fd, 'termios.tcsendbreak(0, 0)'),
          close: () => app.close(),
        };
      },
      close() {
        for (const app of apps) app.close();
        pump.close();
        rmSync(dir, { recursive: true, force: true });
      },
    };
  },
});

ttyContract({
  name: 'memory',
  make() {
    const pump = new Pump();
    const tty = new MemoryTty({ name: 'ttyNP0', pump, settings: DEFAULT_SETTINGS });
    const left = new Set<() => void>();
    return {
      tty,
      open() {
        const app = tty.open();
        left.add(() => app.close());
        return {
          fd: app.fd,
          setRate: (baudRate) => app.set({ ...tty.settings, baudRate }),
          flush: (queue) => app.flush(queue),
          sendBreak: () => app.sendBreak(true),
          close: () => app.close(),
        };
      },
      close() {
        for (const close of left) close();
        pump.close();
      },
    };
  },
});

ttyContract({
  name: 'usbip',
  make() {
    const pump = new Pump();
    const { driver, tty } = plugInTty(pump);
    const apps = new Set<() => void>();
    return {
      tty,
      open() {
        const app = driver.open(1);
        apps.add(() => app.close());
        return {
          fd: app.fd,
          setRate: (baudRate) => void app.setRate(baudRate),
          flush: () => {},
          sendBreak: () => void app.line(0x4008),
          close: () => app.close(),
        };
      },
      close() {
        for (const close of apps) close();
        tty.close();
        driver.close();
        pump.close();
      },
    };
  },
});
