# What `npm run test:vm` and what else needs the guest begin with. Sourced, with $what set to what runs: makes the bundle and the
# guest's disk where they are missing or of other files, and boots. Without QEMU $what is skipped by name, and fails where CI is set.
vm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$vm/../.." && pwd)
export TTYNP_VM=${TTYNP_VM:-$HOME/.cache/ttynp-vm}
started=$SECONDS
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$root/package.json")
bundle=$root/build/ttynp-$version-linux-x64.tar.gz

skip() {
  echo "skipped $what: $1"
  [ -z "${CI:-}" ] || exit 1
  exit 0
}

make_guest() {
  command -v qemu-system-x86_64 >/dev/null || skip 'no qemu-system-x86_64 (apt-get install qemu-system-x86 ipxe-qemu seabios)'
  [ "$(uname -m)" = x86_64 ] || skip 'the guest is amd64'
  local stamp
  stamp=$(cat "$vm/build-image.sh" "$vm/agent.py" | sha256sum)
  [ ! -f "$TTYNP_VM/root.ext4" ] || [ "$(cat "$TTYNP_VM/stamp" 2>/dev/null)" != "$stamp" ] || return 0
  command -v mmdebstrap >/dev/null || skip 'no mmdebstrap to build the guest with (apt-get install mmdebstrap cpio e2fsprogs uidmap)'
  [ "$(id -u)" -eq 0 ] || skip 'building the guest needs root (test/vm/build-image.sh)'
  "$vm/build-image.sh" || exit 1
  echo "$stamp" > "$TTYNP_VM/stamp"
  echo "the guest's disk is built ($((SECONDS - started)) s)"
}

# An empty share with the bundle and its installer; what else the guest needs is put beside them.
fill_share() {
  mkdir -p "$TTYNP_VM/host"
  rm -rf "$TTYNP_VM/host"/*
  cp "$bundle" "$root/install.sh" "$vm"/guest/* "$TTYNP_VM/host/"
}

# The guest goes with this shell.
boot() {
  trap '"$vm/stop.sh"' EXIT
  trap 'exit 1' HUP INT TERM
  "$vm/stop.sh"
  booted=$SECONDS
  "$vm/boot.sh" || exit 1
  echo "the guest is up ($((SECONDS - booted)) s)"
}

# in_guest COMMAND [SECONDS]: in /mnt/host, with the functions of guest/lib.sh.
in_guest() { "$vm/vmrun.py" "cd /mnt/host && set -eu; . ./lib.sh; $1" "${2:-90}"; }

# The guest's own processor time says on a busy machine what a quiet one would need.
say_cost() {
  local stat
  read -r -a stat < "/proc/$(cat "$TTYNP_VM/run/qemu.pid")/stat"
  echo "the guest used $(((stat[13] + stat[14]) / $(getconf CLK_TCK))) s of processor time"
}
