/**
 * A card that is being written is interrupted a hundred times at random, by signals that can be caught and by one that
 * cannot. Meanwhile it is whole or invalid, never half of something that boots; the next call brings it to its end.
 * FLEETSIE_SEED=… repeats the choices of a run; moments are those of the machine.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { MiB, missing, tool } from '../helpers/disks.ts'
import { checkout, shellEnvironment } from '../helpers/npm-project.ts'
import { Random } from '../helpers/random.ts'

const interruptions = 100
const cardsAtOnce = 2
const imageSize = 32 * MiB
const headLength = 4096
/** Compiled, as it is installed: it is started some 250 times. */
const bin = join(checkout, 'dist/lib/cli/bin.js')
const signals = ['SIGINT', 'SIGTERM', 'SIGKILL'] as const
const seed = process.env['FLEETSIE_SEED'] ?? randomBytes(4).toString('hex')

interface Image {
  file: string
  bytes: Buffer
}

let folder = ''
let images: Image[] = []

before(async () => {
  const { compile }: { compile(root: string): void } = await import(join(checkout, 'scripts/compile.mjs'))
  compile(checkout)
  folder = await mkdtemp(join(tmpdir(), 'fleetsie-interrupted-'))
  const random = new Random(`images ${seed}`)
  const first = await makeImage('one', random, undefined)
  images = [first, await makeImage('two', random, first.bytes)]
})
after(() => rm(folder, { recursive: true, force: true }))

/** Two partitions of sectors that are all different; the second image has its own in a fifth of all MiB. */
async function makeImage(name: string, random: Random, base: Buffer | undefined): Promise<Image> {
  const file = join(folder, `${name}.img`)
  await writeFile(file, Buffer.alloc(imageSize))
  const script = `label: dos\nlabel-id: 0x${name === 'one' ? 1 : 2}\nstart=2048, size=8192, type=c\nstart=10240, type=83\n`
  tool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', file], script)
  const bytes = await readFile(file)
  for (let chunk = 0; chunk < imageSize; chunk += MiB) {
    if (base && random.chance(0.8)) {
      base.copy(bytes, Math.max(512, chunk), Math.max(512, chunk), chunk + MiB)
      continue
    }
    const noise = random.bytes(MiB / 16)
    for (let at = chunk === 0 ? 512 : 0; at < MiB; at += 512)
      noise.copy(bytes, chunk + at, at / 16, at / 16 + 32)
  }
  await writeFile(file, bytes)
  tool('xz', ['-0', '-T1', '--block-size=4MiB', file])
  return { file: `${file}.xz`, bytes }
}

interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  /** The card's row of --json, when it came to it. */
  card: { resumed: boolean; how: string } | undefined
  said: string
  /** Milliseconds from the first word to the end. */
  took: number
}

/** Runs the verb; `stop` is sent so many milliseconds after its first word, or after its first row of progress. */
function updatesd(
  place: Place,
  image: Image,
  full: boolean,
  stop?: { signal: NodeJS.Signals; after: number; writing: boolean },
): Promise<Ended> {
  const verb = ['updatesd', '--whole', place.card, '--image', image.file, '-y', '--json']
  const args = [bin, ...verb, ...(full ? ['--full'] : [])]
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: place.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    let began = 0
    let timer: NodeJS.Timeout | undefined
    const hear = (text: string): void => {
      if (began === 0) began = performance.now()
      said += text
      if (stop && !timer && (!stop.writing || said.includes('"card-progress"'))) {
        timer = setTimeout(() => child.kill(stop.signal), stop.after)
      }
    }
    child.stdout.setEncoding('utf8').on('data', hear)
    child.stderr.setEncoding('utf8').on('data', hear)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      const row = said.split('\n').find((line) => line.startsWith('{"type":"card",'))
      const card = row === undefined ? undefined : JSON.parse(row)
      resolve({ code, signal, card, said, took: performance.now() - began })
    })
  })
}

interface Place {
  card: string
  env: NodeJS.ProcessEnv
}

async function place(name: string): Promise<Place> {
  const home = join(folder, name)
  await mkdir(home)
  const card = join(home, 'card.img')
  await writeFile(card, Buffer.alloc(imageSize + MiB, 'old content'))
  const env = { FLEETSIE_STORE: join(home, 'store'), XDG_CACHE_HOME: join(home, 'cache'), TMPDIR: home }
  return { card, env: shellEnvironment(env) }
}

/** The image that the card is; undefined: it is none, and nothing takes it for one. */
async function imageOn(path: string): Promise<Image | undefined> {
  const bytes = await readFile(path)
  assert.ok(
    bytes.subarray(imageSize).equals(Buffer.alloc(imageSize + MiB, 'old content').subarray(imageSize)),
  )
  const whole = images.find((image) => bytes.subarray(0, imageSize).equals(image.bytes))
  if (!whole) {
    const head = bytes.subarray(0, headLength)
    const valid = images.some((image) => image.bytes.subarray(0, headLength).equals(head))
    assert.ok(!valid, 'a card that is half-written has a partition table')
  }
  return whole
}

test('each of a hundred random interruptions of updatesd is gone on from to a verified card', {
  skip: missing('xz', 'sfdisk'),
  timeout: 900_000,
}, async (t) => {
  t.diagnostic(`seed ${seed}: FLEETSIE_SEED=${seed} repeats its choices`)
  const counts = { SIGINT: 0, SIGTERM: 0, SIGKILL: 0, halfWritten: 0, resumed: 0, ends: 0 }
  let left = interruptions

  const worker = async (name: string): Promise<void> => {
    const random = new Random(`${seed} ${name}`)
    const { card, env } = await place(name)
    const at = { card, env }
    const first = await updatesd(at, images[0]!, true)
    assert.equal(first.code, 0, first.said)
    let took = first.took
    while (left > 0) {
      const image = random.pick(images)
      const full = random.chance(0.5)
      let half = false
      for (let times = random.int(1, 5); times > 0 && left > 0; times--) {
        const signal = random.pick(signals)
        const writing = random.chance(0.7)
        const after = random.int(0, Math.ceil(writing ? took / 6 : took))
        const stopped = await updatesd(at, image, full, { signal, after, writing })
        // It was faster.
        if (stopped.card) continue
        left--
        counts[signal]++
        if (signal === 'SIGKILL') assert.equal(stopped.signal, 'SIGKILL', stopped.said)
        else assert.equal(stopped.code, 130, stopped.said)
        half = (await imageOn(card)) === undefined
        if (half) counts.halfWritten++
      }
      const ended = await updatesd(at, image, full)
      assert.equal(ended.code, 0, ended.said)
      assert.equal(await imageOn(card), image)
      counts.ends++
      if (ended.card!.resumed) counts.resumed++
      took = ended.took
    }
  }
  const ends = await Promise.allSettled(
    Array.from({ length: cardsAtOnce }, (_, i) => worker(`card-${i + 1}`)),
  )
  for (const end of ends) if (end.status === 'rejected') throw end.reason

  t.diagnostic(JSON.stringify(counts))
  for (const signal of signals) assert.ok(counts[signal] > 10, `${signal} came ${counts[signal]} times`)
  assert.ok(counts.halfWritten >= interruptions / 10, `${counts.halfWritten} cards were half-written`)
  assert.ok(counts.resumed > 0, 'none was gone on with')
})
