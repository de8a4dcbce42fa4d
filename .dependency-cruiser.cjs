// The import rules of docs/architecture.md: a file imports its own room and lower floors, never up, never sideways.
const FLOORS = [
  ['base'],
  ['serial', 'native'],
  ['protocol', 'config', 'observe'],
  ['tty', 'link', 'uart', 'api'],
  ['driver', 'serve'],
  ['daemon'],
  ['control', 'cli', 'console'],
];

const forbidden = [
  {
    name: 'no-cycles',
    severity: 'error',
    from: {},
    to: { circular: true },
  },
  {
    name: 'no-unresolved',
    severity: 'error',
    from: {},
    to: { couldNotResolve: true },
  },
  {
    name: 'pure-rooms-know-no-node',
    comment: 'base, serial and protocol run anywhere: no IO, no clock.',
    severity: 'error',
    from: { path: '^src/(base|serial|protocol)/' },
    to: { dependencyTypes: ['core'] },
  },
  {
    name: 'only-native-loads-the-addon',
    severity: 'error',
    from: { path: '^src/', pathNot: '^src/native/' },
    to: { path: 'native-bindings' },
  },
  {
    name: 'only-composers-are-on-top',
    comment: 'Nothing imports the composing programs, but the command that starts the daemon in the foreground.',
    severity: 'error',
    from: { path: '^src/.+/', pathNot: '^src/cli/(daemon|demo)\\.ts$' },
    to: { path: '^src/[^/]+\\.ts$' },
  },
  {
    name: 'cli-is-a-client',
    comment:
      'A command knows the daemon by its API alone. demo, simulate, doctor, bench, config, links and usbip-attach run without one.',
    severity: 'error',
    from: {
      path: '^src/cli/',
      pathNot: '^src/cli/(demo|simulate|doctor|bench|config|daemon|links|usbip)(/|\\.ts$|-[a-z-]+\\.ts$)',
    },
    to: { path: '^src/(tty|link|uart|driver|serve|daemon|native|protocol)/' },
  },
];

FLOORS.forEach((rooms, floor) => {
  const above = FLOORS.slice(floor + 1).flat();
  for (const room of rooms) {
    const sideways = rooms.filter((other) => other !== room);
    const barred = [...above, ...sideways];
    if (barred.length === 0) continue;
    forbidden.push({
      name: `${room}-imports-down-only`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: `^src/(${barred.join('|')})/` },
    });
  }
});

module.exports = {
  forbidden,
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.d.ts'] },
  },
};
