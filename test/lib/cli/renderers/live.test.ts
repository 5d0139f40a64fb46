import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { liveRenderer } from '../../../../lib/cli/renderers/live.ts'

test('errors go to stderr, which need not be the terminal that the view is in', () => {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const renderer = liveRenderer(streams as unknown as Parameters<typeof liveRenderer>[0], false)
  renderer.emit({ type: 'note', stage: 'a', target: 't', message: 'noted' })
  renderer.emit({ type: 'error', code: 'E_IO', message: 'it broke' })
  renderer.close()
  assert.equal(String(streams.stderr.read()), 'error: it broke\n')
  assert.match(String(streams.stdout.read()), /^a {12}noted\n/)
})

test('a watch shows that it waits, and no stage of a build that an edit has ended', () => {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const renderer = liveRenderer(streams as unknown as Parameters<typeof liveRenderer>[0], false)
  renderer.emit({ type: 'start', target: 't', stage: 'save', because: 'a changed' })
  assert.match(String(streams.stdout.read()), /save.*because a changed/)
  renderer.emit({ type: 'changed', paths: ['b'], more: 0 })
  renderer.emit({ type: 'ready', result: 'same', ms: 1, artifacts: [] })
  const shown = String(streams.stdout.read())
  assert.doesNotMatch(shown, /save/)
  assert.match(shown, /watching {5}\(Ctrl-C ends\)/)
  renderer.close()
})
