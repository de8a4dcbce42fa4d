// A rig whose far end is written down: every byte with the settings that it left at, every request, every event. One at a
// time, closed after each test.
import { afterEach } from 'vitest';
import type { LineRequest } from '../../src/serial/line.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { LineRecorder } from './line-recorder.js';
import { type App, type Rig, type RigOptions, startRig, until } from './rig.js';

export interface WatchedRig extends Rig {
  readonly recorder: LineRecorder;
  readonly requests: LineRequest[];
  readonly events: PortEvent[];
}

/** Call it once in a test file; gives what starts a rig. */
export function watchedRig(defaults: RigOptions = {}): (options?: RigOptions) => Promise<WatchedRig> {
  let rig: Rig | undefined;
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  });
  return async (options = {}) => {
    const recorder = new LineRecorder();
    const requests: LineRequest[] = [];
    const events: PortEvent[] = [];
    rig = await startRig({
      ...defaults,
      ...options,
      simulator: {
        observer: () => recorder,
        event: (_, event) => {
          events.push(event);
          if (event.type === 'request') requests.push(event.request);
        },
        ...options.simulator,
      },
    });
    return { ...rig, recorder, requests, events };
  };
}

/** An application opens the tty; resolves when the device has acknowledged. */
export async function openUp({ open, session }: Rig): Promise<App> {
  const app = open();
  await until('up', 3000, () => session.state.name === 'up');
  return app;
}

export const idle = ({ session }: Rig) => until('idle', 5000, () => session.state.name === 'idle');

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
