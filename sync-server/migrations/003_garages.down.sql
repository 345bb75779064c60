-- Drops the garages.
DROP TABLE garages;
