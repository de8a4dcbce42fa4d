// usbip-client.mjs SERIAL INTERFACES SPEED [COUNT]: what a daemon does, COUNT times one after the other: asks the root helper
// for a device, echoes on every port until a line comes on stdin, and unplugs it.
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';

const dist = process.env.TTYNP_DIST ?? '/usr/lib/ttynp/dist';
const { UsbipAdapter } = await import(`${dist}/tty/usbip/adapter.js`);
const { attachDevice, announceNames } = await import(`${dist}/tty/usbip/attach.js`);
const { describeDevice } = await import(`${dist}/tty/usbip/identity.js`);
const { Pump } = await import(`${dist}/native/pump.js`);
const { socketPair } = await import(`${dist}/native/socket.js`);

const [serial = 'ttynp0', interfaces = '2', speed = 'any'] = process.argv.slice(2);
const pump = new Pump();
const socketPath = '/run/ttynp-usbip.sock';

async function plugIn() {
  const request = { speed, serial, interfaces: Number(interfaces) };
  const attached = await attachDevice({ socketPath, request, timeoutMs: 20_000 });
  const adapter = new UsbipAdapter({ pump });
  const description = describeDevice(attached.speed, serial, request.interfaces);
  adapter.plug(attached.fd, description, (reason) => console.log(`lost: ${reason}`));
  for (let i = 0; i < request.interfaces; i++) {
    const [near, far] = socketPair();
    adapter.port(i).openChannel().attach(far);
    const echo = new Socket({ fd: near });
    echo.on('error', () => {});
    echo.pipe(echo);
  }
  console.log(`attached ${attached.speed}`);
  return adapter;
}

let adapter;
/** Their channels are open still: the process closes them. */
const old = [];
try {
  adapter = await plugIn();
} catch (error) {
  console.log(`${error.code}: ${error.message}`);
  process.exit(1);
}
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'names') {
    console.log(`told ${await announceNames({ socketPath, timeoutMs: 20_000 })}`);
  } else if (line === 'again') {
    adapter.unplug();
    old.push(adapter);
    adapter = await plugIn();
  } else break;
}
process.exit(0);
