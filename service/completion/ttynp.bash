# Completion of ttynp for bash: commands, and the names of ttys, servers and serial ports (serial:1) that the daemon knows.
_ttynp_names() { ttynp ports --json 2>/dev/null | sed -n "s/^    \"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" | sort -u; }
_ttynp_serial() { ttynp ports --serial --json 2>/dev/null | sed -n 's/^    "port": \([0-9]*\),\{0,1\}$/serial:\1/p'; }

# Ttys, and serial ports that are offered. For readline a colon ends a word (COMP_WORDBREAKS), so "serial:" stands before the
# word that is completed, and no answer may repeat it.
_ttynp_ports() {
  local word=${COMP_WORDS[COMP_CWORD]} at=$((COMP_CWORD - 1))
  if [[ $word == : ]]; then word=''; elif [[ ${COMP_WORDS[at]} == : ]]; then at=$((at - 1)); else at=0; fi
  if ((at > 0)) && [[ ${COMP_WORDS[at]} == serial ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_serial)" -- "serial:$word")
    COMPREPLY=("${COMPREPLY[@]#serial:}")
  elif [[ $word == serial:* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_serial)" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_names name) $(_ttynp_serial) --json" -- "$word")
  fi
}

_ttynp() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --socket | --config | -c) i=$((i + 1)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  COMPREPLY=()
  case $before in --socket | --config | -c | --file) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;; esac
  case $command in
    '') mapfile -t COMPREPLY < <(compgen -W 'status ports port watch trace reload health metrics config server import audit daemon doctor bench simulate usbip demo --socket --config --debug --help --version' -- "$word") ;;
    usbip) mapfile -t COMPREPLY < <(compgen -W 'suspend resume' -- "$word") ;;
    config) mapfile -t COMPREPLY < <(compgen -W 'check show schema' -- "$word") ;;
    bench) mapfile -t COMPREPLY < <(compgen -W "latency throughput $(_ttynp_names name)" -- "$word") ;;
    trace | doctor) _ttynp_ports ;;
    port) mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_names name) --json" -- "$word") ;;
    reload) mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_names name) --choose-backend --force --json" -- "$word") ;;
    import) mapfile -t COMPREPLY < <(compgen -f -W 'socat --rename --kind' -- "$word") ;;
    server)
      if [ "$before" = remove ]; then mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_names server)" -- "$word")
      else mapfile -t COMPREPLY < <(compgen -W 'add remove' -- "$word"); fi ;;
    *) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$word") ;;
  esac
}
complete -F _ttynp ttynp
