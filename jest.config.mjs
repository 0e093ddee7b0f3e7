/** @type {import("jest").Config} */
export default {
  testEnvironment: "node",
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  // A compiled file that lies beside its source must not take its place.
  moduleFileExtensions: ["ts", "mts", "js", "mjs", "cjs", "json", "node"],
  transform: {
    // .mjs too: the tests of the build scripts import them.
    "\\.(ts|mjs)$|/node_modules/(p-queue|p-timeout|eventemitter3|jsonriver|jose|pkce-challenge)/": [
      "@swc/jest",
      {
        jsc: { parser: { syntax: "typescript" }, target: "es2022" },
        module: { type: "commonjs" },
        sourceMaps: "inline",
      },
    ],
  },
  // These come as modules only, which jest does not read.
  transformIgnorePatterns: [
    "/node_modules/(?!(p-queue|p-timeout|eventemitter3|jsonriver|jose|pkce-challenge)/)",
  ],
  // Sources import each other as "./name.js", as Node does; the files are still TypeScript here.
  moduleNameMapper: {
    "^(\\.{1,2}/.*)\\.js$": "$1",
    // It says no word of how to be required.
    "^jsonriver$": "<rootDir>/node_modules/jsonriver/dist/index.js",
  },
};
