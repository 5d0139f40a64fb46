/** The lines in which two texts differ, as `diff -u` shows them. Myers, "An O(ND) difference algorithm", 1986. */

const context = 3
/** Lines added and removed; beyond, all is taken for new. */
const mostEdits = 500

interface Edit {
  sign: ' ' | '-' | '+'
  line: string
}

/** Hunks with their headings; empty for equal texts. */
export function textDiff(before: string, after: string): string[] {
  return hunks(edits(linesOf(before), linesOf(after)))
}

function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  else if (lines.length > 0) lines[lines.length - 1] += '\n\\ No newline at end of file'
  return lines
}

function edits(a: string[], b: string[]): Edit[] {
  const trace: Map<number, number>[] = []
  let furthest = new Map([[1, 0]])
  for (let d = 0; d <= a.length + b.length && d <= mostEdits; d++) {
    trace.push(furthest)
    const next = new Map(furthest)
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1))
      let x = down ? furthest.get(k + 1)! : furthest.get(k - 1)! + 1
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++
      next.set(k, x)
      if (x >= a.length && x - k >= b.length) return backtrack(trace, a, b)
    }
    furthest = next
  }
  return [
    ...a.map((line) => ({ sign: '-', line }) as const),
    ...b.map((line) => ({ sign: '+', line }) as const),
  ]
}

function backtrack(trace: readonly Map<number, number>[], a: string[], b: string[]): Edit[] {
  const found: Edit[] = []
  let [x, y] = [a.length, b.length]
  for (let d = trace.length - 1; d >= 0; d--) {
    const furthest = trace[d]!
    const k = x - y
    const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1))
    const from = down ? k + 1 : k - 1
    const startX = d === 0 ? 0 : furthest.get(from)!
    const startY = d === 0 ? 0 : startX - from
    while (x > startX && y > startY) {
      found.push({ sign: ' ', line: a[--x]! })
      y--
    }
    if (d === 0) break
    if (down) found.push({ sign: '+', line: b[--y]! })
    else found.push({ sign: '-', line: a[--x]! })
  }
  return found.reverse()
}

function hunks(all: readonly Edit[]): string[] {
  const lines: string[] = []
  const changed = all.flatMap(({ sign }, index) => (sign === ' ' ? [] : [index]))
  let [next, a, b, at] = [0, 0, 0, 0]
  const pass = (to: number): void => {
    for (; at < to; at++) {
      if (all[at]!.sign !== '+') a++
      if (all[at]!.sign !== '-') b++
    }
  }
  while (next < changed.length) {
    const start = Math.max(0, changed[next]! - context)
    let end = changed[next]!
    while (next < changed.length && changed[next]! <= end + 2 * context) end = changed[next++]!
    const hunk = all.slice(start, end + context + 1)
    pass(start)
    const [lengthA, lengthB] = [
      hunk.filter(({ sign }) => sign !== '+').length,
      hunk.filter(({ sign }) => sign !== '-').length,
    ]
    lines.push(`@@ -${range(a, lengthA)} +${range(b, lengthB)} @@`)
    lines.push(...hunk.map(({ sign, line }) => sign + line))
  }
  return lines
}

/** Lines are counted from 1; an empty range names the line before. */
function range(passed: number, length: number): string {
  const start = length === 0 ? passed : passed + 1
  return length === 1 ? `${start}` : `${start},${length}`
}
