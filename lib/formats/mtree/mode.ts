/** File modes as mtree files write them: octal, or chmod(1)'s letters applied to 0. */
import { fail } from './lines.ts'

const whoBits: Record<string, number> = { u: 0o5700, g: 0o3070, o: 0o0007, a: 0o7777 }
const permissionBits: Record<string, number> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 }

/** Fails with E_INPUT. Without a "who" the umask of who builds would decide, so one is needed. */
export function parseMode(value: string, line: number): number {
  if (/^0*[0-7]{1,4}$/.test(value)) return Number.parseInt(value, 8)
  if (/^[0-7]{5,}$/.test(value))
    throw fail(line, `\`mode=${value}\` has more than permission bits`, 'write four digits')
  let mode = 0
  for (const clause of value.split(',')) {
    const match = /^([ugoa]+)((?:[-+=][rwxst]*)+)$/.exec(clause)
    if (!match)
      throw fail(line, `\`mode=${value}\` is no mode`, 'write it in octal, such as 0644, or as u=rw,go=r')
    const who = sum(match[1]!, whoBits)
    for (const [, operator, letters] of match[2]!.matchAll(/([-+=])([rwxst]*)/g)) {
      const bits = sum(letters!, permissionBits) & who
      if (operator === '-') mode &= ~bits
      else mode = (operator === '=' ? mode & ~who : mode) | bits
    }
  }
  return mode
}

const sum = (letters: string, table: Record<string, number>): number =>
  [...letters].reduce((bits, letter) => bits | table[letter]!, 0)
