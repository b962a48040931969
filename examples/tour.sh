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

# Use a store of its own, and ignore the variables that silence or delay notices.
UPGRADE_STATE_CACHE_DIR=$work/cache
export PATH UPGRADE_STATE_CACHE_DIR
unset CI NO_UPDATE_NOTIFIER UPGRADE_STATE_DISABLE VIRTUAL_ENV || :
unset UPGRADE_STATE_INTERVAL UPGRADE_STATE_REMINDER || :

cp -r "$here/shop" "$work/shop"
cd "$work"

say "Lock a project as of June 2025"
if run uv lock --quiet --project shop --exclude-newer 2025-06-01T00:00:00Z; then
    say "Check for upgrades, without touching the project"
    run upgrade-state check shop
    upgrade() { run uv lock --quiet --project shop --upgrade; }
else
    say "No network: continue with the recorded lockfiles"
    cp shop/recorded/old.lock shop/uv.lock
    run upgrade-state record shop --old shop/uv.lock --new shop/recorded/new.lock
    run upgrade-state show shop
    upgrade() { run cp shop/recorded/new.lock shop/uv.lock; }
fi

# A shell hook or an environment manager runs `notify` on every activation. Here stderr
# is a file, which --always is for.
activate() {
    run upgrade-state notify --always "$@" 2>notice
    cat notice
}

# At a terminal, the check was the notice.
say "An activation shows one notice: with --interval 0, whatever was shown before"
activate --interval 0 shop
grep -q "available in 'shop'" notice || fail "there was no notice"

say "The next activation is silent for a day, or for a week without other upgrades"
activate shop
[ ! -s notice ] || fail "the notice was repeated"
run upgrade-state notify --explain shop

cp shop/uv.lock before.lock

say "After the upgrade there is no notice, even with --interval 0"
upgrade
activate --interval 0 shop
[ ! -s notice ] || fail "there was a notice after the upgrade"

say "Show what is known, and why there is no notice"
run upgrade-state show shop

# The hook runs before a prompt. This script has none, so it calls the function.
if command -v bash >/dev/null; then
    say "Enter another project in bash, after: eval \"\$(upgrade-state hook bash)\""
    mkdir -p play/src
    cp before.lock play/uv.lock
    upgrade-state record play --old before.lock --new shop/uv.lock
    echo '$ cd play/src'
    [ -t 2 ] || echo "(There is no notice now: stderr is no terminal.)"
    bash -c 'eval "$(upgrade-state hook bash)"; cd play/src; __upgrade_state_prompt' || :
fi

say "List all environments"
run upgrade-state list
