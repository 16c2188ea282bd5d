-- name: only_read
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: server_version
SHOW server_version
