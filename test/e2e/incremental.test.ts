/**
 * `save` after an edit gives the bytes of `save` from nothing, and these decode to the image that the layers make of
 * the stock: over random images, containers, layers and edits. FLEETSIE_INCREMENTAL=17 repeats one lineage of edits,
 * FLEETSIE_INCREMENTAL=100-159 tries others than the usual ones.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { Store } from '../../lib/engine/store/store.ts'
import { differenceAsImage, Lineage, type Outcome } from '../helpers/lineage.ts'
import { needs } from '../helpers/needs.ts'
import type { Random } from '../helpers/random.ts'
import { edited, type Release, writeSets } from '../helpers/random-layers.ts'

const editsPerLineage = 17
const seeds = seedsOf(process.env['FLEETSIE_INCREMENTAL'] ?? '0-58')

/** What happened, over all lineages. */
interface Tally {
  cases: number
  /** Cases that ended with an error, which was the same both times, by its code. */
  refused: Map<string, number>
  faults: string[]
}

test(`${seeds.length * editsPerLineage} random edits: as from nothing, byte for byte`, {
  skip: needs('mke2fs', 'mkfs.fat', 'mcopy', 'sfdisk', 'xz', 'zstd'),
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-incremental-'))
  // One memo for all: what one lineage keeps must never be wrong for another.
  const warnings: string[] = []
  const store = await Store.open(join(folder, 'store'), {
    minFree: 0,
    emit: (event) => void (event.type === 'warning' && warnings.push(event.message)),
  })
  t.after(async () => {
    await store.close()
    await removeTree(folder)
  })
  const tally: Tally = { cases: 0, refused: new Map(), faults: [] }
  const waiting = [...seeds]
  const worker = async (): Promise<void> => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      await follow(`${seed}`, join(folder, `lineage-${seed}`), store, tally)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() + 1 }, worker))

  const refused = [...tally.refused].map(([code, count]) => `${count} ${code}`).join(', ') || 'none'
  t.diagnostic(`${tally.cases} cases; refused alike both times: ${refused}; damaged memo: ${warnings.length}`)
  assert.deepEqual(tally.faults, [])
  assert.equal(tally.cases, seeds.length * editsPerLineage)
  assert.ok(
    [...tally.refused.values()].reduce((a, b) => a + b, 0) <= tally.cases / 10,
    'most cases make an image',
  )
})

async function follow(seed: string, folder: string, store: Store, tally: Tally): Promise<void> {
  const said = (why: unknown): string => `FLEETSIE_INCREMENTAL=${seed} repeats it: ${why}`
  const lineage = await Lineage.open(folder, seed).catch((error: unknown) => {
    tally.faults.push(said(error))
  })
  if (!lineage) return
  const history: Release[] = [{ sets: [new Map()] }]
  for (let number = 0; number < editsPerLineage; number++) {
    const { release, edit } = edited(lineage.random, lineage.image, history)
    history.push(release)
    const harm = disturb(lineage.random, store)
    const sets = join(folder, `sets-${number}`)
    const fault = await compare(lineage, store, release, await writeSets(release.sets, sets), sets, tally)
    tally.cases += 1
    if (fault) tally.faults.push(said(`edit ${number} (${edit}${harm}) of ${lineage.title}: ${fault}`))
  }
  await lineage.remove()
}

/** Answers in words what is wrong. */
async function compare(
  lineage: Lineage,
  store: Store,
  release: Release,
  sets: string[],
  tmp: string,
  tally: Tally,
): Promise<string | undefined> {
  try {
    const book = () => lineage.byTheBook(release, sets, join(tmp, 'book'))
    const quick = await lineage.saveWith(store, release, sets)
    const whole = await lineage.saveFromNothing(release, sets)
    const difference = differs(quick, whole)
    if (difference !== undefined) return difference
    if ('code' in quick) {
      if (quick.code === 'E_BUG' || quick.code === 'E_DAMAGED') return `${quick.code}: ${quick.message}`
      tally.refused.set(quick.code, (tally.refused.get(quick.code) ?? 0) + 1)
      await assert.rejects(book(), { code: quick.code })
      return undefined
    }
    const image = await book()
    const packed = quick.files.get('random_fleetsie.img.xz')!
    return await differenceAsImage(packed, image, join(tmp, 'decoded'))
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  } finally {
    await removeTree(tmp)
  }
}

function differs(quick: Outcome, whole: Outcome): string | undefined {
  if ('code' in quick || 'code' in whole) {
    const [a, b] = [quick, whole].map((one) => ('code' in one ? `${one.code} ${one.message}` : 'an image'))
    return a === b ? undefined : `with what was kept: ${a}; from nothing: ${b}`
  }
  for (const name of new Set([...quick.files.keys(), ...whole.files.keys()])) {
    const [a, b] = [quick.files.get(name), whole.files.get(name)]
    if (!a || !b) return `${name} is made only once`
    if (!a.equals(b))
      return `${name} differs from that of a build from nothing, from byte ${firstDifference(a, b)} on`
  }
  return undefined
}

function firstDifference(a: Buffer, b: Buffer): number {
  for (let i = 0; ; i++) if (a[i] !== b[i]) return i
}

/** What may happen to what is kept between two builds. */
function disturb(random: Random, store: Store): string {
  const memo = join(store.folder, 'memo')
  const entries = readdirSync(memo).flatMap((name) =>
    readdirSync(join(memo, name)).map((id) => join(memo, name, id)),
  )
  switch (random.int(0, 39)) {
    case 0: {
      for (const name of readdirSync(memo)) rmSync(join(memo, name), { recursive: true })
      return ', after the memo was lost'
    }
    case 1: {
      for (const file of entries.slice(0, 50)) damage(random, file)
      return ', with damaged memo entries'
    }
    default:
      return ''
  }
}

function damage(random: Random, file: string): void {
  const bytes = readFileSync(file)
  bytes[random.int(0, bytes.length - 1)]! ^= 1 << random.int(0, 7)
  writeFileSync(file, bytes)
}

function seedsOf(text: string): number[] {
  const [first = 0, last = first] = text.split('-').map(Number)
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
