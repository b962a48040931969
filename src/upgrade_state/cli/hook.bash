# At the first prompt in a directory, look for a lockfile there and above. If there
# is one, run the command.
#
# Without a lockfile it costs no process, no subshell and no listing of a directory.
# It changes neither $? nor options, aliases or names. `upgrade-state hook` replaces
# words in @ signs and drops comment lines. For bash 3.2 and later.

# Not inherited, even if the user exports everything.
__upgrade_state_dir=

# A single function: FUNCNEST=1 refuses a call in a call.
__upgrade_state_prompt() {
    # Not [[ ]]: with nocasematch, A and a would be one directory. If stderr is no
    # terminal, a notice would not be seen, so none is claimed. A restricted shell may
    # not run the command.
    if ! \builtin test "${PWD-}" = "${__upgrade_state_dir-}" &&
        [[ -t 2 && $- != *r* ]]; then
        __upgrade_state_dir=${PWD-}
        # Before || a failure is no error, for `set -e` and a trap for ERR.
        {
            # This directory was removed.
            [[ . -ef ${PWD-} ]] || \builtin return "${1-0}"
            # Assigned later: `set -k` takes assignments among the arguments away.
            \builtin local __upgrade_state_up __upgrade_state_top __upgrade_state_list
            \builtin local __upgrade_state_here __upgrade_state_there
            # Steps from the working directory, not parts of $PWD: they lead where the
            # manager looks, symlinks or not, and contain no odd names. They end at the
            # home directory, at the root, which is its own parent, and at a directory
            # without permission, which has none.
            __upgrade_state_top=.
            until [[ $__upgrade_state_top -ef ${HOME-} || ! -e $__upgrade_state_top/.. ||
                $__upgrade_state_top -ef $__upgrade_state_top/.. ]]; do
                __upgrade_state_top=$__upgrade_state_top/..
            done
            # Outside of home, they end in the mount that this directory is in. Linux has
            # its number in a file for each open file.
            if [[ ! $__upgrade_state_top -ef ${HOME-} ]]; then
                __upgrade_state_here='' __upgrade_state_there=''
                {
                    \builtin read -r -d '' __upgrade_state_here \
                        8<. </proc/self/fdinfo/8
                    until
                        \builtin read -r -d '' __upgrade_state_there \
                            8<"$__upgrade_state_top" </proc/self/fdinfo/8
                        [[ -z $__upgrade_state_here || $__upgrade_state_top == . ||
                            ${__upgrade_state_here%ino:*} == "${__upgrade_state_there%ino:*}" ]]
                    do
                        __upgrade_state_top=${__upgrade_state_top%/..}
                    done
                } 2>/dev/null
            fi
            __upgrade_state_up=.
            # A command for each name: Ctrl-C does not end a condition.
            until
                [[ -f $__upgrade_state_up/@NAME@ ]]
            do
                [[ $__upgrade_state_up != "$__upgrade_state_top" ]] ||
                    \builtin return "${1-0}"
                __upgrade_state_up=$__upgrade_state_up/..
                # Not split into words, which depends on IFS and `set -f`.
                __upgrade_state_list=${UPGRADE_STATE_CEILING-}
                while [[ -n $__upgrade_state_list ]]; do
                    [[ $__upgrade_state_list != /* ||
                        ! $__upgrade_state_up -ef ${__upgrade_state_list%%:*} ]] ||
                        \builtin return "${1-0}"
                    [[ $__upgrade_state_list == *:* ]] || \builtin break
                    __upgrade_state_list=${__upgrade_state_list#*:}
                done
            done
            # The command may have been uninstalled since. An empty part of PYTHONPATH
            # would import modules from the directory entered.
            [[ ! -x @PROGRAM@ || ! -x @PYTHON@ ]] ||
                PYTHONPATH=@PYTHONPATH@ @COMMAND@ </dev/null >/dev/null
        } || :
    fi
    # Later commands in the same string see the user's status.
    \builtin return "${1-0}"
}

# Only in interactive shells, and once.
if [[ $- == *i* &&
    ${PROMPT_COMMAND[*]-}${precmd_functions[*]-} != *__upgrade_state_prompt* ]]; then
    # bash-preexec rewrites PROMPT_COMMAND at the first prompt.
    if \builtin type -p __bp_precmd_invoke_cmd; then
        precmd_functions+=(__upgrade_state_prompt)
    # Since bash 5.1 it may be an array, whose elements do not see each other's status.
    # An array is never exported, so an exported string stays a string.
    elif ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) &&
        [[ -n ${PROMPT_COMMAND-} && ${PROMPT_COMMAND@a} != *x* ]]; then
        PROMPT_COMMAND+=(__upgrade_state_prompt)
    else
        # On a line of its own, whatever the line before ends with. A shell that inherits
        # only the text defines the function, as nothing else keeps a status. Before
        # && a failure is no error: `set -e` would end the shell, and a trap for ERR
        # would run twice.
        # shellcheck disable=SC2128,SC2154,SC2178  # it is no array here
        PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}'__upgrade_state_status=$?
\builtin type -p __upgrade_state_prompt || __upgrade_state_prompt() { \builtin return "$1"; }
__upgrade_state_prompt "$__upgrade_state_status" && \builtin :'
    fi
fi
