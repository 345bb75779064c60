-- Takes the devices away.
DROP TABLE devices;
