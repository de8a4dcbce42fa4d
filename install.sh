#!/bin/sh
# Installs ttynp as a systemd service, or takes it away. Running it again upgrades; the configuration is never overwritten.
# Uses the bundle (its own Node and compiled addon) that it is part of or that lies beside it; else this machine's Node
# and C compiler. Downloads nothing where a bundle is used.
set -eu

NODE_NEEDED=20.19
UNITS='ttynpd.service ttynp-links.service ttynp-links.path ttynp-usbip.socket ttynp-usbip.service ttynp-usbip-sleep.service'
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
prefix='' action=install start=yes dry=no work=''

usage() {
  cat <<'U'
usage: install.sh [--uninstall] [--prefix DIR] [--no-start] [--dry-run]

  --uninstall   take everything away but /etc/ttynp
  --prefix DIR  put the files below DIR instead of /, for packaging: makes no user, touches no service
  --no-start    install, but start nothing (what runs goes on running)
  --dry-run     only say what would be done
U
}

die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
say() { printf '%s\n' "$*"; }
# Says what it does, and does it.
run() {
  say "  $*"
  [ "$dry" = yes ] || "$@"
}
clean_up() {
  [ -z "$work" ] || rm -rf "$work"
  [ "$dry" = yes ] || rm -rf "${lib:-/nonexistent}.new"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

while [ $# -gt 0 ]; do
  case $1 in
    --uninstall) action=uninstall ;;
    --prefix) [ $# -gt 1 ] || die '--prefix needs a directory'; prefix=$2; shift ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --no-start) start=no ;;
    --dry-run) dry=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument: $1" ;;
  esac
  shift
done
case $prefix in
  '' | /*) ;;
  *) prefix=$PWD/$prefix ;;
esac
prefix=${prefix%/}
lib=$prefix/usr/lib/ttynp
config=$prefix/etc/ttynp/ttynp.yaml

if [ -z "$prefix" ] && [ "$dry" = no ] && [ "$(id -u)" -ne 0 ]; then die 'run it as root: sudo ./install.sh'; fi

# A running systemd is told; in a container or with --prefix there is none.
systemd_runs() { [ -z "$prefix" ] && [ -d /run/systemd/system ]; }

architecture() {
  case $(uname -m) in
    x86_64) echo x64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
  esac
}

node_is_new_enough() {
  command -v node >/dev/null 2>&1 || return 1
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); const [c, d] = process.argv[1].split(".").map(Number);
    process.exit(a > c || (a === c && b >= d) ? 0 : 1)' "$NODE_NEEDED"
}

# Sets `source`, a folder that holds lib/ and service/ (a bundle), or the checkout.
find_source() {
  archive=''
  for candidate in "$here"/ttynp-*-linux-"$(architecture)".tar.gz; do
    [ -f "$candidate" ] && archive=$candidate
  done
  if [ -x "$here/lib/node/bin/node" ]; then
    source=$here
    say "from the bundle in $here"
  elif [ -n "$archive" ]; then
    say "from the bundle $archive"
    # Where it goes to, so that its files need not be copied again.
    if [ "$dry" = yes ]; then work=$(mktemp -d); else mkdir -p "$prefix/usr/lib" && work=$(mktemp -d "$prefix/usr/lib/.ttynp.XXXXXX"); fi
    tar -xzf "$archive" -C "$work" --strip-components=1
    source=$work
  elif [ -f "$here/package.json" ] && node_is_new_enough && command -v "${CC:-cc}" >/dev/null 2>&1; then
    source=$here
    say "from the checkout in $here, with this machine's Node $(node --version)"
    if [ "$dry" = no ]; then build_checkout; fi
  else
    die "no Node >= $NODE_NEEDED with a C compiler here: put the bundle ttynp-VERSION-linux-$(architecture).tar.gz beside install.sh (npm run bundle makes it)"
  fi
}

build_checkout() (
  cd "$here"
  [ -d node_modules ] || npm ci --no-audit --no-fund
  node native-bindings/build.mjs
  [ -f dist/cli.js ] || npm run --silent build
)

# The checkout's own parts and those of its modules that the program needs at run time, into $1.
copy_checkout() {
  (cd "$here" && npm ls --omit=dev --all --parseable 2>/dev/null) | while read -r module; do
    case $module in "$here"/node_modules/*) ;; *) continue ;; esac
    relative=${module#"$here"/}
    mkdir -p "$1/$(dirname "$relative")"
    [ -d "$1/$relative" ] || cp -R "$module" "$1/$relative"
  done
  mkdir -p "$1/native-bindings/build"
  cp "$here/native-bindings/build/ttynp.node" "$1/native-bindings/build/"
  cp -R "$here/dist" "$here/package.json" "$here/LICENSE" "$1/"
  # The service sees no home directories: a Node in one is copied.
  program=$(node -p process.execPath)
  case $program in
    /usr/bin/* | /usr/local/bin/* | /opt/*) mkdir -p "$1/node/bin" && ln -s "$program" "$1/node/bin/node" ;;
    *) mkdir -p "$1/node/bin" && cp "$program" "$1/node/bin/node" ;;
  esac
}

# Beside the old one and then in its place: a daemon that runs keeps what it has loaded.
install_program() {
  say "  copy the program to $lib"
  [ "$dry" = no ] || return 0
  rm -rf "$lib.new" "$lib.old"
  if [ "$source" = "$work" ]; then
    mv "$source/lib" "$lib.new"
  else
    mkdir -p "$lib.new"
    if [ -d "$source/lib" ]; then cp -R "$source/lib/." "$lib.new/"; else copy_checkout "$lib.new"; fi
  fi
  install -m 755 "$source/service/ttynpd-stop" "$source/service/ttynpd-wait" "$source/service/ttynp-usbip-name" "$lib.new/"
  chmod -R u=rwX,go=rX "$lib.new"
  [ "$(id -u)" -ne 0 ] || chown -R -h root:root "$lib.new"
  if [ -d "$lib" ]; then mv "$lib" "$lib.old"; fi
  mv "$lib.new" "$lib"
  rm -rf "$lib.old"
}

# wrapper NAME SCRIPT [NODE-OPTION]
install_wrapper() {
  say "  write $prefix/usr/bin/$1"
  [ "$dry" = no ] || return 0
  mkdir -p "$prefix/usr/bin"
  cat > "$prefix/usr/bin/.$1.new" <<W
#!/bin/sh
lib=\$(dirname "\$(readlink -f "\$0")")/../lib/ttynp
exec "\$lib/node/bin/node" ${3:+$3 }"\$lib/dist/$2" "\$@"
W
  chmod 755 "$prefix/usr/bin/.$1.new"
  mv "$prefix/usr/bin/.$1.new" "$prefix/usr/bin/$1"
}

# What is installed besides the program: "file in service/, place".
files() {
  for unit in $UNITS; do echo "$unit /usr/lib/systemd/system/$unit"; done
  cat <<'F'
ttynp.rules /usr/lib/udev/rules.d/70-ttynp.rules
ttynp.sysusers /usr/lib/sysusers.d/ttynp.conf
ttynp.tmpfiles /usr/lib/tmpfiles.d/ttynp.conf
man/ttynp.1 /usr/share/man/man1/ttynp.1
man/ttynpd.8 /usr/share/man/man8/ttynpd.8
man/ttynp.yaml.5 /usr/share/man/man5/ttynp.yaml.5
completion/ttynp.bash /usr/share/bash-completion/completions/ttynp
completion/_ttynp /usr/share/zsh/vendor-completions/_ttynp
F
}

install_files() {
  files | while read -r file place; do
    run install -D -m 644 "$source/service/$file" "$prefix$place"
  done
  if [ -e "$config" ]; then
    say "  keep $config"
  else
    run install -D -m 644 "$source/service/ttynp.yaml" "$config"
  fi
}

set_up_service() {
  [ -z "$prefix" ] || return 0
  if command -v systemd-sysusers >/dev/null 2>&1; then
    run systemd-sysusers ttynp.conf
  elif ! id ttynp >/dev/null 2>&1; then
    run useradd --system --user-group --groups dialout --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ttynp
  fi
  if ! systemd_runs; then
    say 'systemd does not run here: nothing is started'
    return 0
  fi
  run systemd-tmpfiles --create ttynp.conf
  run systemctl daemon-reload
  run systemctl enable --quiet ttynpd.service ttynp-links.path
  [ "$start" = yes ] || return 0
  if [ "$dry" = no ] && ! /usr/bin/ttynp config check "$config" >/dev/null; then
    die "the configuration is not valid: nothing was restarted. Correct it, then: systemctl restart ttynpd"
  fi
  run systemctl restart ttynp-links.path ttynpd.service
}

# The names that the daemon's ttys had in /dev.
remove_links() {
  for link in /dev/*; do
    [ -L "$link" ] || continue
    case $(readlink "$link") in /run/ttynp/*) run rm -f "$link" ;; esac
  done
}

take_away() {
  if systemd_runs; then
    run systemctl disable --quiet --now ttynp-links.path ttynpd.service ttynp-usbip.socket || true
    run systemctl stop ttynp-links.service ttynp-usbip.service ttynp-usbip-sleep.service || true
  fi
  if [ -z "$prefix" ]; then remove_links; fi
  files | while read -r _ place; do
    if [ -e "$prefix$place" ]; then run rm -f "$prefix$place"; fi
  done
  run rm -f "$prefix/usr/bin/ttynp" "$prefix/usr/bin/ttynpd"
  run rm -rf "$lib" "$lib.old"
  [ -z "$prefix" ] || return 0
  if systemd_runs; then run systemctl daemon-reload; fi
  run rm -rf /run/ttynp /var/lib/ttynp
  if id ttynp >/dev/null 2>&1; then run userdel ttynp; fi
  if getent group ttynp >/dev/null 2>&1; then run groupdel ttynp; fi
  say "kept: $config"
}

if [ "$action" = uninstall ]; then
  say 'taking ttynp away'
  take_away
  exit 0
fi

say "installing ttynp${prefix:+ below $prefix}"
source=''
find_source
install_program
install_wrapper ttynp cli.js
# Little of the daemon's work is JavaScript's: a small young generation takes a third off its memory.
install_wrapper ttynpd daemon.js --max-semi-space-size=1
install_files
set_up_service
say "done. Edit $config, then: ttynp reload"
