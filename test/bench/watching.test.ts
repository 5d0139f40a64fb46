/** With a program that watches one file, as `fleetsie watch` watches many. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Subject } from '../../bench/measure.ts'
import { watching } from '../../bench/watching.ts'

const program = `
const { readFileSync, watch } = require('node:fs')
const tell = (event) => console.log(JSON.stringify(event))
let last
const build = () => {
  const text = readFileSync('file', 'utf8')
  // One write is several events.
  if (text === last) return
  last = text
  if (text === 'bad') tell({ type: 'failed', message: 'a bad file' })
  if (text === 'end') process.exit(4)
  // An empty file is what a writer leaves for a moment.
  const result = text === 'bad' ? 'failed' : text ? 'built' : 'unchanged'
  tell({ type: 'ready', result, artifacts: text ? [{ path: 'out.img.xz', sha256: text }] : [] })
}
watch('file', build)
build()
process.on('SIGINT', () => process.exit(0))
`

describe('a program that watches', { timeout: 20_000 }, () => {
  let folder: string
  let subject: Subject
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-watching-'))
    await writeFile(join(folder, 'file'), 'first')
    subject = { command: process.execPath, args: ['-e', program], cwd: folder, env: {} }
  })
  after(() => rm(folder, { recursive: true }))
  const write = (text: string) => (): Promise<void> => writeFile(join(folder, 'file'), text)

  it('is timed from an edit to the artifacts that come of it', async () => {
    const watch = await watching(subject)
    try {
      const { wall, stdout } = await watch.edit(write('second'))
      assert.ok(wall > 0)
      assert.match(stdout, /"second"/)
      assert.doesNotMatch(stdout, /"first"/)
      assert.ok((await watch.peak())! > 1e6)
    } finally {
      await watch.end()
    }
  })

  it('fails with its message when a build does, and when it ends', async () => {
    const watch = await watching(subject)
    try {
      await assert.rejects(watch.edit(write('bad')), /a bad file/)
      await assert.rejects(watch.edit(write('end')), /ended with 4/)
    } finally {
      await watch.end()
    }
  })
})
