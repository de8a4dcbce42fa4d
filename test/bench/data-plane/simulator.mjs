// A Real COM device server for the benchmark, in a process of its own: `simulator.mjs PORTS`; SIGHUP
// switches it off, SIGUSR2 on again. It has the command connections;
// the generator itself is at the data ports, so that what is measured is the daemon and not this program's JavaScript.
import { runSimulator } from '../../../dist/serve/simulator.js';

const PATIENCE_MS = 2 ** 31 - 1;
const simulator = await runSimulator({
  ports: Number(process.argv[2]),
  dataPort: 0,
  commandPort: 0,
  unpaced: true,
  // The data connection of the pair never comes here.
  pairTimeoutMs: PATIENCE_MS,
});
const ports = simulator.ports.map(({ dataPort, commandPort }) => ({ dataPort, commandPort }));
process.stdout.write(`${JSON.stringify(ports)}\n`);
const say = (word) => process.stdout.write(`${word}\n`);
process.on('SIGHUP', () => simulator.stop().then(() => say('away')));
process.on('SIGUSR2', () => simulator.start().then(() => say('back')));
// Switched off it has nothing else to live for.
const alive = setInterval(() => {}, PATIENCE_MS);
process.once('SIGTERM', () => {
  clearInterval(alive);
  simulator.close();
});
