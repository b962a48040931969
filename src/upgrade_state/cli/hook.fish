# At the first prompt in a directory, look for a lockfile there and above. If there
# is one, run the command.
#
# `upgrade-state hook` replaces words in @ signs and drops comment lines. For fish 3.6
# and later. The reasons are those in hook.bash.

# Global: a universal variable would be shared by all shells.
builtin set -g __upgrade_state_dir

function __upgrade_state_prompt --on-event fish_prompt
    if not builtin test "$PWD" = "$__upgrade_state_dir"; and builtin test -t 2
        builtin set -g __upgrade_state_dir $PWD
        __upgrade_state_look
    end
end

function __upgrade_state_look
    builtin test . -ef "$PWD"; or return 0
    builtin set -l top .
    while builtin test ! $top -ef "$HOME" -a -e $top/.. -a ! $top -ef $top/..
        builtin set top $top/..
    end
    # Outside of home, the top of the mount that this directory is in. Nothing in
    # parentheses is a process, but a thread waits for it: not in every directory.
    if builtin test ! $top -ef "$HOME" -a -r /proc/self/mountinfo
        builtin set top .
        builtin set -l path ''
        builtin set -l mounts (builtin string split -f 5 ' ' </proc/self/mountinfo)
        for part in (builtin path resolve -- . |
            builtin string replace -a ' ' '\\040' | builtin string split -n /)
            builtin set path $path/$part
            builtin set top $top/..
            builtin contains -- $path $mounts; and builtin set top .
        end
    end
    builtin set -l ceilings
    builtin set -q UPGRADE_STATE_CEILING
    and builtin set ceilings (builtin string match -- '/*' \
        (builtin string split : -- $UPGRADE_STATE_CEILING))
    builtin set -l up .
    while true
        builtin test -f $up/@NAME@
        and break
        builtin test $up != $top; or return 0
        builtin set up $up/..
        for ceiling in $ceilings
            builtin test $up -ef $ceiling; and return 0
        end
    end
    builtin test -x @PROGRAM@ -a -x @PYTHON@; or return 0
    PYTHONPATH=@PYTHONPATH@ @COMMAND@ </dev/null >/dev/null
end
