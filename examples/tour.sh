#!/bin/sh
# From nothing to a notice and its end, with a real project and the real uv.
#
# Everything it makes is in examples/.tour and in a temporary directory.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.tour
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
fail() { printf 'tour: %s\n' "$*" >&2; exit 1; }

say "Install into a virtual environment of its own: $venv"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$here/.." uv ||
    [ -x "$venv/bin/upgrade-state" ] ||
    fail "could not install it: is there a network?"
PATH=$venv/bin:$PATH

# A store of its own; and what silences notices elsewhere is not meant here.
UPGRADE_STATE_CACHE_DIR=$work/cache
export PATH UPGRADE_STATE_CACHE_DIR
unset CI NO_UPDATE_NOTIFIER UPGRADE_STATE_DISABLE VIRTUAL_ENV || :

cp -r "$here/shop" "$work/shop"
cd "$work"

say "A project that was locked in June 2025"
if run uv lock --quiet --project shop --exclude-newer 2025-06-01T00:00:00Z; then
    say "Check what an upgrade would change; the project itself is not touched"
    run upgrade-state check shop
else
    say "No network: go on with the lockfiles that lie beside it"
    cp shop/recorded/old.lock shop/uv.lock
    run upgrade-state record shop --old shop/uv.lock --new shop/recorded/new.lock
fi

# What a shell hook or an environment manager does on every activation.
activate() { run upgrade-state notify shop 2>notice; cat notice; }

say "The first activation tells"
activate
grep -q "available in 'shop'" notice || fail "there was no notice"

say "The second one is silent"
activate
[ ! -s notice ] || fail "the notice was repeated"
run upgrade-state notify --explain shop

cp shop/uv.lock before.lock

say "After the upgrade the notice is gone, even for those who want to hear it always"
"$venv/bin/python" - <<'PYTHON'
from pathlib import Path
from upgrade_state import StateStore

shop = StateStore().environment("shop", "uv.lock")
Path("shop/uv.lock").write_bytes(shop.kept_lockfile("new"))
PYTHON
run upgrade-state notify --interval 0 shop 2>notice
cat notice
[ ! -s notice ] || fail "there was a notice after the upgrade"
run upgrade-state notify --interval 0 --explain shop

say "All that is known"
run upgrade-state show shop

# There is no prompt here, so what bash does before one is called by its name.
if command -v bash >/dev/null; then
    say "In bash, zsh and fish it comes by itself: eval \"\$(upgrade-state hook bash)\""
    mkdir -p play/src
    cp before.lock play/uv.lock
    run upgrade-state record play --old before.lock --new shop/uv.lock
    run bash -c 'eval "$(upgrade-state hook bash)"; cd play/src; __upgrade_state_look' || :
fi
