-- name: add
-- Left out is what was said last, and what is older than that and stands in the record already: an
-- answer that is given again as it was.
INSERT INTO account_balance (target, account, currency, balance, as_of, usage_points, received_at)
SELECT %(target)s, n.account, n.currency, n.balance, n.as_of, string_to_array(n.points, E'\n'),
       %(now)s
FROM unnest(%(accounts)s::text[], %(currencies)s::text[], %(balances)s::numeric[],
            %(days)s::date[], %(points)s::text[])
    AS n (account, currency, balance, as_of, points)
WHERE NOT EXISTS (
    SELECT FROM (
        SELECT b.balance, b.as_of, b.usage_points FROM account_balance b
        WHERE (b.target, b.account, b.currency) = (%(target)s, n.account, n.currency)
        ORDER BY b.as_of DESC, b.id DESC LIMIT 1
    ) last
    WHERE (last.balance, last.as_of) = (n.balance, n.as_of)
      AND last.usage_points @> string_to_array(n.points, E'\n')
) AND NOT EXISTS (
    SELECT FROM account_balance b
    WHERE (b.target, b.account, b.currency) = (%(target)s, n.account, n.currency)
      AND (b.balance, b.as_of) = (n.balance, n.as_of)
      AND b.usage_points @> string_to_array(n.points, E'\n')
      AND EXISTS (
          SELECT FROM account_balance newer
          WHERE (newer.target, newer.account, newer.currency) = (b.target, b.account, b.currency)
            AND newer.as_of > b.as_of
      )
)

-- name: newest
SELECT target, account, currency, balance, as_of, usage_points, received_at
FROM billing_account_balance
WHERE balance <> 0
ORDER BY balance DESC, account LIMIT %(limit)s

-- name: of_account
SELECT target, account, currency, balance, as_of, usage_points, received_at
FROM account_balance WHERE account = %(account)s
ORDER BY as_of DESC, id DESC LIMIT %(limit)s

-- name: sums
SELECT currency, count(*), coalesce(sum(balance) FILTER (WHERE balance > 0), 0),
       count(*) FILTER (WHERE balance > 0), coalesce(-sum(balance) FILTER (WHERE balance < 0), 0),
       max(as_of)
FROM billing_account_balance GROUP BY currency ORDER BY currency
