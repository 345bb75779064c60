-- Takes the shape rules away.
DROP FUNCTION json_readable(jsonb);
DROP FUNCTION fix_fits(jsonb);
DROP FUNCTION number_fits(jsonb, numeric, numeric, boolean);
DROP FUNCTION payload_fits(text, jsonb, integer, bigint, uuid);
DROP FUNCTION has_key(jsonb, text);
DROP FUNCTION json_projection(text);
