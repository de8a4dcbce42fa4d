# Completion of ttynp for bash: commands, and the names of ttys and servers that the daemon knows.
_ttynp_names() { ttynp ports --json 2>/dev/null | sed -n "s/^    \"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" | sort -u; }

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
    port | trace | doctor) mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_names name) --json" -- "$word") ;;
    reload) mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_names name) --choose-backend --force --json" -- "$word") ;;
    import) mapfile -t COMPREPLY < <(compgen -f -W 'socat --rename --kind' -- "$word") ;;
    server)
      if [ "$before" = remove ]; then mapfile -t COMPREPLY < <(compgen -W "$(_ttynp_names server)" -- "$word")
      else mapfile -t COMPREPLY < <(compgen -W 'add remove' -- "$word"); fi ;;
    *) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$word") ;;
  esac
}
complete -F _ttynp ttynp
