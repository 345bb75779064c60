-- Drops the tenants.
DROP TABLE tenants;
