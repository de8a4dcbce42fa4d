// From what was written to what is wanted: every server's ttys by name, with every option filled in.
// Pure: reads no file and asks the system nothing. What only shows across entries is found here: names and ports that
// are taken twice, unknown servers, port numbers that collide.
//
//   resolveConfig(main, included, environment, problems), defaultRuntimeDir(environment), and all of resolved.ts:
//   ResolvedConfig, ResolvedServer, ResolvedTty, TtyPolicy, sameTty(a, b)
import { checkAccess } from './access.js';
import { type AddressRange, narrowedBy } from './address-range.js';
import type { ServerEntry } from './entries.js';
import { mergeServers, mergeTtys } from './merge.js';
import type { Problems } from './problems.js';
import type { Environment, ResolvedConfig } from './resolved.js';
import type { ConfigValue, IncludedValue } from './schema.js';
import { DISCOVERY_PORT, resolveSerialPorts } from './serial-ports.js';
import type { ConfigFile } from './yaml-file.js';

export * from './resolved.js';

export function defaultRuntimeDir(environment: Environment): string {
  if (environment.uid === 0) return '/run/ttynp';
  const home = environment.runtimeHome;
  return home?.startsWith('/') ? `${home}/ttynp` : `/tmp/ttynp-${environment.uid}`;
}

export function resolveConfig(
  main: ConfigFile<ConfigValue>,
  included: readonly ConfigFile<IncludedValue>[],
  environment: Environment,
  problems: Problems,
): ResolvedConfig {
  const files = [main, ...included];
  const value = main.value;
  // What an unreadable file would have said is unknown, so nothing can be called missing or free.
  const complete = files.every((f) => f.readable);
  const servers = complete ? mergeServers(files, value?.defaults, problems) : new Map<string, ServerEntry>();
  const ttys = complete ? mergeTtys(files, servers, value?.defaults?.tty ?? {}, problems) : [];
  const narrowed = (own: readonly AddressRange[] = []) => narrowedBy(value?.accessibleIps ?? [], own);
  for (const listener of ['metrics', 'discovery'] as const)
    checkAccess(main, [listener], value?.[listener]?.accessibleIps, problems);
  const runtimeDir = value?.runtimeDir ?? defaultRuntimeDir(environment);
  return {
    version: 1,
    runtimeDir,
    linkDir: value?.linkDir ?? (environment.devWritable ? '/dev' : runtimeDir),
    control: { group: value?.control?.group ?? null, mode: value?.control?.mode ?? 0o660 },
    metrics: value?.metrics ? { ...value.metrics, accessibleIps: narrowed(value.metrics.accessibleIps) } : null,
    discovery: value?.discovery
      ? {
          listen: value.discovery.listen,
          port: value.discovery.port ?? DISCOVERY_PORT,
          name: value.discovery.name ?? null,
          connections: value.discovery.connections ?? true,
          accessibleIps: narrowed(value.discovery.accessibleIps),
        }
      : null,
    usbip: { socket: value?.usbip?.socket ?? '/run/ttynp-usbip.sock' },
    log: {
      level: value?.log?.level ?? 'info',
      file: value?.log?.file ?? null,
      maxSizeBytes: value?.log?.maxSize ?? 10 * 1024 * 1024,
      maxFiles: value?.log?.maxFiles ?? 5,
      format: value?.log?.format ?? 'plain',
      journal: value?.log?.journal ?? null,
    },
    servers: [...servers.values()].flatMap((s) => (s.resolved === undefined ? [] : [s.resolved])),
    ttys,
    serialPorts: resolveSerialPorts(main, ttys, problems),
  };
}
