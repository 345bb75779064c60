-- Takes the record of imports away.
DROP TABLE imported_rows;
