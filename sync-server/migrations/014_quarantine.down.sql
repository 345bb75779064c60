-- Takes the quarantine away.
DROP TABLE rejected_operations;
DROP FUNCTION keep_quarantine();
