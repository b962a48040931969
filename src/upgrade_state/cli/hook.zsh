# At a prompt in a directory that is another one than at the last prompt: look
# for a lockfile there and above, and if there is one, run the command.
#
# Not chpwd: that runs in subshells and command substitutions, too, and in the
# middle of whatever changes the directory for a moment.
#
# A word in @ signs is filled in by `upgrade-state hook`, which leaves out what
# stands in lines like this one. The reasons are those in hook.bash.

\builtin typeset -g __upgrade_state_dir=

__upgrade_state_prompt() {
    # Whatever the user has set, `set -x` included. What follows inherits it.
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

# Once, and last: what is there keeps its place. In a function, since the user
# may have set zsh to see one element where there are many.
() {
    \builtin emulate -L zsh
    \builtin typeset -ga precmd_functions
    precmd_functions=(${precmd_functions:#__upgrade_state_prompt} __upgrade_state_prompt)
}
