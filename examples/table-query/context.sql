-- Where and when do shops get less than they ordered, and what does it cost?
SELECT
  route,
  dayname(delivered_at) AS weekday,
  count(*) AS deliveries,
  sum(ordered - delivered) AS pieces_short,
  round(100 * sum(ordered - delivered) / sum(ordered), 1) AS percent_short,
  round(sum((ordered - delivered) * unit_price), 2) AS missed_sales
FROM content
GROUP BY route, weekday
HAVING pieces_short > 0
ORDER BY missed_sales DESC
LIMIT 5;
