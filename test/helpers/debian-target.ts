/** The target `debian`, built once for all test files of a run: its store is kept in FLEETSIE_TEST_SHARED, which npm test sets. */
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runner } from '../../lib/engine/process.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { refreshLock } from '../../lib/images/debian/refresh.ts'
import { type Finished, type Scratch, scratchCheckout } from './scratch.ts'

/** A checkout whose store other test files have filled, or will find filled. */
export function debianCheckout(): Promise<Scratch> {
  const shared = process.env['FLEETSIE_TEST_SHARED']
  return scratchCheckout('project', shared && join(shared, 'store'))
}

/** Builds the target; an outdated lock is refreshed in the copy, for the mirror moves on and no test is about that. Answers the image. */
export async function buildDebian(scratch: Scratch): Promise<string> {
  const build = (): Promise<Finished> => scratch.run(['build', 'debian', '--json'])
  let ended = await build()
  if (ended.code === 4 && /no longer has .*fleetsie lock/s.test(ended.stdout)) {
    const tmp = mkdtempSync(join(scratch.folder, 'lock-'))
    await refreshLock(join(scratch.project, 'debian.lock'), { run: runner({ home: tmp }), tmp })
    ended = await build()
  }
  assert.equal(ended.code, 0, ended.stdout.slice(-4000) + ended.stderr)
  const made = ended.events.flatMap((event) => (event.type === 'artifacts' ? event.artifacts : []))
  const image = made.find(({ kind }) => kind === 'image')
  assert.ok(image, ended.stdout)
  return image.path
}

/**
 * The stock image that the target is made of, as a copy that every user may read: the store is its owner's alone.
 * FLEETSIE_TEST_DEBIAN_STOCK (.img.xz) spares the build.
 */
export async function debianStock(): Promise<{ file: string; remove(): Promise<void> }> {
  const given = process.env['FLEETSIE_TEST_DEBIAN_STOCK']
  const scratch = given ? undefined : await debianCheckout()
  try {
    if (scratch) await buildDebian(scratch)
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-stock-'))
    chmodSync(folder, 0o755)
    const file = join(folder, 'debian.img.xz')
    copyFileSync(given ?? stockIn(scratch!.store), file)
    chmodSync(file, 0o644)
    return { file, remove: () => removeTree(folder) }
  } finally {
    await scratch?.remove()
  }
}

/** The only file of the only object that the stage `debian` has made. */
function stockIn(store: string): string {
  const objects = join(store, 'objects')
  const found = readdirSync(objects, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('-debian/out/debian.img.xz'))
  assert.equal(found.length, 1, `the store holds ${found.length} of debian.img.xz`)
  return join(objects, found[0]!)
}
