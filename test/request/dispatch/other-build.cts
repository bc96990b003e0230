/** A worker file of another build, as the worker sees it: the front's records have another version than its own. */
const policy = import('../../../workers/policy.js');

module.exports = async (task: import('../../../src/shared/ring/worker-messages.js').PolicyTask): Promise<void> =>
  (await policy).default({ ...task, recordVersion: task.recordVersion + 1 });
