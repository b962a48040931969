# At the first prompt in a directory, look for a lockfile there and above. If there
# is one, run the command.
#
# Not chpwd: it also runs in subshells and command substitutions, and inside functions
# that change the directory for a moment.
#
# `upgrade-state hook` replaces words in @ signs and drops comment lines. The reasons
# are those in hook.bash.

\builtin typeset -g __upgrade_state_dir=

__upgrade_state_prompt() {
    # Undo the user's options, `set -x` included; called functions inherit this.
    \builtin emulate -L zsh -o no_xtrace
    if [[ ${PWD-} != "${__upgrade_state_dir-}" && -t 2 ]]; then
        __upgrade_state_dir=${PWD-}
        __upgrade_state_look || :
    fi
}

__upgrade_state_look() {
    [[ . -ef ${PWD-} ]] || \builtin return 0
    \builtin local __upgrade_state_up=.
    until [[ -f $__upgrade_state_up/@NAME@ ]]; do
        [[ -e $__upgrade_state_up/.. ]] || \builtin return 0
        [[ ! $__upgrade_state_up -ef $__upgrade_state_up/.. ]] || \builtin return 0
        __upgrade_state_up=$__upgrade_state_up/..
    done
    [[ -x @PROGRAM@ && -x @PYTHON@ ]] || \builtin return 0
    PYTHONPATH=@PYTHONPATH@ @COMMAND@ "$__upgrade_state_up" </dev/null >/dev/null
}

# Once, and last: the other functions keep their places. In a function, since with
# ksh_arrays zsh would see only the first element.
() {
    \builtin emulate -L zsh
    \builtin typeset -ga precmd_functions
    precmd_functions=(${precmd_functions:#__upgrade_state_prompt} __upgrade_state_prompt)
}
