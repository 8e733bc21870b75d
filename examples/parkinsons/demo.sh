#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the Parkinson's study end to end on this machine, from an empty state directory: `make demo`.
#   BIN    folder of Fathom's binaries        STATE  state directory, removed first
#   DATA   folder for the generated input     ONCE   set: end by itself instead of waiting for Ctrl-C
#   ISOLATION  sandbox or process; default: the best that is permitted here
set -euo pipefail
study=$(cd "$(dirname "$0")" && pwd)/study
export PATH="$BIN:$PATH" FATHOM_STATE="$STATE"
unset KUBECONFIG

say() { printf '\n== %s\n' "$*"; }
server= load=
finish() {
  code=$?
  trap - EXIT INT TERM
  [ -z "$load" ] || kill "$load" 2>/dev/null || true
  [ -z "$server" ] || { kill -INT "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ -n "$(ls -A "$STATE" 2>/dev/null)" ]; then
  if [ ! -d "$STATE/pki" ] && [ ! -e "$STATE/up.log" ]; then
    echo "$STATE is not a state directory of Fathom; it is not removed: choose another with STATE=" >&2; exit 2
  fi
  if [ -e "$STATE/lock" ] && command -v flock >/dev/null && ! flock -n "$STATE/lock" true; then
    echo "another Fathom (process $(cat "$STATE/lock")) is using $STATE: stop it, or choose another with STATE=" >&2; exit 3
  fi
fi

say "Fathom starts on an empty state directory"
rm -rf "$STATE" && mkdir -p "$STATE"
# A process group of its own, so that Ctrl-C reaches this script, which stops it in order.
setsid fathom up --state "$STATE" --isolation "${ISOLATION:-auto}" > >(tee "$STATE/up.log") 2>&1 &
server=$!
for _ in $(seq 1300); do
  grep -q "Fathom is ready" "$STATE/up.log" 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || { echo "Fathom did not start; see $STATE/up.log" >&2; exit 1; }
  sleep 0.1
done
begin=$(date +%s)

say "The study is declared, and the first 72 patients' files arrive"
fathom apply -f "$study"
fathom put -n neurology "$DATA/batch-1/inbox" inbox
fathom status --wait

say "The cohort: who is in, who was left out and why"
for name in voice scans device-logs cohort; do fathom show dataset "$name"; done

say "The model: numbers on patients whom it never saw, and whether it was promoted"
fathom show model parkinsons

say "A prediction through the endpoint"
fathom predict parkinsons

say "24 more patients arrive; the endpoint is asked all the while"
requests=$STATE/requests.log
: > "$requests"
( while [ ! -e "$STATE/enough" ]; do
    if answer=$(fathom predict parkinsons 2>&1); then echo "ok $(sed -n 's/^by *//p' <<<"$answer")"; else echo "FAILED $answer"; fi
  done >> "$requests" ) &
load=$!
fathom put -n neurology "$DATA/batch-2/inbox" inbox
for _ in $(seq 600); do # until the files have settled and the first dataset has taken them in
  fathom status | grep -Eq '^dataset/consents +[A-Za-z]+ +2 ' && break
  sleep 0.1
done
fathom status --wait
for _ in $(seq 20); do fathom predict parkinsons > /dev/null; done
touch "$STATE/enough" && wait "$load"
load=

say "What happened after the new data"
fathom show model parkinsons
fathom show endpoint parkinsons
echo "requests during retraining and switch: $(grep -c '^ok' "$requests") answered, $(grep -c '^FAILED' "$requests" || true) failed"
sort "$requests" | uniq -c | sed 's/^/  /'
if grep -q '^FAILED' "$requests"; then exit 1; fi

say "Where the served model came from"
fathom why parkinsons

say "The insight, $(($(date +%s) - begin)) s after the study was declared"
fathom show report findings
echo
if [ -n "${ONCE:-}" ]; then
  echo "To look at the pages: $BIN/fathom up --state $STATE, then in another terminal: FATHOM_STATE=$STATE $BIN/fathom open"
  exit 0
fi
echo "report    $(fathom open /ui/workspaces/neurology/reports/findings/index.html)"
echo "model     $(fathom open /ui/workspaces/neurology/models/parkinsons)"
echo "console   $(fathom open)"
echo "Each link logs one browser in, once. The certificate is Fathom's own: $STATE/pki/ca.crt"
echo
echo "Fathom goes on running; in another terminal: export FATHOM_STATE=$STATE; $BIN/fathom status"
echo "Ctrl-C ends it."
trap 'exit 0' INT
wait "$server"
