/** The control pool's thread as piscina loads it; CommonJS for the reason given in workers/entry.cts. */
const worker = import('./worker.js');

module.exports = async (task: import('./worker.js').ControlTask): Promise<unknown> => (await worker).default(task);
