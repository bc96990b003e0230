/**
 * The file that piscina loads, CommonJS on purpose. Piscina tries `require` first, and a thread that is terminated while
 * `require` reads an ES module takes the whole process with it ("IsGraphAsync must be used on an instantiated
 * module", Node 20.20); one that is terminated during `import` just ends.
 */
const policy = import('./policy.js');

module.exports = async (task: import('../src/shared/ring/worker-messages.js').PolicyTask): Promise<void> =>
  (await policy).default(task);
