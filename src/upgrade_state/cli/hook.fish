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
    builtin set -l up .
    # One call for all names takes half the time of a loop.
    while not builtin path filter -q -f -- $up/{@NAMES@}
        builtin test -e $up/.. -a ! $up -ef $up/..; or return 0
        builtin set up $up/..
    end
    builtin test -x @PROGRAM@ -a -x @PYTHON@; or return 0
    PYTHONPATH=@PYTHONPATH@ @COMMAND@ $up </dev/null >/dev/null
end
