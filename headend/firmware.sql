-- name: add_image
INSERT INTO firmware_image (identifier, digest, content, added_at)
VALUES (%(identifier)s, %(digest)s, %(content)s, %(now)s)
ON CONFLICT (digest) DO NOTHING

-- name: image_of_digest
SELECT id, identifier, octet_length(content) FROM firmware_image WHERE digest = %(digest)s

-- name: image
SELECT identifier, content FROM firmware_image WHERE id = %(id)s
