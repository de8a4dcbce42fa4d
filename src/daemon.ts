#!/usr/bin/env node
// ttynpd is `ttynp daemon` under a name of its own, for service managers. It decides nothing.
import { runCli } from './cli.js';

process.exitCode = await runCli(['daemon', ...process.argv.slice(2)]);
