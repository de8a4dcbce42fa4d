// `npm run bundle [-- --arch arm64] [--version V] [--output DIR]`: ttynp-VERSION-linux-ARCH.tar.gz and ttynp_VERSION_ARCH.deb in
// build/, which need neither a compiler nor a registry nor a Node of the machine they are installed on. Node's own binary comes
// from the npm package that carries it. Packages what install.sh installs, so that both ways put the same files in the same
// places. For another architecture than this machine's $CC is the cross compiler (gcc-aarch64-linux-gnu libc6-dev-arm64-cross).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildAddon } from '../native-bindings/build.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const BUILD = join(ROOT, 'build');
/** An LTS release; what is downloaded stays in build/node. */
const NODE = '22.23.3';
const DEBIAN = { x64: 'amd64', arm64: 'arm64' };
const COMPILER = { x64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' };
/** e_machine of an ELF file, elf(5). */
const ELF = { x64: 62, arm64: 183 };

const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const { values: asked } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    version: { type: 'string', default: PACKAGE.version },
    output: { type: 'string', default: BUILD },
  },
});
const { arch, version } = asked;
const output = resolve(asked.output);
const foreign = arch !== process.arch;
if (foreign) process.env.CC ??= COMPILER[arch];

function fail(text) {
  process.stderr.write(`bundle: ${text}\n`);
  process.exit(1);
}

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd: ROOT, ...options });
  if (error) fail(`${command}: ${error.message}`);
  if (status !== 0) fail(`${command} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** The Node binary of the release above, downloaded once. */
function nodeBinary() {
  const dir = join(BUILD, 'node', `${NODE}-${arch}`);
  const binary = join(dir, 'package', 'bin', 'node');
  if (!existsSync(binary)) {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    const [archive] = readPacked(dir, `node-linux-${arch}@${NODE}`);
    run('tar', ['-xzf', join(dir, archive), '-C', dir, 'package/bin/node', 'package/LICENSE']);
    rmSync(join(dir, archive));
  }
  mustBeFor(binary, arch);
  const said = foreign ? undefined : run(binary, ['--version']).trim();
  if (said !== undefined && said !== `v${NODE}`) fail(`${binary} is ${said}, not v${NODE}`);
  return { binary, license: join(dir, 'package', 'LICENSE') };
}

function mustBeFor(file, wanted) {
  const machine = readFileSync(file).readUInt16LE(18);
  if (machine !== ELF[wanted]) fail(`${file} is not for ${wanted}: its ELF machine is ${machine}`);
}

/** What npm would have installed in place of this module on the other architecture: the same version. */
function foreignModule(path) {
  const { name, version: same } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
  const other = name.replace(`-linux-${process.arch}`, `-linux-${arch}`);
  const dir = join(BUILD, 'node', `${other.replace('/', '-')}-${same}`);
  if (!existsSync(join(dir, 'package'))) {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    const [archive] = readPacked(dir, `${other}@${same}`);
    run('tar', ['-xzf', join(dir, archive), '-C', dir]);
    rmSync(join(dir, archive));
  }
  return join(dir, 'package');
}

function readPacked(dir, name) {
  run('npm', ['pack', '--silent', '--pack-destination', dir, name], { cwd: dir });
  const found = readdirSync(dir).filter((name) => name.endsWith('.tgz'));
  return found.length === 1 ? found : fail(`npm pack left ${found.length} archives in ${dir}`);
}

/** The modules that the program needs at run time, without what only a build or a reader needs of them. */
function copyModules(lib) {
  const listed = run('npm', ['ls', '--omit=dev', '--all', '--parseable']).split('\n');
  const modules = listed.filter((path) => path.startsWith(`${ROOT}/node_modules/`));
  for (const path of modules) {
    const to = join(lib, relative(ROOT, path)).replace(`-linux-${process.arch}`, `-linux-${arch}`);
    if (to.endsWith('/node-api-headers')) continue;
    mkdirSync(dirname(to), { recursive: true });
    const from = foreign && path.endsWith(`-linux-${process.arch}`) ? foreignModule(path) : path;
    cpSync(from, to, { recursive: true, filter: (file) => !/\.(map|d\.[cm]?ts)$/.test(file) });
  }
}

/** lib/, service/ and install.sh, as they lie in the archive. */
function lay(dir) {
  rmSync(dir, { recursive: true, force: true });
  const lib = join(dir, 'lib');
  mkdirSync(join(lib, 'node', 'bin'), { recursive: true });
  cpSync(join(ROOT, 'dist'), join(lib, 'dist'), { recursive: true });
  writeFileSync(join(lib, 'package.json'), `${JSON.stringify({ ...PACKAGE, version }, null, 2)}\n`);
  copyFileSync(join(ROOT, 'LICENSE'), join(lib, 'LICENSE'));
  copyModules(lib);
  const addon = join(lib, 'native-bindings', 'build', 'ttynp.node');
  buildAddon(addon);
  mustBeFor(addon, arch);
  rmSync(`${addon}.stamp`);
  const node = nodeBinary();
  copyFileSync(node.binary, join(lib, 'node', 'bin', 'node'));
  copyFileSync(node.license, join(lib, 'node', 'LICENSE'));
  chmodSync(join(lib, 'node', 'bin', 'node'), 0o755);
  cpSync(join(ROOT, 'service'), join(dir, 'service'), { recursive: true, filter: (file) => !file.endsWith('.mjs') });
  for (const file of ['install.sh', 'README.md', 'LICENSE']) copyFileSync(join(ROOT, file), join(dir, file));
}

/** Told apart from an upgrade, which leaves enabled or disabled what the operator left so. */
const PREINST = `#!/bin/sh
set -e
if [ "$1" = install ]; then mkdir -p /run/ttynp.install; fi
`;

const POSTINST = `#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
# Not one of dpkg's conffiles: what install.sh or an operator put there is kept without a question.
if [ ! -e /etc/ttynp/ttynp.yaml ]; then install -D -m 644 /usr/share/ttynp/ttynp.yaml /etc/ttynp/ttynp.yaml; fi
systemd-sysusers ttynp.conf
[ -d /run/systemd/system ] || exit 0
systemd-tmpfiles --create ttynp.conf
systemctl daemon-reload
if rmdir /run/ttynp.install 2>/dev/null; then systemctl enable --quiet ttynpd.service ttynp-links.path; fi
if ttynp config check /etc/ttynp/ttynp.yaml; then
  systemctl restart ttynp-links.path ttynpd.service
else
  echo 'ttynp: the configuration is not valid: nothing was restarted' >&2
fi
`;

/** An upgrade leaves the old daemon running until the new one takes its place. */
const PRERM = `#!/bin/sh
set -e
[ "$1" = remove ] || exit 0
[ -d /run/systemd/system ] || exit 0
systemctl disable --quiet --now ttynp-links.path ttynpd.service ttynp-usbip.socket || true
systemctl stop ttynp-usbip.service ttynp-usbip-sleep.service || true
for link in /dev/*; do
  [ -L "$link" ] || continue
  case $(readlink "$link") in /run/ttynp/*) rm -f "$link" ;; esac
done
`;

const POSTRM = `#!/bin/sh
set -e
case $1 in
  remove) ;;
  purge) rm -rf /etc/ttynp /var/lib/ttynp ;;
  *) exit 0 ;;
esac
rm -rf /run/ttynp
if id ttynp >/dev/null 2>&1; then userdel ttynp; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
`;

function debian(bundle, output) {
  const root = join(BUILD, 'deb');
  rmSync(root, { recursive: true, force: true });
  run(join(bundle, 'install.sh'), ['--prefix', root]);
  mkdirSync(join(root, 'usr/share/ttynp'), { recursive: true });
  renameSync(join(root, 'etc/ttynp/ttynp.yaml'), join(root, 'usr/share/ttynp/ttynp.yaml'));
  rmSync(join(root, 'etc'), { recursive: true });
  const control = join(root, 'DEBIAN');
  mkdirSync(control, { recursive: true });
  mkdirSync(join(root, 'usr/share/doc/ttynp'), { recursive: true });
  copyFileSync(join(ROOT, 'LICENSE'), join(root, 'usr/share/doc/ttynp/copyright'));
  const text = `Package: ttynp
Version: ${version}
Architecture: ${DEBIAN[arch]}
Maintainer: ttynp <root@localhost>
Installed-Size: ${Math.round(sizeOf(join(root, 'usr')) / 1024)}
Depends: libc6 (>= 2.34), libstdc++6, systemd
Section: comm
Priority: optional
Description: serial ports of device servers as local ttys
 A daemon that makes /dev/ttyNP0 and tunnels it to a serial device server
 (Moxa NPort and alike) over the Real COM protocol. Carries its own Node.js.
`;
  writeFileSync(join(control, 'control'), text);
  for (const [name, script] of Object.entries({ preinst: PREINST, postinst: POSTINST, prerm: PRERM, postrm: POSTRM })) {
    writeFileSync(join(control, name), script, { mode: 0o755 });
  }
  run('dpkg-deb', ['--root-owner-group', '-Zgzip', '--build', root, output]);
  rmSync(root, { recursive: true });
}

function sizeOf(dir) {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

function tell(file) {
  const bytes = readFileSync(file);
  const sum = createHash('sha256').update(bytes).digest('hex');
  process.stdout.write(`${relative(ROOT, file)}  ${(bytes.length / 1e6).toFixed(1)} MB  sha256 ${sum}\n`);
}

if (DEBIAN[arch] === undefined) fail(`no recipe for ${arch}`);
run('npm', ['run', '--silent', 'build']);
const name = `ttynp-${version}-linux-${arch}`;
const bundle = join(BUILD, name);
lay(bundle);
mkdirSync(output, { recursive: true });
const archive = join(output, `${name}.tar.gz`);
run('tar', ['--owner=0', '--group=0', '--numeric-owner', '--sort=name', '-czf', archive, '-C', BUILD, name]);
const deb = join(output, `ttynp_${version}_${DEBIAN[arch]}.deb`);
debian(bundle, deb);
rmSync(bundle, { recursive: true });
tell(archive);
tell(deb);
