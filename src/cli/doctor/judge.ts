// The whole walk along one port, near end first. Pure.
import type { Check } from './check.js';
import type { PortFacts } from './facts.js';
import { farChecks } from './far-checks.js';
import { lineChecks } from './line-checks.js';
import { localChecks } from './local-checks.js';

export function judgePort(facts: PortFacts): Check[] {
  return [...localChecks(facts), ...farChecks(facts), ...lineChecks(facts.view)];
}

export function portTitle({ target }: PortFacts): string {
  const { name, port, server, address } = target;
  return `${name}: port ${port} of ${server}${server === address ? '' : ` (${address})`}`;
}
