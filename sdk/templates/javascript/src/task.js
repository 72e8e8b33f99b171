// Counts the lines of a source tree that contain a word.

import { Failure, decode, log, task } from '../cofferdam/task.js';

export const run = task(({ params, inputs, outputs }) => {
  if (params.word === '') {
    throw new Failure('NoWord', '`word` is empty', { remedy: 'give a word to look for' });
  }
  const report = [];
  const files = inputs.source.files();
  for (const file of files) {
    const bytes = inputs.source.bytes(file);
    // No text.
    if (bytes.includes(0)) continue;
    decode(bytes)
      .split('\n')
      .forEach((line, index) => {
        if (line.includes(params.word)) report.push(`${file}:${index + 1}: ${line.trimEnd()}\n`);
      });
  }
  outputs.report.write('lines.txt', report.join(''));
  log.info('looked through', { files: files.length });
  return { lines: report.length };
});
