#!/bin/bash
# build.sh MODULES OUT FILE...: checks the types, bundles src/main.ts, and writes all files of the page
# as C++ to OUT. MODULES is a node_modules folder (tools/setup makes it).

set -euo pipefail
modules=$(realpath "$1")
out=$(realpath -m "$2")
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
for file in "$@"; do
  case $file in
    *.ts) cp "$file" "$work/src/" ;;
    *.py) embed=$(realpath "$file") ;;
    *) cp "$file" "$work/" ;;
  esac
done
ln -s "$modules" "$work/node_modules"
cd "$work"
node node_modules/typescript/bin/tsc -p tsconfig.json
node node_modules/esbuild/bin/esbuild src/main.ts --bundle --minify --format=esm --target=es2022 \
  --legal-comments=inline --log-level=warning --outfile=app.js
/usr/bin/python3 "$embed" index.html frame.html favicon.svg app.css app.js > "$out"
