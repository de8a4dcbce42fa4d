#!/bin/bash
# `npm run test:vm`: the bundle in a stock Debian 12 guest, one line per check; exit code 1 where one failed. Builds the bundle
# and the guest's disk where they are missing (TTYNP_VM_REBUILD=1: always the bundle). The guest has no Node, no compiler
# and no network. Without QEMU it is skipped by name, and fails where CI is set.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export TTYNP_VM=${TTYNP_VM:-$HOME/.cache/ttynp-vm}
started=$SECONDS
failed=0
passed=0

skip() {
  echo "skipped test:vm: $1"
  [ -z "${CI:-}" ] || exit 1
  exit 0
}
command -v qemu-system-x86_64 >/dev/null || skip 'no qemu-system-x86_64 (apt-get install qemu-system-x86 ipxe-qemu seabios)'
[ "$(uname -m)" = x86_64 ] || skip 'the guest is amd64'
if [ ! -f "$TTYNP_VM/root.ext4" ]; then
  command -v mmdebstrap >/dev/null || skip 'no mmdebstrap to build the guest with (apt-get install mmdebstrap cpio e2fsprogs uidmap)'
  [ "$(id -u)" -eq 0 ] || skip "building the guest needs root (test/vm/build-image.sh)"
  "$here/build-image.sh" || exit 1
fi
bundle() { find "$root/build" -maxdepth 1 -name "$1" 2>/dev/null | sort -V | tail -1; }
if [ -n "${TTYNP_VM_REBUILD:-}${CI:-}" ] || [ -z "$(bundle 'ttynp-*-linux-x64.tar.gz')" ]; then
  (cd "$root" && npm run --silent bundle) || exit 1
fi

mkdir -p "$TTYNP_VM/host"
rm -rf "$TTYNP_VM/host"/*
cp "$(bundle 'ttynp-*-linux-x64.tar.gz')" "$(bundle 'ttynp_*_amd64.deb')" "$root/install.sh" "$here"/guest/* "$TTYNP_VM/host/"

trap '"$here/stop.sh"' EXIT
trap 'exit 1' HUP INT TERM
"$here/stop.sh"
"$here/boot.sh" || exit 1

# check NAME COMMAND [SECONDS]: the command runs in the guest, in /mnt/host, and its exit code decides.
check() {
  local from=$SECONDS output
  if output=$("$here/vmrun.py" "cd /mnt/host && set -eu; . ./lib.sh; $2" "${3:-90}" 2>&1); then
    passed=$((passed + 1))
    printf 'ok    %s (%d s)\n' "$1" $((SECONDS - from))
  else
    failed=$((failed + 1))
    printf 'FAIL  %s (%d s)\n%s\n' "$1" $((SECONDS - from)) "$(sed 's/^/      /' <<<"$output")"
  fi
}

check 'the guest is stock: no Node, no compiler, no network' 'not command -v node; not command -v cc; [ "$(ls /sys/class/net)" = lo ]; listing > /root/before'
check 'install.sh installs the bundle beside it' './install.sh'
check 'the service is active, as user ttynp, without capabilities' 'systemctl is-active ttynpd; [ "$(owner_of_daemon)" = ttynp ]; grep -q "^CapEff:.0*$" "/proc/$(main_pid)/status"'
check 'exposure of every unit is at most 1.7' 'systemd-analyze security --no-pager --threshold=17 ttynpd.service; systemd-analyze security --no-pager --threshold=17 ttynp-links.service'
check 'the man pages, and a user who is no root asks the daemon' 'ls /usr/share/man/man1/ttynp.1 /usr/share/man/man5/ttynp.yaml.5 /usr/share/man/man8/ttynpd.8; su member -c "ttynp status"'
check 'reload brings new names in /dev' 'write_config 2; simulator; systemctl reload ttynpd; await "[ -c /dev/ttyNP1 ]"; [ "$(readlink /dev/ttyNP0)" = /run/ttynp/ttyNP0 ]'
check 'the tty belongs to dialout, and ttynp port names it in /dev' '[ "$(stat -Lc "%G %a" /dev/ttyNP0)" = "dialout 660" ]; ttynp port ttyNP0 | grep "/dev/ttyNP0 ->"'
check 'a member of dialout may open it' 'su member -c "exec 3<>/dev/ttyNP0"'
check 'another user may not' 'not su stranger -c "exec 3<>/dev/ttyNP0"'
check 'pyserial talks through it to the simulator' 'su member -c "python3 /mnt/host/talk.py /dev/ttyNP0"'
check 'a name that is taken in /dev stays, the others come' 'mkfifo /dev/ttyNP2; write_config 4; systemctl reload ttynpd; await "[ -c /dev/ttyNP3 ]"; [ -p /dev/ttyNP2 ]; await_log ttynp-links "/dev/ttyNP2: is there already"; rm /dev/ttyNP2'
check 'names that the configuration has no more go' 'write_config 2; systemctl reload ttynpd; await "[ ! -L /dev/ttyNP3 ]"; [ -c /dev/ttyNP0 ]'
check 'server add brings names in /dev, server remove takes them' 'ttynp server add 127.0.0.2 --ports 2 --name extra; await "[ -c /dev/ttyNP3 ]"; ttynp server remove extra; await "[ ! -L /dev/ttyNP3 ]"; [ -c /dev/ttyNP0 ]'
check 'a broken file at a reload changes nothing' 'break_config; systemctl reload ttynpd; await_log ttynpd "/etc/ttynp/ttynp.yaml:3"; [ -c /dev/ttyNP0 ]; systemctl is-active ttynpd; write_config 2'
check 'restart: the tty is there when systemctl returns, and works' 'old=$(main_pid); systemctl restart ttynpd; [ "$(main_pid)" != "$old" ]; [ -c /dev/ttyNP0 ]; su member -c "python3 /mnt/host/talk.py /dev/ttyNP0"'
check 'killed, it comes back' 'old=$(main_pid); kill -9 "$old"; await "[ \$(main_pid) != $old ] && [ \$(main_pid) != 0 ] && systemctl is-active ttynpd"; su member -c "python3 /mnt/host/talk.py /dev/ttyNP0"'
check 'a stopped event loop is ended by the watchdog' 'old=$(main_pid); kill -STOP "$old"; await "[ \$(main_pid) != $old ] && [ \$(main_pid) != 0 ] && systemctl is-active ttynpd"; [ -c /dev/ttyNP0 ]' 120
check 'upgrade: install.sh again keeps the configuration and restarts' 'sum=$(sha256sum /etc/ttynp/ttynp.yaml); old=$(main_pid); ./install.sh; [ "$(sha256sum /etc/ttynp/ttynp.yaml)" = "$sum" ]; [ "$(main_pid)" != "$old" ]; [ -c /dev/ttyNP0 ]'

check 'a program that is ordered after the service' 'cp scada.service /etc/systemd/system/; systemctl daemon-reload; systemctl enable --quiet scada'
"$here/vmrun.py" 'systemctl reboot' 5 >/dev/null 2>&1
"$here/wait-ready.sh" 2 || failed=$((failed + 1))
check 'after a reboot the names are there' 'await "systemctl is-active ttynpd"; [ -c /dev/ttyNP0 ]; [ -c /dev/ttyNP1 ]'
check '... and a program ordered after the service found its tty' 'await_log scada "found /dev/ttyNP0"; systemctl disable --quiet scada; rm /etc/systemd/system/scada.service'
check 'a broken configuration at start: the journal says which line' 'break_config; systemctl restart --no-block ttynpd; await_log ttynpd "/etc/ttynp/ttynp.yaml:3"'
check 'corrected, it comes up by itself' 'write_config 2; await "systemctl is-active ttynpd && [ -c /dev/ttyNP0 ]"'
check 'stop takes the names in /dev away' 'systemctl stop ttynpd; await "[ ! -L /dev/ttyNP0 ]"; systemctl start ttynpd; [ -c /dev/ttyNP0 ]'
check 'uninstall leaves nothing but the configuration' './install.sh --uninstall; listing > /root/after; diff /root/before /root/after > /root/left || true; cat /root/left; [ "$(grep -c "^[<>]" /root/left)" -eq 2 ]; grep -q "> /etc/ttynp/ttynp.yaml" /root/left; not id ttynp; not ls -d /run/ttynp; not ls -d /dev/ttyNP0'
check 'the .deb installs, keeps the configuration that is there, and the service is active' 'sum=$(sha256sum /etc/ttynp/ttynp.yaml); dpkg -i ttynp_*_amd64.deb; [ "$(sha256sum /etc/ttynp/ttynp.yaml)" = "$sum" ]; systemctl is-active ttynpd; [ -c /dev/ttyNP0 ]'
check 'the .deb goes, the configuration stays' 'dpkg -r ttynp; not systemctl is-active ttynpd; not ls -d /usr/lib/ttynp; not id ttynp; await "[ ! -L /dev/ttyNP0 ]"; [ -f /etc/ttynp/ttynp.yaml ]'

printf '%d checks passed, %d failed, %d s\n' "$passed" "$failed" $((SECONDS - started))
[ "$failed" -eq 0 ]
