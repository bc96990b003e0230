import type { Case } from '../runner.js';
import { acceptCases } from './accept.js';
import { authenticateCases } from './authenticate.js';
import { bucketCases } from './buckets.js';
import { cacheCases } from './cache.js';
import { checkoutCases } from './checkout.js';
import { concurrencyCases } from './concurrency.js';
import { decideCases, rememberedCases } from './decide.js';
import { findCases } from './find.js';
import { listCases } from './lists.js';
import { ringCases } from './ring.js';
import { scanCases } from './scan.js';

/** All cases in the order of the table, which is that of a request's way. */
export const cases: readonly Case[] = [
  ...acceptCases,
  ...scanCases,
  ...authenticateCases,
  ...findCases,
  ...bucketCases,
  ...cacheCases,
  ...decideCases,
  ...rememberedCases,
  ...concurrencyCases,
  ...checkoutCases,
  ...listCases,
  ...ringCases,
];
