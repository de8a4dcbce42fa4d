// Which backend a tty has and why, and what brings a better one on this machine. Pure, but for the survey that it is given.
import type { PortView } from '../../api/types.js';
import { packageHint } from '../../tty/usbip/modules.js';
import { dateText } from '../text.js';
import { type Check, failed, notChecked, ok } from './check.js';

export interface BackendFacts {
  readonly ptmx: boolean;
  readonly kernel: string;
  /** `loaded`, `available` as a module file, `absent`. */
  readonly vhci: 'loaded' | 'available' | 'absent';
  readonly ftdi: 'loaded' | 'available' | 'absent';
  /** The root helper's socket is there. */
  readonly helper: boolean;
  readonly cuse: 'loaded' | 'available' | 'absent';
  /** Text of os-release(5): says which package brings a module. */
  readonly osRelease: string;
}

/** "pty, chosen by auto on 2026-01-31 12:00:00: no usbip helper listens" */
export function backendText({ backend, backendChoice: { by, at, why } }: PortView): string {
  if (by === 'configuration') return `${backend}, as the configuration says`;
  return `${backend}, chosen by auto on ${dateText(at ?? '')}: ${why ?? ''}`;
}

/** How this machine comes to give usbip; undefined: it does. */
export function usbipLack({ vhci, ftdi, helper, kernel, osRelease }: BackendFacts): string | undefined {
  if (vhci === 'absent')
    return `this kernel (${kernel}) has no vhci_hcd: ${packageHint('vhci_hcd', osRelease, kernel)}`;
  if (ftdi === 'absent')
    return `this kernel (${kernel}) has no ftdi_sio: ${packageHint('ftdi_sio', osRelease, kernel)}`;
  return helper ? undefined : 'systemctl enable --now ttynp-usbip.socket';
}

/** What to do for a backend that carries more; undefined: it has the best. */
export function betterBackend(view: PortView, facts: BackendFacts): string | undefined {
  if (view.backend !== 'pty') return undefined;
  const again =
    view.backendChoice.by === 'auto'
      ? `ttynp reload --choose-backend ${view.name}`
      : 'set backend: auto or usbip, then ttynp reload';
  const lack = usbipLack(facts);
  return lack === undefined ? again : `${lack}; then: ${again}`;
}

export function backendCheck(view: PortView, facts: BackendFacts): Check {
  if (view.backend === 'none') {
    const lack = usbipLack(facts);
    return failed('backend', view.reason?.message ?? 'none', lack ?? 'this machine gives usbip: set backend: usbip');
  }
  if (view.backend === 'usbip') {
    const lack = usbipLack(facts);
    if (lack !== undefined) return failed('backend', backendText(view), lack);
    return ok('backend', backendText(view));
  }
  const better = betterBackend(view, facts);
  if (better === undefined) return notChecked('backend', backendText(view));
  return ok(
    'backend',
    `${backendText(view)}; it carries no parity, modem lines, break and drain`,
    `for usbip: ${better}`,
  );
}
