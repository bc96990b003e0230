// Reads the instructions of a Dockerfile that are needed to check and to replay it: FROM, ENV, WORKDIR, COPY, RUN, metadata.

/**
 * @typedef {object} Instruction
 * @property {string} name in upper case
 * @property {string} text everything behind the name, continuation lines joined
 * @property {number} line counted from 1
 */

/** The instructions of a Dockerfile, without comments. @returns {Instruction[]} */
export function parseDockerfile(source) {
  const instructions = [];
  let open = null;
  source.split('\n').forEach((raw, index) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return;
    const continues = line.endsWith('\\');
    const text = continues ? line.slice(0, -1).trim() : line;
    if (open === null) {
      const space = text.search(/\s/);
      const name = (space < 0 ? text : text.slice(0, space)).toUpperCase();
      open = { name, text: space < 0 ? '' : text.slice(space).trim(), line: index + 1 };
    } else {
      open.text = `${open.text} ${text}`.trim();
    }
    if (!continues) {
      instructions.push(open);
      open = null;
    }
  });
  if (open !== null) throw new Error(`Dockerfile:${open.line}: the last instruction does not end`);
  return instructions;
}

/** The words of the exec form (`["a", "b"]`). @throws for the shell form, whose shell does not forward signals. */
export function execForm(instruction, text = instruction.text) {
  try {
    const words = JSON.parse(text);
    if (Array.isArray(words) && words.every((word) => typeof word === 'string')) return words;
  } catch {
    // Reported below.
  }
  throw new Error(`Dockerfile:${instruction.line}: ${instruction.name} must be a JSON list of words`);
}

/** Sources, destination and stage of a COPY. */
export function copyParts({ text }) {
  const words = text.split(/\s+/);
  let from = null;
  while (words[0]?.startsWith('--')) {
    const flag = words.shift();
    if (flag.startsWith('--from=')) from = flag.slice('--from='.length);
  }
  return { from, sources: words.slice(0, -1), destination: words.at(-1) };
}

/** The stages with their instructions, in order. */
export function stagesOf(instructions) {
  const stages = [];
  for (const instruction of instructions) {
    if (instruction.name === 'FROM') {
      const [image, , name] = instruction.text.split(/\s+/);
      stages.push({ image, name: name ?? String(stages.length), instructions: [] });
    } else {
      stages.at(-1)?.instructions.push(instruction);
    }
  }
  return stages;
}

/** Whether a path of the build context is left out by the lines of .dockerignore (names and folders, `*` within a name). */
export function isIgnored(path, ignoreFile) {
  return ignoreFile
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .some((pattern) => {
      const expression = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
      return new RegExp(`^${expression}(/|$)`).test(path);
    });
}
