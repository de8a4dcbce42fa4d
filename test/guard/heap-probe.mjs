// Imported into the daemon before its own code: at SIGUSR2 it says, as one line of JSON on stdout, how many bytes of JavaScript were
// allocated since it was asked last, collected meanwhile or not, and how many are held after a collection. Changes nothing else.
import { GCProfiler, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
let profiler = new GCProfiler();
let held = process.memoryUsage().heapUsed;
profiler.start();

process.on('SIGUSR2', () => {
  const now = process.memoryUsage().heapUsed;
  const { statistics } = profiler.stop();
  let allocated = 0;
  for (const { beforeGC, afterGC } of statistics) {
    allocated += beforeGC.heapStatistics.usedHeapSize - held;
    held = afterGC.heapStatistics.usedHeapSize;
  }
  allocated += now - held;
  collect();
  process.stdout.write(`${JSON.stringify({ allocated, held: process.memoryUsage().heapUsed })}\n`);
  profiler = new GCProfiler();
  profiler.start();
  held = process.memoryUsage().heapUsed;
});
