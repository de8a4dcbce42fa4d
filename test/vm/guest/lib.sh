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
simulator() { systemd-run --quiet --unit simulator /usr/bin/ttynp simulate --ports 4 --data-port 4950 --command-port 4966; }

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

write_config() {
  cat > /etc/ttynp/ttynp.yaml <<Y
version: 1
runtimeDir: /run/ttynp
defaults: { tty: { group: dialout, mode: "0660" } }
servers:
  sim: { address: 127.0.0.1, ports: $1, firstTty: ttyNP0, dataPort: 4950, commandPort: 4966 }
Y
}
break_config() { sed -i '3s/.*/nonsense: 1/' /etc/ttynp/ttynp.yaml; }

# Every file of the disk but what systemd and the log write by themselves.
listing() {
  find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /mnt -o -path /root \
    -o -path /var/log -o -path /var/tmp -o -path /var/lib/systemd -o -path /var/lib/private \) -prune -o -print |
    grep -Ev '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^/etc/\.pwd\.lock$' | sort
}
