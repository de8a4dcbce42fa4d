// Loaded into the daemon (--import): takes its event loop for 100 ms of every 500 ms, as a long collection or a large document
// would.
const EVERY_MS = 500;
const FOR_MS = 100;

setInterval(() => {
  const end = performance.now() + FOR_MS;
  while (performance.now() < end);
}, EVERY_MS).unref();
