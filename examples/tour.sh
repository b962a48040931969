#!/bin/sh
# Check a real project with the real uv, show the notice once, and upgrade.
#
# Writes only to examples/.tour and to a temporary directory.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.tour
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
fail() { printf 'tour: %s\n' "$*" >&2; exit 1; }

say "Install into a virtual environment: $venv"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$here/.." uv ||
    [ -x "$venv/bin/upgrade-state" ] ||
    fail "the installation failed: is there a network?"
PATH=$venv/bin:$PATH

# Use a store of its own, and ignore the variables that silence notices.
UPGRADE_STATE_CACHE_DIR=$work/cache
export PATH UPGRADE_STATE_CACHE_DIR
unset CI NO_UPDATE_NOTIFIER UPGRADE_STATE_DISABLE VIRTUAL_ENV || :

cp -r "$here/shop" "$work/shop"
cd "$work"

say "Lock a project as of June 2025"
if run uv lock --quiet --project shop --exclude-newer 2025-06-01T00:00:00Z; then
    say "Check for upgrades, without touching the project"
    run upgrade-state check shop
else
    say "No network: continue with the recorded lockfiles"
    cp shop/recorded/old.lock shop/uv.lock
    run upgrade-state record shop --old shop/uv.lock --new shop/recorded/new.lock
fi

# A shell hook or an environment manager runs this on every activation. Here stderr is
# a file, which --always is for.
activate() { run upgrade-state notify --always shop 2>notice; cat notice; }

say "The first activation shows a notice"
activate
grep -q "available in 'shop'" notice || fail "there was no notice"

say "The second activation is silent"
activate
[ ! -s notice ] || fail "the notice was repeated"
run upgrade-state notify --explain shop

cp shop/uv.lock before.lock

say "After the upgrade there is no notice, even if one is due on every activation"
"$venv/bin/python" - <<'PYTHON'
from pathlib import Path
from upgrade_state import StateStore

shop = StateStore().environment("shop", "uv.lock")
Path("shop/uv.lock").write_bytes(shop.kept_lockfile("new"))
PYTHON
run upgrade-state notify --always --interval 0 shop 2>notice
cat notice
[ ! -s notice ] || fail "there was a notice after the upgrade"
run upgrade-state notify --interval 0 --explain shop

say "Show the record, and the reasons"
run upgrade-state show shop

# The hook runs before a prompt. This script has none, so it calls the function.
if command -v bash >/dev/null; then
    say "At the prompt of bash, zsh or fish: eval \"\$(upgrade-state hook bash)\""
    mkdir -p play/src
    cp before.lock play/uv.lock
    run upgrade-state record play --old before.lock --new shop/uv.lock
    run bash -c 'eval "$(upgrade-state hook bash)"; cd play/src; __upgrade_state_prompt' || :
fi
