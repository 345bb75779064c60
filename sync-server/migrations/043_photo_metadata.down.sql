-- Takes away what photos say about themselves.
DROP FUNCTION photo_facts(photo_metadata);
DROP TABLE photo_metadata;
DROP FUNCTION refuse_restating();
