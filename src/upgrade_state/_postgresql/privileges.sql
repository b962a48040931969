-- Every role may execute a new function. Default privileges of one schema cannot
-- change that, so new functions (those without privileges) are revoked one by one;
-- privileges that an administrator has granted stay.
do $$
declare
    name regprocedure;
begin
    for name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'upgrade_state'::regnamespace and proacl is null
    loop
        execute format('revoke all on function %s from public', name);
    end loop;
end
$$;
