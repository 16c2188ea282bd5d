-- name: path
SELECT current_setting('search_path')

-- name: look
SELECT set_config('search_path', %(path)s, true), set_config('miqyas.known_at', %(known_at)s, true)
