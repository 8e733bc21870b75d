#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Takes the pictures of README.md from a running Fathom that has made the study (`make demo`): `make pictures`.
#   BIN  folder of Fathom's binaries    STATE  its state directory    OUT  folder for the pictures
set -euo pipefail
export PATH="$BIN:$PATH" FATHOM_STATE="$STATE"
unset KUBECONFIG
mkdir -p "$OUT"
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

# shoot NAME PATH WIDTHxHEIGHT: each link logs in once, and the page gets time to draw.
shoot() {
  link=$(fathom open "$2")
  timeout 60 chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --ignore-certificate-errors --user-data-dir="$profile/$1" \
    --force-device-scale-factor=1 --window-size="${3/x/,}" --timeout=12000 --screenshot="$OUT/$1.png" "$link" >/dev/null 2>&1
  test -s "$OUT/$1.png" && ls -l "$OUT/$1.png"
}
shoot graph "${GRAPH:-/ui/workspaces/neurology}" 1280x800
shoot model "${MODEL:-/ui/workspaces/neurology/models/parkinsons}" 1000x1250
shoot report "${REPORT:-/ui/workspaces/neurology/reports/findings/index.html}" 1000x1250
