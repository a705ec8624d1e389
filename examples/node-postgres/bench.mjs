// Loads a database through pg's pool, and prints what it measured as one JSON object.
import pg from "pg";

// pool-tune's settings; the names begin with the prefix that `--prefix` gives, SUPABASE without a word.
const setting = (name, otherwise) => Number(process.env[`SUPABASE_${name}`] ?? otherwise);
const about = (name, otherwise) => Number(process.env[`POOL_TUNE_${name}`] ?? otherwise);

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: setting("MAX_CONNECTIONS", 10),
  // pg counts these in milliseconds.
  connectionTimeoutMillis: 1000 * setting("CONNECTION_TIMEOUT", 30),
  idleTimeoutMillis: 1000 * setting("IDLE_TIMEOUT", 10),
});
pool.on("error", () => {});

await pool.query("CREATE TABLE IF NOT EXISTS pool_tune_example (id int PRIMARY KEY, balance bigint NOT NULL)");
await pool.query("INSERT INTO pool_tune_example SELECT n, 0 FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING");

const warmUp = about("WARM_UP", 0.5);
const begin = performance.now() + 1000 * warmUp;
const end = begin + 1000 * about("SECONDS", 2);
const times = [];
let failures = 0;

async function work() {
  for (let asked = performance.now(); asked < end; asked = performance.now()) {
    try {
      const id = 1 + Math.floor(1000 * Math.random());
      await pool.query("SELECT balance FROM pool_tune_example WHERE id = $1", [id]);
      if (asked >= begin) times.push((performance.now() - asked) / 1000);
    } catch {
      if (asked >= begin) failures += 1;
    }
  }
}

await Promise.all(Array.from({ length: about("WORKERS", 16) }, work));
const seconds = (performance.now() - begin) / 1000;
await pool.end();

times.sort((a, b) => a - b);
const at = (share) => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0;
const mean = times.reduce((sum, time) => sum + time, 0) / Math.max(times.length, 1);
const response = { mean, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1) };
console.log(JSON.stringify({ successes: times.length, failures, seconds, warm_up_seconds: warmUp, response }));
