-- Drops the profiles.
DROP TABLE profiles;
