/** A drop-in of sshd's configuration. It stays only when a new login works with it. */
import { createHash, randomUUID } from 'node:crypto'
import { FleetsieError } from '../../errors.ts'
import { textDiff } from '../../formats/text-diff.ts'
import { type Difference, decoded, type Facts, type Place, type Resource } from './resource.ts'
import { includesDropIns } from './sshd-include.ts'
import { checkScript, keepScript, revertScript, tryScript } from './sshd-scripts.ts'

export interface SshdOptions {
  /** Seconds until what was there before is put back, when nothing is heard of us. */
  rollbackAfter?: number
}

/** Milliseconds in which the new login has to work; sshd may still be starting anew. */
const loginLimit = 20_000

/**
 * sshd runs with this drop-in, and sshd_config includes it. Fails with E_UNSAFE where sshd has yet to read what others
 * changed, and with E_VERIFY, all put back, where no new login works with it.
 */
export function sshdDropIn(
  path: string,
  content: string,
  { rollbackAfter = 60 }: SshdOptions = {},
): Resource {
  const sha256 = createHash('sha256').update(content).digest('hex')
  return {
    name: `sshd ${path}`,
    check: { text: checkScript, args: [path] },
    diff: (facts) => difference(facts, path, content, sha256),
    prepare: async (facts) => expectRead(facts),
    apply: async (place, facts) => {
      const token = randomUUID()
      const include = mainIncludes(facts, path) ? 'no' : 'yes'
      const args = [path, sha256, include, token, String(rollbackAfter)]
      await place.asRoot({ text: tryScript, args }, { stdin: content })
      await proveLogin(place, token)
      await place.asRoot({ text: keepScript, args: [token, sha256] })
    },
  }
}

function difference(facts: Facts, path: string, content: string, sha256: string): Difference | undefined {
  const before = decoded(facts, 'content')
  const include = mainIncludes(facts, path)
    ? []
    : ['/etc/ssh/sshd_config gets as its first line:', `+Include ${path}`]
  const lines = [...textDiff(before ?? '', content), ...include]
  if (before === undefined) return { because: 'it is missing', lines }
  if (before !== content) return { because: 'its content differs', lines }
  if (include.length > 0) return { because: 'sshd_config does not include it', lines }
  if (facts.get('mode') !== 'root:root 644') return { because: 'its owner or mode differs' }
  if (facts.has('pending')) return { because: 'an earlier try was broken off before a new login was proven' }
  if (facts.get('loaded') !== sha256) return { because: 'no new login was ever proven with it' }
  return undefined
}

/**
 * What others have changed since sshd read its configuration would come into use with ours, and could not be taken back:
 * nobody knows what sshd has in its memory. Fails with E_UNSAFE.
 */
function expectRead(facts: Facts): void {
  const unread = (decoded(facts, 'unread') ?? '').split('\n').filter((line) => line !== '')
  if (unread.length === 0 || facts.has('pending')) return
  throw new FleetsieError(
    'E_UNSAFE',
    `sshd has not read ${unread.join(' and ')} since that was changed; nothing was changed`,
    {
      hint: 'try it out there: `systemctl reload ssh`, and log in anew before you log out; then run this again',
    },
  )
}

function mainIncludes(facts: Facts, path: string): boolean {
  return includesDropIns(decoded(facts, 'main') ?? '', path)
}

/** Logs in once more, from scratch. Where that fails, puts back what was there and fails with E_VERIFY. */
async function proveLogin(place: Place, token: string): Promise<void> {
  const until = performance.now() + loginLimit
  for (;;) {
    try {
      const again = await place.again()
      const { code } = await again.run(['true'], { signal: place.signal }).finally(() => again.close())
      if (code === 0) return
      throw new FleetsieError('E_RIGHTS', `a new login runs nothing: exit code ${code}`)
    } catch (error) {
      place.signal.throwIfAborted()
      // A port that refuses: sshd is between its two lives.
      const starting = error instanceof FleetsieError && (error.code === 'E_IO' || error.code === 'E_TIMEOUT')
      if (starting && performance.now() < until) continue
      await place.asRoot({ text: revertScript, args: [token] })
      const why = error instanceof Error ? error.message : String(error)
      throw new FleetsieError(
        'E_VERIFY',
        `with it nobody could log in any more, so it was put back: ${why}`,
        {
          hint: 'look for what else is in /etc/ssh/sshd_config.d',
          cause: error,
        },
      )
    }
  }
}
