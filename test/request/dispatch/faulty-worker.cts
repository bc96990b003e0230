/** The worker file with faults on purpose (test/support/worker-faults.ts). */
const policy = import('../../support/worker-faults.js').then(() => import('../../../workers/policy.js'));

module.exports = async (task: import('../../../src/shared/ring/worker-messages.js').PolicyTask): Promise<void> =>
  (await policy).default(task);
