// `ttynp metrics`: what Prometheus would read, for people and for collectors that run commands.
import type { CommandModule } from 'yargs';
import type { CommandIo } from './io.js';
import { clientOf, type GlobalArguments } from './socket.js';

export const metricsCommand = (io: CommandIo): CommandModule<GlobalArguments, GlobalArguments> => ({
  command: 'metrics',
  describe: "Print the daemon's metrics in Prometheus' text format",
  handler: async (args) => io.out(await clientOf(args).metrics()),
});
