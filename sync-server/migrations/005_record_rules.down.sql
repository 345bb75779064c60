-- Takes the rules of record rows away.
DROP TRIGGER refuse_delete ON vehicles;
DROP TRIGGER refuse_delete ON garages;
DROP TRIGGER stamp_vehicle ON vehicles;
DROP TRIGGER stamp ON profiles;
DROP TRIGGER stamp ON vehicles;
DROP TRIGGER stamp ON garages;
DROP FUNCTION refuse_delete();
DROP FUNCTION stamp_vehicle();
DROP FUNCTION stamp_record();
