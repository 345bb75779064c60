// The first test waits for the engine to be compiled, on whatever machine.
export default { test: { include: ['test/**/*.test.ts'], testTimeout: 60_000 } }
