// `node build-harness.mjs SOURCE OUTPUT [FILE or FLAG ...]`: a program of C around the pump without Node, compiled as the addon is.
import { CORE, compile, WARNINGS } from './build.mjs';

const [source, output, ...more] = process.argv.slice(2);
compile(['-O2', '-g', '-fPIC', '-pthread', ...WARNINGS, ...CORE, 'harness_line.c', source, ...more, '-o', output]);
