-- The frame of the schema. All scripts run in one transaction, and again without harm.
-- A second script waits here: "if not exists" alone fails if two run at once.
select pg_advisory_xact_lock(8319104478);

do $$
begin
    -- The owner of a schema could have code in it, to be run by the next statements.
    if exists (
        select from pg_namespace
        where nspname = 'upgrade_state' and pg_get_userbyid(nspowner) <> current_user
    ) then
        raise insufficient_privilege
            using message = 'permission denied: another role has made the schema';
    end if;
    if to_regproc('upgrade_state.version') is not null then
        if upgrade_state.version() <> 1 then
            raise exception 'the database has version % of the schema of upgrade-state',
                upgrade_state.version();
        end if;
    end if;
end
$$;

create schema if not exists upgrade_state;

-- The right to use the schema gives no right to a table or function in it.
grant usage on schema upgrade_state to public;

create or replace function upgrade_state.version() returns bigint
    language sql immutable parallel safe as 'select 1::bigint';

revoke all on function upgrade_state.version() from public;
grant execute on function upgrade_state.version() to public;
