-- Records for programs that stay. A role sees and changes the rows that it has made,
-- and no others, once an administrator has said:
--     grant select, insert, update, delete on upgrade_state.records to ROLE;
create table if not exists upgrade_state.records (
    owner name not null default current_user,
    key text collate "C" not null,
    record text,  -- null: only its lease is known
    version bigint not null default txid_current(),  -- what last replaced the record
    old_lockfile bytea,
    new_lockfile bytea,
    upgrades bytea,
    written timestamptz not null default now(),
    fence bigint,  -- what last took the lease of a check
    until timestamptz,
    primary key (owner, key)
) with (fillfactor = 50);  -- room for the next version in the same page

alter table upgrade_state.records enable row level security, force row level security;
drop policy if exists own on upgrade_state.records;
create policy own on upgrade_state.records using (owner = current_user);

-- Returns the new version; null if another one than $2 is in place. A function keeps
-- its plan, and planning takes as long as the rest of a claim.
create or replace function upgrade_state.replace(text, bigint, text) returns bigint
    language plpgsql as $$
begin
    update upgrade_state.records
        set record = $3, version = txid_current(), written = now()
        where owner = current_user and key = $1 and version = $2;
    return case when found then txid_current() end;
end
$$;

-- It has the rights of its caller.
grant execute on function upgrade_state.replace(text, bigint, text) to public;
