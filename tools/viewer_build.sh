#!/usr/bin/env bash
# Build the viewer from viewer/ into src/hilum/apps/web/static/, which is committed, so that whoever
# installs Hilum needs no Node.
#
#   tools/viewer_build.sh            build
#   tools/viewer_build.sh --check    build elsewhere, and fail where the committed build differs
#   tools/viewer_build.sh --install  only what it is built with, which some tests need
#
# build.json beside the pages names the sources that they were made of: without Node --check compares
# that alone, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=src/hilum/apps/web/static

digest() { # of everything that the build reads, in one order everywhere
    (cd viewer && find index.html package-lock.json package.json public src tsconfig.json vite.config.ts \
        ../src/hilum/core/text \
        -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

install() {
    (
        cd viewer
        if ! cmp -s package-lock.json node_modules/.hilum-lock; then
            npm ci --ignore-scripts --loglevel=error
            cp package-lock.json node_modules/.hilum-lock
        fi
    )
}

build() { # into a folder
    local out=$1
    install
    (
        cd viewer
        npx --no-install tsc --noEmit
        npx --no-install vite build --logLevel error --outDir "$out" --emptyOutDir
    )
    printf '{"sources": "%s"}\n' "$(digest)" > "$out/build.json"
}

case "${1:-}" in
    --check)
        if ! grep -q "$(digest)" "$OUT/build.json"; then
            echo "error: viewer/ has changed since $OUT was built" >&2
            echo "  hint: run tools/viewer_build.sh and commit what it writes" >&2
            exit 1
        fi
        if ! command -v npm > /dev/null; then
            echo "viewer: no npm here, so only the digest of the sources was compared"
            exit 0
        fi
        fresh=$(mktemp -d)
        trap 'rm -rf "$fresh"' EXIT
        build "$fresh"
        if ! diff -rq "$fresh" "$OUT"; then
            echo "error: $OUT is not what viewer/ builds" >&2
            echo "  hint: run tools/viewer_build.sh and commit what it writes" >&2
            exit 1
        fi
        echo "viewer: the committed build is what viewer/ builds"
        ;;
    --install) install ;;
    "") build "$PWD/$OUT" ;;
    *) echo "usage: tools/viewer_build.sh [--check | --install]" >&2; exit 2 ;;
esac
