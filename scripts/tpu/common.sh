# shellcheck shell=bash
# Functions that the scripts in this folder share: options, quoting, running or printing gcloud.
#
# The run lives in the home directory of every worker, so that it outlasts the connection that
# started it: the code and its environment in scaling_jax/, the log, the process and the exit
# code of the run in scaling_jax_run/.
# The scripts use the variables that look unused here.
# shellcheck disable=SC2034

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repository="$(cd "$here/../.." && pwd)"
tpu="${TPU_NAME:-scaling-jax}"
zone="${TPU_ZONE:-}"
project="${TPU_PROJECT:-}"
dry_run=""

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "${0##*/}: $*"
  exit 1
}

bad_usage() {
  say "${0##*/}: $* (see ${0##*/} --help)"
  exit 2
}

# Prints the comment at the top of the script as its help.
help() { sed -n '2,/^[^#]/s/^#\( \|$\)//p' "$0"; }

# Splits `--option=value` into two words of `words`; arguments after `--` are unchanged.
split_words() {
  words=()
  while (($#)); do
    case "$1" in
      --)
        words+=("$@")
        return
        ;;
      --*=*) words+=("${1%%=*}" "${1#*=}") ;;
      *) words+=("$1") ;;
    esac
    shift
  done
}

# Reads an option that every script has; `taken` is its number of words, 0 for another option.
common_option() {
  taken=2
  case "$1" in
    --name) value_of "$@" && tpu="$value" ;;
    --zone) value_of "$@" && zone="$value" ;;
    --project) value_of "$@" && project="$value" ;;
    --dry-run) dry_run=yes taken=1 ;;
    -h | --help)
      help
      exit 0
      ;;
    *) taken=0 ;;
  esac
}

# Stores the word after an option in `value`.
value_of() {
  (($# >= 2)) && [[ -n "$2" && "$2" != --* ]] || bad_usage "$1 needs a value"
  value="$2"
}

unknown() {
  case "$1" in
    -*) bad_usage "unknown option $1" ;;
    *) bad_usage "unexpected argument '$1'" ;;
  esac
}

# Call this after all options are read.
begin() {
  [[ "$tpu" =~ ^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$ ]] ||
    bad_usage "'$tpu' cannot name a TPU: use small letters, digits and hyphens, a letter first"
  where=()
  [[ -z "$zone" ]] || where+=("--zone=$zone")
  [[ -z "$project" ]] || where+=("--project=$project")
  shared=(--name "$tpu" ${zone:+--zone "$zone"} ${project:+--project "$project"}
    ${dry_run:+--dry-run})
  [[ -n "$dry_run" ]] || command -v gcloud >/dev/null ||
    fail "gcloud is not installed: see https://cloud.google.com/sdk/docs/install, or --dry-run"
}

# Prints a word, quoted for a POSIX shell if necessary.
quoted() {
  if [[ "$1" =~ ^[-A-Za-z0-9_./:=@,+]+$ ]]; then
    printf '%s' "$1"
  else
    printf "'%s'" "${1//\'/\'\\\'\'}"
  fi
}

quoted_words() {
  local word separator=""
  for word; do
    printf '%s' "$separator"
    quoted "$word"
    separator=" "
  done
}

# Runs a command, or with --dry-run prints it in a form that a shell can run.
run() {
  if [[ -n "$dry_run" ]]; then
    quoted_words "$@"
    printf '\n'
  else
    "$@" </dev/null
  fi
}

tpus() { run gcloud compute tpus "$@" ${where[@]+"${where[@]}"}; }

# remote WORKER SCRIPT: runs a script in the shell of one worker, or of every worker (`all`).
remote() { tpus tpu-vm ssh "$tpu" "--worker=$1" "--command=$2" --quiet; }

# Prints the API's state of the node, or of its request in the queue: MISSING if there is none,
# UNKNOWN if the API did not answer, which is no reason to create another node.
describe_node() { tpus tpu-vm describe "$tpu" '--format=value(state)'; }
describe_queue() { tpus queued-resources describe "$tpu" '--format=value(state.state)'; }

state_from() {
  local complaint answer
  complaint="$(mktemp)"
  if answer="$("$1" 2>"$complaint")"; then
    printf '%s\n' "$answer"
  elif grep -qi 'not.found' "$complaint"; then
    printf 'MISSING\n'
  else
    cat "$complaint" >&2
    printf 'UNKNOWN\n'
  fi
  rm -f "$complaint"
}
