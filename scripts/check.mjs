// Runs every check, goes on after a failed one, and ends with the line "N passed, N failed, N skipped".
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./native/tools.mjs";

const results = join(root, ".cache", "jest-results.json");
mkdirSync(join(root, ".cache"), { recursive: true });
rmSync(results, { force: true });

const bin = (name, file) => [join(root, "node_modules", name, file)];
const steps = [
  ["native build", ["scripts/build-native.mjs"]],
  ["lint", ["scripts/lint.mjs"]],
  ["types", [...bin("typescript", "bin/tsc"), "--noEmit"]],
  ["layers", ["scripts/check-layers.mjs"]],
  ["build", ["scripts/build.mjs"]],
  ["prebuild", ["scripts/prebuild.mjs"]],
  ["packages", ["scripts/pack-all.mjs"]],
  ["package check", ["scripts/check-package.mjs"]],
  // The servers that the tests talk to; where one cannot be built, its tests are skipped and say why.
  ["Ollama for the tests", ["test/servers/build-ollama.mjs", "--optional"]],
  ["mlx_lm.server for the tests", ["test/servers/build-mlx-lm.mjs", "--optional"]],
  ["a browser for the tests", ["scripts/install-browser.mjs"]],
  ["package managers for the tests", ["test/packages/fetch-managers.mjs", "--optional"]],
  ["tests", [...bin("jest", "bin/jest.js"), "--json", "--outputFile", results]],
];

const failed = [];
for (const [name, command] of steps) {
  console.log(`== ${name}`);
  const started = Date.now();
  // jest prints its JSON to stdout as well; what people read is on stderr.
  const stdout = name === "tests" ? "ignore" : "inherit";
  const step = spawnSync(process.execPath, command, {
    cwd: root,
    stdio: ["ignore", stdout, "inherit"],
  });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  if (step.status !== 0) failed.push(name);
  console.log(`== ${name}: ${step.status === 0 ? "ok" : "FAILED"}, ${seconds} s`);
}

summarise();

function summarise() {
  if (failed.length > 0) {
    console.log(`\nFailed: ${failed.join(", ")}`);
    process.exitCode = 1;
  }
  let report;
  try {
    report = JSON.parse(readFileSync(results, "utf8"));
  } catch {
    console.log("The tests did not run to their end.\n0 passed, 1 failed, 0 skipped");
    process.exitCode = 1;
    return;
  }
  const skipped = report.testResults.flatMap((file) =>
    file.assertionResults
      .filter((test) => test.status === "pending" || test.status === "todo")
      .map((test) => `${relative(root, file.name)}: ${test.fullName}`),
  );
  if (skipped.length > 0) console.log(`\nSkipped:\n  ${skipped.join("\n  ")}`);
  // A file that cannot even be read counts as one failure.
  const failures = report.numFailedTests + report.numRuntimeErrorTestSuites;
  if (failures > 0 || report.numPassedTests === 0) process.exitCode = 1;
  console.log(`${report.numPassedTests} passed, ${failures} failed, ${skipped.length} skipped`);
}
