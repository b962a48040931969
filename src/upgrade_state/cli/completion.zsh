#compdef upgrade-state

# Made by docs/commands.py with shtab.


_shtab_upgrade_state_commands() {
  local _commands=(
    check:'Make a check now: find out which upgrades there are, and remember them.'
    completion:'Print code that completes commands, options and known environments in a shell, for its start-up file: bash eval "$(upgrade-state completion bash)" zsh eval "$(upgrade-state completion zsh)" after compinit fish status is-interactive; and upgrade-state completion fish | source.'
    doctor:'Find problems of the store and of shared results; change nothing.'
    forget:'Forget an environment, and your consent to automatic checks.'
    help:'Print this help, or that of a command.'
    hook:'Print code that gives notices at a shell'"'"'s prompt, for its start-up file: bash eval "$(upgrade-state hook bash)" zsh eval "$(upgrade-state hook zsh)" fish status is-interactive; and upgrade-state hook fish | source On entering a directory with a lockfile of a known name, or one below it, the hook runs `notify`.'
    list:'List the environments that have been checked.'
    notify:'Print a notice on stderr, once per interval; for activation scripts.'
    path:'Print where the record is, or would be.'
    prune:'Forget environments whose directories were removed.'
    recipes:'List the recipes: the lockfile that each is for, the file that must be beside it, and the tool that it needs.'
    record:'Store the result of a check that was made elsewhere.'
    shared:'Set up, list and prune the results that the checks of a team share: one machine makes a check, and the others use its result.'
    show:'Show the state of an environment, and why you were (not) notified.'
    snooze:'Give no notice for some time.'
    version:'Print the version.'
  )
  _describe 'upgrade-state commands' _commands
}

_shtab_upgrade_state_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  {-V,--version}"[print the version]"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_defaults_added=0

_shtab_upgrade_state_check_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--lockfile[the lockfile\'s name in the directory]:NAME:(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)"
  "--name[the environment\'s name, if the lockfile has several]:NAME:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--recipe[use this recipe (default\: by the lockfile\; see upgrade-state recipes)]:NAME:(uv uv-script uv-pip uv-pip-lock uv-pylock poetry pdm pdm-named pipenv pip pip-project pip-tools pip-tools-lock npm cargo conda-lock pixi pixi-pyproject devbox mise mise-dot mise-env spack nix)"
  "--once[give no consent to repeat this check automatically]"
  "--timeout[end a check after this time (default\: 10m)]:DURATION:"
  "--format[the lockfile\'s format, if not by its name\: cargo, conan, conda-explicit, conda-list, conda-lock, devbox, devenv, flake, flox, mise, niv, npins, npm, pdm, pipfile, pixi, poetry, pylock, renv, requirements, spack, uv]:NAME:(cargo conan conda-explicit conda-list conda-lock devbox devenv flake flox mise niv npins npm pdm pipfile pixi poetry pylock renv requirements spack uv)"
  "*--copy[also copy this file or directory, which git may ignore]:PATH:_files"
  "*--env[also pass on this environment variable (X_\*\: all that begin with X_)]:NAME:"
  "--sandbox[allow writing only in the scratch directory (needs bwrap)]"
  "--platform[count upgrades for this platform, in the lockfile\'s word]:NAME:"
  "--max-age[how long a check is good for (default\: 1d)]:DURATION:"
  "--shared[share results with a team\: see shared (default\: UPGRADE_STATE_SHARED)]:URL:"
  "--json[print one JSON object per environment and line]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  {-j,--jobs}"[with --all\: how many checks run at once (default\: 4 for each core, at most 8)]:N:"
  "--on-error[with --all\: how to go on after a failed check (default\: continue)]:on_error:(continue stop retry)"
  "--restart[with --all\: check every environment, however fresh its last check]"
  "--all[Check every environment of the store whose check is due, by the recipe that you have run in it before, with the same options, or with COMMAND.]"
  "--if-due[Repeat the check that you have made with a recipe, with the same options, if a check is due.]"
  ":a directory (default\: the nearest with a lockfile, upward) or a lockfile:_upgrade_state_environments"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_check_defaults_added=0

_shtab_upgrade_state_completion_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":the shell:(bash zsh fish)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_completion_defaults_added=0

_shtab_upgrade_state_doctor_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--json[print one JSON object per environment and line]"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_doctor_defaults_added=0

_shtab_upgrade_state_forget_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--lockfile[the lockfile\'s name in the directory]:NAME:(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)"
  "--name[the environment\'s name, if the lockfile has several]:NAME:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":a directory (default\: the nearest known one, upward) or a lockfile:_upgrade_state_environments"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_forget_defaults_added=0

_shtab_upgrade_state_help_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":a command:(check show list snooze forget hook notify completion record path shared recipes prune doctor version help)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_help_defaults_added=0

_shtab_upgrade_state_hook_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--interval[minimum time between two notices (default\: 1d\; 0\: none)]:DURATION:"
  "--reminder[minimum time before unchanged upgrades are announced again (default\: 7d)]:DURATION:"
  "--max-age[how long a check is good for (default\: 1d)]:DURATION:"
  "--could-not-check[notify, at most weekly, when checks have failed this long (default\: 7d)]:DURATION:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":the shell:(bash zsh fish)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_hook_defaults_added=0

_shtab_upgrade_state_list_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--outdated[only those with upgrades for their current lockfile, if that is known]"
  "--failing[only those whose last check has failed]"
  "--platform[count upgrades for this platform, in the lockfile\'s word]:NAME:"
  "--interval[minimum time between two notices (default\: 1d\; 0\: none)]:DURATION:"
  "--reminder[minimum time before unchanged upgrades are announced again (default\: 7d)]:DURATION:"
  "--could-not-check[notify, at most weekly, when checks have failed this long (default\: 7d)]:DURATION:"
  "--max-age[how long a check is good for (default\: 1d)]:DURATION:"
  "--json[print one JSON object per environment and line]"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_list_defaults_added=0

_shtab_upgrade_state_notify_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--lockfile[the lockfile\'s name in the directory]:NAME:(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)"
  "--name[the environment\'s name, if the lockfile has several]:NAME:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--platform[count upgrades for this platform, in the lockfile\'s word]:NAME:"
  "--interval[minimum time between two notices (default\: 1d\; 0\: none)]:DURATION:"
  "--reminder[minimum time before unchanged upgrades are announced again (default\: 7d)]:DURATION:"
  "--could-not-check[notify, at most weekly, when checks have failed this long (default\: 7d)]:DURATION:"
  "--max-age[how long a check is good for (default\: 1d)]:DURATION:"
  "--explain[print why (not), and claim nothing]"
  "--peek[print the number of upgrades on stdout, if any, and claim nothing]"
  "--check[start a check in the background if one is due and you ran a recipe here]"
  "--always[claim the notice also if stderr is no terminal]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":a directory (default\: the nearest known one, upward) or a lockfile:_upgrade_state_environments"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_notify_defaults_added=0

_shtab_upgrade_state_path_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--lockfile[the lockfile\'s name in the directory]:NAME:(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)"
  "--name[the environment\'s name, if the lockfile has several]:NAME:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":a directory (default\: the nearest known one, upward) or a lockfile:_upgrade_state_environments"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_path_defaults_added=0

_shtab_upgrade_state_prune_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--older-than[only records that were last written so long ago (default\: 90d)]:DURATION:"
  "--dry-run[print them, and forget none]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_prune_defaults_added=0

_shtab_upgrade_state_recipes_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--json[print one JSON object per environment and line]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_recipes_defaults_added=0

_shtab_upgrade_state_record_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--lockfile[the lockfile\'s name in the directory]:NAME:(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)"
  "--name[the environment\'s name, if the lockfile has several]:NAME:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--format[the lockfile\'s format, if not by its name\: cargo, conan, conda-explicit, conda-list, conda-lock, devbox, devenv, flake, flox, mise, niv, npins, npm, pdm, pipfile, pixi, poetry, pylock, renv, requirements, spack, uv]:NAME:(cargo conan conda-explicit conda-list conda-lock devbox devenv flake flox mise niv npins npm pdm pipfile pixi poetry pylock renv requirements spack uv)"
  "--old[the lockfile that was checked]:FILE:_files"
  "--new[the lockfile after the upgrade]:FILE:_files"
  "--flox[instead\: the last check that Flox itself has made]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":a directory (default\: this one) or a lockfile:_upgrade_state_environments"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_record_defaults_added=0

_shtab_upgrade_state_shared_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--older-than[with prune\: results that are at least so old (default\: 90d)]:DURATION:"
  "--json[with list\: print one JSON object per check and line]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":what to do:(init list prune)"
  ":where the results are (default\: UPGRADE_STATE_SHARED):"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_shared_defaults_added=0

_shtab_upgrade_state_show_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--lockfile[the lockfile\'s name in the directory]:NAME:(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)"
  "--name[the environment\'s name, if the lockfile has several]:NAME:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--platform[count upgrades for this platform, in the lockfile\'s word]:NAME:"
  "--interval[minimum time between two notices (default\: 1d\; 0\: none)]:DURATION:"
  "--reminder[minimum time before unchanged upgrades are announced again (default\: 7d)]:DURATION:"
  "--could-not-check[notify, at most weekly, when checks have failed this long (default\: 7d)]:DURATION:"
  "--max-age[how long a check is good for (default\: 1d)]:DURATION:"
  "--json[print one JSON object per environment and line]"
  "--all[list every upgrade]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":a directory (default\: the nearest known one, upward) or a lockfile:_upgrade_state_environments"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_show_defaults_added=0

_shtab_upgrade_state_snooze_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--lockfile[the lockfile\'s name in the directory]:NAME:(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)"
  "--name[the environment\'s name, if the lockfile has several]:NAME:"
  "--cache-dir[the absolute path of the cache directory]:DIR:_files -/"
  "--for[how long to stay silent, such as 12h, 7d or \'2 weeks\']:DURATION:"
  "--until[stay silent up to this time, such as tomorrow or 2026-12-24]:TIME:"
  "--off[end the snooze]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
  ":a directory (default\: the nearest known one, upward) or a lockfile:_upgrade_state_environments"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_snooze_defaults_added=0

_shtab_upgrade_state_version_options=(
  "(- : *)"{-h,--help}"[show this help message and exit]"
  "--color[use colours\: auto (default), always or never]:WHEN:(auto always never)"
)

# guard to ensure default positional specs are added only once per session
_shtab_upgrade_state_version_defaults_added=0


_shtab_upgrade_state() {
  local context state line curcontext="$curcontext" one_or_more='(*)' remainder='(-)*:' default='*::: :->upgrade-state'

  # Add default positional/remainder specs only if none exist, and only once per session
  if (( ! _shtab_upgrade_state_defaults_added )); then
    if (( ${_shtab_upgrade_state_options[(I)${(q)one_or_more}*]} +          ${_shtab_upgrade_state_options[(I)${(q)remainder}*]} +          ${_shtab_upgrade_state_options[(I)${(q)default}]} == 0 )); then
      _shtab_upgrade_state_options+=(': :_shtab_upgrade_state_commands' '*::: :->upgrade-state')
    fi
    _shtab_upgrade_state_defaults_added=1
  fi
  _arguments -C -s $_shtab_upgrade_state_options

  case $state in
    upgrade-state)
      words=($line[1] "${words[@]}")
      (( CURRENT += 1 ))
      curcontext="${curcontext%:*:*}:_shtab_upgrade_state-$line[1]:"
      case $line[1] in
        check) _arguments -C -s $_shtab_upgrade_state_check_options ;;
        completion) _arguments -C -s $_shtab_upgrade_state_completion_options ;;
        doctor) _arguments -C -s $_shtab_upgrade_state_doctor_options ;;
        forget) _arguments -C -s $_shtab_upgrade_state_forget_options ;;
        help) _arguments -C -s $_shtab_upgrade_state_help_options ;;
        hook) _arguments -C -s $_shtab_upgrade_state_hook_options ;;
        list) _arguments -C -s $_shtab_upgrade_state_list_options ;;
        notify) _arguments -C -s $_shtab_upgrade_state_notify_options ;;
        path) _arguments -C -s $_shtab_upgrade_state_path_options ;;
        prune) _arguments -C -s $_shtab_upgrade_state_prune_options ;;
        recipes) _arguments -C -s $_shtab_upgrade_state_recipes_options ;;
        record) _arguments -C -s $_shtab_upgrade_state_record_options ;;
        shared) _arguments -C -s $_shtab_upgrade_state_shared_options ;;
        show) _arguments -C -s $_shtab_upgrade_state_show_options ;;
        snooze) _arguments -C -s $_shtab_upgrade_state_snooze_options ;;
        version) _arguments -C -s $_shtab_upgrade_state_version_options ;;
      esac
  esac
}

# Custom Preamble

# Within quotes only directories: two kinds of candidates for one would erase the word.
_upgrade_state_environments() {
  local line expl
  local -a found
  if [[ -z $compstate[quote] ]]; then
    command upgrade-state completion --environments "$PREFIX" 2>/dev/null |
    while IFS= read -r line; do
      found+=("${${(q)line}/#\\~/~}")
    done
    _wanted environments expl 'checked environment' compadd -Q -a found
  fi
  _files -/
}

# End Custom Preamble


typeset -A opt_args

if [[ $zsh_eval_context[-1] == eval ]]; then
  # eval/source/. command, register function for later
  compdef _shtab_upgrade_state -N upgrade-state
else
  # autoload from fpath, call function directly
  _shtab_upgrade_state "$@"
fi
