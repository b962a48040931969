-- Shared results: a row per question, with its last answer, lease and failures.
--
-- The server's clock decides. A checker that asks reads first, and writes only to take
-- a lease, so asking again while another checker is at work leaves no dead row. Times
-- go to clients as seconds from now: their clocks may be hours off.

CREATE SEQUENCE IF NOT EXISTS upgrade_state.fences;

CREATE TABLE IF NOT EXISTS upgrade_state.results (
    question bytea PRIMARY KEY CHECK (octet_length(question) = 32),
    lockfile text NOT NULL CHECK (length(lockfile) <= 200),
    label text CHECK (length(label) <= 200),
    fence bigint NOT NULL, leased_at timestamptz NOT NULL,
    is_leased boolean NOT NULL DEFAULT true,
    new_lockfile bytea CHECK (octet_length(new_lockfile) <= 16777216),
    version_changes bigint, rebuilds bigint, answered_at timestamptz,
    attempts bigint NOT NULL DEFAULT 0, failed_at timestamptz, failing_since timestamptz
) WITH (fillfactor = 70);

-- Null for a time that is more than 5 minutes ahead: the clock was set back since then.
CREATE OR REPLACE FUNCTION upgrade_state.seconds_since(moment timestamptz)
RETURNS double precision LANGUAGE sql AS $$
    SELECT CASE WHEN moment < clock_timestamp() + interval '5 minutes'
        THEN extract(epoch FROM clock_timestamp() - moment) END
$$;

-- Only a role that may answer gets a lease. A row that another session is changing is
-- not waited for. A check on purpose asks with a max_age of zero and the time that it
-- has waited, at most a lease: of the failures, only those since then count for it.
CREATE OR REPLACE FUNCTION upgrade_state.ask(
    question bytea, max_age double precision, lockfile text, label text,
    OUT answer bytea, OUT answered double precision, OUT lease bigint,
    OUT busy double precision, OUT failing double precision
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = upgrade_state, pg_temp SET lock_timeout = '2s' AS $$
#variable_conflict use_column
DECLARE
    known results;
    back_off double precision;
BEGIN
    FOR attempt IN 1..2 LOOP
        SELECT * INTO known FROM results WHERE question = ask.question;
        IF max_age > 0 AND seconds_since(known.answered_at) <= max_age THEN
            answer := known.new_lockfile;
            answered := -seconds_since(known.answered_at);
            RETURN;
        END IF;
        IF known.is_leased AND seconds_since(known.leased_at) < 900 THEN
            busy := 900 - seconds_since(known.leased_at);
            RETURN;
        END IF;
        back_off := least(300 * 2 ^ least(known.attempts - 1, 9), 86400);
        IF seconds_since(known.failed_at) <=
                least(back_off, CASE WHEN max_age < 900 THEN max_age END) THEN
            failing := back_off - seconds_since(known.failed_at);
            RETURN;
        END IF;
        IF NOT has_function_privilege(session_user,
                'answer(bytea, bigint, bytea, bigint, bigint)', 'EXECUTE') THEN
            RETURN;
        END IF;
        IF known.question IS NULL THEN
            INSERT INTO results (question, lockfile, label, fence, leased_at) VALUES
                (question, lockfile, label, nextval('fences'), clock_timestamp())
            ON CONFLICT DO NOTHING RETURNING fence INTO lease;
        ELSE
            UPDATE results SET fence = nextval('fences'), leased_at = clock_timestamp(),
                is_leased = true, label = ask.label
            WHERE question IN (
                SELECT question FROM results WHERE question = ask.question
                AND fence = known.fence AND is_leased = known.is_leased
                FOR UPDATE SKIP LOCKED
            ) RETURNING fence INTO lease;
        END IF;
        IF FOUND THEN RETURN; END IF;
    END LOOP;
    busy := 900;
END $$;

-- False: the lease has ended, or another checker has taken it over.
CREATE OR REPLACE FUNCTION upgrade_state.answer(
    question bytea, fence bigint, new_lockfile bytea,
    version_changes bigint, rebuilds bigint
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = upgrade_state, pg_temp SET lock_timeout = '2s' AS $$
#variable_conflict use_column
BEGIN
    UPDATE results SET is_leased = false, new_lockfile = $3, version_changes = $4,
        rebuilds = $5, answered_at = clock_timestamp(),
        attempts = 0, failed_at = NULL, failing_since = NULL
    WHERE question = $1 AND fence = $2 AND is_leased;
    RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION upgrade_state.give_up(
    question bytea, fence bigint, failed boolean
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = upgrade_state, pg_temp SET lock_timeout = '2s' AS $$
#variable_conflict use_column
DECLARE
    failure timestamptz := CASE WHEN failed THEN clock_timestamp() END;
BEGIN
    UPDATE results SET is_leased = false, attempts = attempts + failed::integer,
        failed_at = coalesce(failure, failed_at),
        failing_since = coalesce(failing_since, failure)
    WHERE question = $1 AND fence = $2 AND is_leased;
    RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION upgrade_state.list() RETURNS TABLE (
    label text, lockfile text, version_changes bigint, rebuilds bigint,
    checked double precision, failing double precision, attempts bigint, is_busy boolean
) LANGUAGE sql SECURITY DEFINER SET search_path = upgrade_state, pg_temp AS $$
    SELECT label, lockfile, version_changes, rebuilds, -seconds_since(answered_at),
        -seconds_since(failing_since), attempts,
        is_leased AND coalesce(seconds_since(leased_at) < 900, false)
    FROM results ORDER BY leased_at DESC
$$;

-- Keeps the rows of running checks, so that their answers are not dropped.
CREATE OR REPLACE FUNCTION upgrade_state.prune(older_than double precision)
RETURNS bigint LANGUAGE sql SECURITY DEFINER
SET search_path = upgrade_state, pg_temp AS $$
    WITH deleted AS (
        DELETE FROM results WHERE seconds_since(leased_at) >=
            greatest($1, CASE WHEN is_leased THEN 900 END) RETURNING 1
    ) SELECT count(*) FROM deleted
$$;
