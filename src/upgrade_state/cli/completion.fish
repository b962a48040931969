# Made by docs/commands.py with shtab.

# Custom Preamble

# fish also asks for arguments if an option is typed.
function _upgrade_state_environments
    string match -q -- '-*' (commandline -ct); and return
    command upgrade-state completion --environments (commandline -ct) 2>/dev/null |
        string replace -r '$' '\tchecked environment'
end

# End Custom Preamble

# Parse current commandline:
# - _shtab_upgrade_state_cmdpath=(sub)command path seen so far
# - _shtab_upgrade_state_npos=number of positional arguments given after it
# - options are skipped based on _shtab_upgrade_state_opts_with_value & _shtab_upgrade_state_commands lists
function _shtab_upgrade_state_scan
  set -g _shtab_upgrade_state_cmdpath ''
  set -g _shtab_upgrade_state_npos 0
  set -l tokens (commandline -opc)
  set -e tokens[1]
  set -l expect_value 0
  for t in $tokens
    if test $expect_value -eq 1
      set expect_value 0
      continue
    end
    switch "$t"
      case '--*=*'
        continue
      case '-*'
        if contains -- $t $_shtab_upgrade_state_opts_with_value
          set expect_value 1
        end
        continue
      case '*'
        if test $_shtab_upgrade_state_npos -eq 0
          set -l candidate $t
          if test -n "$_shtab_upgrade_state_cmdpath"
            set candidate "$_shtab_upgrade_state_cmdpath $t"
          end
          if contains -- $candidate $_shtab_upgrade_state_commands
            set -g _shtab_upgrade_state_cmdpath $candidate
            continue
          end
        end
        set -g _shtab_upgrade_state_npos (math $_shtab_upgrade_state_npos + 1)
    end
  end
end

# Condition helper: true if the current (sub)command path equals the given one.
function _shtab_upgrade_state_using
  _shtab_upgrade_state_scan
  test "$_shtab_upgrade_state_cmdpath" = "$argv"
end

set -g _shtab_upgrade_state_commands check show list snooze forget hook notify completion record path shared recipes prune doctor version help
set -g _shtab_upgrade_state_opts_with_value --cache-dir --color --copy --could-not-check --env --for --format --interval --jobs --lockfile --max-age --name --new --old --older-than --on-error --platform --recipe --reminder --shared --timeout --until -j

complete -c upgrade-state -e
complete -c upgrade-state -f

complete -c upgrade-state -n _shtab_upgrade_state_using -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n _shtab_upgrade_state_using -s V -l version -d 'print the version'
complete -c upgrade-state -n _shtab_upgrade_state_using -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n _shtab_upgrade_state_using -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a check -d 'Make a check now: find out which upgrades there are, and remember them.'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l lockfile -xka ".flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock" -d 'the lockfile'"'"'s name in the directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l name -x -d 'the environment'"'"'s name, if the lockfile has several'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l recipe -xka "uv uv-script uv-pip uv-pip-lock uv-pylock poetry pdm pdm-named pipenv pip pip-project pip-tools pip-tools-lock npm cargo conda-lock pixi pixi-pyproject devbox mise mise-dot mise-env spack nix" -d 'use this recipe (default: by the lockfile; see upgrade-state recipes)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l once -d 'give no consent to repeat this check automatically'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l timeout -x -d 'end a check after this time (default: 10m)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l format -xka "cargo conan conda-explicit conda-list conda-lock devbox devenv flake flox mise niv npins npm pdm pipfile pixi poetry pylock renv requirements spack uv" -d 'the lockfile'"'"'s format, if not by its name: cargo, conan, conda-explicit, conda-list, conda-lock, devbox, devenv, flake, flox, mise, niv, npins, npm, pdm, pipfile, pixi, poetry, pylock, renv, requirements, spack, uv'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l copy -xka "(__fish_complete_path (commandline -ct))" -d 'also copy this file or directory, which git may ignore'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l env -x -d 'also pass on this environment variable (X_*: all that begin with X_)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l sandbox -d 'allow writing only in the scratch directory (needs bwrap)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l platform -x -d 'count upgrades for this platform, in the lockfile'"'"'s word'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l max-age -x -d 'how long a check is good for (default: 1d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l shared -x -d 'share results with a team: see shared (default: UPGRADE_STATE_SHARED)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l json -d 'print one JSON object per environment and line'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -s j -l jobs -x -d 'with --all: how many checks run at once (default: 4 for each core, at most 8)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l on-error -xka "continue stop retry" -d 'with --all: how to go on after a failed check (default: continue)'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l restart -d 'with --all: check every environment, however fresh its last check'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l all -d 'Check every environment of the store whose check is due, by the recipe that you have run in it before, with the same options, or with COMMAND.'
complete -c upgrade-state -n '_shtab_upgrade_state_using check' -l if-due -d 'Repeat the check that you have made with a recipe, with the same options, if a check is due.'
complete -c upgrade-state -n '_shtab_upgrade_state_using check; and test $_shtab_upgrade_state_npos -eq 0' -ka "(_upgrade_state_environments; __fish_complete_directories (commandline -ct) directory)" -d 'a directory (default: the nearest with a lockfile, upward) or a lockfile'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a show -d 'Show the state of an environment, and why you were (not) notified.'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l lockfile -xka ".flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock" -d 'the lockfile'"'"'s name in the directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l name -x -d 'the environment'"'"'s name, if the lockfile has several'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l platform -x -d 'count upgrades for this platform, in the lockfile'"'"'s word'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l interval -x -d 'minimum time between two notices (default: 1d; 0: none)'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l reminder -x -d 'minimum time before unchanged upgrades are announced again (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l could-not-check -x -d 'notify, at most weekly, when checks have failed this long (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l max-age -x -d 'how long a check is good for (default: 1d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l json -d 'print one JSON object per environment and line'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l all -d 'list every upgrade'
complete -c upgrade-state -n '_shtab_upgrade_state_using show' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using show; and test $_shtab_upgrade_state_npos -eq 0' -ka "(_upgrade_state_environments; __fish_complete_directories (commandline -ct) directory)" -d 'a directory (default: the nearest known one, upward) or a lockfile'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a list -d 'List the environments that have been checked.'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l outdated -d 'only those with upgrades for their current lockfile, if that is known'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l failing -d 'only those whose last check has failed'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l platform -x -d 'count upgrades for this platform, in the lockfile'"'"'s word'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l interval -x -d 'minimum time between two notices (default: 1d; 0: none)'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l reminder -x -d 'minimum time before unchanged upgrades are announced again (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l could-not-check -x -d 'notify, at most weekly, when checks have failed this long (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l max-age -x -d 'how long a check is good for (default: 1d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l json -d 'print one JSON object per environment and line'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using list' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a snooze -d 'Give no notice for some time.'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -l lockfile -xka ".flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock" -d 'the lockfile'"'"'s name in the directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -l name -x -d 'the environment'"'"'s name, if the lockfile has several'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -l for -x -d 'how long to stay silent, such as 12h, 7d or '"'"'2 weeks'"'"''
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -l until -x -d 'stay silent up to this time, such as tomorrow or 2026-12-24'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -l off -d 'end the snooze'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using snooze; and test $_shtab_upgrade_state_npos -eq 0' -ka "(_upgrade_state_environments; __fish_complete_directories (commandline -ct) directory)" -d 'a directory (default: the nearest known one, upward) or a lockfile'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a forget -d 'Forget an environment, and your consent to automatic checks.'
complete -c upgrade-state -n '_shtab_upgrade_state_using forget' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using forget' -l lockfile -xka ".flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock" -d 'the lockfile'"'"'s name in the directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using forget' -l name -x -d 'the environment'"'"'s name, if the lockfile has several'
complete -c upgrade-state -n '_shtab_upgrade_state_using forget' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using forget' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using forget; and test $_shtab_upgrade_state_npos -eq 0' -ka "(_upgrade_state_environments; __fish_complete_directories (commandline -ct) directory)" -d 'a directory (default: the nearest known one, upward) or a lockfile'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a hook -d 'Print code that gives notices at a shell'"'"'s prompt, for its start-up file: bash eval "$(upgrade-state hook bash)" zsh eval "$(upgrade-state hook zsh)" fish status is-interactive; and upgrade-state hook fish | source On entering a directory with a lockfile of a known name, or one below it, the hook runs `notify`.'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook' -l interval -x -d 'minimum time between two notices (default: 1d; 0: none)'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook' -l reminder -x -d 'minimum time before unchanged upgrades are announced again (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook' -l max-age -x -d 'how long a check is good for (default: 1d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook' -l could-not-check -x -d 'notify, at most weekly, when checks have failed this long (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using hook; and test $_shtab_upgrade_state_npos -eq 0' -ka "bash zsh fish" -d 'the shell'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a notify -d 'Print a notice on stderr, once per interval; for activation scripts.'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l lockfile -xka ".flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock" -d 'the lockfile'"'"'s name in the directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l name -x -d 'the environment'"'"'s name, if the lockfile has several'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l platform -x -d 'count upgrades for this platform, in the lockfile'"'"'s word'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l interval -x -d 'minimum time between two notices (default: 1d; 0: none)'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l reminder -x -d 'minimum time before unchanged upgrades are announced again (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l could-not-check -x -d 'notify, at most weekly, when checks have failed this long (default: 7d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l max-age -x -d 'how long a check is good for (default: 1d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l explain -d 'print why (not), and claim nothing'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l peek -d 'print the number of upgrades on stdout, if any, and claim nothing'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l check -d 'start a check in the background if one is due and you ran a recipe here'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l always -d 'claim the notice also if stderr is no terminal'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using notify; and test $_shtab_upgrade_state_npos -eq 0' -ka "(_upgrade_state_environments; __fish_complete_directories (commandline -ct) directory)" -d 'a directory (default: the nearest known one, upward) or a lockfile'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a completion -d 'Print code that completes commands, options and known environments in a shell, for its start-up file: bash eval "$(upgrade-state completion bash)" zsh eval "$(upgrade-state completion zsh)" after compinit fish status is-interactive; and upgrade-state completion fish | source.'
complete -c upgrade-state -n '_shtab_upgrade_state_using completion' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using completion' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using completion; and test $_shtab_upgrade_state_npos -eq 0' -ka "bash zsh fish" -d 'the shell'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a record -d 'Store the result of a check that was made elsewhere.'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l lockfile -xka ".flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock" -d 'the lockfile'"'"'s name in the directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l name -x -d 'the environment'"'"'s name, if the lockfile has several'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l format -xka "cargo conan conda-explicit conda-list conda-lock devbox devenv flake flox mise niv npins npm pdm pipfile pixi poetry pylock renv requirements spack uv" -d 'the lockfile'"'"'s format, if not by its name: cargo, conan, conda-explicit, conda-list, conda-lock, devbox, devenv, flake, flox, mise, niv, npins, npm, pdm, pipfile, pixi, poetry, pylock, renv, requirements, spack, uv'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l old -xka "(__fish_complete_path (commandline -ct))" -d 'the lockfile that was checked'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l new -xka "(__fish_complete_path (commandline -ct))" -d 'the lockfile after the upgrade'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l flox -d 'instead: the last check that Flox itself has made'
complete -c upgrade-state -n '_shtab_upgrade_state_using record' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using record; and test $_shtab_upgrade_state_npos -eq 0' -ka "(_upgrade_state_environments; __fish_complete_directories (commandline -ct) directory)" -d 'a directory (default: this one) or a lockfile'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a path -d 'Print where the record is, or would be.'
complete -c upgrade-state -n '_shtab_upgrade_state_using path' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using path' -l lockfile -xka ".flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock" -d 'the lockfile'"'"'s name in the directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using path' -l name -x -d 'the environment'"'"'s name, if the lockfile has several'
complete -c upgrade-state -n '_shtab_upgrade_state_using path' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using path' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using path; and test $_shtab_upgrade_state_npos -eq 0' -ka "(_upgrade_state_environments; __fish_complete_directories (commandline -ct) directory)" -d 'a directory (default: the nearest known one, upward) or a lockfile'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a shared -d 'Set up, list and prune the results that the checks of a team share: one machine makes a check, and the others use its result.'
complete -c upgrade-state -n '_shtab_upgrade_state_using shared' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using shared' -l older-than -x -d 'with prune: results that are at least so old (default: 90d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using shared' -l json -d 'with list: print one JSON object per check and line'
complete -c upgrade-state -n '_shtab_upgrade_state_using shared' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using shared; and test $_shtab_upgrade_state_npos -eq 0' -ka "init list prune" -d 'what to do'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a recipes -d 'List the recipes: the lockfile that each is for, the file that must be beside it, and the tool that it needs.'
complete -c upgrade-state -n '_shtab_upgrade_state_using recipes' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using recipes' -l json -d 'print one JSON object per environment and line'
complete -c upgrade-state -n '_shtab_upgrade_state_using recipes' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a prune -d 'Forget environments whose directories were removed.'
complete -c upgrade-state -n '_shtab_upgrade_state_using prune' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using prune' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using prune' -l older-than -x -d 'only records that were last written so long ago (default: 90d)'
complete -c upgrade-state -n '_shtab_upgrade_state_using prune' -l dry-run -d 'print them, and forget none'
complete -c upgrade-state -n '_shtab_upgrade_state_using prune' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a doctor -d 'Find problems of the store and of shared results; change nothing.'
complete -c upgrade-state -n '_shtab_upgrade_state_using doctor' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using doctor' -l json -d 'print one JSON object per environment and line'
complete -c upgrade-state -n '_shtab_upgrade_state_using doctor' -l cache-dir -xka "(__fish_complete_directories (commandline -ct) directory)" -d 'the absolute path of the cache directory'
complete -c upgrade-state -n '_shtab_upgrade_state_using doctor' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a version -d 'Print the version.'
complete -c upgrade-state -n '_shtab_upgrade_state_using version' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using version' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using; and test $_shtab_upgrade_state_npos -eq 0' -a help -d 'Print this help, or that of a command.'
complete -c upgrade-state -n '_shtab_upgrade_state_using help' -s h -l help -d 'show this help message and exit'
complete -c upgrade-state -n '_shtab_upgrade_state_using help' -l color -xka "auto always never" -d 'use colours: auto (default), always or never'
complete -c upgrade-state -n '_shtab_upgrade_state_using help; and test $_shtab_upgrade_state_npos -eq 0' -ka "check show list snooze forget hook notify completion record path shared recipes prune doctor version help" -d 'a command'
