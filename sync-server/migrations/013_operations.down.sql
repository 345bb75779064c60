-- Takes the record of operations away.
DROP TABLE operations;
DROP FUNCTION keep_operation();
