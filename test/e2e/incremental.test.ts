/**
 * `save` after an edit gives the bytes of `save` from nothing, and these decode to the image that the layers make of
 * the stock, of which the manifest tells: over random images, containers, layers and edits. FLEETSIE_INCREMENTAL=17
 * repeats one lineage of edits, FLEETSIE_INCREMENTAL=100-159 tries others than the usual ones.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { Store } from '../../lib/engine/store/store.ts'
import { differenceAsImage, faultOfManifest, Lineage, type Outcome } from '../helpers/lineage.ts'
import { needs } from '../helpers/needs.ts'
import type { Random } from '../helpers/random.ts'
import { edited, type Release, writeSets } from '../helpers/random-layers.ts'

const editsPerLineage = 17
const seeds = seedsOf(process.env['FLEETSIE_INCREMENTAL'] ?? '0-58')

/** What happened, over all lineages. */
interface Tally {
  cases: number
  /** Those that ended with an error, which was the same both times. */
  refused: number
}

describe(`save after each of ${editsPerLineage} random edits, as from nothing`, {
  skip: needs('mke2fs', 'mkfs.fat', 'mcopy', 'sfdisk', 'xz', 'zstd'),
  concurrency: availableParallelism() + 1,
}, () => {
  let folder: string
  let store: Store
  const tally: Tally = { cases: 0, refused: 0 }
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-incremental-'))
    // One memo for all: what one lineage keeps must never be wrong for another.
    store = await Store.open(join(folder, 'store'), { minFree: 0 })
  })
  after(async () => {
    await store.close()
    await removeTree(folder)
    const { cases, refused } = tally
    assert.ok(refused <= cases / 10 + editsPerLineage, `${refused} of ${cases} cases make no image`)
  })

  for (const seed of seeds) {
    test(`lineage ${seed}`, async (t) => {
      const lineage = await Lineage.open(join(folder, `lineage-${seed}`), `${seed}`)
      const faults = await follow(lineage, store, tally)
      await lineage.remove()
      t.diagnostic(lineage.title)
      assert.deepEqual(faults, [], `FLEETSIE_INCREMENTAL=${seed} repeats it:\n${faults.join('\n')}`)
    })
  }
})

async function follow(lineage: Lineage, store: Store, tally: Tally): Promise<string[]> {
  const history: Release[] = [{ sets: [new Map()] }]
  const faults: string[] = []
  for (let number = 0; number < editsPerLineage; number++) {
    const { release, edit } = edited(lineage.random, lineage.image, history)
    history.push(release)
    const harm = disturb(lineage.random, store)
    const tmp = join(lineage.folder, `edit-${number}`)
    const fault = await compare(lineage, store, release, await writeSets(release.sets, tmp), tmp, tally)
    tally.cases += 1
    if (fault) faults.push(`edit ${number} (${edit}${harm}) of ${lineage.title}: ${fault}`)
  }
  return faults
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
      tally.refused += 1
      await assert.rejects(book(), { code: quick.code })
      return undefined
    }
    const image = await book()
    const file = (name: string): Buffer => quick.files.get(name)!
    const packed = file('random_fleetsie.img.xz')
    const fault = await faultOfManifest(file('image.json'), file('table.json'), packed, image)
    return fault ?? (await differenceAsImage(packed, image, join(tmp, 'decoded')))
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
