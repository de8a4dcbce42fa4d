// After a run in CI: a skipped test is a failure, and an empty run is one too. Reads what vitest's JSON reporter wrote.
import { readFileSync } from 'node:fs';

const results = JSON.parse(readFileSync(new URL('../../build/test-results.json', import.meta.url), 'utf8'));
const { numPassedTests: passed, numFailedTests: failed, numPendingTests: pending, numTodoTests: todo } = results;
for (const file of results.testResults) {
  for (const test of file.assertionResults) {
    if (test.status !== 'passed' && test.status !== 'failed') console.error(`skipped: ${test.fullName}`);
  }
}
console.log(`${passed} passed, ${failed} failed, ${pending + todo} skipped`);
process.exit(passed > 0 && failed + pending + todo === 0 ? 0 : 1);
