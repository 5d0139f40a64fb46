/**
 * Another process that uses a store: node --import tsx store-process.ts FOLDER ACTION [LABEL…]
 * It prints a line when it got where the test wants it, and goes on when its stdin ends.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Store } from '../../lib/engine/store/store.ts'
import { keyOf, publish } from './store.ts'

const [folder = '', action, ...labels] = process.argv.slice(2)
const label = labels[0] ?? ''
const say = (line: string): boolean => process.stdout.write(`${line}\n`)
const told = async (): Promise<void> => {
  for await (const _ of process.stdin);
}

const store = await Store.open(folder, { minFree: 0 })
switch (action) {
  case 'open':
    break
  case 'publish':
    say((await publish(store, label, { files: { 'deep/file': label, link: 'x' } })).digest)
    break
  case 'gc':
    say(String((await store.gc()).evicted.length))
    break
  case 'carry':
    // Adds a line to what the runs before left.
    await store.carry(
      label,
      { stage: 'save', onWait: (holder) => say(`waiting for ${holder}`) },
      async (folder) => {
        say('carrying')
        appendFileSync(join(folder, 'lines'), `line\n`)
        if (labels[1] === 'hold') await told()
      },
    )
    break
  case 'memo':
    await (await store.memo()).put(label, Buffer.from(`memo of ${label}`))
    break
  case 'lock': {
    const lock = await store.lock(
      keyOf(label),
      (holder) => say(`waiting for ${holder}`),
      undefined,
      'overlay',
    )
    say('locked')
    await told()
    lock.release()
    break
  }
  case 'count': {
    // Read, add, write: right only while nobody else is inside.
    const file = join(folder, '..', 'count')
    for (let i = 0; i < Number(labels[1]); i++) {
      const lock = await store.lock(keyOf(label), () => {})
      const count = Number(readFileSync(file, 'utf8'))
      await new Promise((resolve) => setImmediate(resolve))
      writeFileSync(file, `${count + 1}`)
      lock.release()
    }
    break
  }
  case 'lease':
    say(store.lookup(keyOf(label)) ? 'leased' : 'missed')
    await told()
    break
  case 'look-up-all': {
    say('ready')
    const hits = labels.flatMap((name) => store.lookup(keyOf(name)) ?? [])
    await told()
    // Whatever gc did meanwhile: what was found is there, whole.
    const lost = hits.filter(
      ({ path }) => !existsSync(join(path, 'file')) || readFileSync(join(path, 'file')).length === 0,
    )
    say(`hits ${hits.length} lost ${lost.length}`)
    break
  }
  default:
    throw new Error(`unknown action ${action}`)
}
await store.close()
