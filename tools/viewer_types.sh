#!/usr/bin/env bash
# Write viewer/src/core/types.ts from the OpenAPI document.
#
#   tools/viewer_types.sh            write
#   tools/viewer_types.sh --check    fail where the committed file differs; without Node, say so
set -euo pipefail
cd "$(dirname "$0")/.."
TYPES=viewer/src/core/types.ts

if ! command -v npm > /dev/null; then
    echo "viewer: no npm here, so $TYPES was not compared with the API"
    exit 0
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
.venv/bin/python tools/api_document.py --types > "$fresh/document.json"
(
    cd viewer
    if ! cmp -s package-lock.json node_modules/.hilum-lock; then
        npm ci --ignore-scripts --loglevel=error
        cp package-lock.json node_modules/.hilum-lock
    fi
    npx --no-install openapi-typescript "$fresh/document.json" -o "$fresh/types.ts" \
        --default-non-nullable false --root-types --root-types-no-schema-prefix > "$fresh/said" 2>&1 \
        || { cat "$fresh/said" >&2; exit 1; }
)
if [ "${1:-}" != --check ]; then
    cp "$fresh/types.ts" "$TYPES"
elif ! cmp -s "$fresh/types.ts" "$TYPES"; then
    echo "error: $TYPES is not what the API says" >&2
    echo "  hint: run tools/viewer_types.sh and commit what it writes" >&2
    exit 1
else
    echo "viewer: its types are what the API says"
fi
