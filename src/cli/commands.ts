import { check } from './check.js';
import type { Command } from './console/command.js';
import { explain } from './explain.js';
import { init } from './init.js';
import { lock } from './lock.js';
import { login } from './login.js';
import { logout } from './logout.js';
import { migrate } from './migrate.js';
import { proxy } from './proxy.js';
import { start } from './start.js';
import { tools } from './tools.js';
import { validate } from './validate.js';

/** The commands in the order of the help. */
export const COMMANDS: readonly Command[] = [
  start,
  proxy,
  init,
  validate,
  check,
  tools,
  lock,
  explain,
  login,
  logout,
  migrate,
];
