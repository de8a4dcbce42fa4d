# What the checks in run.sh are written in. Sourced in the guest.

# `!` would not end a script that runs with -e.
not() {
  if "$@" >/dev/null 2>&1; then
    echo "succeeded: $*"
    return 1
  fi
}

main_pid() { systemctl show -p MainPID --value ttynpd; }
owner_of_daemon() { stat -c %U "/proc/$(main_pid)"; }
simulator() { systemd-run --quiet --unit simulator /usr/bin/ttynp simulate --ports 4 --data-port 4950 --command-port 4966 --unpaced --verbose; }
restarts() { systemctl show -p NRestarts --value ttynpd; }

# await CONDITION: at most 60 s
await() {
  for _ in $(seq 300); do
    if (eval "$1") >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  echo "not within 60 s: $1"
  journalctl --no-pager -n 20 -u ttynpd -u ttynp-links -u ttynp-links.path
  return 1
}
await_log() { await "journalctl -b --no-pager -u '$1' | grep -F '$2'"; }

# write_config PORTS [MORE OF THE SERVER]
# write_config PORTS [OPTIONS]: ttyNP0 and so on, PTYs where nothing else is said
write_config() {
  cat > /etc/ttynp/ttynp.yaml <<Y
version: 1
runtimeDir: /run/ttynp
defaults: { tty: { group: dialout, mode: "0660" } }
servers:
  sim: { address: 127.0.0.1, ports: $1, firstTty: ttyNP0, dataPort: 4950, commandPort: 4966, ${2:-backend: pty} }
Y
}
break_config() { sed -i '3s/.*/nonsense: 1/' /etc/ttynp/ttynp.yaml; }

# Every file of the disk but what systemd and the log write by themselves.
listing() {
  find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /mnt -o -path /root \
    -o -path /var/log -o -path /var/tmp -o -path /var/lib/systemd -o -path /var/lib/private \) -prune -o -print |
    grep -Ev '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^/etc/\.pwd\.lock$' | sort
}

# /run without room: nothing can be made there any more. The journal goes on, on the disk.
run_full() {
  mkdir -p /var/log/journal
  journalctl --flush
  mount -o "remount,nr_inodes=$(($(df --output=iused /run | tail -1) + 10))" /run
  for n in $(seq 50); do mkdir "/run/full.$n" 2>/dev/null || return 0; done
  return 1
}
daemon_full() {
  from=$(journalctl -u ttynpd -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p')
  write_config 4
  systemctl reload ttynpd
  await "journalctl -u ttynpd --after-cursor '$from' | grep -F ENOSPC"
  su member -c "python3 /mnt/host/talk.py /dev/ttyNP0"
  mount -o remount,nr_inodes=800k /run
  rmdir /run/full.*
  journalctl --sync
  journalctl -u ttynpd -o cat --after-cursor "$from"
  [ "$(journalctl -u ttynpd -o cat --after-cursor "$from" | grep -c 'ENOSPC')" -eq 1 ]
  write_config 2
  systemctl reload ttynpd
}

second_daemon() {
  old=$(main_pid)
  if ttynpd -c /etc/ttynp/ttynp.yaml > /root/second 2>&1; then return 1; fi
  cat /root/second
  [ "$(wc -l < /root/second)" -eq 1 ]
  [ "$(main_pid)" = "$old" ]
  su member -c "python3 /mnt/host/talk.py /dev/ttyNP0"
}

# The watchdog of the unit is slower than a test should be. Takes effect at the next restart.
quick_watchdog() {
  mkdir -p /etc/systemd/system/ttynpd.service.d
  printf '[Service]\nWatchdogSec=8\n' > /etc/systemd/system/ttynpd.service.d/watchdog.conf
  systemctl daemon-reload
}
slow_watchdog() {
  rm -r /etc/systemd/system/ttynpd.service.d
  systemctl daemon-reload
}

# What ExecStop= does to a process of a unit of its own: SIGINT for a stop, nothing for a restart.
signal_unit() {
  cat > /run/systemd/system/signals.service <<'U'
[Service]
ExecStart=/usr/bin/python3 -S -E -c "import os, signal, sys, time; [signal.signal(s, lambda n, f: (open('/run/signals', 'a').write('%%d ' %% n), os._exit(0))) for s in (2, 15)]; open('/run/signals-up', 'w'); time.sleep(1000)"
ExecStop=+-/usr/lib/ttynp/ttynpd-stop %n $MAINPID
U
  systemctl daemon-reload
  # One that runs still would not be started, and has said long ago that it is up.
  systemctl stop signals
  rm -f /run/signals /run/signals-up
  systemctl start signals
  await "[ -e /run/signals-up ]"
}
restart_hands_over() {
  signal_unit
  systemctl restart signals
  [ "$(cat /run/signals)" = '15 ' ]
}
stop_closes() {
  signal_unit
  systemctl stop signals
  cat /run/signals
  [ "$(cat /run/signals)" = '15 2 ' ] || [ "$(cat /run/signals)" = '2 ' ]
  rm -f /run/systemd/system/signals.service /run/signals /run/signals-up
  systemctl daemon-reload
}
