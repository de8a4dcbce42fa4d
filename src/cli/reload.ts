// `ttynp reload`: the daemon reads its configuration again. Exit code 1 when it was refused; nothing has changed then.
import type { CommandModule } from 'yargs';
import type { ReloadResult } from '../api/types.js';
import type { CommandIo } from './io.js';
import { requestingAddress } from './requesting-address.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { clean } from './text.js';

type Arguments = GlobalArguments & {
  readonly json: boolean;
  readonly force: boolean;
  readonly 'choose-backend': readonly string[] | undefined;
};

export const reloadCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'reload',
  describe: 'Have the daemon read its configuration again',
  builder: (yargs) =>
    yargs
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'Also where accessibleIps would shut out the address from where you ask',
      })
      .option('choose-backend', {
        type: 'string',
        array: true,
        describe: 'Choose the backend of these ttys again, where it is auto; of all without a name',
      }),
  handler: async (args) => {
    const result = await clientOf(args).reload(chosen(args['choose-backend']), {
      address: requestingAddress(),
      force: args.force,
    });
    if (!result.ok) process.exitCode = 1;
    if (args.json) io.out(`${JSON.stringify(result, null, 2)}\n`);
    else if (result.ok) io.out(`${reloadText(result)}\n`);
    else io.err(`${[...result.errors.map(clean), 'ttynp: not reloaded, nothing has changed'].join('\n')}\n`);
  },
});

function chosen(names: readonly string[] | undefined): readonly string[] {
  return names?.length === 0 ? ['*'] : (names ?? []);
}

export function reloadText(result: ReloadResult): string {
  if (!result.ok) return `not reloaded: ${result.errors.length} errors`;
  const parts = (['added', 'removed', 'changed'] as const).flatMap((what) => {
    const names = result[what].map(clean);
    const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
    return names.length === 0 ? [] : [`${what} ${names.slice(0, 5).join(', ')}${more}`];
  });
  return `reloaded: ${[...parts, `${result.unchanged} unchanged`].join('; ')}`;
}
