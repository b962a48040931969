# Made by docs/commands.py with shtab.

_shtab_upgrade_state_subparsers=(check show list snooze forget hook notify completion record path shared recipes prune doctor version help)

_shtab_upgrade_state_check_option_strings=(-h --help --lockfile --name --cache-dir --recipe --once --timeout --format --copy --env --sandbox --platform --max-age --shared --json --color -j --jobs --on-error --restart --all --if-due)
_shtab_upgrade_state_show_option_strings=(-h --help --lockfile --name --cache-dir --platform --interval --reminder --could-not-check --max-age --json --all --color)
_shtab_upgrade_state_list_option_strings=(-h --help --outdated --failing --platform --interval --reminder --could-not-check --max-age --json --cache-dir --color)
_shtab_upgrade_state_snooze_option_strings=(-h --help --lockfile --name --cache-dir --for --until --off --color)
_shtab_upgrade_state_forget_option_strings=(-h --help --lockfile --name --cache-dir --color)
_shtab_upgrade_state_hook_option_strings=(-h --help --interval --reminder --max-age --could-not-check --cache-dir --color)
_shtab_upgrade_state_notify_option_strings=(-h --help --lockfile --name --cache-dir --platform --interval --reminder --could-not-check --max-age --explain --peek --check --always --color)
_shtab_upgrade_state_completion_option_strings=(-h --help --color)
_shtab_upgrade_state_record_option_strings=(-h --help --lockfile --name --cache-dir --format --old --new --flox --color)
_shtab_upgrade_state_path_option_strings=(-h --help --lockfile --name --cache-dir --color)
_shtab_upgrade_state_shared_option_strings=(-h --help --older-than --json --color)
_shtab_upgrade_state_recipes_option_strings=(-h --help --json --color)
_shtab_upgrade_state_prune_option_strings=(-h --help --cache-dir --older-than --dry-run --color)
_shtab_upgrade_state_doctor_option_strings=(-h --help --json --cache-dir --color)
_shtab_upgrade_state_version_option_strings=(-h --help --color)
_shtab_upgrade_state_help_option_strings=(-h --help --color)
_shtab_upgrade_state_option_strings=(-h --help -V --version --cache-dir --color)

_shtab_upgrade_state_check_pos_0_COMPGEN=_upgrade_state_env_dirs
_shtab_upgrade_state_check___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_check___copy_COMPGEN=_upgrade_state_files
_shtab_upgrade_state_show_pos_0_COMPGEN=_upgrade_state_env_dirs
_shtab_upgrade_state_show___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_list___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_snooze_pos_0_COMPGEN=_upgrade_state_env_dirs
_shtab_upgrade_state_snooze___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_forget_pos_0_COMPGEN=_upgrade_state_env_dirs
_shtab_upgrade_state_forget___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_hook___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_notify_pos_0_COMPGEN=_upgrade_state_env_dirs
_shtab_upgrade_state_notify___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_record_pos_0_COMPGEN=_upgrade_state_env_dirs
_shtab_upgrade_state_record___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_record___old_COMPGEN=_upgrade_state_files
_shtab_upgrade_state_record___new_COMPGEN=_upgrade_state_files
_shtab_upgrade_state_path_pos_0_COMPGEN=_upgrade_state_env_dirs
_shtab_upgrade_state_path___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_prune___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state_doctor___cache_dir_COMPGEN=_upgrade_state_dirs
_shtab_upgrade_state___cache_dir_COMPGEN=_upgrade_state_dirs

_shtab_upgrade_state_check___lockfile_choices=(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)
_shtab_upgrade_state_check___recipe_choices=(uv uv-script uv-pip uv-pip-lock uv-pylock poetry pdm pdm-named pipenv pip pip-project pip-tools pip-tools-lock npm cargo conda-lock pixi pixi-pyproject devbox mise mise-dot mise-env spack nix)
_shtab_upgrade_state_check___format_choices=(cargo conan conda-explicit conda-list conda-lock devbox devenv flake flox mise niv npins npm pdm pipfile pixi poetry pylock renv requirements spack uv)
_shtab_upgrade_state_check___color_choices=(auto always never)
_shtab_upgrade_state_check___on_error_choices=(continue stop retry)
_shtab_upgrade_state_show___lockfile_choices=(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)
_shtab_upgrade_state_show___color_choices=(auto always never)
_shtab_upgrade_state_list___color_choices=(auto always never)
_shtab_upgrade_state_snooze___lockfile_choices=(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)
_shtab_upgrade_state_snooze___color_choices=(auto always never)
_shtab_upgrade_state_forget___lockfile_choices=(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)
_shtab_upgrade_state_forget___color_choices=(auto always never)
_shtab_upgrade_state_hook_pos_0_choices=(bash zsh fish)
_shtab_upgrade_state_hook___color_choices=(auto always never)
_shtab_upgrade_state_notify___lockfile_choices=(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)
_shtab_upgrade_state_notify___color_choices=(auto always never)
_shtab_upgrade_state_completion_pos_0_choices=(bash zsh fish)
_shtab_upgrade_state_completion___color_choices=(auto always never)
_shtab_upgrade_state_record___lockfile_choices=(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)
_shtab_upgrade_state_record___format_choices=(cargo conan conda-explicit conda-list conda-lock devbox devenv flake flox mise niv npins npm pdm pipfile pixi poetry pylock renv requirements spack uv)
_shtab_upgrade_state_record___color_choices=(auto always never)
_shtab_upgrade_state_path___lockfile_choices=(.flox/env/manifest.lock Cargo.lock Pipfile.lock conan.lock conda-lock.yaml conda-lock.yml devbox.lock devenv.lock flake.lock manifest.lock mise.lock nix/sources.json npins/sources.json npm-shrinkwrap.json package-lock.json pdm.lock pixi.lock poetry.lock pylock.toml renv.lock requirements.lock requirements.txt spack.lock uv.lock)
_shtab_upgrade_state_path___color_choices=(auto always never)
_shtab_upgrade_state_shared_pos_0_choices=(init list prune)
_shtab_upgrade_state_shared___color_choices=(auto always never)
_shtab_upgrade_state_recipes___color_choices=(auto always never)
_shtab_upgrade_state_prune___color_choices=(auto always never)
_shtab_upgrade_state_doctor___color_choices=(auto always never)
_shtab_upgrade_state_version___color_choices=(auto always never)
_shtab_upgrade_state_help_pos_0_choices=(check show list snooze forget hook notify completion record path shared recipes prune doctor version help)
_shtab_upgrade_state_help___color_choices=(auto always never)
_shtab_upgrade_state_pos_0_choices=(check show list snooze forget hook notify completion record path shared recipes prune doctor version help)
_shtab_upgrade_state___color_choices=(auto always never)

_shtab_upgrade_state_check__h_nargs=0
_shtab_upgrade_state_check___help_nargs=0
_shtab_upgrade_state_check___once_nargs=0
_shtab_upgrade_state_check___sandbox_nargs=0
_shtab_upgrade_state_check___json_nargs=0
_shtab_upgrade_state_check___restart_nargs=0
_shtab_upgrade_state_check___all_nargs=0
_shtab_upgrade_state_check___if_due_nargs=0
_shtab_upgrade_state_show__h_nargs=0
_shtab_upgrade_state_show___help_nargs=0
_shtab_upgrade_state_show___json_nargs=0
_shtab_upgrade_state_show___all_nargs=0
_shtab_upgrade_state_list__h_nargs=0
_shtab_upgrade_state_list___help_nargs=0
_shtab_upgrade_state_list___outdated_nargs=0
_shtab_upgrade_state_list___failing_nargs=0
_shtab_upgrade_state_list___json_nargs=0
_shtab_upgrade_state_snooze__h_nargs=0
_shtab_upgrade_state_snooze___help_nargs=0
_shtab_upgrade_state_snooze___off_nargs=0
_shtab_upgrade_state_forget__h_nargs=0
_shtab_upgrade_state_forget___help_nargs=0
_shtab_upgrade_state_hook__h_nargs=0
_shtab_upgrade_state_hook___help_nargs=0
_shtab_upgrade_state_notify__h_nargs=0
_shtab_upgrade_state_notify___help_nargs=0
_shtab_upgrade_state_notify___explain_nargs=0
_shtab_upgrade_state_notify___peek_nargs=0
_shtab_upgrade_state_notify___check_nargs=0
_shtab_upgrade_state_notify___always_nargs=0
_shtab_upgrade_state_completion__h_nargs=0
_shtab_upgrade_state_completion___help_nargs=0
_shtab_upgrade_state_record__h_nargs=0
_shtab_upgrade_state_record___help_nargs=0
_shtab_upgrade_state_record___flox_nargs=0
_shtab_upgrade_state_path__h_nargs=0
_shtab_upgrade_state_path___help_nargs=0
_shtab_upgrade_state_shared__h_nargs=0
_shtab_upgrade_state_shared___help_nargs=0
_shtab_upgrade_state_shared___json_nargs=0
_shtab_upgrade_state_recipes__h_nargs=0
_shtab_upgrade_state_recipes___help_nargs=0
_shtab_upgrade_state_recipes___json_nargs=0
_shtab_upgrade_state_prune__h_nargs=0
_shtab_upgrade_state_prune___help_nargs=0
_shtab_upgrade_state_prune___dry_run_nargs=0
_shtab_upgrade_state_doctor__h_nargs=0
_shtab_upgrade_state_doctor___help_nargs=0
_shtab_upgrade_state_doctor___json_nargs=0
_shtab_upgrade_state_version__h_nargs=0
_shtab_upgrade_state_version___help_nargs=0
_shtab_upgrade_state_help__h_nargs=0
_shtab_upgrade_state_help___help_nargs=0
_shtab_upgrade_state_pos_0_nargs=A...
_shtab_upgrade_state__h_nargs=0
_shtab_upgrade_state___help_nargs=0
_shtab_upgrade_state__V_nargs=0
_shtab_upgrade_state___version_nargs=0


# Custom Preamble

_upgrade_state_dirs() { compgen -d -- "$1"; }
_upgrade_state_files() { compgen -f -- "$1"; }

# $1: the word as it is typed. A name with $ is left out: bash may not quote the $.
_upgrade_state_env_dirs() {
  local typed=${1//\\/} line
  case $1 in
    [\"\']*) typed=${1#?} ;;
  esac
  while IFS= read -r line; do
    if [[ $line == "$typed"* && $line != *\$* ]]; then printf '%s\n' "$line"; fi
  done < <(command upgrade-state completion --environments "$1" 2>/dev/null)
  compgen -d -- "$1"
}

# End Custom Preamble

# $1=COMP_WORDS[1]
_upgrade_state_shtab_compgen_files() {
  compgen -f -- $1  # files
}

# $1=COMP_WORDS[1]
_upgrade_state_shtab_compgen_dirs() {
  compgen -d -- $1  # recurse into subdirs
}

# $1=COMP_WORDS[1]
_upgrade_state_shtab_replace_nonword() {
  echo "${1//[^[:word:]]/_}"
}

# set default values (called for the initial parser & any subparsers)
_upgrade_state_set_parser_defaults() {
  local subparsers_var="${prefix}_subparsers[@]"
  sub_parsers=${!subparsers_var-}

  local current_option_strings_var="${prefix}_option_strings[@]"
  current_option_strings=${!current_option_strings_var}

  completed_positional_actions=0

  _upgrade_state_set_new_action "pos_$completed_positional_actions" true
}

# $1=action identifier
# $2=positional action (bool)
# set all identifiers for an action's parameters
_upgrade_state_set_new_action() {
  current_action="${prefix}_$(_upgrade_state_shtab_replace_nonword $1)"

  local current_action_compgen_var=${current_action}_COMPGEN
  current_action_compgen="${!current_action_compgen_var-}"

  local current_action_choices_var="${current_action}_choices[@]"
  current_action_choices="${!current_action_choices_var-}"

  local current_action_nargs_var="${current_action}_nargs"
  if [ -n "${!current_action_nargs_var-}" ]; then
    current_action_nargs="${!current_action_nargs_var}"
  else
    current_action_nargs=1
  fi

  current_action_args_start_index=$(( $word_index + 1 - $pos_only ))

  current_action_is_positional=$2
}

# Notes:
# `COMPREPLY`: what will be rendered after completion is triggered
# `completing_word`: currently typed word to generate completions for
# `${!var}`: evaluates the content of `var` and expand its content as a variable
#     hello="world"
#     x="hello"
#     ${!x} -> ${hello} -> "world"
_shtab_upgrade_state() {
  local completing_word="${COMP_WORDS[COMP_CWORD]}"
  local previous_word="${COMP_WORDS[COMP_CWORD-1]}"
  local completed_positional_actions
  local current_action
  local current_action_args_start_index
  local current_action_choices
  local current_action_compgen
  local current_action_is_positional
  local current_action_nargs
  local current_option_strings
  local sub_parsers
  COMPREPLY=()

  local prefix=_shtab_upgrade_state
  local word_index=0
  local pos_only=0 # "--" delimiter not encountered yet
  _upgrade_state_set_parser_defaults
  word_index=1

  # determine what arguments are appropriate for the current state
  # of the arg parser
  while [ $word_index -ne $COMP_CWORD ]; do
    local this_word="${COMP_WORDS[$word_index]}"

    if [[ $pos_only = 1 || " $this_word " != " -- " ]]; then
      if [[ -n $sub_parsers && " ${sub_parsers[@]} " == *" $this_word "* ]]; then
        # valid subcommand: add it to the prefix & reset the current action
        prefix="${prefix}_$(_upgrade_state_shtab_replace_nonword $this_word)"
        _upgrade_state_set_parser_defaults
      fi

      if [[ " ${current_option_strings[@]} " == *" $this_word "* ]]; then
        # a new action should be acquired (due to recognised option string or
        # no more input expected from current action);
        # the next positional action can fill in here
        _upgrade_state_set_new_action $this_word false
      fi

      if [[ "$current_action_nargs" != "*" ]] && \
         [[ "$current_action_nargs" != "+" ]] && \
         [[ "$current_action_nargs" != "?" ]] && \
         [[ "$current_action_nargs" != *"..." ]] && \
         (( $word_index + 1 - $current_action_args_start_index - $pos_only >= \
            $current_action_nargs )); then
        $current_action_is_positional && let "completed_positional_actions += 1"
        _upgrade_state_set_new_action "pos_$completed_positional_actions" true
      fi
    else
      pos_only=1 # "--" delimiter encountered
    fi

    let "word_index+=1"
  done

  # Generate the completions

  COMPREPLY=()
  if [[ $pos_only = 0 && "$completing_word" == -* &&
        ( -z "$current_action_compgen" || "$current_action_is_positional" = true ) ]]; then
    # optional argument started: use option strings
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_option_strings[*]}" -- "$completing_word")
  elif [[ "$previous_word" =~ ^[0-9\&]*[\<\>]\>?$ ]]; then
    # handle redirection operators
    compopt -o filenames 2>/dev/null || : # bash>=4
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$completing_word")
  else
    # use choices & compgen
    local action_compgen_word="$completing_word"
    # handle tab-completing in the middle of a line (#248 <- #116)
    [[ -n "$current_action_compgen" && "$completing_word" == -* ]] && action_compgen_word=""
    [ -n "$current_action_compgen" ] && {
      [[ "$current_action_compgen" =~ _(file|dir|glob|FILE|DIR|GLOB)|File|Dir|Glob ]] &&
        compopt -o filenames 2>/dev/null || : # bash>=4
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
        "$current_action_compgen" "$action_compgen_word")
    }
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_action_choices[*]}" -- "$completing_word")
  fi

  if [[ ${#COMPREPLY[@]} = 0 ]]; then
    # native fallback matches are not necessarily filenames (e.g. variables)
    compopt +o filenames 2>/dev/null || : # bash>=4
  fi

  return 0
}

complete -o bashdefault -F _shtab_upgrade_state upgrade-state
