#!/bin/bash
# `npm run bench:usbip [-- ROUNDS]`: the installed daemon's usbip backend beside an emulator of the same design in C, in the test guest,
# in turn; the medians, their ratio and the limits. Exit code 1 where a limit is missed. Bundles the checkout; TTYNP_BENCH_BUNDLE=1
# measures the bundle that is there. The guest's clock counts instructions, so that the figures are work done and the same on a
# busy machine; TTYNP_VM_COUNT= (empty) is the real clock on two CPUs, for a machine that does nothing else. Only ratios mean
# anything: the guest is emulated.
set -u
what=bench:usbip
here=$(cd "$(dirname "$0")" && pwd)
export TTYNP_VM_COUNT=${TTYNP_VM_COUNT-1}
. "$here/../../vm/guest.sh"
rounds=${1:-5}
prelude='. ./guest-side.sh;'

command -v gcc >/dev/null || skip 'no gcc (apt-get install gcc libc6-dev)'
make_guest
if [ -z "${TTYNP_BENCH_BUNDLE:-}" ] || [ ! -f "$bundle" ]; then
  (cd "$root" && npm run --silent bundle) || exit 1
fi
fill_share
cp "$here/guest-side.sh" "$TTYNP_VM/host/"
compile() { gcc -O2 -Wall -Wextra -Werror -static -o "$TTYNP_VM/host/$1" "${@:2}" || exit 1; }
compile client "$here/client.c"
compile far-end "$here/far-end.c"
compile emulator "$here"/{emulator,device,port,chip}.c
boot

results=$TTYNP_VM/run/bench.txt
: > "$results"
stop() {
  echo "$1" >&2
  in_guest 'journalctl --no-pager -n 30 -u ttynpd -u ttynp-usbip -u emulator -u far-end' >&2
  exit 1
}
in_guest './install.sh' 120 > /dev/null || stop 'the bundle cannot be installed'
in_guest "$prelude bench_emulator" || stop 'the emulator is not there'
in_guest "$prelude bench_daemon" 180 || stop "the daemon's ttys are not there"
# Ticks of processor time of this machine, and of the guest's part in it.
machine_ticks() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }
guest_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$(cat "$TTYNP_VM/run/qemu.pid")/stat"; }
from=($SECONDS "$(machine_ticks)" "$(guest_ticks)")
order=(c d)
for round in $(seq "$rounds"); do
  in_guest "$prelude bench_round ${order[*]}" 600 | tee -a "$results" | sed "s/^/round $round: /"
  [ "${PIPESTATUS[0]}" -eq 0 ] || stop 'a round has failed'
  order=("${order[1]}" "${order[0]}")
done
in_guest "$prelude bench_idle" 120 >> "$results" || stop 'the idle cost cannot be measured'
others=$(($(machine_ticks) - from[1] - $(guest_ticks) + from[2]))
say_cost
echo "others used $((others / (SECONDS - from[0] + 1) / $(nproc))) % of this machine"
node "$here/table.mjs" < "$results"
