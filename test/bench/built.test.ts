import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { eventsOf, imageOf, spentBy } from '../../bench/built.ts'

const stage = (name: string, action: string, ms: number): string =>
  JSON.stringify({ type: 'stage', target: 'image', stage: name, action, because: '', ms })

it('a build tells where its time went: stages that ran, longest first, and the rest', () => {
  const stdout = [
    'no event',
    stage('sign', 'applied', 90),
    stage('save', 'built', 400),
    stage('fetch', 'cached', 7),
  ]
  const sample = { wall: 700, stdout: stdout.join('\n') }
  assert.equal(spentBy(sample, eventsOf(sample.stdout)), 'save 400, sign 90, the rest 210 ms')
})

it('the image of a build is the last .img.xz among its artifacts, found in the project', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-built-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'two.img.xz'), 'four')
  const artifacts = ['one.img.xz', 'two.img.xz', 'two.img.xz.sig'].map((path) => ({
    path,
    sha256: path,
    kind: '',
  }))
  const stdout = JSON.stringify({ type: 'artifacts', target: 'image', artifacts })
  const subject = { command: 'true', args: [], cwd: folder, env: {} }
  assert.deepEqual(imageOf(subject, { wall: 1, stdout }), {
    path: join(folder, 'two.img.xz'),
    sha256: 'two.img.xz',
    size: 4,
  })
  assert.throws(() => imageOf(subject, { wall: 1, stdout: '' }), /no \.img\.xz/)
})
