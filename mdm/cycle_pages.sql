-- name: heading
SELECT id FROM determinant_heading WHERE digest = %(digest)s ORDER BY id LIMIT 1

-- name: add_heading
WITH heading AS (
    INSERT INTO determinant_heading (digest, lines)
    VALUES (%(digest)s, cardinality(%(names)s::text[]))
    RETURNING id
), lines AS (
    INSERT INTO determinant_heading_line
        (heading_id, position, name, reading_type_id, part, scale, unit, rounding, note)
    SELECT heading.id, n.position, n.name, t.id, n.part, n.scale, n.unit, n.rounding, n.note
    FROM heading, unnest(%(names)s::text[], %(reading_types)s::text[], %(parts)s::text[],
                         %(scales)s::numeric[], %(units)s::text[], %(roundings)s::text[],
                         %(notes)s::text[])
        WITH ORDINALITY AS n (name, reading_type, part, scale, unit, rounding, note, position)
    JOIN reading_type t ON t.name = n.reading_type
)
SELECT id FROM heading
