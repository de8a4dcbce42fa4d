#!/bin/bash
# `npm run test:vm [-- PATTERN]`: the bundle in a stock Debian 12 guest, one line per check; exit code 1 where one failed. With a
# pattern (grep -E) only the checks whose line matches, and those that install and configure. Builds the bundles and the
# guest's disk where they are missing or of other files (TTYNP_VM_REBUILD=1: always the bundles). TTYNP_VM_LONG=1: also the
# checks that take minutes. The guest has no Node, no compiler and no network. Without QEMU it is skipped by name, and fails
# where CI is set.
set -u
what=test:vm
. "$(dirname "$0")/guest.sh"
only=${1:-}
failed=0
passed=0

make_guest
# The one that is installed first, and a newer one to upgrade to.
next=$root/build/next/ttynp-$version+next-linux-x64.tar.gz
if [ -n "${TTYNP_VM_REBUILD:-}${CI:-}" ] || [ ! -f "$bundle" ] || [ ! -f "$next" ]; then
  (cd "$root" && npm run --silent bundle && npm run --silent bundle -- --version "$version+next" --output build/next) || exit 1
  echo "the bundles are built ($((SECONDS - started)) s)"
fi
fill_share
mkdir "$TTYNP_VM/host/next"
cp "$root/build/ttynp_${version}_amd64.deb" "$TTYNP_VM/host/"
mkdir "$TTYNP_VM/host/node_modules"
cp -r "$root"/node_modules/{serialport,@serialport,debug,ms,node-gyp-build} "$TTYNP_VM/host/node_modules/"
# The guest has no compiler, and may have another libc.
cc -O2 -static -pthread -o "$TTYNP_VM/host/usbip-events" "$vm/guest/usbip-events.c" || exit 1
cp "$next" "$root/build/next/ttynp_$version+next_amd64.deb" "$root/install.sh" "$TTYNP_VM/host/next/"
boot

# check NAME COMMAND [SECONDS]: the command runs in the guest, in /mnt/host, and its exit code decides.
check() {
  local from=$SECONDS output
  [ -z "$only" ] || [ "${always:-}" = yes ] || grep -qE "$only" <<<"$1" || return 0
  if output=$(in_guest "$2" "${3:-90}" 2>&1); then
    passed=$((passed + 1))
    printf 'ok    %s (%d s)\n' "$1" $((SECONDS - from))
  else
    failed=$((failed + 1))
    printf 'FAIL  %s (%d s)\n%s\n' "$1" $((SECONDS - from)) "$(tail -n 40 <<<"$output" | sed 's/^/      /')"
    # Nothing after it could tell anything.
    [ "${always:-}" != yes ] || exit 1
  fi
}

always=yes
check 'the guest is stock: no Node, no compiler, no network' 'not command -v node; not command -v cc; [ "$(ls /sys/class/net)" = lo ]; listing > /root/before'
check 'install.sh installs the bundle beside it' './install.sh'
check 'the service is active, as user ttynp, without capabilities' 'systemctl is-active ttynpd; [ "$(owner_of_daemon)" = ttynp ]; grep -q "^CapEff:.0*$" "/proc/$(main_pid)/status"'
check 'reload brings new names in /dev' 'write_config 2; simulator; systemctl reload ttynpd; await "[ -c /dev/ttyNP1 ]"; [ "$(readlink /dev/ttyNP0)" = /run/ttynp/ttyNP0 ]'
always=
check 'exposure of every unit is at most 1.7' 'systemd-analyze security --no-pager --threshold=17 ttynpd.service; systemd-analyze security --no-pager --threshold=17 ttynp-links.service; for unit in ttynp-usbip.service ttynp-usbip-sleep.service; do systemd-analyze security --no-pager --threshold=17 "$unit"; done'
check 'the man pages, and a user who is no root asks the daemon' 'ls /usr/share/man/man1/ttynp.1 /usr/share/man/man5/ttynp.yaml.5 /usr/share/man/man8/ttynpd.8; su member -c "ttynp status"'
check 'the tty belongs to dialout, and ttynp port names it in /dev' '[ "$(stat -Lc "%G %a" /dev/ttyNP0)" = "dialout 660" ]; ttynp port ttyNP0 | grep "/dev/ttyNP0 ->"'
check 'a member of dialout may open it' 'su member -c "exec 3<>/dev/ttyNP0"'
check 'another user may not' 'not su stranger -c "exec 3<>/dev/ttyNP0"'
check 'pyserial talks through it to the simulator' 'su member -c "python3 /mnt/host/talk.py /dev/ttyNP0"'
check 'the journal finds events by field and by MESSAGE_ID' 'journalctl --sync; journalctl -b -o cat TTYNP_EVENT=cold-start | grep "^ttynpd .* runs"; journalctl -b -o cat MESSAGE_ID=0b294e01bbe74436b988a9549902170d | grep "^ttynpd .* runs"; journalctl -b -o cat TTYNP_EVENT=config-changed TTYNP_GROUP=config | grep "^reload: 2 added"'
check 'a name that is taken in /dev stays, the others come' 'mkfifo /dev/ttyNP2; write_config 4; systemctl reload ttynpd; await "[ -c /dev/ttyNP3 ]"; [ -p /dev/ttyNP2 ]; await_log ttynp-links "/dev/ttyNP2: is there already"; rm /dev/ttyNP2'
check 'names that the configuration has no more go' 'write_config 2; systemctl reload ttynpd; await "[ ! -L /dev/ttyNP3 ]"; [ -c /dev/ttyNP0 ]'
check 'server add brings names in /dev, server remove takes them' 'ttynp server add 127.0.0.2 --ports 2 --name extra; await "[ -c /dev/ttyNP3 ]"; ttynp server remove extra; await "[ ! -L /dev/ttyNP3 ]"; [ -c /dev/ttyNP0 ]'
check 'a broken file at a reload changes nothing' 'break_config; systemctl reload ttynpd; await_log ttynpd "/etc/ttynp/ttynp.yaml:3"; [ -c /dev/ttyNP0 ]; systemctl is-active ttynpd; write_config 2'
check '/run is full: one line says which ttys cannot be made, the others go on' 'run_full; daemon_full'
check 'a second daemon says one line and leaves the first alone' 'second_daemon'
check 'restart: the tty is there when systemctl returns, and works' 'quick_watchdog; old=$(main_pid); systemctl restart ttynpd; [ "$(main_pid)" != "$old" ]; [ -c /dev/ttyNP0 ]; su member -c "python3 /mnt/host/talk.py /dev/ttyNP0"'
check 'a stopped event loop is ended by the watchdog' 'old=$(main_pid); kill -STOP "$old"; await "[ \$(main_pid) != $old ] && [ \$(main_pid) != 0 ] && systemctl is-active ttynpd"; [ -c /dev/ttyNP0 ]; slow_watchdog' 120
check 'restart under an application: 4 MB both ways, the same connections, nothing noticed at the device' 'python3 restart.py restart' 180
check 'killed three times under an application: nothing doubled, the port goes on' 'python3 restart.py kill' 180
check 'restart with a broken configuration, mended later: nothing lost, nothing noticed at the device' 'python3 restart.py broken' 180
check 'upgrade by install.sh under an application: the same, and the configuration stays' 'sum=$(sha256sum /etc/ttynp/ttynp.yaml); python3 restart.py upgrade; [ "$(sha256sum /etc/ttynp/ttynp.yaml)" = "$sum" ]; ttynp status | grep -F "+next"' 240
check 'stop is a clean close: the device sees it, nothing is kept' 'python3 restart.py stop'
usbip='. ./usbip-attach.sh;'
check 'usbip: the helper is disabled until it is wanted, and its socket is the daemon user'"'"'s' "$usbip usbip_disabled_until_wanted"
check 'usbip: 15 ttys of dialout with names, and ftdi_sio has them alone' "$usbip usbip_attach"
check 'usbip: nobody but the daemon user may plug in, root neither' "$usbip usbip_only_for_the_daemon"
check 'usbip: a changed map changes the names, and takes nothing of others' "$usbip usbip_names_follow"
[ -z "${TTYNP_VM_LONG:-}" ] || check 'usbip: a held dead tty renumbers the next, and the names lead to the right ports' "$usbip usbip_renumbering"
check 'usbip: names go with the device' "$usbip usbip_gone"
check 'usbip: our ids with a HID interface give no input device' "$usbip usbip_keyboard" 180
[ -z "${TTYNP_VM_LONG:-}" ] || check 'usbip: two devices in and out 20 times, both speeds, no port or minor is lost' "$usbip usbip_no_leak" 400
daemon='. ./usbip-daemon.sh;'
check 'usbip: the ttys of the daemon are serial ports of the kernel' "$daemon usbip_daemon" 180
check 'usbip: setserial and stty set and read back, minicom sees the modem lines' "$daemon job_result tools"
check 'usbip: TIOCMIWAIT, TIOCGICOUNT, PARMRK, BRKINT, tcdrain and break as a program in C has them' "$daemon job_result events"
check 'usbip: the serialport package of Node' "$daemon job_result serialport"
check 'usbip: PPP over two ttys, TCP both ways' "$daemon job_result ppp"
check 'usbip: libmodbus: RTS on, the whole request, RTS off, 50 times' "$daemon usbip_modbus 50 drain"
check 'usbip: libmodbus as it is, which sleeps where it should drain: the same' "$daemon usbip_modbus 50 sleep"
check 'usbip: the last close: output is sent, stuck output holds it for closingWait and no longer, then FLUSH, DTR and RTS by HUPCL' "$daemon job_result close"
faults='. ./usbip-daemon.sh; . ./usbip-faults.sh;'
if [ -n "${TTYNP_VM_LONG:-}" ]; then
  check 'usbip: the last close: a device server that stands still or cannot be reached holds it no longer' "$daemon python3 usbip-close.py /dev/ttyNP14 \$DEVICE 7 3 stopped silent" 180
  check 'usbip: libmodbus: 10000 times' "$daemon usbip_modbus 10000 drain" 1800
  check 'usbip: libmodbus as it is: 10000 times' "$daemon usbip_modbus 10000 sleep" 1800
  check 'usbip: the controllers are removed under an application that keeps the dead tty: the names come back, to the right ports' "$faults usbip_controller_removed" 180
  check 'usbip: no helper: it is said why, and it comes by itself when there is one' "$faults usbip_refused" 180
  check 'usbip: killed without a descriptor store: a hang-up, and the names come back' "$faults usbip_killed_without_store" 240
  check 'usbip: 32 ports in and out 20 times through the daemon: no descriptor, port, minor or memory is lost' "$faults usbip_32_ports 20" 900
fi
check 'usbip: ftdi_sio is removed and comes back: so do the names' "$faults usbip_driver_removed"
check 'usbip: the ttys go with the configuration' "$daemon usbip_end"
check 'usbip: restart under an application: nothing lost, the same connections, nothing noticed at the device' "$daemon usbip_restart restart" 240
[ -z "${TTYNP_VM_LONG:-}" ] || check 'usbip: killed three times under an application, and a clean stop' "$daemon usbip_restart kill; usbip_restart stop" 400
[ -z "${TTYNP_VM_LONG:-}" ] || check 'usbip: the adapters are gone while the machine sleeps, and come back' '. ./usbip-owner.sh; usbip_suspend'
check 'usbip: a change of backend swaps the owner of the name, both ways' '. ./usbip-owner.sh; usbip_owner '"${TTYNP_VM_LONG:-}"
[ -z "${TTYNP_VM_LONG:-}" ] || check 'usbip: the helper ends when nobody asks' "$usbip usbip_helper_ends_by_itself"
served='. ./usbip-daemon.sh; . ./served.sh;'
check 'serial ports: those of usbip ttys and a 16550 are offered' "$served served_begin" 120
check 'serial ports: our driver at our Real COM: parity, lines, TIOCMIWAIT, break, drain reach the line and come back' "$served served_real_com" 180
check 'serial ports: pyserial rfc2217:// has mark and space parity, lines, break with its length, error counters' "$served served_rfc2217" 120
check 'serial ports: a 16550 by raw TCP: every byte, a Modbus frame is a segment, one client at a time' "$served served_16550" 120
check 'serial ports: a 16550 over two restarts under traffic and a kill: no byte lost, DTR and RTS never move' "$served served_restart" 300
check 'serial ports: an adapter that is unplugged and plugged in again is offered again, its clients are told' "$served served_unplugged" 180
check 'serial ports: they go with the configuration' "$served served_end"
modes='. ./usbip-daemon.sh; . ./modes.sh;'
check 'modes: two Ethernet modems on usbip ttys' "$modes modes_begin" 120
check 'modes: a modem on a serial port: RING, ATA, DCD with the carrier, hung up by DTR' "$modes modes_app modem" 120
check 'modes: PPP over two modems: one dials, one waits for the call, and the far end is hung up' "$modes modes_ppp" 180
check 'modes: a TCP client connects and ends by DSR, or connects by DCD' "$modes modes_tcp_client" 180
check 'modes: a pair of ports is a null modem: RTS, DTR, break, bytes, both ways' "$modes modes_pair" 120
check 'modes: two masters on one line, a request at a time: each its own answers, none late' "$modes modes_arbitration" 180
check 'modes: they go with the configuration' "$modes modes_end"
network='. ./served-network.sh;'
check 'network: TCP 950 without the right to it: said in one line, once' "$network served_ports_refused"
check 'network: the drop-in of ttynpd(8) gives it, and no other capability' "$network served_ports_allowed"
check 'network: the default ports, and UDP 4800: a host finds the device and sees its own connections' "$network served_network"
check 'network: a 16550 by Real COM: every format, mark and space parity too, DTR and RTS in its driver, drain, bytes both ways' "$network python3 served-16550.py /dev/ttyS1 /dev/ttyS2" 120
check 'network: and back' "$network served_ports_end"
check 'usbip: disabled again, nothing listens' 'systemctl disable --quiet --now ttynp-usbip.socket; not ls /run/ttynp-usbip.sock'
check 'a stop job is told from a restart job' 'restart_hands_over; stop_closes'

if [ -z "$only" ]; then
  check 'a program that is ordered after the service' 'cp scada.service /etc/systemd/system/; systemctl daemon-reload; systemctl enable --quiet scada'
  from=$SECONDS
  "$vm/vmrun.py" 'systemctl reboot' 5 >/dev/null 2>&1
  "$vm/wait-ready.sh" 2 || failed=$((failed + 1))
  echo "the guest is up again ($((SECONDS - from)) s)"
  check 'after a reboot the names are there' 'await "systemctl is-active ttynpd"; [ -c /dev/ttyNP0 ]; [ -c /dev/ttyNP1 ]'
  check '... and a program ordered after the service found its tty' 'await_log scada "found /dev/ttyNP0"; systemctl disable --quiet scada; rm /etc/systemd/system/scada.service'
fi
check 'a broken configuration: the start fails, journal and status say which line, and it waits' 'break_config; not systemctl restart ttynpd; await_log ttynpd "/etc/ttynp/ttynp.yaml:3"; await "systemctl status ttynpd | grep -F \"waiting for a valid configuration: /etc/ttynp/ttynp.yaml:3\""; n=$(restarts); sleep 5; [ "$(restarts)" = "$n" ]'
check 'corrected, it comes up by itself' 'write_config 2; await "systemctl is-active ttynpd && [ -c /dev/ttyNP0 ]"'
check 'stop takes the names in /dev away' 'systemctl stop ttynpd; await "[ ! -L /dev/ttyNP0 ]"; systemctl start ttynpd; [ -c /dev/ttyNP0 ]'
check 'uninstall leaves nothing but the configuration' './install.sh --uninstall; listing > /root/after; diff /root/before /root/after > /root/left || true; cat /root/left; [ "$(grep -c "^[<>]" /root/left)" -eq 2 ]; grep -q "> /etc/ttynp/ttynp.yaml" /root/left; not id ttynp; not ls -d /run/ttynp; not ls -d /dev/ttyNP0'
check 'the .deb installs, keeps the configuration that is there, and the service is active' 'sum=$(sha256sum /etc/ttynp/ttynp.yaml); dpkg -i ttynp_*_amd64.deb; [ "$(sha256sum /etc/ttynp/ttynp.yaml)" = "$sum" ]; systemctl is-active ttynpd; [ -c /dev/ttyNP0 ]'
check 'a newer .deb restarts what runs, and enables nothing that was disabled' 'old=$(main_pid); systemctl disable --quiet ttynpd; dpkg -i next/ttynp_*_amd64.deb; [ "$(main_pid)" != "$old" ]; ttynp --version | grep -F "+next"; not systemctl is-enabled ttynpd; systemctl is-active ttynpd'
check 'the .deb goes, the configuration stays' 'dpkg -r ttynp; not systemctl is-active ttynpd; not ls -d /usr/lib/ttynp; not id ttynp; await "[ ! -L /dev/ttyNP0 ]"; [ -f /etc/ttynp/ttynp.yaml ]'

say_cost
printf '%d checks passed, %d failed, %d s in the guest, %d s in all\n' "$passed" "$failed" $((SECONDS - booted)) $((SECONDS - started))
[ "$failed" -eq 0 ]
