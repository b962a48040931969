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
    [[ ${PWD-} != "${__upgrade_state_dir-}" && -t 2 && ! -o restricted ]] || \builtin return 0
    __upgrade_state_dir=${PWD-}
    {
        [[ . -ef ${PWD-} ]] || \builtin return 0
        \builtin local __upgrade_state_top=. __upgrade_state_up=. __upgrade_state_ceiling
        \builtin local -a __upgrade_state_devices
        until [[ $__upgrade_state_top -ef ${HOME-} || ! -e $__upgrade_state_top/.. ||
            $__upgrade_state_top -ef $__upgrade_state_top/.. ]]; do
            __upgrade_state_top=$__upgrade_state_top/..
        done
        # Outside of home, they end on the device that this directory is on.
        if [[ ! $__upgrade_state_top -ef ${HOME-} ]] &&
            \builtin zmodload -F zsh/stat b:zstat 2>/dev/null; then
            while
                \builtin zstat -A __upgrade_state_devices +device \
                    . $__upgrade_state_top 2>/dev/null
                [[ $__upgrade_state_devices[1] != $__upgrade_state_devices[2] ]]
            do
                __upgrade_state_top=${__upgrade_state_top%/..}
            done
        fi
        until
            [[ -f $__upgrade_state_up/@NAME@ ]]
        do
            [[ $__upgrade_state_up != $__upgrade_state_top ]] || \builtin return 0
            __upgrade_state_up=$__upgrade_state_up/..
            for __upgrade_state_ceiling in ${(s.:.)UPGRADE_STATE_CEILING-}; do
                [[ $__upgrade_state_ceiling != /* ||
                    ! $__upgrade_state_up -ef $__upgrade_state_ceiling ]] ||
                    \builtin return 0
            done
        done
        [[ ! -x @PROGRAM@ || ! -x @PYTHON@ ]] ||
            PYTHONPATH=@PYTHONPATH@ @COMMAND@ </dev/null >/dev/null
    } || :
}

# Once, and last: the other functions keep their places. In a function, since with
# ksh_arrays zsh would see only the first element.
() {
    \builtin emulate -L zsh
    \builtin typeset -ga precmd_functions
    precmd_functions=(${precmd_functions:#__upgrade_state_prompt} __upgrade_state_prompt)
}
