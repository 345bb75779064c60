// Counting what holds. A check that throws is a check that failed; the rest goes on.
let passed = 0
let failed = 0

export async function check(name, body) {
  try {
    await body()
    passed += 1
    console.log(`ok - ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok - ${name}\n    ${String(error?.stack ?? error).replaceAll('\n', '\n    ')}`)
  }
}

export function summary() {
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0
}
