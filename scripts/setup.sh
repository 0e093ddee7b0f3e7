# Read by scripts/demo and scripts/test: from a clean checkout to installed npm packages.
# Everything it says goes to stderr.
cd "$(dirname "$0")/.."

if ! command -v node >/dev/null 2>&1; then
  echo "node is missing; version 20.19 or later is needed." >&2
  echo "  Debian, Ubuntu: the nodejs package of NodeSource, or nvm" >&2
  echo "  macOS: brew install node" >&2
  exit 1
fi
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; then
  echo "node $(node --version) is too old; version 20.19 or later is needed." >&2
  exit 1
fi
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "npm: installing packages" >&2
  npm ci --no-audit --no-fund >&2
fi
