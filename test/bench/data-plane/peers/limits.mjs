// The machine itself, as tunnels without anything in between: a PTY, and a TCP connection over loopback. No tunnel is faster
// than the slower of them, and none has a shorter round trip than both together.
import { connectAll, Listeners, load } from '../rig.mjs';

export const pty = {
  name: 'bare PTY',
  missing: () => undefined,
  async start(count) {
    const ptys = Array.from({ length: count }, () => load.barePty());
    return {
      pids: [],
      paths: ptys.map(({ path }) => path),
      far: async () => ptys.map(({ fd }) => fd),
      check() {},
      async stop() {},
    };
  },
};

export const loopback = {
  name: 'bare loopback',
  missing: () => undefined,
  async start(count) {
    const listeners = new Listeners(count);
    const near = await connectAll(listeners.ports);
    const far = await listeners.accept();
    return {
      pids: [],
      paths: [],
      near: () => near,
      far: async () => far,
      check() {},
      async stop() {
        listeners.close();
      },
    };
  },
};
