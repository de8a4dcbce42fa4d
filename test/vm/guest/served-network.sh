# The default ports of serialPorts in the service as it is installed: TCP 950 and 966, which it may not have without the drop-in of
# ttynpd(8), and UDP 4800. Sourced after lib.sh.

DROP_IN=/etc/systemd/system/ttynpd.service.d/ports.conf

served_ports_config() {
  write_config 2
  cat >> /etc/ttynp/ttynp.yaml <<Y
serialPorts: { 1: { device: /dev/ttyS1 } }
discovery: { listen: 0.0.0.0, name: guest }
Y
}

served_ports_refused() {
  served_ports_config
  systemctl reload ttynpd
  await "ttynp ports --serial | grep -E '^ *1 +/dev/ttyS1 +waiting .*ports below 1024'"
  sleep 12
  [ "$(journalctl -b -u ttynpd -o cat | grep -c 'port 950: ports below 1024')" -eq 1 ]
}

# The text of the manual page itself.
served_ports_allowed() {
  mkdir -p "$(dirname $DROP_IN)"
  sed -n '/^\.SH PORTS BELOW 1024/,/^\.fi/p' /usr/share/man/man8/ttynpd.8 | sed -n '/\[Service\]/,/^\.fi/{/^\.fi/d;s/^ *//;s/\\-/-/g;p}' > $DROP_IN
  cat $DROP_IN
  systemctl daemon-reload
  systemctl restart ttynpd
  await "ttynp ports --serial | grep -E '^ *1 +/dev/ttyS1 +up '"
  # CAP_NET_BIND_SERVICE and no other.
  grep -E '^Cap(Eff|Bnd|Amb):' "/proc/$(main_pid)/status"
  [ "$(grep -cE '^Cap(Eff|Bnd|Amb):.0*400$' "/proc/$(main_pid)/status")" -eq 3 ]
  [ "$(owner_of_daemon)" = ttynp ]
  systemd-analyze security --no-pager --threshold=30 ttynpd.service | tail -1
}

served_network() { su member -c "python3 /mnt/host/served-network.py"; }

served_ports_end() {
  rm $DROP_IN
  rmdir "$(dirname $DROP_IN)" 2>/dev/null || true
  systemctl daemon-reload
  write_config 2
  systemctl restart ttynpd
  await "[ -c /dev/ttyNP0 ]"
  not grep -q 'CapEff:.*[1-9a-f]' "/proc/$(main_pid)/status"
}
