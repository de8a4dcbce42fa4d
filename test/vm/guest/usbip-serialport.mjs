// usbip-serialport.mjs TTY DEVICE PORT: the `serialport` package of Node at a serial port of the kernel; what it asks is compared with what the
// device server (device-server.mjs) got of it. One line per check; exit code 1 where one failed.
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';

const [path, device, number] = process.argv.slice(2);
const { SerialPort } = createRequire(import.meta.url)('serialport');
const call = (port, name, ...given) =>
  new Promise((resolve, reject) => port[name](...given, (error, result) => (error ? reject(error) : resolve(result))));

function check(name, ok, more = '') {
  if (!ok) process.exitCode = 1;
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} ${more}`);
}
const mark = () => statSync(`${device}.log`).size;
const log = (from) =>
  readFileSync(`${device}.log`)
    .subarray(from)
    .toString()
    .split('\n')
    .filter((line) => line.includes(`port ${number}: `))
    .join('\n');
async function within(what, ms = 10_000) {
  for (const end = Date.now() + ms; Date.now() < end; await pause(20)) if (await what()) return true;
  return false;
}
const said = (text, from) => within(() => log(from).includes(text));
const tell = async (command) => {
  const from = mark();
  writeFileSync(`${device}.in`, `${number} ${command}\n`);
  await said(`did ${command}`, from);
};

let from = mark();
const port = new SerialPort({ path, baudRate: 2400, dataBits: 7, parity: 'even', stopBits: 2, autoOpen: false });
await call(port, 'open');
check('serialport opens with 2400,7E2', await said('2400,7E2', from));

let got = '';
port.on('data', (bytes) => {
  got += bytes.toString('latin1');
});
from = mark();
await call(port, 'write', 'U'.repeat(60));
await call(port, 'drain');
const hex = [...log(from).matchAll(/: sent ([0-9a-f]+)/g)].map((match) => match[1]).join('');
check('drain: all has left when it calls back', hex === '55'.repeat(60), `${hex.length / 2} bytes`);
check('what was written comes back', await within(() => got === 'U'.repeat(60)));

await call(port, 'update', { baudRate: 38400 });
check('update: another rate', await said('38400,7E2', from));
await tell('lines cts=0 dsr=1 dcd=0');
check(
  'get: DSR alone',
  await within(async () => {
    const { cts, dsr, dcd } = await call(port, 'get');
    return !cts && dsr && !dcd;
  }),
);
from = mark();
await call(port, 'set', { dtr: true, rts: false });
check('set: RTS off', await said('dtr on rts off', from));
await call(port, 'set', { dtr: true, rts: true, brk: true });
check('set: break on', await said('break on', from));
await call(port, 'set', { dtr: true, rts: true, brk: false });
check('set: break off', await said('break off', from));
await tell('lines');

from = mark();
port.close();
await once(port, 'close');
check('close: DTR and RTS off', await said('dtr off rts off', from));
