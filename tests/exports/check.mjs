// Loads an export with the library that it is for and prints what the library then holds, as JSON.
// Called as `check.mjs FORMAT FILE FOLDER`, where FOLDER holds node_modules.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [format, file, folder] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const exported = await import(pathToFileURL(file));

const readers = {
  'node-postgres': (pool) => {
    const { Pool } = require('pg');
    const { min, max, connectionTimeoutMillis, maxLifetimeSeconds, idleTimeoutMillis } = new Pool(pool).options;
    return { min, max, connectionTimeoutMillis, maxLifetimeSeconds, idleTimeoutMillis };
  },
  knex: (pool) => {
    const knex = require('knex')({ client: 'pg', connection: {}, pool });
    const { min, max, acquireTimeoutMillis, idleTimeoutMillis } = knex.client.pool;
    // The lifetime is no option of the pool but a limit that each connection gets when it is opened.
    const { maxConnectionLifetimeMillis } = knex.client.config.pool;
    return { min, max, acquireTimeoutMillis, idleTimeoutMillis, maxConnectionLifetimeMillis };
  },
};
const held = readers[format](exported.pool);

// Time passes at once, and what was waited for is written down.
const waits = [];
const { setTimeout } = globalThis;
globalThis.setTimeout = (then, time) => (waits.push(time), setTimeout(then, 0));
const { default: pRetry } = await import(pathToFileURL(require.resolve('p-retry')));
let tries = 0;
await pRetry(() => { tries += 1; throw new Error('again'); }, exported.retry).catch(() => {});
globalThis.setTimeout = setTimeout;

const CircuitBreaker = require('opossum');
const breaker = new CircuitBreaker(async () => { throw new Error('down'); }, exported.breaker);
let failures = 0;
while (!breaker.opened && failures < 100) {
  await breaker.fire().catch(() => {});
  failures += 1;
}
const { resetTimeout, timeout } = breaker.options;
breaker.shutdown();

console.log(JSON.stringify({ ...held, tries, waits, failures, resetTimeout, timeout }));
